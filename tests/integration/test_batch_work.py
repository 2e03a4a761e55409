"""What a batch reads grows with its own rows, not with the tables around it."""

from __future__ import annotations

from pathlib import Path

from tests.support.plans import most_looked_at, rows_of_a_batch
from tests.support.projects import execute, one_table, run, terms

BATCH, MANY = 500, 50_000


def test_a_batch_looks_up_what_its_rows_point_at_and_no_other_row(database: str, tmp_path: Path) -> None:
    """However many rows a table has that a foreign key points at; the row that points at nothing is still found."""
    execute(database, f"CREATE TABLE parent AS SELECT n AS id FROM generate_series(1, {MANY}) AS n")
    desk = one_table(
        tmp_path,
        database,
        columns="parent int",
        rows=[(1, 1)],
        before="ALTER TABLE parent ADD PRIMARY KEY (id)",
        also="ALTER TABLE new ADD FOREIGN KEY (parent) REFERENCES parent",
    )
    run(desk)
    execute(database, f"INSERT INTO old SELECT 1 + n, {MANY} - {BATCH} + 1 + n FROM generate_series(1, {BATCH}) AS n")
    assert most_looked_at(database, rows_of_a_batch(desk, ("1",), ("100000",))) < 10 * BATCH
    run(desk)
    assert {("moved", ""): BATCH, ("quarantined", "parent: no such row in parent"): 1} == terms(desk)
