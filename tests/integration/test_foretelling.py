"""What a dry run foretells of backfills that point at each other's tables is what the copy then does."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.engine import undo
from migrator.model.errors import RefusedError
from migrator.model.step import Phase
from migrator.workflow import use_cases
from migrator.workflow.desk import Desk
from tests.support.projects import (
    back,
    definition,
    execute,
    make_project,
    make_source,
    rows_of,
    run,
    silent,
    terms,
)

JOBS, TRIES = "jobs_from_old", "tries_from_old"
UP = """
CREATE TABLE jobs (id bigint PRIMARY KEY, code text UNIQUE, amount int NOT NULL CHECK (amount > 0), chosen bigint);
CREATE TABLE tries (id bigint PRIMARY KEY, job bigint NOT NULL REFERENCES jobs);
ALTER TABLE jobs ADD CONSTRAINT jobs_chosen_fkey FOREIGN KEY (chosen) REFERENCES tries;
"""
DOWN = "ALTER TABLE jobs DROP CONSTRAINT jobs_chosen_fkey; DROP TABLE tries; DROP TABLE jobs"
BACKFILLS = {
    JOBS: """
backfill = Backfill(
    source="old", key="id", target="jobs", identity="id", quarantine={"unloved": sql("note = 'unloved'")},
    columns={"id": column("id"), "code": column("code"), "amount": sql("100 / nullif(amount, 7)"),
             "chosen": sql("CASE WHEN note = 'too early' THEN id END")},
)""",
    TRIES: """
