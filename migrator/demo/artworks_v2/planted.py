"""How many rows of every kind the old tables hold, and how many both applications write while the change runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from migrator.demo.artworks_v2.mix import COMPLETED, MIX, PENDING, TESTS, USERS, Row

Rows = Sequence[Row]


@dataclass(frozen=True, kw_only=True, slots=True)
class Planted:
    """The rows of the old tables by what is remarkable about them."""

    artworks: int
    uploads: int
    twins: int
    tests: Mapping[str, int]
    tests_ordered: int
    pending_with_image: int
    failed: int
    spellings: int
    spelled: int
    blank_email: int
    without_expiry: int
    without_token: int
    without_original: int
    upscaled: int
    not_required: int
    mockup_arrays: int
    mockup_objects: int
    naming_a_user: int
    dirty: int
    orders: int
    paid: int
    paid_and_not_completed: int
    orders_of_nothing: int
    users: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Meanwhile:
    """What is written between expand and the copy; of the new application's rows, those of its own."""

    artworks: int = 4
    orders: int = 1
    signed_up: int = 1
    users_deleted: int = 1
    new_artworks: int = 2
    new_users: int = 2


def row_count(*, scale: int = 1, rows: int | None = None) -> int:
    """Say how many artworks so many repeats have, unless their number is given."""
    if rows is not None and rows < 0:
        message = f"{rows} rows cannot be made."
        raise ValueError(message)
    return scale * len(MIX) if rows is None else rows


def repeats(total: int) -> int:
    """Say how many repeats so many rows begin."""
    return -(-total // len(MIX))


def over(total: int, count: Callable[[Rows], int]) -> int:
    """Count in so many rows what is counted in one repeat or in its beginning: no two repeats share anything."""
    whole, rest = divmod(total, len(MIX))
    return whole * count(MIX) + count(MIX[:rest])


def planted(*, scale: int = 1, rows: int | None = None) -> Planted:
    """Count what `build_legacy` makes with the same scale or rows."""
    total = row_count(scale=scale, rows=rows)

    def of(test: Callable[[Row], object]) -> int:
        return over(total, lambda some: sum(1 for row in some if test(row)))

    def named(name: str) -> int:
        return of(lambda row: row.test == name)

    return Planted(
        artworks=total,
        uploads=of(lambda row: row.upload and not row.twin),
        twins=of(lambda row: row.twin),
        tests={name: named(name) for name in TESTS},
        tests_ordered=of(lambda row: row.test and row.order),
        pending_with_image=of(lambda row: row.upload and row.status == PENDING and row.generated),
        failed=of(lambda row: row.upload and row.status == "failed"),
        spellings=over(total, lambda some: sum(map(len, _spellings(some)))),
        spelled=over(total, lambda some: len(_spellings(some))),
        blank_email=of(lambda row: not row.folded),
        without_expiry=of(lambda row: not row.expires),
        without_token=of(lambda row: row.token is None),
        without_original=of(lambda row: row.original is None),
        upscaled=of(lambda row: row.upscale == COMPLETED),
        not_required=of(lambda row: row.upscale == "not_required"),
        mockup_arrays=of(lambda row: row.mockups == "array"),
        mockup_objects=of(lambda row: row.mockups == "object"),
        naming_a_user=of(lambda row: row.user),
        dirty=of(lambda row: row.dirty),
        orders=of(lambda row: row.order) + repeats(total),
        paid=of(lambda row: row.order and row.order.status == "paid"),
        paid_and_not_completed=of(lambda row: row.order and row.order.status == "paid" and row.status != COMPLETED),
        orders_of_nothing=repeats(total),
        users=repeats(total) * len(USERS),
    )


def _spellings(some: Rows) -> list[set[str]]:
    """Give the spellings of each address that has several."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in some:
        found[row.folded].add(row.email)
    return [one for one in found.values() if len(one) > 1]
