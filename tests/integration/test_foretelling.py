"""What a dry run foretells of backfills that point at each other's tables is what the copy then does."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.model.step import Phase
from migrator.workflow import use_cases
from migrator.workflow.desk import Desk
from tests.support.projects import execute, make_project, make_source, run, silent, terms

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
