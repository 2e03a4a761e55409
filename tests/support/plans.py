"""How much a statement reads, by the server's own counters: never by a clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import psycopg

from migrator.database.session import transaction
from migrator.engine.prepare import prepare
from migrator.engine.ranges import Key
from migrator.workflow.desk import Desk


def most_looked_at(url: str, sql: str) -> float:
    """Run a SELECT on tables the planner knows, and say how many rows that step looked at which looked at most."""
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        conn.execute(b"ANALYZE")
        ((plan,),) = conn.execute(f"EXPLAIN (ANALYZE, TIMING off, FORMAT JSON) {sql}".encode()).fetchall()
    return max(_looked_at(plan[0]["Plan"]))


def _looked_at(node: Mapping[str, Any]) -> Iterator[float]:
    """Say of each node of a plan how many rows it gave or passed over."""
    counters = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter")
    yield node["Actual Loops"] * sum(node.get(one, 0) for one in counters)
    for inner in node.get("Plans", ()):
        yield from _looked_at(inner)


def rows_of_a_batch(desk: Desk, lo: Key, hi: Key) -> str:
    """Write the SELECT by which a batch finds out what becomes of its rows."""
    with desk.database.connect() as conn, transaction(conn, read_only=True):
        prepared = prepare(conn, desk.change, desk.change.backfills[0], search_path="public")
    return prepared.writing().careful_rows(lo, hi)
