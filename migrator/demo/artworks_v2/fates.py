"""What must become of every row of every old table: by backfill, by fate and by remark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from migrator.demo.artworks_v2.mix import COMPLETED, FAL, MIX, PENDING, USERS, Row
from migrator.demo.artworks_v2.planted import Meanwhile, Rows, over, repeats, row_count

FLAGGED, USERS_MADE = "is_anonymous_of_users", "users_from_artworks"
ARTWORKS, ALIASES = "artworks_v2_from_artworks", "artwork_token_aliases_from_artworks"

TEST_RULES = {
    "upload": "test data: an upload of a test",
    "address": "test data: an address for tests",
    "tester": "test data: TESTER at the shop's own address",
    "picture": "test data: a picture on a domain for examples",
    "token": "test data: a token for tests",
}
SAID = "it is said already"
BLANK = "no e-mail address"
NO_TOKEN = "it has no access token"  # noqa: S105 -- a rule's name
OWN_TOKEN = "the artwork has its own token"  # noqa: S105 -- a rule's name

SENTINEL = "the upload never stored it: missing_image stands for it"
SMALL = "upscale_status not_started and completed: the new library would take it for upscaling"
ENDED = "generation_completed_at estimated: the last change of the row, for the end of the work was never recorded"
THIRTY_DAYS = "token_expires_at defaulted: never recorded: thirty days, as every link has"
ON_FAL = "generated_image_url on fal.ai, which keeps files for seven days"

# Addresses that registered users have.
KNOWN = {one.email.lower() for one in USERS}
# Which rows of the mix the two applications meet while the change runs.
LEAVERS, CLOSED_TAB = 12, 26


@dataclass(frozen=True, kw_only=True, slots=True)
class Fate:
    """The rows of one source by what becomes of them; `flags` are of moved rows.

    `merged` are recognised in rows of an application, `following` in another row of the same source.
    """

    source: str
    target: str
    source_rows: int
    moved: int
    merged: int = 0
    following: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    quarantined: Mapping[str, int] = field(default_factory=dict)
    flags: Mapping[str, int] = field(default_factory=dict)


def fates(*, scale: int = 1, rows: int | None = None, in_use: bool = False, foretold: bool = False) -> dict[str, Fate]:
    """Say by backfill what must become of the rows that `build_legacy` with the same scale or rows makes.

    `in_use`: both applications wrote theirs before the copy. `foretold`: ours are not there yet.
    """
    total = row_count(scale=scale, rows=rows)
    users = _users(total, in_use=in_use)
    return {
        FLAGGED: _flagged(total, 0 if foretold else users.moved, in_use=in_use),
        USERS_MADE: users,
        ARTWORKS: _artworks(total, in_use=in_use),
        ALIASES: _aliases(total, in_use=in_use),
    }


def merged_into(some: Rows, place: int) -> int | None:
    """Give the place of the row that a row is the lesser twin of; None where it stands for itself."""
    row, first = some[place], some[place - 1]
    alike = row.twin and row.folded and row.folded == first.folded
    return place - 1 if alike and first.generated and first.token else None


def _flagged(total: int, made: int, *, in_use: bool) -> Fate:
    """Count users: the application's are there before, ours after."""
    new = Meanwhile()
    registered = repeats(total) * len(USERS) + (new.signed_up - new.users_deleted if in_use else 0)
    said = (new.new_users if in_use else 0) + made
    return Fate(
        source="users",
        target="users",
        source_rows=registered + said,
        moved=registered,
        skipped=_given({SAID: said}),
    )


def _users(total: int, *, in_use: bool) -> Fate:
    new = Meanwhile()
    skipped = _tests(total) | {BLANK: over(total, lambda some: sum(1 for row in some if _blank(row)))}
    moved, merged = over(total, _new_addresses), over(total, _known_addresses)
    taken = total - sum(skipped.values())
    if in_use:
        # Of the new uploads one is by a new customer; the new application has made a user for the other one.
        moved, merged, taken = moved + 1 - bool(total), merged + 1, taken + new.artworks
    return Fate(
        source="artworks",
        target="users",
        source_rows=total + (new.artworks if in_use else 0),
        moved=moved,
        merged=merged,
        following=taken - moved - merged,
        skipped=_given(skipped),
    )


def _blank(row: Row) -> bool:
    return not row.folded and not row.left_out


def _new_addresses(some: Rows) -> int:
    return len(_addresses(some) - KNOWN)


