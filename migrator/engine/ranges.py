"""Keyset pagination over a source: positions, intervals and the Ranges a copy is cut into.

Keys travel as text under pinned settings and are cast back to their own type, so any ordered type will do. A position
is never NULL inside; None stands for "unbounded".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from migrator.database.connect import Connection
from migrator.database.session import one, value
from migrator.model.names import key_text, literal, quote
from migrator.model.tables import Table, TableColumn

Key = tuple[str, ...]
Bounds = tuple[Key | None, Key | None, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyset:
    """The key of a relation under an alias, and the conditions that walk it."""

    relation: str
    alias: str
    columns: tuple[tuple[str, str], ...]  # name quoted, type name

    @classmethod
    def of_source(cls, source: Table, keys: Sequence[TableColumn]) -> Keyset:
        """Walk a source table by its key, under the table's own name."""
        return cls(
            relation=source.relation.sql,
            alias=quote(source.relation.name),
            columns=tuple((quote(one.name), one.type.name) for one in keys),
        )

    @classmethod
    def of_provenance(cls, table: str, keys: Sequence[TableColumn]) -> Keyset:
        """Walk a provenance table by the source key in it."""
        columns = tuple((f"s{number}", one.type.name) for number, one in enumerate(keys, 1))
        return cls(relation=table, alias="walked", columns=columns)

    @classmethod
    def nearby(cls, keys: Sequence[TableColumn], alias: str) -> Keyset:
        """Walk a table that has the source's key as s1, …, under an alias."""
        return replace(cls.of_provenance("", keys), alias=alias)

    @property
    def names(self) -> list[str]:
        """The key columns, qualified."""
        return [f"{self.alias}.{name}" for name, _ in self.columns]

    @property
    def texts(self) -> str:
        """The key as a text array."""
        return f"ARRAY[{', '.join(key_text(name) for name in self.names)}]"

    def after(self, position: Key | None) -> str:
        """Write the condition for keys beyond a position."""
        return "true" if position is None else f"({', '.join(self.names)}) > ({self.values(position)})"

    def upto(self, position: Key | None) -> str:
        """Write the condition for keys up to and including a position."""
        return "true" if position is None else f"({', '.join(self.names)}) <= ({self.values(position)})"

    def within(self, lo: Key | None, hi: Key | None) -> str:
        """Write the condition for the interval (lo, hi]."""
        return f"({self.after(lo)} AND {self.upto(hi)})"

    def at(self, key: Key) -> str:
        """Write the condition for one key."""
        return f"({', '.join(self.names)}) = ({self.values(key)})"

    def values(self, key: Key) -> str:
        """Write a key in its own types."""
        pairs = zip(key, self.columns, strict=True)
        return ", ".join(f"{literal(text)}::{type_name}" for text, (_, type_name) in pairs)

    def nth_after(self, conn: Connection, lo: Key | None, hi: Key | None, n: int) -> Key | None:
        """Find the n-th key within (lo, hi]; None when there are fewer."""
        order = ", ".join(self.names)
        found = one(
            conn,
            f"SELECT {self.texts} FROM {self.relation} AS {self.alias} WHERE {self.within(lo, hi)}"
            f" ORDER BY {order} OFFSET {n - 1} LIMIT 1",
        )
        return None if found is None else tuple(str(part) for part in found[0])

    def count(self, conn: Connection, where: str = "true") -> int:
        """Count the rows of the relation under a condition."""
        return int(value(conn, f"SELECT count(*) FROM {self.relation} AS {self.alias} WHERE {where}"))


def plan_ranges(conn: Connection, keyset: Keyset, size: int) -> list[Bounds]:
    """Cut a relation into intervals of `size` rows; the last one is open, for rows still to come."""
    bounds: list[Bounds] = []
    lo: Key | None = None
    while (hi := keyset.nth_after(conn, lo, None, size)) is not None:
        bounds.append((lo, hi, size))
        lo = hi
    return [*bounds, (lo, None, 0)]
