"""Targets that are partitioned: what no partition takes is foretold, and rows of a partition are counted once."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.model.errors import RefusedError
from migrator.model.step import Phase
from migrator.workflow import undoing, use_cases
from migrator.workflow.desk import Desk
from migrator.workflow.status import status
from tests.support.kills import as_it_was
from tests.support.projects import MOVE, back, definition, execute, make_project, rows_of, run, terms

PARENT = 'CREATE TABLE "New Ones" (id bigint, "Year" int, kind text, PRIMARY KEY (id, "Year", kind)) PARTITION BY'
BY_YEAR = f"""{PARENT} RANGE ("Year");
CREATE TABLE "y 2024" PARTITION OF "New Ones" FOR VALUES FROM (2024) TO (2025);
CREATE TABLE y2025 PARTITION OF "New Ones" FOR VALUES FROM (2025) TO (2026) PARTITION BY LIST (kind);
CREATE TABLE y2025a PARTITION OF y2025 FOR VALUES IN ('a')
"""
REASON = "violates check the partitions of New Ones"


def project(tmp_path: Path, url: str, *ddl: str) -> Desk:
    """Make ten rows of each of three years, the odd ones of kind b, and a project that moves them."""
    execute(url, "CREATE TABLE old (id bigint PRIMARY KEY, year int, kind text)")
    execute(url, "INSERT INTO old SELECT i, 2024 + i % 3, CASE i % 2 WHEN 0 THEN 'a' ELSE 'b' END"
            " FROM generate_series(1, 30) AS i")  # fmt: skip
    columns = {"id": 'column("id")', "Year": 'column("year")', "kind": 'column("kind")'}
    source = definition(columns, target="'\"New Ones\"'", identity='("id", "Year", "kind")')
    downs = ['DROP TABLE "New Ones"', *("DROP TABLE later" for _ in ddl[1:])]
    return make_project(tmp_path, url, ddl_up=ddl, ddl_down=downs, backfills={MOVE: source})


def test_rows_for_which_there_is_no_partition_are_foretold(database: str, tmp_path: Path) -> None:
    """Plan and apply agree, at every depth; once the partition is there, they move."""
    desk = project(tmp_path, database, BY_YEAR)
    wanted = {("moved", ""): 15, ("quarantined", REASON): 15}
    assert wanted == terms(desk, planned=True)
    run(desk)
    assert wanted == terms(desk)
    execute(database, "CREATE TABLE y2025b PARTITION OF y2025 DEFAULT")
    execute(database, "DELETE FROM migrator.quarantine")
    run(desk)
    assert {("moved", ""): 20, ("quarantined", REASON): 10} == terms(desk)


@pytest.mark.parametrize(
    "ddl",
    [
        f'{PARENT} RANGE ("Year"); CREATE TABLE rest PARTITION OF "New Ones" DEFAULT',
        f'{PARENT} LIST ("Year"); CREATE TABLE one PARTITION OF "New Ones" FOR VALUES IN (2024);'
        ' CREATE TABLE rest PARTITION OF "New Ones" DEFAULT',
        f'{PARENT} HASH (id); CREATE TABLE h0 PARTITION OF "New Ones" FOR VALUES WITH (MODULUS 1, REMAINDER 0)',
    ],
)
def test_a_default_and_hashes_take_every_row(ddl: str, database: str, tmp_path: Path) -> None:
    """Nothing is foretold where everything fits."""
    desk = project(tmp_path, database, ddl)
    assert {("moved", ""): 30} == terms(desk, planned=True)
    run(desk)
    assert {("moved", ""): 30} == terms(desk)


def test_the_status_counts_the_rows_of_a_partitioned_source(database: str, tmp_path: Path) -> None:
    """As the server estimated them, partition by partition: the table itself has none."""
    execute(database, "CREATE TABLE old (id bigint PRIMARY KEY, note text) PARTITION BY RANGE (id)")
    execute(database, "CREATE TABLE old_rest PARTITION OF old DEFAULT")
    execute(database, "INSERT INTO old SELECT i, 'x' FROM generate_series(1, 30) AS i")
    execute(database, "ANALYZE old_rest")
    desk = make_project(tmp_path, database)
    run(desk, to=Phase.EXPAND)
    (found,) = status(desk.project, url=database)
    assert 30 == found.total


def test_a_rollback_counts_the_rows_of_partitions_once_and_ours_not_at_all(database: str, tmp_path: Path) -> None:
    """Only what the application wrote is lost, in the name of the table; also where a later revision made the part."""
    later = 'CREATE TABLE later PARTITION OF "New Ones" FOR VALUES FROM (2026) TO (2027)'
    desk = project(tmp_path, database, BY_YEAR, later)
    before = as_it_was(database)
    run(desk)
    assert [] == [one for one in undoing.losses(desk) if one.rows]
    execute(database, """INSERT INTO "New Ones" VALUES (100, 2024, 'x'), (101, 2026, 'x')""")
    assert ["2 rows of New Ones"] == [one.sentence for one in undoing.losses(desk) if one.rows]
    with pytest.raises(RefusedError, match="2 rows of New Ones: 2 written by the application"):
        back(desk)
    back(desk, lose=["2 rows of New Ones"])
    assert before == as_it_was(database)
    assert "new" == use_cases.status_facts(desk).state
    assert [(None,)] == rows_of(database, "SELECT to_regclass('later')")
