"""What copies made, as the Ledger has it: for the way back, and for what stays with the application."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from migrator.database.connect import Connection
from migrator.database.session import execute, one, rows
from migrator.ledger.objects import FORMER, MADE, RECORD, TABLE, Record, is_kept, records
from migrator.model.moved_objects import PLACE
from migrator.model.names import key_text, literal
from migrator.model.objects import ObjectName


def made_by(conn: Connection, table: str, change: str, backfill: str, after: int, limit: int) -> list[Record]:
    """Lock the next records of a table, by their ids, at whose target something of ours stands, or may."""
    return records(
        rows(
            conn,
            f"SELECT {RECORD} FROM {table} WHERE change = %s AND backfill = %s AND {MADE} AND id > %s"
            f" ORDER BY id LIMIT {limit} FOR UPDATE",
            (change, backfill, after),
        )
    )


def count_made(conn: Connection, change: str, backfill: str) -> tuple[int, int]:
    """Count the objects that copies of a backfill made, or may have made, and their bytes."""
    both = " UNION ALL ".join(
        f"SELECT size FROM {table} WHERE change = %(change)s AND backfill = %(backfill)s AND {MADE}"
        for table in (TABLE, FORMER)
    )
    asked = f"SELECT count(*), coalesce(sum(size), 0)::bigint FROM ({both}) AS made"
    found = one(conn, asked, {"change": change, "backfill": backfill})
    assert found is not None  # an aggregate
    return int(found[0]), int(found[1])


def hand_over(conn: Connection, change: str, backfill: str, provenance: str, keys: Sequence[str]) -> list[ObjectName]:
    """Forget the objects of rows whose provenance is still there, by its key columns; names those that we made."""
    if not is_kept(conn):
        return []
    key = f"ARRAY[{', '.join(key_text(f'kept.{name}') for name in keys)}]"
    made: dict[ObjectName, None] = {}
    for table in (TABLE, FORMER):
        found = rows(
            conn,
            f"DELETE FROM {table} AS o USING {provenance} AS kept WHERE o.change = %s AND o.backfill = %s"
            f" AND o.source_key = {key} RETURNING {MADE.replace('outcome', 'o.outcome').replace('since', 'o.since')},"
            f" o.target_bucket, replace(o.to_key, {literal(PLACE)}, o.extension)",
            (change, backfill),
        )
        made |= {ObjectName(bucket, name): None for was_made, bucket, name in found if was_made}
    return list(made)


def forget(conn: Connection, table: str, ids: Iterable[int]) -> None:
    """Forget records: nothing of ours is left of them."""
    execute(conn, f"DELETE FROM {table} WHERE id = ANY (%s)", (list(ids),))


def forget_unmade(conn: Connection, change: str, backfill: str) -> None:
    """Forget the records of a backfill at whose target nothing of ours can stand."""
    for table in (TABLE, FORMER):
        execute(conn, f"DELETE FROM {table} WHERE change = %s AND backfill = %s AND NOT {MADE}", (change, backfill))


def backfills_with(conn: Connection, change: str) -> tuple[str, ...]:
    """Name the backfills of a change whose objects the Ledger knows."""
    if not is_kept(conn):
        return ()
    asked = f"SELECT backfill FROM {TABLE} WHERE change = %s UNION SELECT backfill FROM {FORMER} WHERE change = %s"
    return tuple(str(name) for (name,) in rows(conn, asked, (change, change)))
