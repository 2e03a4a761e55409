"""Rows for which a definition's own SQL raises: the net under the Projection, which foresees what the catalogs tell.

A fragment such as `sql("1 / n")` can raise for a row. The copy finds such rows by splitting its batches; what only
reads finds them here, by halving the interval under savepoints, and looks at all the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from migrator.database import failures
from migrator.database.connect import Connection
from migrator.database.failures import Failure, SqlError
from migrator.database.session import value
from migrator.engine.projection.projection import DIGEST, Projection
from migrator.engine.ranges import Key, Keyset
from migrator.model.errors import UsageError
from migrator.model.names import quote

LIMIT: Final = 1_000


@dataclass(frozen=True, slots=True)
class Raising:
    """A source row for which the definition's SQL raises, and what the server says."""

    key: Key
    reason: str


def is_row_fault(error: SqlError) -> bool:
    """Tell whether an error is about a row, not about the world or the statement."""
    return failures.kind(error) is Failure.ROW


def raising_rows(conn: Connection, projection: Projection) -> tuple[Raising, ...]:
    """Find every row for which the Projection raises, inside the open transaction.

    Raises UsageError M121 when there are more than a thousand: then the definition is wrong, not the rows.
    """
    keyset = Keyset.of_source(projection.source, projection.keys)
    found: list[Raising] = []
    _search(conn, projection, keyset, (None, None), found)
    return tuple(found)


def without(projection: Projection, raising: Sequence[Raising]) -> Projection:
    """Give the Projection over all other rows."""
    if not raising:
        return projection
    keyset = Keyset.of_source(projection.source, projection.keys)
    return projection.without(" AND ".join(f"NOT {keyset.at(one.key)}" for one in raising))


def _search(
    conn: Connection,
    projection: Projection,
    keyset: Keyset,
    interval: tuple[Key | None, Key | None],
    found: list[Raising],
) -> None:
    reason = _attempt(conn, projection, keyset, interval)
    if reason is None:
        return
    lo, hi = interval
    rows = int(value(conn, f"SELECT count(*) FROM {keyset.relation} AS {keyset.alias} WHERE {keyset.within(lo, hi)}"))
    if rows <= 1:
        key = keyset.nth_after(conn, lo, hi, 1)
        found += [] if key is None else [Raising(key, reason)]
        if len(found) > LIMIT:
            raise UsageError(
                "M121",
                f"{projection.backfill.name}: its SQL raises for more than {LIMIT:,} rows: {reason}.",
                "Write the fragment so that it gives NULL where there is no value, or quarantine such rows by name.",
            )
        return
    middle = keyset.nth_after(conn, lo, hi, rows // 2)
    _search(conn, projection, keyset, (lo, middle), found)
    _search(conn, projection, keyset, (middle, hi), found)


def _attempt(
    conn: Connection, projection: Projection, keyset: Keyset, interval: tuple[Key | None, Key | None]
) -> str | None:
    select = projection.select(keyset.within(*interval), merging=False)
    try:
        with conn.transaction():
            value(conn, f"SELECT bit_xor({quote(DIGEST)}) FROM ({select}) AS tried")
    except SqlError as error:
        if not is_row_fault(error):
            raise
        return failures.message(error)
    return None
