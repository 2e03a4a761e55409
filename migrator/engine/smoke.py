"""The smoke test of a target: what fails only when it is used is found before any row moves.

A default, a trigger or a function is accepted as it is made, and may fail at its first use. So one row is inserted and
updated as the application would do it, without the setting by which triggers tell our writes, and every default is
evaluated; all in one transaction that is rolled back. A sequence is not transactional: columns it would number get a
number of their own here. What a trigger does outside the database cannot be rolled back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from migrator.database import failures
from migrator.database.connect import Connection
from migrator.database.failures import Failure, SqlError
from migrator.database.session import execute, one, transaction
from migrator.engine.prepare import Prepared
from migrator.engine.projection.compiled import CODE
from migrator.engine.projection.pieces import MOVED
from migrator.engine.projection.projection import Projection
from migrator.engine.ranges import Key, Keyset
from migrator.ledger import backfills
from migrator.model.names import quote
from migrator.model.step import Hazard
from migrator.model.tables import TableColumn

# Source rows among which one is looked for that would move. A few do nearly always; more cost much where a definition
# has groups, which the server then computes for each of them.
LOOKED_AT: Final = (10, 1_000)
# What is not the target's doing: somebody in the way, the connection, a row that is there or not there yet.
_NOT_TOLD: Final = frozenset({Failure.RETRY, Failure.LOST, Failure.READ_ONLY, Failure.WORLD})
_NOT_YET: Final = frozenset({"23503", "23505", "23P01"})
_LOOK: Final = "call it by hand, and mend what it does; rows move all the same"


class _RolledBackError(Exception):
    """Ends the transaction of a smoke test."""


def smoke(conn: Connection, prepared: Prepared, search_path: str) -> tuple[Hazard, ...]:
    """Try the target of a backfill that has read no row yet, and say what fails; nothing of it stays.

    Raises the loss of the connection, as every statement does.
    """
    recorded = prepared.recorded
    if prepared.projection.target.kind not in {"r", "p"} or (recorded and backfills.progress(conn, recorded.id)):
        return ()
    found: list[Hazard] = []
    with suppress(_RolledBackError), transaction(conn, search_path=search_path):
        found += _Trial(conn=conn, projection=prepared.projection.foreseeing).all()
        raise _RolledBackError
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """One smoke test, in an open transaction."""

    conn: Connection
    projection: Projection

    def all(self) -> Iterator[Hazard]:
        for column in self.projection.target.columns:
            if column.default is not None and not _is_numbered(column):
                yield from self._default(column)
        key = self._first_moved()
        if key is not None:
            yield from self._row(key)

    def _default(self, column: TableColumn) -> Iterator[Hazard]:
        failed = self._fails(f"SELECT ({column.default})::{column.type.name}")
        if failed:
            name = f"{self.projection.target.relation}.{column.name}"
            yield _hazard(
                "H131", f"the default of {name} fails when it is used", failed, "ALTER COLUMN ... SET DEFAULT"
            )

    def _first_moved(self) -> Key | None:
        """Find a source row that would become a new one, among the first; none where the definition's SQL raises."""
        try:
            with self.conn.transaction():
                return next((key for many in LOOKED_AT if (key := self._moved_among(many))), None)
        except SqlError as error:
            self._refuse_lost(error)
            return None

    def _moved_among(self, many: int) -> Key | None:
        projection = self.projection
        keyset = Keyset.of_source(projection.source, projection.keys)
        texts = ", ".join(f"p.{name}::text" for name in projection.key_columns())
        selected = projection.select(keyset.within(None, keyset.nth_after(self.conn, None, None, many)))
        found = one(self.conn, f"SELECT {texts} FROM ({selected}) AS p WHERE p.{quote(CODE)} = {MOVED} LIMIT 1")
        return None if found is None else tuple(str(part) for part in found)

    def _row(self, key: Key) -> Iterator[Hazard]:
        """Insert a row as the application would, then update it."""
        target, in_place = self.projection.target.relation, self.projection.backfill.in_place
        failed = "" if in_place else self._fails(self._insert(key), "SET CONSTRAINTS ALL IMMEDIATE")
        if failed:
            yield _hazard("H132", f"an insert into {target} as the application's own fails", failed, _LOOK)
            return
        failed = self._changed and self._fails(self._update(key), "SET CONSTRAINTS ALL IMMEDIATE")
        if failed:
            yield _hazard("H132", f"an update of {target} as the application's own fails", failed, _LOOK)

    @property
    def _changed(self) -> str:
        """Set every column to what it is, so that triggers of single columns fire as well."""
        names = [quote(one.name) for one in self.projection.columns if one.identity != "a"]
        return ", ".join(f"{name} = t.{name}" for name in names)

    def _insert(self, key: Key) -> str:
        target, columns = self.projection.target, list(self.projection.columns)
        numbered = [one for one in target.columns if _is_numbered(one) and one not in columns]
        next_one = [
            f"(SELECT coalesce(max(n.{quote(one.name)}), 0) + 1 FROM {target.relation.sql} AS n)" for one in numbered
        ]
        names = ", ".join(quote(one.name) for one in (*columns, *numbered))
        values = ", ".join([*(f"p.{quote(one.name)}" for one in columns), *next_one])
        return (
            f"INSERT INTO {target.relation.sql} ({names}) OVERRIDING SYSTEM VALUE"
            f" SELECT {values} FROM ({self._selected(key)}) AS p"
        )

    def _update(self, key: Key) -> str:
        projection = self.projection
        pairs = zip(projection.identity, projection.identity_columns("p"), strict=True)
        same = " AND ".join(f"t.{quote(one.name)} = {theirs}" for one, theirs in pairs)
        target = f"{projection.target.relation.sql} AS t"
        return f"UPDATE {target} SET {self._changed} FROM ({self._selected(key)}) AS p WHERE {same}"

    def _selected(self, key: Key) -> str:
        keyset = Keyset.of_source(self.projection.source, self.projection.keys)
        return self.projection.select(keyset.at(key), merging=False)

    def _fails(self, *statements: str) -> str:
        """Execute statements; say what they fail with, where that is the target's doing. A failure leaves no trace."""
        try:
            with self.conn.transaction():
                for statement in statements:
                    execute(self.conn, statement)
        except SqlError as error:
            self._refuse_lost(error)
            told = failures.kind(error) not in _NOT_TOLD and failures.sqlstate(error) not in _NOT_YET
            return f"{failures.message(error)} ({failures.sqlstate(error)})" if told else ""
        return ""

    def _refuse_lost(self, error: SqlError) -> None:
        if self.conn.closed:
            raise error


def _is_numbered(column: TableColumn) -> bool:
    return bool(column.identity) or "nextval(" in (column.default or "")


def _hazard(id: str, what: str, failed: str, cure: str) -> Hazard:
    return Hazard(id=id, what=f"{what}: {failed}", cure=cure)
