"""How much a statement reads, by the server's own counters: never by a clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import psycopg


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
