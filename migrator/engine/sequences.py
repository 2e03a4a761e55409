"""Sequences behind target columns: after a copy the application's next number must be a free one."""

from __future__ import annotations

from collections.abc import Collection

from migrator.database.connect import Connection
from migrator.database.session import execute, one, value
from migrator.model.names import literal, quote
from migrator.model.tables import Table


def _sequence_of(target: Table, column: str) -> str:
    """Write the SELECT of the sequence that numbers a column: its own, or one that only its default asks."""
    relation = literal(target.relation.sql)
    return f"""SELECT coalesce(pg_catalog.pg_get_serial_sequence({relation}, {literal(column)}),
        (SELECT min(pg_catalog.format('%I.%I', n.nspname, c.relname)) FROM pg_catalog.pg_attrdef d
         JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
         JOIN pg_catalog.pg_depend p ON p.classid = 'pg_catalog.pg_attrdef'::regclass AND p.objid = d.oid
            AND p.refclassid = 'pg_catalog.pg_class'::regclass
         JOIN pg_catalog.pg_class c ON c.oid = p.refobjid AND c.relkind = 'S'
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE d.adrelid = {relation}::regclass AND a.attname = {literal(column)}))"""


def catch_up(conn: Connection, target: Table, filled: Collection[str]) -> None:
    """Set the sequences of filled columns past the largest value there; upwards only, in the open transaction.

    A sequence is not transactional: what it skips after an undo stays skipped (PostgreSQL 9.17).
    """
    for column in target.columns:
        if column.name not in filled or not (column.identity or "nextval(" in (column.default or "")):
            continue
        sequence = value(conn, _sequence_of(target, column.name))
        if sequence is None:
            continue
        largest = value(conn, f"SELECT max({quote(column.name)}) FROM {target.relation.sql}")
        state = one(conn, f"SELECT last_value FROM {sequence}")
        if largest is not None and state is not None and largest >= state[0]:
            execute(conn, f"SELECT pg_catalog.setval({literal(str(sequence))}::regclass, {int(largest)})")
