"""What a shop decides by parameters of artworks_v2, and what its database may be like."""

from __future__ import annotations

from collections.abc import Callable

from migrator.demo.artworks_v2 import fates, planted
from migrator.demo.artworks_v2.fates import ARTWORKS, USERS_MADE
from migrator.model.step import Phase
from tests.support.guide_004 import ARTWORKS as GUIDE
from tests.support.portraits import desk_on, expanded, legacy, moved, scalar
from tests.support.projects import execute, rows_of, run, terms

EXPECTED, FATES = planted(), fates()
TIED = """
    INSERT INTO auth.users (id) SELECT id FROM users;
    ALTER TABLE users ADD CONSTRAINT users_id_fkey FOREIGN KEY (id) REFERENCES auth.users (id)
"""


def test_only_completed_is_the_guide_without_its_losses(
    database_from: Callable[[str, Callable[[str], object]], str],
) -> None:
    """What has neither a picture nor an order stays behind by name; all that the guide moves is there, and more."""
    ours = database_from("artworks_v2 expanded", expanded)
    desk = moved(ours, only_completed="true")
    found = terms(desk, ARTWORKS)
    left = found["skipped", "only_completed: neither a picture nor an order"]
    assert FATES[ARTWORKS].moved == found["moved", ""] + left
    bare = "SELECT count(*) FROM artworks_v2 WHERE generated_image_url IS NULL AND generation_status <> 'completed'"
    assert 0 == scalar(ours, f"{bare} AND id NOT IN (SELECT artwork_id FROM orders WHERE artwork_id IS NOT NULL)")
    selected = GUIDE[GUIDE.index("FROM artworks a") :].replace("JOIN users u ON u.email = a.customer_email", "")
    by_guide = f"SELECT a.id {selected.partition('ORDER BY')[0]}"
    tests = "SELECT id FROM artworks WHERE customer_email ~ '^(dev|hello)'"
    assert 0 == scalar(
        ours,
        f"SELECT count(*) FROM ({by_guide} EXCEPT SELECT id FROM artworks_v2 EXCEPT {tests}) AS lost",
    )
    orders = "SELECT count(*) FROM orders JOIN artworks_v2 ON artworks_v2.id = artwork_id"
    assert EXPECTED.orders - EXPECTED.orders_of_nothing == scalar(ours, orders)


def test_users_of_the_sign_up_are_not_made(database: str) -> None:
    """Where users belong to auth.users none can be made: each row tells, and create_users = false leaves them out."""
    ours = database
    legacy(ours)
    execute(ours, TIED)
    run(desk_on(ours), to=Phase.EXPAND)
    held = terms(desk_on(ours), USERS_MADE, planned=True)
    assert FATES[USERS_MADE].moved + FATES[USERS_MADE].merged == held["quarantined", "id: no such row in auth.users"]

    users = rows_of(ours, "SELECT id FROM users ORDER BY 1")
    desk = moved(ours, create_users="false")
    assert {("skipped", "users are made by sign-up alone"): EXPECTED.artworks} == terms(desk, USERS_MADE)
    assert users == rows_of(ours, "SELECT id FROM users ORDER BY 1")
    assert EXPECTED.naming_a_user == scalar(ours, "SELECT count(user_id) FROM artworks_v2")
    made = "SELECT user_id FROM create_artwork('Jane', '{}', 'Rex', 'https://a.example/1', 'https://a.example/2')"
    assert [(None,)] == rows_of(ours, made.format("nobody@mail.example"))
    known = "SELECT id FROM users WHERE email = 'berta.0@mail.example'"
    assert scalar(ours, known) == scalar(ours, made.format("BERTA.0@mail.example"))


def test_what_looks_like_a_test_is_for_the_shop_to_say(database_from: Callable[..., str]) -> None:
    """An empty pattern finds nothing, another one what it says; twins may be no twins."""
    ours = database_from("artworks_v2 expanded", expanded)
    given = {"test_uploads": "", "test_addresses": "^dev[.]", "shop_address": "", "twin_seconds": "1"}
    found = terms(desk_on(ours, **given), ARTWORKS, planned=True)
    assert ("skipped", "test data: an upload of a test") not in found
    assert ("skipped", "test data: TESTER at the shop's own address") not in found
    assert 7 == found["skipped", "test data: an address for tests"]
    assert not [one for one in found if one[0] == "merged"]