backfill = Backfill(
    source="old", key="id", target="tries", identity="id", skip={"none": sql("note = 'none'")},
    columns={"id": column("id"), "job": sql("CASE WHEN note = 'astray' THEN 99 ELSE coalesce(of, id) END")},
)""",
}
ROWS = [
    (1, "a", 1, None, "fine"),
    (2, "b", 2, None, "unloved"),  # its job is quarantined by rule
    (3, "a", 3, None, "fine"),  # its job loses the code to row 1
    (4, "d", -1, None, "fine"),  # its job breaks a check
    (5, "e", 7, None, "fine"),  # NULL in a column that must not be
    (6, "f", 0, None, "fine"),  # 100 / 0 raises
    (7, "g", 1, 2, "fine"),  # a try of job 2
    (8, "h", 1, 1, "fine"),
    (9, "i", 1, None, "astray"),
    (10, "j", 1, None, "too early"),  # its job points at a try, and none is there yet
    (11, "k", 1, None, "none"),
]
NOWHERE = ("quarantined", "job: no such row in jobs")


def project(tmp_path: Path, url: str) -> Desk:
    """Make a source, and a project that moves it to two tables which point at each other."""
    make_source(url, columns="code text, amount int, of bigint, note text", rows=ROWS)
    return make_project(tmp_path, url, ddl_up=UP, ddl_down=DOWN, backfills=BACKFILLS)


@pytest.mark.every_server
def test_rows_that_point_at_a_table_still_to_be_filled_are_foretold(database: str, tmp_path: Path) -> None:
    """Before the tables are there, after expand, and half way: always what the copy then does, by the same reason."""
    desk = project(tmp_path, database)
    from_nothing = terms(desk, TRIES, planned=True)
    assert from_nothing == {("moved", ""): 2, NOWHERE: 8, ("skipped", "none"): 1}
    assert terms(desk, JOBS, planned=True)["quarantined", "chosen: no such row in tries"] == 1
    run(desk, to=Phase.EXPAND)
    execute(database, "INSERT INTO jobs VALUES (99, 'z', 1)")
    expanded = terms(desk, TRIES, planned=True)
    assert expanded == {("moved", ""): 3, NOWHERE: 7, ("skipped", "none"): 1}
    jobs = terms(desk, JOBS, planned=True)
    use_cases.apply(desk, to=Phase.BACKFILL, only=JOBS, listen=silent)
    assert {one[1]: n for one, n in terms(desk, JOBS).items()} == {one[1]: n for one, n in jobs.items()}
    execute(database, "INSERT INTO old VALUES (12, 'l', 1, 13, 'fine'), (13, 'm', -1, 12, 'fine')")  # behind both
    ahead = terms(desk, TRIES, planned=True)
    assert ahead == {**expanded, ("moved", ""): 4, NOWHERE: 8}
    run(desk)
    assert terms(desk, TRIES) == ahead
    execute(database, "INSERT INTO old VALUES (14, 'n', 1, NULL, 'fine'), (15, 'o', -1, NULL, 'fine')")
    waiting = {("pending", "to be moved or merged"): 1, ("pending", f"to be quarantined: {NOWHERE[1]}"): 1}
    assert terms(desk, TRIES, planned=True) == {**ahead, **waiting}


def test_tables_that_point_at_each_other_go_and_come_again(database: str, tmp_path: Path) -> None:
    """What the application wrote is refused with count and keys for both tables, or lost; links are no obstacle."""
    desk = project(tmp_path, database)
    run(desk)
    moved = rows_of(database, "SELECT count(*) FROM tries")
    execute(database, "UPDATE jobs SET chosen = id WHERE id IN (1, 8)")  # ours, changed by the application
    execute(database, "INSERT INTO jobs VALUES (50, 'new', 5); INSERT INTO tries VALUES (51, 50), (52, 11), (53, 9)")
    execute(database, "UPDATE jobs SET chosen = 51 WHERE id = 50; UPDATE jobs SET chosen = 52 WHERE id = 11")
    with pytest.raises(RefusedError) as refused:
        back(desk)
    assert refused.value.id == "M412"
    jobs, tries = (
        "4 rows of jobs: 1 written by the application (50), 3 changed by it since they were moved (1, 8, 11)",
        "3 rows of tries: 3 written by the application (51, 52, 53)",
    )
    assert jobs in refused.value.what
    assert tries in refused.value.what
    back(desk, lose=["4 rows of jobs", "3 rows of tries"])
    assert rows_of(database, "SELECT to_regclass('jobs'), to_regclass('tries')") == [(None, None)]
    run(desk)
    assert rows_of(database, "SELECT count(*) FROM tries") == moved
    back(desk)


def test_keeping_new_rows_keeps_what_they_point_at(database: str, tmp_path: Path) -> None:
    """With --keep-new no row of the application is left pointing at nothing, whatever its foreign key does."""
    desk = project(tmp_path, database)
    run(desk)
    execute(database, "ALTER TABLE tries DROP CONSTRAINT tries_job_fkey")
    execute(database, "ALTER TABLE tries ADD FOREIGN KEY (job) REFERENCES jobs ON DELETE CASCADE")
    execute(database, "INSERT INTO tries VALUES (52, 11); UPDATE jobs SET chosen = 8 WHERE id = 9")
    back(desk, keep_new=True)
    assert rows_of(database, "SELECT id, job FROM tries ORDER BY id") == [(8, 1), (52, 11)]
    assert rows_of(database, "SELECT id FROM jobs ORDER BY id") == [(1,), (9,), (11,)]


def test_rows_of_tables_that_stay_keep_what_they_point_at(database: str, tmp_path: Path) -> None:
    """Rows of another table that point at moved rows are in the way of a rollback, named, and never touched."""
    desk = project(tmp_path, database)
    run(desk)
    execute(database, "CREATE TABLE bills (id int PRIMARY KEY, job bigint REFERENCES jobs)")
    execute(database, "INSERT INTO bills VALUES (1, 9), (2, 9), (3, NULL)")
    for to in (None, Phase.EXPAND):
        with pytest.raises(RefusedError) as refused:
            back(desk, to=to)
        assert refused.value.id == "M460"
        assert "2 rows of bills (1, 2) point at rows of jobs that were moved" in refused.value.what
    back(desk, to=Phase.EXPAND, keep_new=True)
    assert rows_of(database, "SELECT id FROM jobs") == [(9,)]
    assert rows_of(database, "SELECT id, job FROM bills ORDER BY id") == [(1, 9), (2, 9), (3, None)]


def test_moved_rows_that_hang_on_moved_rows_are_no_loss(database: str, tmp_path: Path) -> None:
    """Where the new tables' own keys cascade, nothing but the application's rows is counted, and once."""
    desk = project(tmp_path, database)
    run(desk)
    execute(database, "ALTER TABLE tries DROP CONSTRAINT tries_job_fkey")
    execute(database, "ALTER TABLE tries ADD FOREIGN KEY (job) REFERENCES jobs ON DELETE CASCADE")
    execute(database, "INSERT INTO tries VALUES (52, 11)")
    with pytest.raises(RefusedError, match=r"would lose 1 row of tries: 1 written by the application \(52\)\.$"):
        back(desk)
    with pytest.raises(RefusedError, match=r"would lose 1 row of jobs: 1 of tries that hang on ours \(52\)\.$"):
        back(desk, to=Phase.EXPAND)
    back(desk, lose=["1 row of tries"])


def test_a_row_may_point_at_a_later_row_of_its_own_table(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Undone batch by batch, rows of a tree do not keep each other."""
    monkeypatch.setattr(undo, "BATCH_ROWS", 2)
    made = {"id": 'column("id")', "of": 'column("of")'}
    make_source(database, columns="of bigint", rows=[(n, max(n - 3, 1)) for n in range(1, 9)])
    up = "CREATE TABLE new (id bigint PRIMARY KEY, of bigint REFERENCES new)"
    desk = make_project(tmp_path, database, ddl_up=up, backfills={"move_old_to_new": definition(made)})
    run(desk)
    back(desk)
    assert rows_of(database, "SELECT to_regclass('new')") == [(None,)]
