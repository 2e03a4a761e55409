"""How much a proof reads: what was compared without a difference is not worked out a second time for the Balance."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.workflow.desk import Desk
from tests.support.projects import check, execute, one_table, rows_of, run, settle

MOVED, SKIPPED = 200, 50
LAST = MOVED + SKIPPED
CALLS = "SELECT coalesce(sum(calls), 0)::int FROM pg_stat_user_functions WHERE funcname = 'worked_out'"
OTHERS = (
    "SELECT count(*)::int FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)


def with_function(url: str, tmp_path: Path, volatility: str) -> Desk:
    """Make a table whose rows are worked out by a function that the server counts the calls of.

    No two rows are alike, for the server may remember what a function gave.
    """
    name = rows_of(url, "SELECT quote_ident(current_database())")[0][0]
    execute(url, f"ALTER DATABASE {name} SET track_functions = 'all'")
    made = f"CREATE FUNCTION worked_out(text) RETURNS text LANGUAGE plpgsql {volatility} AS 'BEGIN RETURN $1; END'"
    desk = one_table(
        tmp_path,
        url,
        before=made,
        rows=(),
        parts={"skip": "{'late': sql(\"worked_out(old.note) LIKE 'late%'\")}"},
    )
    rows = f"SELECT n, CASE WHEN n > {MOVED} THEN 'late ' ELSE 'soon ' END || n FROM generate_series(1, {LAST}) AS n"
    execute(url, f"INSERT INTO old {rows}")
    run(desk)
    return desk


def calls(url: str) -> int:
    """Count the calls that the server knows of; a session tells of its own when it ends, at the latest."""
    while rows_of(url, OTHERS) != [(0,)]:
        pass
    settle(url)
    return int(rows_of(url, CALLS)[0][0])


@pytest.mark.parametrize(("volatility", "expected"), [("IMMUTABLE", MOVED + 2 * SKIPPED), ("STABLE", 2 * LAST)])
def test_a_row_that_moved_is_worked_out_once_by_a_proof(
    database: str, tmp_path: Path, volatility: str, expected: int
) -> None:
    """Twice only where nobody would count a write between comparison and Balance, so that no proof would be stale."""
    desk = with_function(database, tmp_path, volatility)
    before = calls(database)
    report = check(desk)
    assert report.proven
    assert {"moved": MOVED, "skipped": SKIPPED} == {one.disposition: one.rows for one in report.balances[0].terms}
    assert expected == calls(database) - before


def test_a_proof_looks_at_all_rows_again_where_one_differs(database: str, tmp_path: Path) -> None:
    """A row that moved and would be skipped now is unaccounted for in the Balance, as the comparison says as well."""
    desk = with_function(database, tmp_path, "IMMUTABLE")
    execute(database, "UPDATE old SET note = 'late' WHERE id = 7")
    (balance,) = check(desk).balances
    assert [(("7",), "it would not be moved now, yet it was")] == [(one.key, one.why) for one in balance.examples]
