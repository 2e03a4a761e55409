"""The checks of guide 004 see the faults they are for, and a customer with very many rows costs no more than others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from migrator.database.session import transaction
from migrator.demo.artworks_v2.fates import ARTWORKS
from migrator.engine.prepare import prepare
from tests.support.plans import most_looked_at
from tests.support.portraits import desk_on, expanded, moved, scalar
from tests.support.projects import check, execute, rows_of

UPLOADS = 1_000
SECOND_LINKS = "every link of the second row of an upload opens the picture"
# One customer with a thousand uploads, ten minutes apart, each of two rows three seconds apart.
GALLERY = f"""INSERT INTO artworks (id, customer_name, customer_email, access_token, token_expires_at, created_at,
    generated_image_url, original_image_url, generation_status, pet_name)
SELECT md5('gallery' || n || twin)::uuid, 'Gallery', 'gallery@mail.example', 'gallery-' || n || '-' || twin,
    '2099-12-31', timestamptz '2025-01-01 00:00:00+00' + n * interval '10 min' + twin * interval '3 s',
    CASE twin WHEN 0 THEN 'https://v3.fal.media/files/' || n || '.png' END, 'pending',
    CASE twin WHEN 0 THEN 'completed' ELSE 'pending' END, 'Rex'
FROM generate_series(1, {UPLOADS}) AS n, generate_series(0, 1) AS twin"""


@pytest.fixture(scope="module")
def gallery(databases: Any) -> Iterator[str]:
    """Give one database after the whole change, with a customer who has very many rows."""
    with databases.fresh(databases.template("artworks_v2 gallery", _with_gallery)) as url:
        yield url


@pytest.fixture
def copy(database_from: Callable[[str, Callable[[str], object]], str]) -> str:
    """Give a copy of it that a test may write to."""
    return database_from("artworks_v2 gallery", _with_gallery)


def _with_gallery(url: str) -> None:
    expanded(url)
    execute(url, GALLERY)
    moved(url)


def failing(url: str) -> dict[str, str]:
    """Name the checks that fail, each with its evidence."""
    found = {one.claim: one.evidence for one in check(desk_on(url)).verdicts if not one.proven}
    return {claim.removeprefix("check: "): said for claim, said in found.items() if claim.startswith("check: ")}


def test_every_second_row_follows_the_first_one_of_its_time(gallery: str) -> None:
    """However many rows a customer has, each link leads to the picture of its own upload."""
    led = (
        "SELECT count(*) FROM artwork_token_aliases AS alias WHERE access_token ~ '^gallery-'"
        " AND artwork_id = md5('gallery' || split_part(access_token, '-', 2) || '0')::uuid"
    )
    assert (UPLOADS, {}) == (scalar(gallery, led), failing(gallery))


@pytest.mark.parametrize(
    "fault",
    [
        "DELETE FROM artwork_token_aliases WHERE access_token = 'gallery-500-1'",
        "UPDATE artwork_token_aliases SET artwork_id = md5('gallery4990')::uuid WHERE access_token = 'gallery-500-1'",
    ],
)
def test_a_link_of_a_second_row_that_does_not_open_its_picture_is_named(copy: str, fault: str) -> None:
    """One that opens nothing, and one that opens another picture of the same customer; no other row is named."""
    execute(copy, fault)
    ((victim,),) = rows_of(copy, "SELECT md5('gallery5001')::uuid::text")
    assert f"1 row: {victim}" == failing(copy)[SECOND_LINKS]


def test_no_check_compares_all_rows_of_a_customer_with_each_other(gallery: str) -> None:
    """Nor does the search for twins: what any step of its plan looks at grows with the rows, not with their square."""
    desk = desk_on(gallery)
    asked = dict(desk.change.checks)
    with desk.database.connect() as conn, transaction(conn, read_only=True):
        backfill = next(one for one in desk.change.backfills if one.name == ARTWORKS)
        grouping = prepare(conn, desk.change, backfill, search_path="public").projection.grouping
        assert grouping is not None
        asked["twins"] = grouping.pairs()
    most = 20 * scalar(gallery, "SELECT count(*) FROM artworks")
    looked_at = {name: most_looked_at(gallery, sql) for name, sql in asked.items()}
    assert {} == {name: number for name, number in looked_at.items() if number > most}
    assert len(asked) == len(desk.change.checks) + 1
