"""Values that a downgrade replaces, because the type that can hold them goes: remembered before they are gone."""

from __future__ import annotations

from migrator.database import inventory
from migrator.database.connect import Connection
from migrator.database.revision_files import Narrowing
from migrator.database.session import execute, rows, value
from migrator.model.names import literal, quote


def count(conn: Connection, one: Narrowing) -> int:
    """Count the rows that hold such a value; none where table or column is gone."""
    table = inventory.table(conn, one.relation)
    if table is None or one.column not in table.names:
        return 0
    return int(value(conn, f"SELECT count(*) FROM {one.relation.sql} AS t WHERE {one.where}"))


def examples(conn: Connection, one: Narrowing, number: int) -> tuple[str, ...]:
    """Name the first of these rows by primary key."""
    key = _key(conn, one)
    where = f"FROM {one.relation.sql} AS t WHERE {one.where} ORDER BY {key} LIMIT {int(number)}"
    return tuple(str(name) for (name,) in rows(conn, f"SELECT concat_ws(', ', {key}) {where}"))


def keep(conn: Connection, run: int, change: str, one: Narrowing) -> int:
    """Remember what each of these rows holds, in the open transaction; say how many they are."""
    said = ", ".join(map(literal, (change, str(one.relation), one.column)))
    return execute(
        conn,
        "INSERT INTO migrator.replaced_value (change, relation, column_name, row_key, value, became, run)"
        f" SELECT {said}, ARRAY[{_key(conn, one)}], t.{quote(one.column)}::text, {literal(one.becomes)}, {int(run)}"
        f" FROM {one.relation.sql} AS t WHERE {one.where}",
    )


def _key(conn: Connection, one: Narrowing) -> str:
    table = inventory.table(conn, one.relation)
    uniques = () if table is None else table.uniques
    names = next((unique.columns for unique in uniques if unique.primary), ())
    return ", ".join(f"t.{quote(name)}::text" for name in names) or "t.ctid::text"
