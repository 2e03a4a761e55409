"""A row points at what the same source row became in an earlier backfill: moved there, merged there, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.model.errors import ConfigurationError
from migrator.model.step import Phase
from migrator.workflow import use_cases
from migrator.workflow.desk import Desk
from tests.support.projects import back, check, execute, fates, make_project, rows_of, run, terms

PEOPLE, ORDERS = "people_from_sales", "orders_from_sales"
DDL = """
CREATE TABLE people (id uuid PRIMARY KEY, mail text NOT NULL UNIQUE);
CREATE TABLE orders (id int PRIMARY KEY, person_id uuid NOT NULL REFERENCES people, what text)"""
SALES = """
CREATE TABLE sales (id int PRIMARY KEY, mail text, what text);
INSERT INTO sales VALUES (1, 'Ana@x.pt', 'a'), (2, ' ana@X.pt', 'b'), (3, 'bo@x.pt', 'c'), (4, '', 'd'), (5, NULL, 'e'),
    (6, 'BO@x.pt', 'f')"""
REGISTERED = "INSERT INTO people VALUES ('00000000-0000-0000-0000-0000000000b0', 'Bo@X.pt')"
DEFINITIONS = {
    PEOPLE: """backfill = Backfill(
    source="sales", key="id", target="people", identity="id", merge={"mail": sql("lower(btrim(mail))")},
    group=grouped(by=sql("lower(btrim(mail))"), order="id"),
    skip={"no address": sql("coalesce(btrim(mail), '') = ''")},
    columns={"id": derived_uuid(), "mail": column("mail")},
)""",
    ORDERS: """backfill = Backfill(
    source="sales", key="id", target="orders", identity="id",
    columns={"id": column("id"), "person_id": moved_to("people_from_sales"), "what": column("what")},
)""",
}


def sales(database: str, tmp_path: Path) -> Desk:
    """Make the sales of five people, of whom one has registered since."""
    execute(database, SALES)
    desk = make_project(tmp_path, database, ddl_up=DDL, ddl_down="DROP TABLE orders, people", backfills=DEFINITIONS)
    planned = use_cases.plan(desk)
    known = f"{ORDERS}: person_id is known once {PEOPLE} ran; until then it is NULL here"
    assert known in planned.notes
    assert 6 == next(one for one in planned.balances if one.backfill == ORDERS).rows("moved")
    return desk


@pytest.mark.every_server
def test_a_row_points_at_what_its_source_row_became(database: str, tmp_path: Path) -> None:
    """Also where that was merged into a registered one, or follows another; a row that became nothing gives NULL."""
    desk = sales(database, tmp_path)
    run(desk, to=Phase.EXPAND)
    execute(database, REGISTERED)
    run(desk)
    people = fates(desk, PEOPLE)
    assert ("moved", "merged", "merged", "merged") == tuple(people[one][0] for one in "1236")
    assert people["1"][1] == people["2"][1]
    assert people["3"][1] == people["6"][1]
    owned = rows_of(database, "SELECT id::text, person_id::text FROM orders ORDER BY id")
    assert [(key, people[key][1]) for key in "1236"] == owned
    assert {("moved", ""): 4, ("quarantined", "person_id: NULL is not allowed"): 2} == terms(desk, ORDERS)
    execute(database, "UPDATE sales SET mail = 'BO@x.pt' WHERE id = 2")
    found = {one.backfill: dict(one.counts) for one in check(desk).comparisons}
    assert {"stale": 1} == found[PEOPLE]
    run(desk, to=Phase.VERIFY)
    owned = rows_of(database, "SELECT id::text, person_id::text FROM orders ORDER BY id")
    assert owned[1][1] == people["3"][1]
    assert not any(one.counts for one in check(desk).comparisons)
    back(desk, keep_new=True)
    assert [(1,)] == rows_of(database, "SELECT count(*) FROM people")


@pytest.mark.parametrize(
    ("wanted", "source", "said"),
    [
        ("people", "sales", "names no backfill of this change"),
        (ORDERS, "sales", "names a backfill that does not run before this one"),
        (PEOPLE, "other", "names a backfill of sales by id; this one walks other by id"),
    ],
)
def test_what_is_not_there_in_time_is_refused(tmp_path: Path, wanted: str, source: str, said: str) -> None:
    """The definition is wrong before any database is asked."""
    changed = DEFINITIONS[ORDERS].replace(PEOPLE, wanted).replace('source="sales"', f'source="{source}"')
    with pytest.raises(ConfigurationError, match=said) as caught:
        make_project(tmp_path, "postgresql://nobody@localhost/none", backfills={**DEFINITIONS, ORDERS: changed})
    assert "M105" == caught.value.id
