"""What an undo would lose, counted and named: rows of the application's own, changed ones, those that hang on ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from migrator.database.connect import Connection
from migrator.database.session import rows, value
from migrator.engine.letting_go import Others, not_ours, pointing
from migrator.engine.undo import Written
from migrator.model.names import EXACTLY, key_text, literal, quote
from migrator.model.tables import Table, TableColumn


@dataclass(frozen=True, slots=True)
class Lost:
    """How many rows of a table, and the first of them by primary key."""

    rows: int = 0
    keys: tuple[str, ...] = ()

    def __add__(self, other: Lost) -> Lost:
        """Add up."""
        return Lost(self.rows + other.rows, self.keys + other.keys)


def foreign(conn: Connection, table: Table, written: Sequence[Written], show: int) -> Lost:
    """Count the rows of a table that we did not insert."""
    return _lost(conn, table, f"FROM {table.relation.sql} AS t WHERE {not_ours(written)}", show)


def changed(conn: Connection, written: Sequence[Written], show: int) -> Lost:
    """Count rows we moved which the application changed since; in place, of those that were written to."""
    found = Lost()
    for one in written:
        touched = f" JOIN migrator.before_image AS kept ON {one.kept('v')}" if one.in_place else ""
        joined = f"FROM {one.recorded.provenance} AS v JOIN {one.target.relation.sql} AS t"
        where = f"ON {one.same_row('v', 't')}{touched} WHERE v.kind = 'moved' AND NOT ({one.unchanged('v', 't')})"
        found += _lost(conn, one.target, f"{joined} {where}", show)
    return found


def hanging(conn: Connection, written: Sequence[Written], others: Others, kinds: str, show: int) -> dict[str, Lost]:
    """Count rows of other tables that point at ours by keys of these kinds, where they are not lost as well.

    What was written in place stays, and so does what was handed over while something points at it. A pointer that was
    written in place is put back before.
    """
    found: dict[str, Lost] = {}
    for one in written:
        if one.in_place or (one.handed_over and one.target.relation not in others.dropped):
            continue
        for key, same in pointing(one.target, kinds):
            table = others.tables.get(key.references)
            if table is None or table.relation in others.dropped or others.goes(key):
                continue
            pointed = f"SELECT FROM {one.target.relation.sql} AS pointed JOIN {one.recorded.provenance} AS v"
            pointed += f" ON {one.same_row('v', 'pointed')} WHERE v.kind = 'moved' AND {same}"
            into = others.into(table.relation)
            where = f"EXISTS ({pointed}) AND {not_ours(into)}{_not_put_back(into, key.columns)}"
            number = _lost(conn, table, f"FROM {table.relation.sql} AS t WHERE {where}", show)
            if number.rows:
                found[str(table.relation)] = found.get(str(table.relation), Lost()) + number
    return found


def _not_put_back(written: Sequence[Written], columns: Sequence[str]) -> str:
    """Write the condition that none of these columns of a row `t` is as it was written in place."""
    return "".join(
        f" AND NOT EXISTS (SELECT FROM {one.recorded.provenance} AS v JOIN migrator.before_image AS kept"
        f" ON {one.kept('v')} WHERE {one.same_row('v', 't')} AND kept.written ? {literal(name)}"
        f" AND {one.unchanged('v', 't')})"
        for one in written
        if one.in_place
        for name in columns
    )


def values(conn: Connection, table: Table, name: str, written: Sequence[Written], show: int) -> Lost:
    """Count the values of a column, and name their rows: not ours, and not what a row has that nobody gave one.

    `written` are the backfills whose rows will be gone by the time the column goes. What they wrote into rows that
    were there is put back by then, and what the application changed of it is counted with them.
    """
    column = table.column(name)
    if column is None or column.generated:
        return Lost()
    value = f"t.{quote(name)}::text {EXACTLY}"
    inserted = [one for one in written if not one.handed_over and not one.in_place]
    tests = [f"t.{quote(name)} IS NOT NULL", not_ours(inserted)]
    tests += [f"{value} IS DISTINCT FROM {given}" for given in _given(table, column)]
    for one in written:
        key = ", ".join(key_text(f"t.{quote(part.name)}") for part in one.identity)
        kept = f"kept.backfill = {one.recorded.id} AND kept.target_key = ARRAY[{key}]"
        before, put = f"kept.before ->> {literal(name)}", f"kept.written ->> {literal(name)} = {value}"
        # In place, what stood there is put back: nothing, what nobody gave, or a value that is lost as any other.
        nothing = " OR ".join([f"{before} IS NULL", *(f"{before} = {given}" for given in _given(table, column))])
        ours = f"kept.written ? {literal(name)} AND ({nothing if one.in_place else put})"
        tests.append(f"NOT EXISTS (SELECT FROM migrator.before_image AS kept WHERE {kept} AND {ours})")
        if one.handed_over and not one.in_place:
            same = f"v.kind = 'moved' AND {one.same_row('v', 't')} AND {one.unchanged('v', 't')}"
            tests.append(f"NOT EXISTS (SELECT FROM {one.recorded.provenance} AS v WHERE {same})")
    return _lost(conn, table, f"FROM {table.relation.sql} AS t WHERE {' AND '.join(tests)}", show)


def _given(table: Table, column: TableColumn) -> list[str]:
    """Write what rows have in a column that nobody gave a value.

    That is its default, where it is a constant, and what rows got that were there when it was added.
    """
    found = []
    if column.default is not None and "(" not in column.default:
        found.append(f"({column.default})::{column.type.name}::text")
    if column.type.element is None:
        found.append(
            f"(SELECT (a.attmissingval::text::{column.type.name}[])[1]::text FROM pg_catalog.pg_attribute a"
            f" WHERE a.attrelid = {literal(table.relation.sql)}::pg_catalog.regclass"
            f" AND a.attname = {literal(column.name)} AND a.atthasmissing)"
        )
    return found


def _lost(conn: Connection, table: Table, rest: str, show: int) -> Lost:
    number = int(value(conn, f"SELECT count(*) {rest}"))
    primary = next((one.columns for one in table.uniques if one.primary), ())
    if not number or not primary:
        return Lost(number)
    key = ", ".join(f"t.{quote(name)}" for name in primary)
    texts = " || ', ' || ".join(f"t.{quote(name)}::text" for name in primary)
    return Lost(number, tuple(str(one) for (one,) in rows(conn, f"SELECT {texts} {rest} ORDER BY {key} LIMIT {show}")))
