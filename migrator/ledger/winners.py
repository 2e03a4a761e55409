"""Winners: for each row of a grouped source the row that stands for its group, in the keys' own types."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.database.connect import Connection
from migrator.database.session import execute, value
from migrator.ledger import provenance
from migrator.model.tables import TableColumn


def table(backfill: int) -> str:
    """Name the table of a backfill's winners."""
    return f"migrator.winner_{backfill}"


def are_kept(conn: Connection, backfill: int) -> bool:
    """Tell whether the groups of a backfill stand in the Ledger."""
    return bool(value(conn, f"SELECT pg_catalog.to_regclass('{table(backfill)}') IS NOT NULL"))


def create(conn: Connection, backfill: int, keys: Sequence[TableColumn], identity: Sequence[TableColumn]) -> None:
    """Create the table, and let several source rows share a target row from now on; rows moved before have won.

    `s1…` is the key of a row, `w1…` that of its winner, which for a winner is its own.
    """
    own = ", ".join(f"s{n}" for n in range(1, len(keys) + 1))
    typed = [f"{letter}{n} {provenance.type_of(one)} NOT NULL" for letter in "sw" for n, one in enumerate(keys, 1)]
    execute(conn, f"CREATE TABLE {table(backfill)} ({', '.join(typed)}, PRIMARY KEY ({own}))")
    execute(conn, f"INSERT INTO {table(backfill)} SELECT {own}, {own} FROM {provenance.table(backfill)}")
    provenance.let_follow(conn, backfill, identity)


def drop(conn: Connection, backfill: int) -> None:
    """Drop the table, if it is there."""
    execute(conn, f"DROP TABLE IF EXISTS {table(backfill)}")
