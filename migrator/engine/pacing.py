"""Pacing: so many rows as the application has room for, counted anew in every transaction that writes some."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.database.connect import Connection
from migrator.database.session import value
from migrator.engine.projection.compiled import CODE
from migrator.engine.projection.pieces import MOVED
from migrator.engine.ranges import Key
from migrator.engine.statements import Writing
from migrator.model.change import Change
from migrator.model.expressions import Given
from migrator.model.names import literal, quote
from migrator.model.pace import Pace


class FullError(Exception):
    """There is no room now."""


class OvershotError(Exception):
    """A batch wrote more rows than there was room for: its transaction must be rolled back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """The pace of one backfill: the query that counts what is open, and how much may be."""

    query: str
    at_most: int

    @classmethod
    def of(cls, pace: Pace, change: Change) -> Pacing:
        """Fill the query's places and read the largest number."""
        scalars = change.arguments.scalars
        given = {name: one.parameter for name, one in pace.open.places if isinstance(one, Given)}
        written = {name: literal(scalars.get(one.name, one.default)) for name, one in given.items()}
        return cls(query=pace.open.filled(written), at_most=pace.cap(change.arguments))

    def open(self, conn: Connection) -> int:
        """Count what is open."""
        return int(value(conn, f"SELECT coalesce(({self.query}\n), 0)::bigint"))

    def room(self, conn: Connection) -> int:
        """Say how many rows may be written. Raises FullError for none."""
        found = self.at_most - self.open(conn)
        if found < 1:
            raise FullError
        return found


def end_within(conn: Connection, writing: Writing, lo: Key | None, hi: Key | None, room: int) -> Key | None:
    """Find the key of the last row within (lo, hi] for which there is room; None where there is room for all."""
    keys = writing.projection.key_columns("p")
    texts = ", ".join(f"{one}::text" for one in keys)
    found = value(
        conn,
        f"SELECT ARRAY[{texts}] FROM ({writing.careful_rows(lo, hi)}) AS p WHERE p.{quote(CODE)} = {MOVED}"
        f" ORDER BY {', '.join(keys)} OFFSET {room - 1} LIMIT 1",
    )
    return None if found is None else tuple(str(part) for part in found)
