"""Documents in the Ledger: records of kind `document`, noted before the first attempt to write them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from migrator.database.connect import Connection
from migrator.database.session import execute, rows
from migrator.ledger.objects import CONTESTED, TABLE, declared_key, target_key
from migrator.model.objects import ObjectName, StoredObject

Row = tuple[str, tuple[str, ...]]  # the name of a document, and the key of its row


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A document as recorded: `etag` and `size` are of the content that was to be written."""

    id: int
    target: ObjectName
    etag: str
    size: int
    since: datetime | None
    outcome: str | None
    made: StoredObject | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A document to be noted: `to_bucket` as declared, empty for that of [s3]."""

    name: str
    source_key: tuple[str, ...]
    to_bucket: str
    to_key: str
    target_bucket: str
    etag: str
    size: int
    content_type: str


def known(conn: Connection, change: str, backfill: str, keys: Sequence[Sequence[str]]) -> dict[Row, Written]:
    """Read what is recorded of the documents of rows."""
    found = rows(
        conn,
        "SELECT o.name, o.source_key, o.id, o.target_bucket, o.to_key, o.etag, o.size, o.since, o.outcome, o.made_etag,"
        f" o.made_size, o.made_version FROM {TABLE} AS o JOIN jsonb_array_elements(%s::jsonb) AS wanted (said)"
        " ON o.source_key = ARRAY(SELECT jsonb_array_elements_text(wanted.said))"
        " WHERE o.change = %s AND o.backfill = %s AND o.kind = 'document'",
        (json.dumps([list(one) for one in keys]), change, backfill),
    )
    return {
        (str(name), tuple(map(str, row))): _written(id, ObjectName(str(bucket), str(key)), *rest)
        for name, row, id, bucket, key, *rest in found
    }


def _written(
    id: int,
    target: ObjectName,
    etag: str,
    size: int,
    since: datetime | None,
    outcome: str | None,
    made_etag: str | None,
    made_size: int | None,
    made_version: str | None,
) -> Written:
    made = None
    if made_etag is not None:
        made = StoredObject(name=target, size=made_size or 0, etag=made_etag, version=made_version)
    return Written(id=int(id), target=target, etag=etag, size=int(size), since=since, outcome=outcome, made=made)


def note(
    conn: Connection, change: str, backfill: str, run: int, since: datetime, wanted: Sequence[Wanted]
) -> Mapping[Row, int]:
    """Note documents before they are written; gives their records. One whose key another row has gets none."""
    declared, became = declared_key("has"), target_key("has")
    given = [{**asdict(one), "source_key": list(one.source_key)} for one in wanted]
    found = rows(
        conn,
        "WITH given AS MATERIALIZED (SELECT w.*, row_number() OVER (PARTITION BY target_bucket, to_key"
        " ORDER BY source_key, name) AS place FROM jsonb_to_recordset(%(given)s::jsonb) AS w (name text,"
        " source_key text[], to_bucket text, to_key text, target_bucket text, etag text, size bigint,"
        " content_type text))"
        f" INSERT INTO {TABLE} AS o (change, backfill, name, source_key, kind, from_bucket, from_key, to_bucket,"
        " to_key, target_bucket, extension, size, etag, content_type, since, run, at)"
        " SELECT %(change)s, %(backfill)s, g.name, g.source_key, 'document', '', '', g.to_bucket, g.to_key,"
        " g.target_bucket, '', g.size, g.etag, g.content_type, %(since)s, %(run)s, now() FROM given AS g"
        f" WHERE g.place = 1 AND NOT EXISTS (SELECT FROM {TABLE} AS has WHERE has.outcome IS DISTINCT FROM {CONTESTED}"
        " AND (has.change, has.backfill, has.name, has.source_key) IS DISTINCT FROM"
        " (%(change)s, %(backfill)s, g.name, g.source_key)"
        f" AND ((left(has.to_bucket, 100) = left(g.to_bucket, 100) AND {declared} = g.to_key)"
        f" OR (left(has.target_bucket, 100) = left(g.target_bucket, 100) AND {became} = g.to_key)))"
        " ON CONFLICT (change, backfill, name, source_key) DO UPDATE SET to_bucket = excluded.to_bucket,"
        " to_key = excluded.to_key, target_bucket = excluded.target_bucket, size = excluded.size,"
        " etag = excluded.etag, content_type = excluded.content_type, since = excluded.since, run = excluded.run,"
        " at = excluded.at, outcome = NULL, detail = NULL, evidence = NULL, made_etag = NULL, made_version = NULL,"
        " made_size = NULL, made_checksums = NULL WHERE o.kind = 'document' RETURNING o.name, o.source_key, o.id",
        {
            "given": json.dumps(given),
            "change": change,
            "backfill": backfill,
            "since": since,
            "run": run,
        },
    )
    return {(str(name), tuple(map(str, row))): int(id) for name, row, id in found}


def let_go(conn: Connection, ids: Sequence[int]) -> None:
    """Note that nothing of ours stands at the targets of records any more."""
    execute(
        conn,
        f"UPDATE {TABLE} SET since = NULL, outcome = NULL, made_etag = NULL, made_version = NULL, made_size = NULL"
        " WHERE id = ANY (%s)",
        (list(ids),),
    )
