"""Provenance: which source row became which target row, one table for each backfill, in the keys' own types."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.database.connect import Connection
from migrator.database.session import execute, rows, value
from migrator.model.tables import TableColumn


def table(backfill: int) -> str:
    """Name the provenance table of a backfill."""
    return f"migrator.provenance_{backfill}"


def one_each(backfill: int) -> str:
    """Name the index by which each target row comes from one source row of a backfill."""
    return f"provenance_{backfill}_target"


def create(conn: Connection, backfill: int, keys: Sequence[TableColumn], identity: Sequence[TableColumn]) -> None:
    """Create the provenance table of a backfill.

    `s1…` is the source key, `t1…` the identity of the target row; `digest` is the image both sides had when the row
    was written: the Projection's, which the copy inserts.
    """
    sources = [f"s{number}" for number in range(1, len(keys) + 1)]
    targets = [f"t{number}" for number in range(1, len(identity) + 1)]
    typed = [f"{name} {type_of(column)} NOT NULL" for name, column in zip(sources, keys, strict=True)]
    typed += [f"{name} {type_of(column)} NOT NULL" for name, column in zip(targets, identity, strict=True)]
    execute(
        conn,
        f"CREATE TABLE {table(backfill)} ({', '.join(typed)},"
        " kind text NOT NULL CHECK (kind IN ('moved', 'merged')), marks smallint[] NOT NULL, digest bigint NOT NULL,"
        f" definition integer NOT NULL, PRIMARY KEY ({', '.join(sources)}))",
    )
    execute(conn, f"CREATE UNIQUE INDEX {one_each(backfill)} ON {table(backfill)} ({', '.join(targets)})")


def let_follow(conn: Connection, backfill: int, identity: Sequence[TableColumn]) -> None:
    """Let source rows follow another one to its target row; of all others each still has its own."""
    targets = ", ".join(f"t{number}" for number in range(1, len(identity) + 1))
    here, name = table(backfill), one_each(backfill)
    execute(conn, f"ALTER TABLE {here} ADD COLUMN follows boolean NOT NULL DEFAULT false")
    execute(conn, f"DROP INDEX migrator.{name}")
    execute(conn, f"CREATE UNIQUE INDEX {name} ON {here} ({targets}) WHERE NOT follows")
    execute(conn, f"CREATE INDEX {name}s ON {here} ({targets})")


def drop(conn: Connection, backfill: int) -> None:
    """Drop the provenance table of a backfill, if it is there."""
    execute(conn, f"DROP TABLE IF EXISTS {table(backfill)}")


def of_target(conn: Connection, target: str) -> list[str]:
    """List the provenance tables of all backfills into one target; what is written in place was there before."""
    asked = "SELECT id FROM migrator.backfill WHERE target = %s AND source <> target"
    return [table(int(one)) for (one,) in rows(conn, asked, (target,))]


def count(conn: Connection, backfill: int) -> int:
    """Count the rows a backfill has written or merged."""
    return int(value(conn, f"SELECT count(*) FROM {table(backfill)}"))


def targets(conn: Connection, provenance: str, width: int, limit: int) -> list[str]:
    """Name the first target rows of a provenance table, or of a part of one, by their identity of so many columns."""
    names = [f"t{number}" for number in range(1, width + 1)]
    texts = ", ".join(f"{one}::text" for one in names)
    asked = f"SELECT concat_ws(', ', {texts}) FROM {provenance} AS known ORDER BY {', '.join(names)} LIMIT {limit}"
    return [str(key) for (key,) in rows(conn, asked)]


def type_of(column: TableColumn) -> str:
    """Write the type of a column of ours that holds a key."""
    # Two text columns compare only under one collation, so ours carries the original's.
    return f"{column.type.name} COLLATE {column.collation}" if column.collation else column.type.name
