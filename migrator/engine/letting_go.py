"""Rows that point at rows which are undone: those that are lost as well are let go of first, others are in the way.

Where tables point at each other no order of deleting is right for all rows. So before a batch of rows goes, links to it
are emptied, or the rows that cannot be without it go before it; but only rows that will be lost anyway: rows of tables
that the downgrades drop, and rows that were moved by the same change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from migrator.database.connect import Connection
from migrator.database.session import execute
from migrator.model.errors import RefusedError
from migrator.model.names import Relation, ours, quote
from migrator.model.tables import ForeignKey, Table

if TYPE_CHECKING:
    from migrator.engine.undo import Written

BLOCKS = "ar"  # what the server refuses to leave pointing at nothing: no action, restrict
FOLLOWS = "cnd"  # what it deletes or empties by itself: cascade, set null, set default


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """What is lost beside the rows of one backfill: what the others `written` moved, and all rows of `dropped`.

    `columns` are those that go from tables which stay.
    `accepted` says how many rows the application wrote may be lost of each table; `gone` counts those that are.
    """

    written: Sequence[Written] = ()
    tables: Mapping[Relation, Table] = field(default_factory=dict)
    dropped: frozenset[Relation] = frozenset()
    columns: Mapping[Relation, frozenset[str]] = field(default_factory=dict)
    accepted: Mapping[str, int] = field(default_factory=dict)
    gone: Counter[Relation] = field(default_factory=Counter)

    def into(self, relation: Relation) -> list[Written]:
        """List the backfills that wrote rows into a table."""
        return [one for one in self.written if one.target.relation == relation]

    def goes(self, key: ForeignKey) -> bool:
        """Say whether a key that points here goes with its column."""
        return not self.columns.get(key.references, frozenset()).isdisjoint(key.columns)

    def let_go(self, conn: Connection, target: Table, rows: str, path: tuple[Relation, ...] = ()) -> None:
        """Empty what points at these rows of a table, or delete what cannot be without them; `rows` is a SELECT.

        Raises RefusedError M412 where that would delete more rows of the application than were accepted.
        """
        for key in target.referenced_by:
            table = self.tables.get(key.references)
            if key.on_delete not in BLOCKS or table is None:
                continue
            going = ours("going")
            lost = f"({_points(key, 't')}) IN (SELECT {_pointed(key, going)} FROM ({rows}) AS {going})"
            if table.relation not in self.dropped and not self.goes(key):
                lost += f" AND NOT ({not_ours(self.into(table.relation))})"
            empty = next((name for name in key.columns if _may_be_empty(table, name)), None)
            if empty is not None:
                execute(conn, f"UPDATE {table.relation.sql} AS t SET {quote(empty)} = NULL WHERE {lost}")
            elif table.relation in self.dropped and table.relation not in path:
                self.let_go(
                    conn, table, f"SELECT t.* FROM {table.relation.sql} AS t WHERE {lost}", (*path, target.relation)
                )
                self.gone[table.relation] += execute(conn, f"DELETE FROM {table.relation.sql} AS t WHERE {lost}")
                self._refuse_more(table.relation)

    def _refuse_more(self, relation: Relation) -> None:
        accepted = self.accepted.get(str(relation), 0)
        if self.gone[relation] > accepted:
            raise RefusedError(
                "M412",
                f"{self.gone[relation]:,} rows of {relation} point at rows that go; {accepted:,} were accepted.",
                "Run the rollback again: it counts them anew.",
            )

    def frees(self, target: Table, row: str) -> str:
        """Write the condition that no row which stays points at a row of the target, so that this one may go."""
        points = ours("points")
        tests = (
            f"NOT EXISTS (SELECT FROM {key.references.sql} AS {points}"
            f" WHERE ({_points(key, points)}) = ({_pointed(key, row)}) AND {self._stays(key.references, points)})"
            for key in target.referenced_by
        )
        return " AND ".join(["true", *tests])

    def _stays(self, relation: Relation, row: str) -> str:
        tests = (
            f"NOT EXISTS (SELECT FROM {one.recorded.provenance} AS v WHERE v.kind = 'moved'"
            f" AND {one.same_row('v', row)} AND {one.unchanged('v', row)})"
            for one in self.into(relation)
            if not one.in_place
        )
        return " AND ".join(["true", *tests])


def not_ours(written: Sequence[Written], row: str = "t") -> str:
    """Write the condition that a row is none that we inserted; what was written in place was there before."""
    tests = (
        f"NOT EXISTS (SELECT FROM {one.recorded.provenance} AS v WHERE v.kind = 'moved' AND {one.same_row('v', row)})"
        for one in written
        if not one.in_place
    )
    return " AND ".join(["true", *tests])


def pointing(target: Table, kinds: str) -> Iterator[tuple[ForeignKey, str]]:
    """List the keys that point at a table, with the condition that a row `t` points at a row `pointed` of it."""
    for key in target.referenced_by:
        if key.on_delete in kinds:
            yield key, f"({_points(key, 't')}) = ({_pointed(key, 'pointed')})"


def _points(key: ForeignKey, row: str) -> str:
    return ", ".join(f"{row}.{quote(name)}" for name in key.columns)


def _pointed(key: ForeignKey, row: str) -> str:
    return ", ".join(f"{row}.{quote(name)}" for name in key.referenced_columns)


def _may_be_empty(table: Table, name: str) -> bool:
    column = table.column(name)
    return column is not None and not column.not_null and not column.generated
