"""`--only artworks`: artworks_v2 with twins, orders and dirty rows; how fast it is, and that its memory stays flat."""

from __future__ import annotations

import psycopg

from benchmarks.running import Finished, migrator
from migrator.demo.artworks_v2 import build_legacy, planted
from migrator.servers.postgres import Postgres

CHANGE = "artworks_v2"


def artworks(server: Postgres, rows: int) -> None:
    """Measure the change at a tenth of the rows and at all of them."""
    for number in (rows // 10, rows):
        measure(server, number)


def measure(server: Postgres, rows: int) -> None:
    """Copy, prove and undo the change in a database of its own."""
    database = f"artworks_{rows}"
    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {database}".encode())
    url = server.url(database)
    with psycopg.connect(url) as conn:
        build_legacy(conn, rows=rows)
    found = planted(rows=rows)
    print(
        f"artworks {rows:,} rows: {found.twins:,} twins, {found.orders:,} orders,"
        f" {found.dirty / rows:.1%} dirty, {sum(found.tests.values()) / rows:.0%} tests"
    )
    told("apply --to backfill", migrator(url, "apply", CHANGE, "--to", "backfill"), rows)
    migrator(url, "quarantine", "dismiss", CHANGE, "--all", "--note", "benchmark")
    told("verify", migrator(url, "verify", CHANGE), rows)
    told("rollback", migrator(url, "rollback", CHANGE), rows)


def told(what: str, taken: Finished, rows: int) -> None:
    """Say how long an act took, how many source rows of artworks that is in a second, and its peak memory."""
    speed = f"{rows / taken.seconds:10,.0f} rows/s"
    memory = f"peak memory of the client {taken.megabytes:.0f} MB"
    print(f"  {what:<22} {taken.seconds:8.1f} s {speed}   {memory}", flush=True)
