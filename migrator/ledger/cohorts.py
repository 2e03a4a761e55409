"""Cohorts in the Ledger: which are being moved, which are moved, for the application to read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from migrator.database.connect import Connection
from migrator.database.session import execute, one, value
from migrator.model.names import literal

TABLE: Final = "migrator.cohort"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohorts:
    """How many cohorts there are: in all sources when they were last counted, in the Ledger, and moved."""

    total: int
    known: int
    moved: int


def ask(conn: Connection, change: str, run: int, members: str, *, leaving: bool = False) -> None:
    """Note members, given by a SELECT of one column, as those that are to be moved, or to be taken back."""
    taken = "leaving = excluded.leaving" + (", moved_at = NULL" if leaving else "")
    execute(
        conn,
        f"INSERT INTO migrator.cohort AS known (change, member, run, leaving)"
        f" SELECT {literal(change)}, asked.member, {run}, {literal(leaving)} FROM ({members}) AS asked (member)"
        f" WHERE asked.member IS NOT NULL ON CONFLICT (change, member) DO UPDATE SET {taken}"
        " WHERE known.leaving <> excluded.leaving OR excluded.leaving",
    )


def count(conn: Connection, change: str, total: int) -> None:
    """Note how many cohorts there are in all sources."""
    execute(
        conn,
        "INSERT INTO migrator.cohort_total (change, total) VALUES (%s, %s)"
        " ON CONFLICT (change) DO UPDATE SET total = excluded.total",
        (change, total),
    )


def settle(conn: Connection, change: str, waiting: Iterable[str]) -> None:
    """Note every member as moved but those that `waiting` (SELECTs of one column) give."""
    still = " UNION ALL ".join(waiting) or "SELECT NULL::text WHERE false"
    execute(
        conn,
        # Computed once: a planner that expects few members would look for each of them in all rows that wait.
        f"WITH waits (member) AS MATERIALIZED ({still})"
        f" UPDATE migrator.cohort AS known SET moved_at = now() WHERE change = {literal(change)}"
        " AND moved_at IS NULL AND NOT leaving"
        " AND NOT EXISTS (SELECT FROM waits WHERE waits.member = known.member)",
    )


def leave(conn: Connection, change: str) -> None:
    """Say of no cohort any more that it is moved: all are taken back."""
    execute(conn, "UPDATE migrator.cohort SET moved_at = NULL WHERE change = %s AND moved_at IS NOT NULL", (change,))


def forget(conn: Connection, change: str, *, leaving: bool = False) -> None:
    """Forget the members of a change, or those that were taken back."""
    execute(conn, "DELETE FROM migrator.cohort WHERE change = %s AND (leaving OR %s)", (change, not leaving))
    if not leaving:
        execute(conn, "DELETE FROM migrator.cohort_total WHERE change = %s", (change,))


def are_known(conn: Connection, change: str) -> bool:
    """Tell whether a change was ever moved by cohorts."""
    return bool(value(conn, "SELECT EXISTS (SELECT FROM migrator.cohort WHERE change = %s)", (change,)))


def summary(conn: Connection, change: str) -> Cohorts:
    """Count the cohorts of a change; a Ledger of an older version has none."""
    if value(conn, f"SELECT pg_catalog.to_regclass('{TABLE}') IS NULL"):
        return Cohorts(total=0, known=0, moved=0)
    found = one(
        conn,
        "SELECT coalesce((SELECT total FROM migrator.cohort_total WHERE change = %(change)s), 0),"
        " count(*), count(moved_at) FROM migrator.cohort WHERE change = %(change)s",
        {"change": change},
    )
    assert found is not None  # an aggregate
    return Cohorts(total=int(found[0]), known=int(found[1]), moved=int(found[2]))
