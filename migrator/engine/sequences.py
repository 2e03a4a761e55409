"""Sequences behind target columns: after a copy the application's next number must be a free one."""

from __future__ import annotations

from collections.abc import Collection

from migrator.database.connect import Connection
from migrator.database.session import execute, one, value
from migrator.model.names import literal, quote
from migrator.model.tables import Table


def catch_up(conn: Connection, target: Table, filled: Collection[str]) -> None:
    """Set the sequences of filled columns past the largest value there; upwards only, in the open transaction.

    A sequence is not transactional: what it skips after an undo stays skipped (PostgreSQL 9.17).
    """
    for column in target.columns:
        if column.name not in filled or not (column.identity or "nextval(" in (column.default or "")):
            continue
        owned = f"pg_catalog.pg_get_serial_sequence({literal(target.relation.sql)}, {literal(column.name)})"
        sequence = value(conn, f"SELECT {owned}")
        if sequence is None:
            continue
        largest = value(conn, f"SELECT max({quote(column.name)}) FROM {target.relation.sql}")
        state = one(conn, f"SELECT last_value FROM {sequence}")
        if largest is not None and state is not None and largest >= state[0]:
            execute(conn, f"SELECT pg_catalog.setval({literal(str(sequence))}::regclass, {int(largest)})")
