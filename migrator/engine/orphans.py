"""Objects held against rows, set against set: what is in the buckets, and what anybody names.

Both are staged in temporary tables of one transaction, so that nothing of it is in the memory of this process. Keys are
compared as bytes, whatever the encoding and the collations of the database.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from migrator.database import failures
from migrator.database.connect import Connection
from migrator.database.failures import SqlError
from migrator.database.session import execute, one, rows, value
from migrator.engine.isolate import is_row_fault
from migrator.engine.naming import Names
from migrator.model.errors import UsageError
from migrator.model.names import literal
from migrator.model.objects import ObjectName, StoredObject
from migrator.model.orphans import Amount, Orphan, Place, Scope, Unmet

FOUND: Final = "pg_temp.migrator_found"
NAMED: Final = "pg_temp.migrator_named"
ORPHAN: Final = "pg_temp.migrator_orphan"
CHOSEN: Final = "pg_temp.migrator_chosen"
UNMET: Final = "pg_temp.migrator_unmet"
ENDING: Final = re.compile(rb"(?<=[^/])\.[A-Za-z0-9]{1,10}\Z")
EVERY: Final = 1_000  # objects between two words of how far it is
FETCHED: Final = 1_000


def stage_objects(conn: Connection, found: Iterable[StoredObject], tell: Callable[[int], None]) -> int:
    """Write down what is in the buckets, as it is listed; gives how many objects that are."""
    _make(conn, FOUND, 'bucket text COLLATE "C", key bytea, stem bytea, size bigint, etag text, modified timestamptz')
    count = 0
    with conn.cursor() as cursor, cursor.copy(f"COPY {FOUND} FROM STDIN".encode()) as copy:
        for count, each in enumerate(found, 1):
            key = each.name.key.encode()
            copy.write_row((each.name.bucket, key, ENDING.sub(b"", key), each.size, each.etag, each.modified))
            if count % EVERY == 0:
                tell(count)
    execute(conn, f"ANALYZE {FOUND}")
    return count


def stage_names(conn: Connection, places: Sequence[Names], scopes: Sequence[Scope]) -> None:
    """Write down what anybody names: within the scopes, and how many names lie elsewhere.

    Raises UsageError M288 where the SQL of a definition raises for a row.
    """
    _make(conn, NAMED, 'place smallint, row_key text[], bucket text COLLATE "C", key bytea, size bigint, stem boolean')
    for number, each in enumerate(places):
        names = f"SELECT {number}, row_key, bucket, pg_catalog.convert_to(key, 'UTF8'), size, {literal(each.stems)}"
        names += f" FROM ({each.rows}) AS named (row_key, bucket, key, size) WHERE key <> ''"
        try:
            execute(conn, f"INSERT INTO {NAMED} {names}")
        except SqlError as error:
            if not is_row_fault(error):
                raise
            raise UsageError(
                "M288",
                f"{each.where}: which object a row names cannot be said: {failures.message(error)}.",
                "Write the SQL so that it gives NULL where a row names none.",
            ) from error
    execute(conn, f"ANALYZE {NAMED}")
    _make_orphans(conn)
    _make_unmet(conn, places, scopes)


def unasked(conn: Connection, places: Sequence[Names]) -> dict[str, int]:
    """Count, by place, the rows that cannot be asked which object they name."""
    counts = {each.where: int(value(conn, each.unasked)) for each in places if each.unasked}
    return {where: count for where, count in counts.items() if count}


def _make_orphans(conn: Connection) -> None:
    """Keep the objects that nobody names."""
    there = "(named.bucket IS NULL OR named.bucket = found.bucket)"
    execute(
        conn,
        f"CREATE TEMP TABLE migrator_orphan ON COMMIT DROP AS SELECT found.* FROM {FOUND} AS found"
        f" WHERE NOT EXISTS (SELECT FROM {NAMED} AS named WHERE named.key = found.key AND {there})"
        f" AND NOT EXISTS (SELECT FROM {NAMED} AS named WHERE named.stem AND named.key = found.stem AND {there})",
    )
    execute(conn, f"CREATE INDEX ON {ORPHAN} (bucket, key)")


def _make_unmet(conn: Connection, places: Sequence[Names], scopes: Sequence[Scope]) -> None:
    """Keep the names of rows under which there is no object; each once."""
    told = [str(number) for number, each in enumerate(places) if each.told] or ["-1"]
    same = "found.key = named.key AND (named.bucket IS NULL OR found.bucket = named.bucket)"
    execute(
        conn,
        f"CREATE TEMP TABLE migrator_unmet ON COMMIT DROP AS SELECT DISTINCT named.place, named.row_key, named.bucket,"
        f" named.key, (SELECT max(known.size) FROM {NAMED} AS known WHERE known.key = named.key) AS bytes"
        f" FROM {NAMED} AS named"
        f" WHERE place IN ({', '.join(told)}) AND row_key IS NOT NULL AND {_within(scopes)}"
        f" AND NOT EXISTS (SELECT FROM {FOUND} AS found WHERE {same}) AND {_not_instead(places)}",
    )


def _not_instead(places: Sequence[Names]) -> str:
    """Write the condition that no object is there under another name that the row has for it."""
    numbers = {each.where: number for number, each in enumerate(places)}
    pairs = [f"({number}, {numbers[each.instead_of]})" for number, each in enumerate(places) if each.instead_of]
    if not pairs:
        return "true"
    return (
        f"NOT EXISTS (SELECT FROM {NAMED} AS other JOIN (VALUES {', '.join(pairs)}) AS pair (place, instead_of)"
        f" ON pair.place = other.place JOIN {FOUND} AS found ON found.key = other.key"
        " AND (other.bucket IS NULL OR found.bucket = other.bucket)"
        " WHERE pair.instead_of = named.place AND other.row_key = named.row_key)"
    )


def _within(scopes: Sequence[Scope]) -> str:
    """Write the condition that a name lies where we looked."""
    tests = []
    for each in scopes:
        prefix = each.prefix.encode()
        begins = f"substring(named.key FROM 1 FOR {len(prefix)}) = '\\x{prefix.hex()}'::bytea" if prefix else "true"
        tests.append(f"((named.bucket IS NULL OR named.bucket = {literal(each.bucket)}) AND {begins})")
    return f"({' OR '.join(tests)})"


def listed(conn: Connection) -> Amount:
    """Count what was found."""
    return _amount(conn, FOUND)


def orphans(conn: Connection, younger_than: datetime | None = None) -> Amount:
    """Count the orphans, or those younger than a moment."""
    return _amount(conn, ORPHAN, f"modified > {_moment(younger_than)}" if younger_than else "true")


def orphans_of(conn: Connection, scope: Scope) -> Amount:
    """Count the orphans of one scope."""
    prefix = scope.prefix.encode()
    begins = f"substring(key FROM 1 FOR {len(prefix)}) = '\\x{prefix.hex()}'::bytea"
    return _amount(conn, ORPHAN, f"bucket = {literal(scope.bucket)} AND {begins}")


def examples(conn: Connection, limit: int) -> tuple[Orphan, ...]:
    """Name the largest orphans."""
    asked = f"SELECT bucket, key, size, modified FROM {ORPHAN} ORDER BY size DESC, bucket, key LIMIT {limit}"
    return tuple(
        Orphan(bucket=bucket, key=bytes(key).decode(), size=int(size), modified=modified)
        for bucket, key, size, modified in rows(conn, asked)
    )


def counted(conn: Connection, places: Sequence[Names]) -> tuple[Place, ...]:
    """Count the names by place."""
    counts = rows(conn, f"SELECT place, count(*) FROM {NAMED} GROUP BY place")
    found = {int(number): int(count) for number, count in counts}
    return tuple(Place(where=each.where, names=found.get(number, 0)) for number, each in enumerate(places))


def elsewhere(conn: Connection, places: Sequence[Names], scopes: Sequence[Scope]) -> int:
    """Count the names of rows that lie outside of what was looked at."""
    told = [str(number) for number, each in enumerate(places) if each.told] or ["-1"]
    outside = f"place IN ({', '.join(told)}) AND row_key IS NOT NULL AND NOT {_within(scopes)}"
    return int(value(conn, f"SELECT count(*) FROM {NAMED} AS named WHERE {outside}"))


def unmet_names(conn: Connection, places: Sequence[Names], limit: int | None = None) -> Iterator[Unmet]:
    """Give the rows whose object was not found, in the order of their places."""
    asked = f"SELECT place, row_key, bucket, key, bytes FROM {UNMET} ORDER BY place, row_key, key"
    asked += "" if limit is None else f" LIMIT {limit}"
    for place, row, bucket, key, size in rows(conn, asked):
        named = bytes(key).decode()
        yield Unmet(where=places[place].where, row=tuple(map(str, row)), bucket=bucket, key=named, bytes=size)


def forget_unmet(conn: Connection, names: Sequence[ObjectName]) -> None:
    """Take back that these are not there: they were written while the bucket was listed."""
    for each in names:
        execute(
            conn,
            f"DELETE FROM {UNMET} WHERE key = %s AND (bucket IS NULL OR bucket = %s)",
            (each.key.encode(), each.bucket),
        )


def unmet_amount(conn: Connection) -> Amount:
    """Count the rows whose object is not there."""
    found = one(conn, f"SELECT count(*), coalesce(sum(bytes), 0)::bigint FROM {UNMET}")
    assert found is not None  # an aggregate
    return Amount(objects=int(found[0]), bytes=int(found[1]))


def deletable(conn: Connection, bucket: str, before: datetime, *, chosen: bool = False) -> Iterator[StoredObject]:
    """Give the orphans of a bucket that were last written before a moment, a thousand at a time.

    Of those that were `chosen` earlier, only the ones that are what they were then.
    """
    version, joined = "NULL", ""
    if chosen:
        version, joined = "chosen.version", f" JOIN {CHOSEN} AS chosen USING (key, etag, size)"
    asked = f"SELECT key, size, etag, modified, {version} FROM {ORPHAN}{joined}"
    asked += f" WHERE bucket = %s AND modified <= {_moment(before)}"
    last = b""
    while True:
        part = rows(conn, f"{asked} AND key > %s ORDER BY key LIMIT {FETCHED}", (bucket, last))
        for key, size, etag, modified, number in part:
            name = ObjectName(bucket, bytes(key).decode())
            yield StoredObject(name=name, size=int(size), etag=str(etag), modified=modified, version=number)
        if len(part) < FETCHED:
            return
        last = bytes(part[-1][0])


def choose(conn: Connection, objects: Iterable[StoredObject]) -> None:
    """Write down which objects were chosen to be deleted, by an attempt of before."""
    _make(conn, CHOSEN, "key bytea PRIMARY KEY, size bigint, etag text, version text")
    with conn.cursor() as cursor, cursor.copy(f"COPY {CHOSEN} FROM STDIN".encode()) as copy:
        for each in objects:
            copy.write_row((each.name.key.encode(), each.size, each.etag, each.version))
    execute(conn, f"ANALYZE {CHOSEN}")


def not_there(conn: Connection, bucket: str) -> int:
    """Count what was chosen and is not in the bucket any more."""
    there = f"SELECT FROM {FOUND} AS found WHERE found.bucket = {literal(bucket)} AND found.key = chosen.key"
    return int(value(conn, f"SELECT count(*) FROM {CHOSEN} AS chosen WHERE NOT EXISTS ({there})"))


def _make(conn: Connection, table: str, columns: str) -> None:
    execute(conn, f"CREATE TEMP TABLE {table.removeprefix('pg_temp.')} ({columns}) ON COMMIT DROP")


def _amount(conn: Connection, table: str, where: str = "true") -> Amount:
    found = one(conn, f"SELECT count(*), coalesce(sum(size), 0) FROM {table} WHERE {where}")
    assert found is not None  # an aggregate has a row
    return Amount(objects=int(found[0]), bytes=int(found[1]))


def _moment(moment: datetime) -> str:
    return f"{literal(moment.isoformat())}::timestamptz"
