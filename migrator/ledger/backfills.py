"""What the Ledger knows of a backfill: its number, the definitions it was run by, its Ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from migrator import __version__
from migrator.database.connect import Connection
from migrator.database.session import execute, one, rows, value
from migrator.ledger import provenance, winners
from migrator.model.errors import RefusedError
from migrator.model.tables import TableColumn

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A backfill as recorded: its number in the Ledger and the number of the definition in force.

    `compared` says for each definition it ever ran by which target columns its digests cover, in order. `narrowed` is a
    SELECT of a part of its provenance, where only that part is looked at.
    """

    id: int
    definition: int
    compared: Mapping[int, tuple[str, ...]]
    narrowed: str = ""

    @property
    def provenance(self) -> str:
        """Its provenance, as a FROM reads it: the table, or the part that is looked at."""
        return self.narrowed or self.table

    @property
    def table(self) -> str:
        """The name of its provenance table."""
        return provenance.table(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """An interval (lo, hi] of source keys as text; None is unbounded. `careful` Ranges hold rows found behind."""

    id: int
    lo: Key | None
    hi: Key | None
    position: Key | None
    rows: int
    careful: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What a definition's digests and codes rest on, recorded with it."""

    digest: str
    facts: str
    marks: tuple[str, ...]
    compared: tuple[str, ...]
    algorithm: str
    server: int


def find(conn: Connection, change: str, name: str) -> int | None:
    """Give the number of a backfill, None when it never ran."""
    found = value(conn, "SELECT id FROM migrator.backfill WHERE change = %s AND name = %s", (change, name))
    return None if found is None else int(found)


def record(
    conn: Connection,
    change: str,
    name: str,
    source: str,
    target: str,
    keys: Sequence[TableColumn],
    identity: Sequence[TableColumn],
    image: Image,
) -> Recorded:
    """Record a backfill and the definition it runs by, in the open transaction.

    Raises RefusedError M403 when tables, key or identity changed since rows were moved under other ones.
    """
    id = find(conn, change, name)
    if id is None:
        id = int(
            value(
                conn,
                "INSERT INTO migrator.backfill (change, name, source, target, source_key, identity)"
                " VALUES (%s, %s, %s, %s, %s, %s) RETURNING id",
                (change, name, source, target, _described(keys), _described(identity)),
            )
        )
        provenance.create(conn, id, keys, identity)
    else:
        _refuse_other_tables(conn, id, name, source, target)
        _refuse_other_keys(conn, id, name, keys, identity)
    number = _definition(conn, id, image)
    return Recorded(id=id, definition=number, compared=compared(conn, id))


def compared(conn: Connection, id: int) -> dict[int, tuple[str, ...]]:
    """Say for each definition of a backfill which target columns its digests cover."""
    found = rows(conn, "SELECT number, compared FROM migrator.definition WHERE backfill = %s", (id,))
    return {int(number): tuple(map(str, names)) for number, names in found}


def recorded(conn: Connection, change: str, name: str) -> Recorded | None:
    """Find a backfill with the newest definition it ran by; None when it never ran."""
    id = find(conn, change, name)
    if id is None:
        return None
    known = compared(conn, id)
    return Recorded(id=id, definition=max(known), compared=known)


def _described(columns: Sequence[TableColumn]) -> list[str]:
    return [f"{one.name} {one.type.name}" for one in columns]


def _refuse_other_tables(conn: Connection, id: int, name: str, source: str, target: str) -> None:
    known = one(conn, "SELECT source, target FROM migrator.backfill WHERE id = %s", (id,))
    assert known is not None  # found by the caller in this transaction
    if known != (source, target):
        raise RefusedError(
            "M403",
            f"{name}: rows were moved from {known[0]} to {known[1]};"
            f" the definition now says from {source} to {target}.",
            "Put the definition back, or roll the change back first.",
        )


def _refuse_other_keys(
    conn: Connection, id: int, name: str, keys: Sequence[TableColumn], identity: Sequence[TableColumn]
) -> None:
    known = one(conn, "SELECT source_key, identity FROM migrator.backfill WHERE id = %s", (id,))
    assert known is not None  # found by the caller in this transaction
    if (known[0], known[1]) != (_described(keys), _described(identity)):
        raise RefusedError(
            "M403",
            f"{name}: rows were moved under key ({', '.join(known[0])}) and identity ({', '.join(known[1])});"
            f" the definition now says ({', '.join(_described(keys))}) and ({', '.join(_described(identity))}).",
            "Put the definition back, or roll the change back first.",
        )


def _definition(conn: Connection, id: int, image: Image) -> int:
    marks, columns = list(image.marks), list(image.compared)
    known = value(
        conn,
        "SELECT number FROM migrator.definition"
        " WHERE backfill = %s AND digest = %s AND marks = %s AND compared = %s AND algorithm = %s AND server = %s",
        (id, image.digest, marks, columns, image.algorithm, image.server),
    )
    if known is not None:
        return int(known)
    return int(
        value(
            conn,
            "INSERT INTO migrator.definition"
            " (backfill, number, digest, facts, marks, compared, algorithm, server, tool)"
            " SELECT %s, coalesce(max(number), 0) + 1, %s, %s, %s, %s, %s, %s, %s"
            " FROM migrator.definition WHERE backfill = %s RETURNING number",
            (id, image.digest, image.facts, marks, columns, image.algorithm, image.server, __version__, id),
        )
    )


def add_ranges(
    conn: Connection, id: int, bounds: Sequence[tuple[Key | None, Key | None, int]], *, careful: bool = False
) -> None:
    """Record Ranges that are still to be copied, in key order."""
    for lo, hi, size in bounds:
        execute(
            conn,
            "INSERT INTO migrator.range (backfill, lo, hi, position, rows, careful) VALUES (%s, %s, %s, %s, %s, %s)",
            (id, _list(lo), _list(hi), _list(lo), size, careful),
        )


def open_ranges(conn: Connection, id: int) -> list[Range]:
    """List the Ranges of a backfill that are not done, in the order they were planned."""
    found = rows(
        conn,
        "SELECT id, lo, hi, position, rows, careful FROM migrator.range WHERE backfill = %s AND NOT done ORDER BY id",
        (id,),
    )
    return [_range(row) for row in found]


def was_planned(conn: Connection, id: int) -> bool:
    """Tell whether a first copy of this backfill was ever planned."""
    return bool(value(conn, "SELECT EXISTS (SELECT FROM migrator.range WHERE backfill = %s)", (id,)))


def progress(conn: Connection, id: int) -> int:
    """Count the source rows that were read by the copy so far."""
    return int(value(conn, "SELECT coalesce(sum(read), 0) FROM migrator.range WHERE backfill = %s", (id,)))


def lock_range(conn: Connection, id: int) -> Range | None:
    """Lock a Range until the end of the transaction; None when it is done."""
    row = one(
        conn,
        "SELECT id, lo, hi, position, rows, careful FROM migrator.range WHERE id = %s AND NOT done FOR UPDATE",
        (id,),
    )
    return None if row is None else _range(row)


def forget(conn: Connection, id: int) -> None:
    """Forget a backfill: its definitions, Ranges, quarantine, before-images and provenance."""
    execute(conn, "DELETE FROM migrator.change_log WHERE backfill = %s", (id,))
    winners.drop(conn, id)
    provenance.drop(conn, id)
    execute(conn, "DELETE FROM migrator.backfill WHERE id = %s", (id,))


def _range(row: tuple[object, ...]) -> Range:
    id, lo, hi, position, size, careful = row
    return Range(
        id=int(str(id)),
        lo=_key(lo),
        hi=_key(hi),
        position=_key(position),
        rows=int(str(size)),
        careful=bool(careful),
    )


def _key(found: object) -> Key | None:
    return None if found is None else tuple(str(one) for one in found) if isinstance(found, list) else None


def _list(key: Key | None) -> list[str] | None:
    return None if key is None else list(key)
