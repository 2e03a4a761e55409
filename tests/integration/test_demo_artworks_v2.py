"""The portrait shop's legacy database: each planted class has its number and meets its fate, there and back."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict

import psycopg
import pytest

from migrator.cli.demo.artworks_v2 import STORY
from migrator.cli.demo.evidence import Evidence, gather
from migrator.demo.artworks_v2 import Fate, build_legacy, digest, fates, go_on_writing, planted
from migrator.engine.projection.pieces import FOLLOWING
from migrator.model.errors import MigratorError, RefusedError
from migrator.model.step import Phase
from migrator.model.verdict import Balance
from migrator.servers import find_dump
from migrator.workflow import use_cases
from migrator.workflow.desk import Desk
from tests.support.portraits import balances_of, desk_on, legacy, scalar, settle
from tests.support.projects import back, rows_of, run

EXPECTED = planted()
FOLDED = "lower(btrim(customer_email))"
ORDERED = "EXISTS (SELECT FROM orders WHERE artwork_id = a.id)"
SPELLED = f"(SELECT {FOLDED} FROM artworks GROUP BY 1 HAVING count(DISTINCT customer_email) > 1)"
UPLOAD = "customer_email !~* '(@test|^dev|^hello)'"

COUNTS = {
    "artworks": "true",
    "tests_ordered": f"customer_email ~* '@test[.]example' AND {ORDERED}",
    "pending_with_image": f"{UPLOAD} AND generation_status = 'pending' AND generated_image_url IS NOT NULL",
    "failed": f"{UPLOAD} AND generation_status = 'failed'",
    "blank_email": "btrim(customer_email) = ''",
    "without_expiry": "token_expires_at IS NULL",
    "without_token": "access_token IS NULL",
    "without_original": "original_image_url IS NULL",
    "upscaled": "upscale_status = 'completed'",
    "not_required": "upscale_status = 'not_required'",
    "mockup_arrays": "jsonb_typeof(mockup_urls) = 'array'",
    "mockup_objects": "jsonb_typeof(mockup_urls) = 'object'",
    "naming_a_user": "user_id IS NOT NULL",
}
OTHERS = {
    "spellings": f"SELECT count(DISTINCT customer_email) FROM artworks WHERE {FOLDED} IN {SPELLED}",
    "spelled": f"SELECT count(*) FROM {SPELLED} AS several",
    "orders": "SELECT count(*) FROM orders",
    "orders_of_nothing": "SELECT count(*) FROM orders WHERE artwork_id IS NULL",
    "paid": "SELECT count(*) FROM orders WHERE order_status = 'paid'",
    "paid_and_not_completed": "SELECT count(*) FROM orders JOIN artworks AS a ON a.id = artwork_id"
    " WHERE order_status = 'paid' AND generation_status <> 'completed'",
    "users": "SELECT count(*) FROM users",
}


def look(desk: Desk) -> Evidence:
    """Look at the whole schema and at all rows of the old tables."""
    with closing(psycopg.connect(desk.database.url)) as conn:
        major = conn.info.server_version // 10_000
    return gather(STORY, desk.database, find_dump(major))


@pytest.mark.parametrize("rows", [52, 230])
def test_what_is_planted_is_in_the_tables(database: str, rows: int) -> None:
    """Each class has its number, in one repeat and in several with a part of one."""
    legacy(database, rows=rows)
    asked = ", ".join(f"count(*) FILTER (WHERE {one})" for one in COUNTS.values())
    found = dict(zip(COUNTS, rows_of(database, f"SELECT {asked} FROM artworks AS a")[0], strict=True))
    found |= {name: scalar(database, query) for name, query in OTHERS.items()}
    expected = asdict(planted(rows=rows))
    assert {name: expected[name] for name in found} == found


def test_the_recipe_is_the_documented_one() -> None:
    """The documented numbers stand in one repeat."""
    assert (52, 20, 20, 12) == (EXPECTED.artworks, EXPECTED.uploads, EXPECTED.twins, sum(EXPECTED.tests.values()))
    assert (6, 3, 4, 2, 1) == (
        EXPECTED.pending_with_image,
        EXPECTED.failed,
        EXPECTED.spellings,
        EXPECTED.spelled,
        EXPECTED.blank_email,
    )
    assert (2, 2, 1, 5, 4) == (
        EXPECTED.without_expiry,
        EXPECTED.without_token,
        EXPECTED.without_original,
        EXPECTED.upscaled,
        EXPECTED.not_required,
    )
    assert (14, 9, 2, 1, 1) == (
        EXPECTED.orders,
        EXPECTED.paid,
        EXPECTED.paid_and_not_completed,
        EXPECTED.tests_ordered,
        EXPECTED.orders_of_nothing,
    )
    assert len(EXPECTED.tests) == 5
    with pytest.raises(ValueError, match="-1 rows"):
        planted(rows=-1)


def test_every_row_meets_its_fate_there_and_back(database: str) -> None:
    """Foretold, copied while both applications write, and refused to be lost; then all of it is as it was."""
    legacy(database)
    desk = desk_on(database)
    before = look(desk)
    for one in use_cases.plan(desk, dry_run=True).balances:
        assert_fate(one, fates(foretold=True)[one.backfill], "quarantined")
    assert before == look(desk)
    run(desk, to=Phase.EXPAND)
    with closing(psycopg.connect(database)) as conn, conn:
        go_on_writing(conn)
    written, users = look(desk), rows_of(database, OLD_USERS)
    settle(desk)
    for name, one in balances_of(desk).items():
        assert_fate(one, fates(in_use=True)[name], "dismissed")
        assert one.closes
    assert users == [one for one in rows_of(database, OLD_USERS) if one in set(users)]

    with pytest.raises(RefusedError, match="M412") as refusal:
        back(desk)
    said = f"{refusal.value.what} {refusal.value.cure}"
    new = rows_of(database, "SELECT id::text FROM artworks_v2 WHERE id NOT IN (SELECT id FROM artworks)")
    assert all(key in said for (key,) in new), said
    lose = ("2 rows of artworks_v2", "2 values of users.is_anonymous")
    assert all(one in said for one in lose)
    back(desk, lose=lose)
    now = look(desk)
    assert (before.schema, written.rows) == (now.schema, now.rows)


def test_what_the_new_library_wrote_may_stay(database: str) -> None:
    """With --keep-new its artworks stay in their tables, with their users; ours are gone, also on a plain server."""
    legacy(database, auth=False)
    with pytest.raises(MigratorError, match=r"auth\.uid.*allow_no_auth = true"):
        run(desk_on(database), to=Phase.EXPAND)
    desk = desk_on(database, allow_no_auth="true")
    run(desk, to=Phase.EXPAND)
    with closing(psycopg.connect(database)) as conn, conn:
        go_on_writing(conn)
    written = look(desk).rows
    settle(desk)
    back(desk, keep_new=True)
    assert written == look(desk).rows
    kept = "SELECT customer_email, email, is_anonymous FROM artworks_v2 JOIN users ON users.id = user_id ORDER BY 1"
    own = ("Jane.Doe.0@Mail.Example", "new@mail.example")
    assert [(one, one, True) for one in own] == rows_of(database, kept)
    assert 2 == scalar(database, "SELECT count(*) FROM users WHERE is_anonymous")
    assert 0 == scalar(database, "SELECT count(*) FROM users WHERE NOT is_anonymous")


OLD_USERS = "SELECT id, email, created_at, updated_at FROM users ORDER BY id"


def assert_fate(found: Balance, wanted: Fate, held: str) -> None:
    """Compare a Balance with what was planted, remarks too."""
    expected = {("moved", ""): wanted.moved, ("merged", ""): wanted.merged, ("merged", FOLLOWING): wanted.following}
    expected |= {("skipped", reason): rows for reason, rows in wanted.skipped.items()}
    held_rows = sum(wanted.quarantined.values())
    told = {(one.disposition, one.reason): one.rows for one in found.terms if one.rows and one.disposition != held}
    assert {one: rows for one, rows in expected.items() if rows} == told, found.backfill
    assert held_rows == found.rows(held)
    assert wanted.source_rows == found.source_rows
    assert dict(wanted.flags) == dict(found.flags), found.backfill


def test_the_same_seed_makes_the_same_rows(database: str) -> None:
    """Nothing follows from a clock or from chance; another seed makes other rows of the same mix."""
    with closing(psycopg.connect(database)) as conn:
        made = []
        for seed in (1, 1, 2):
            with conn.transaction(force_rollback=True):
                build_legacy(conn, seed=seed, rows=60)
                made.append(digest(conn))
    assert made[0] == made[1] != made[2]
