"""What the Ledger says is at its target, proven: read page by page, to be looked at again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from migrator.database.connect import Connection
from migrator.database.session import rows
from migrator.ledger.objects import GOOD, TABLE, is_kept
from migrator.model.moved_objects import PLACE
from migrator.model.objects import ObjectName

PAGE: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One object that is at its target: of which row it is, and what it was when it was proven."""

    backfill: str
    name: str
    row: tuple[str, ...]
    target: ObjectName
    etag: str
    size: int


def pages(conn: Connection, change: str, bucket: str) -> Iterator[list[Kept]]:
    """Give all that is at its target, a thousand at a time; `bucket` is meant where none is named.

    Every page is read for itself, so that no transaction is open while it is looked at.
    """
    after = 0
    while is_kept(conn):
        found = rows(
            conn,
            "SELECT id, backfill, name, source_key, coalesce(target_bucket, nullif(to_bucket, ''), %s),"
            f" replace(to_key, '{PLACE}', coalesce(extension, '')), coalesce(made_etag, etag, ''),"
            f" coalesce(made_size, size, 0) FROM {TABLE}"
            f" WHERE change = %s AND outcome IN ({GOOD}) AND id > %s ORDER BY id LIMIT {PAGE}",
            (bucket, change, after),
        )
        if not found:
            return
        yield [
            Kept(
                backfill=str(backfill),
                name=str(name),
                row=tuple(map(str, row)),
                target=ObjectName(str(bucket), str(key)),
                etag=str(etag),
                size=int(size),
            )
            for _, backfill, name, row, bucket, key, etag, size in found
        ]
        after = int(found[-1][0])
