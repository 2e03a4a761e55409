"""The story of `artworks_v2`: two rows for each upload become one artwork, and each customer a user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.cli.demo.story import Planted, Story
from migrator.cli.render.words import rows
from migrator.demo import artworks_v2 as legacy
from migrator.demo.artworks_v2 import Meanwhile

if TYPE_CHECKING:
    from migrator.database.connect import Connection

Fates = dict[tuple[str, str], int]


def _build(connection: Connection, count: int | None) -> None:
    legacy.build_legacy(connection, rows=count)


def _application(connection: Connection, _count: int | None) -> str:
    legacy.go_on_writing(connection)
    new = Meanwhile()
    return (
        f"Both applications are in use: the old one wrote {rows(new.artworks)} for two uploads and {rows(new.orders)}"
        " of orders, one user signed up and one deleted his account; the new one made"
        f" {rows(new.new_artworks)} of its own and {rows(new.new_users)} of users, one of them for a customer that"
        " artworks has too."
    )


def _planted(count: int | None) -> tuple[Planted, ...]:
    found = legacy.planted(rows=count)
    return (
        Planted(found.uploads, "uploads, each with a first row", "one artwork each, under the id its orders know"),
        Planted(
            found.twins, "second rows of the same uploads", "nothing but links to the first, where it has a picture"
        ),
        Planted(sum(found.tests.values()), "tests, of five patterns", "left behind by name, …"),
        Planted(found.tests_ordered, "of them ordered by a customer", "… but what was ordered moves, and flagged"),
        Planted(found.pending_with_image, "pending for ever, with a picture", "completed, by a rule"),
        Planted(found.failed, "failed", "failed still, with their orders"),
        Planted(found.spellings, f"spellings of {found.spelled} addresses", "one user for each address"),
        Planted(found.blank_email, "with a blank address", "an artwork without a user, and flagged"),
        Planted(found.naming_a_user, "that name a registered user", "his, whoever has their address"),
        Planted(found.without_expiry, "without an end of the link", "thirty days, and flagged"),
        Planted(found.without_token, "without a link", "kept back until somebody decides"),
        Planted(found.without_original, "with NULL for the upload", "an artwork like any other"),
        Planted(found.upscaled, "with a large file for the print", "with it still: it was paid for"),
        Planted(found.not_required, "that need no large file", "not_started"),
        Planted(found.mockup_arrays + found.mockup_objects, "with mockups, as a list or an object", "as they are"),
        Planted(found.orders, "orders", "each finds its artwork"),
        Planted(found.users, "users who have registered", "said not to be anonymous"),
    )


def _fates(count: int | None, *, after: bool) -> Fates:
    found = legacy.fates(rows=count, in_use=after)
    held = "dismissed" if after else "quarantined"
    numbers = {(name, "moved"): one.moved for name, one in found.items()}
    numbers |= {(name, "merged"): one.merged + one.following for name, one in found.items()}
    return numbers | {(name, held): sum(one.quarantined.values()) for name, one in found.items() if one.quarantined}


def _before(count: int | None) -> Fates:
    return _fates(count, after=False)


def _after(count: int | None) -> Fates:
    return _fates(count, after=True)


STORY = Story(
    change="artworks_v2",
    database="portraits",
    about="A shop paints portraits of pets. Every upload makes two rows, and its customers hold links to both.",
    params={},
    dismissed="no link was ever sent",
    build=_build,
    application=_application,
    planted=_planted,
    before=_before,
    after=_after,
    digest=legacy.digest,
    tables=legacy.LEGACY_TABLES,
    share="10%",
    look=(
        "backfills/artworks_v2_from_artworks.py        the mapping: facts, and no loop",
        "revisions/versions/0034_artwork_functions.py  functions that go with the table when it is renamed",
        "docs/changes/artworks_v2.md                   what becomes of every kind of row",
    ),
)