def _known_addresses(some: Rows) -> int:
    return len(_addresses(some) & KNOWN)


def _addresses(some: Rows) -> set[str]:
    return {row.folded for row in some if row.folded and not row.left_out}


def _artworks(total: int, *, in_use: bool) -> Fate:
    new = Meanwhile()
    following = over(total, _twins_merged)
    quarantined = over(total, lambda some: sum(1 for row in some if row.token is None and not row.left_out))
    skipped = _tests(total)
    flags: Counter[str] = Counter()
    for row, times in _moved(total):
        flags.update(dict.fromkeys(_remarks(row), times))
    if in_use:
        following += 1
        flags.update(_remarks_meanwhile(total))
    source_rows = total + (new.artworks if in_use else 0)
    return Fate(
        source="artworks",
        target="artworks_v2",
        source_rows=source_rows,
        moved=source_rows - following - quarantined - sum(skipped.values()),
        following=following,
        skipped=_given(skipped),
        quarantined=_given({NO_TOKEN: quarantined}),
        flags=_given(flags),
    )


def _aliases(total: int, *, in_use: bool) -> Fate:
    new = Meanwhile()
    moved = over(total, _twins_merged) + (1 if in_use else 0)
    without_token = over(total, lambda some: sum(1 for row in some if row.token is None and not row.left_out))
    skipped = _tests(total) | {NO_TOKEN: without_token}
    source_rows = total + (new.artworks if in_use else 0)
    skipped[OWN_TOKEN] = source_rows - moved - sum(skipped.values())
    flags = {THIRTY_DAYS: over(total, lambda some: sum(not some[place].expires for place in _losers(some)))}
    return Fate(
        source="artworks",
        target="artwork_token_aliases",
        source_rows=source_rows,
        moved=moved,
        skipped=_given(skipped),
        flags=_given(flags),
    )


def _tests(total: int) -> dict[str, int]:
    def named(name: str) -> int:
        return over(total, lambda some: sum(1 for row in some if row.left_out and row.test == name))

    return {rule: named(name) for name, rule in TEST_RULES.items()}


def _losers(some: Rows) -> list[int]:
    return [place for place in range(len(some)) if merged_into(some, place) is not None]


def _twins_merged(some: Rows) -> int:
    return len(_losers(some))


def _moved(total: int) -> Iterator[tuple[Row, int]]:
    """Give the rows of the mix that become artworks, each with how many there are."""
    whole, rest = divmod(total, len(MIX))
    for place, row in enumerate(MIX):
        if not row.left_out and row.token and merged_into(MIX, place) is None:
            yield row, whole + (place < rest)


def _remarks(row: Row) -> list[str]:
    made = row.status == COMPLETED or (row.status == PENDING and row.generated is not None)
    waits = row.upscale == PENDING and row.order is not None and row.order.paid_print
    small = row.upscale == "not_required" or (row.upscale == PENDING and not waits)
    found = {
        "user: the artwork names its user": row.user,
        "customer_name of a row that looks like test data, and was ordered": row.test,
        "customer_email blank: the artwork has no user by it": not row.folded,
        f"pet_mom_image_url {SENTINEL}": not row.pet_urls,
        f"pet_image_url {SENTINEL}": not row.pet_urls,
        ON_FAL: row.generated == FAL,
        "generation: pending, and its picture is there": made and row.status == PENDING,
        "upscaling: a print was paid that waits for it": waits,
        "upscaling: pending was the default": row.upscale == PENDING and small,
        "upscaling: not required": row.upscale == "not_required",
        SMALL: made and small,
        ENDED: made,
        THIRTY_DAYS: not row.expires,
    }
    return [text for text, holds in found.items() if holds]


def _remarks_meanwhile(total: int) -> Counter[str]:
    """Count what the new rows add, and what changed about old ones."""
    upload = Row(upload=0, email="nora@mail.example", name="Nora", status=PENDING, generated=None)
    done = Row(upload=0, email="jane@mail.example", name="Jane")
    flags = Counter([*_remarks(upload), *_remarks(upload), *_remarks(done)])
    flags["user: the artwork names its user"] -= total > LEAVERS
    if total > CLOSED_TAB:
        flags["generation: pending, and its picture is there"] -= 1
        flags["upscaling: pending was the default"] -= 1
        flags["upscaling: a print was paid that waits for it"] += 1
        flags[SMALL] -= 1
    return flags


def _given(numbers: Mapping[str, int]) -> dict[str, int]:
    return {name: number for name, number in numbers.items() if number}
