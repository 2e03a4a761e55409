"""Objects in the Ledger: who copies which of them now, what was found at their sources, what came of the copies.

A worker claims records in two transactions. The first notes what was found when it looked, and since when something
may stand at the target; it is committed before anything is copied. The second holds the records' row locks while they
are copied and notes the outcomes: others skip what is locked, and the locks of a process that died are gone with it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from migrator.database.connect import Connection
from migrator.database.session import execute, rows, value
from migrator.model.moved_objects import PLACE
from migrator.model.names import literal
from migrator.model.objects import Copied, ObjectName, Outcome, StoredObject

TABLE: Final = "migrator.object"
FORMER: Final = "migrator.former_object"
CONTESTED: Final = literal(Outcome.CONTESTED.value)
GOOD: Final = ", ".join(literal(one.value) for one in Outcome if one.good)
# Something of ours stands at the target, or may.
MADE: Final = f"coalesce(outcome = {literal(Outcome.COPIED.value)}, since IS NOT NULL)"
LONGEST: Final = 1_100  # bytes of a declared key that an index holds; a longer one can be no key
_EXT: Final = literal(PLACE)
RECORD: Final = (
    "id, from_bucket, from_key, to_bucket, to_key, source_bucket, target_bucket, extension, size, etag, content_type,"
    " since, outcome, made_etag, made_version, made_size, at"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One object as recorded. `source` and `target` are as they are called, once it was looked at."""

    id: int
    from_bucket: str
    from_key: str
    to_bucket: str
    to_key: str
    source_bucket: str | None
    target_bucket: str | None
    extension: str | None
    size: int | None
    etag: str | None
    content_type: str | None
    since: datetime | None
    outcome: str | None
    made_etag: str | None
    made_version: str | None
    made_size: int | None
    at: datetime | None

    @property
    def target(self) -> ObjectName:
        """The name that its copy has, or would have."""
        return ObjectName(self.target_bucket or self.to_bucket, self.to_key.replace(PLACE, self.extension or ""))

    @property
    def source(self) -> ObjectName:
        """The name of what is copied."""
        return ObjectName(self.source_bucket or self.from_bucket, self.from_key)

    @property
    def made(self) -> StoredObject:
        """What the copy made."""
        size = self.size if self.made_size is None else self.made_size
        return StoredObject(name=self.target, size=size or 0, etag=self.made_etag or "", version=self.made_version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What was found at the source of a record, or the outcome where it cannot be copied.

    `known` is a target that an earlier attempt may have made already.
    """

    id: int
    source_bucket: str
    target_bucket: str
    target_key: str
    extension: str
    known: bool
    size: int | None = None
    etag: str | None = None
    content_type: str | None = None
    since: datetime | None = None
    outcome: str | None = None
    detail: str | None = None


def claimable(conn: Connection, change: str, backfill: str, after: int, limit: int) -> list[Record]:
    """Lock the next records that wait for an outcome and that nobody else has, by their ids."""
    return records(
        rows(
            conn,
            f"SELECT {RECORD} FROM {TABLE} WHERE change = %s AND backfill = %s AND outcome IS NULL AND kind = 'copy'"
            f" AND id > %s ORDER BY id LIMIT {limit} FOR UPDATE SKIP LOCKED",
            (change, backfill, after),
        )
    )


def claimed(conn: Connection, ids: Sequence[int]) -> list[Record]:
    """Lock those of the records which still wait and which nobody else has."""
    found = rows(
        conn,
        f"SELECT {RECORD} FROM {TABLE} WHERE id = ANY (%s) AND outcome IS NULL ORDER BY id FOR UPDATE SKIP LOCKED",
        (list(ids),),
    )
    return records(found)


def note_looks(conn: Connection, run: int, found: Iterable[Noted]) -> tuple[Counter[str], datetime | None]:
    """Write down what was found at the sources; gives how many records have which outcome by that, and its moment.

    Of two records for one target the first has it: who is known to have it already, else by id.
    """
    noted = [
        {
            **asdict(one),
            "since": one.since and one.since.isoformat(),
            "detail": _plain(one.detail),
            "content_type": _plain(one.content_type),
        }
        for one in found
    ]
    key = target_key("held")
    done = rows(
        conn,
        "WITH found AS MATERIALIZED (SELECT * FROM jsonb_to_recordset(%s::jsonb) AS given (id bigint,"
        " source_bucket text, target_bucket text, target_key text, extension text, known boolean, size bigint,"
        " etag text, content_type text, since timestamptz, outcome text, detail text)),"
        " judged AS MATERIALIZED (SELECT found.*, found.outcome IS NULL AND (row_number() OVER ("
        " PARTITION BY target_bucket, target_key, found.outcome IS NULL ORDER BY known DESC, id) > 1"
        f" OR EXISTS (SELECT FROM {TABLE} AS held WHERE left(held.target_bucket, 100) = left(found.target_bucket, 100)"
        f" AND {key} = found.target_key AND held.outcome IS DISTINCT FROM {CONTESTED}"
        " AND NOT EXISTS (SELECT FROM found AS here WHERE here.id = held.id))) AS contested FROM found)"
        f" UPDATE {TABLE} AS o SET source_bucket = j.source_bucket, target_bucket = j.target_bucket,"
        " extension = j.extension, size = j.size, etag = j.etag, content_type = j.content_type,"
        " since = CASE WHEN j.contested THEN NULL ELSE j.since END,"
        f" outcome = CASE WHEN j.contested THEN {CONTESTED} ELSE j.outcome END, detail = j.detail, run = {run},"
        " at = now() FROM judged AS j WHERE o.id = j.id RETURNING o.outcome, o.at",
        (json.dumps(noted),),
    )
    return Counter(str(outcome) for outcome, _ in done if outcome is not None), next((at for _, at in done), None)


def note_outcomes(conn: Connection, run: int, done: Mapping[int, Copied]) -> None:
    """Write down what came of copies, by the ids of their records."""
    noted = [
        {
            "id": id,
            "outcome": one.outcome.value,
            "detail": _plain(one.detail) or None,
            "evidence": one.evidence and one.evidence.value,
            "made_etag": one.made and one.made.etag,
            "made_version": one.made and one.made.version,
            "made_size": one.made and one.made.size,
            "made_checksums": one.made and dict(one.made.checksums),
            "not_kept": list(one.left) or None,
        }
        for id, one in done.items()
    ]
    made = "made_etag, made_version, made_size, made_checksums, not_kept"
    execute(
        conn,
        f"UPDATE {TABLE} AS o SET (outcome, detail, evidence, {made}) = ROW (d.outcome, d.detail, d.evidence,"
        f" {', '.join(f'd.{name}' for name in made.split(', '))}), run = {run}, at = now()"
        " FROM jsonb_to_recordset(%s::jsonb) AS d (id bigint, outcome text, detail text, evidence text, made_etag text,"
        " made_version text, made_size bigint, made_checksums jsonb, not_kept text[]) WHERE o.id = d.id",
        (json.dumps(noted),),
    )


def give_up(conn: Connection, run: int, change: str, backfill: str, bucket: str, outcome: Outcome, detail: str) -> None:
    """Give one outcome to all records that wait for an object of a bucket and that nobody has tried."""
    execute(
        conn,
        f"UPDATE {TABLE} SET outcome = %s, detail = %s, source_bucket = from_bucket, run = {run}, at = now()"
        " WHERE change = %s AND backfill = %s AND from_bucket = %s AND outcome IS NULL AND since IS NULL",
        (outcome.value, _plain(detail), change, backfill, bucket),
    )


def pending(conn: Connection, change: str, backfill: str) -> int:
    """Count the records that wait for an outcome."""
    asked = f"SELECT count(*) FROM {TABLE} WHERE change = %s AND backfill = %s AND outcome IS NULL AND kind = 'copy'"
    return int(value(conn, asked, (change, backfill)))


def outcomes(conn: Connection, change: str) -> dict[str | None, tuple[int, int]]:
    """Count the objects of a change and their bytes by outcome; None is none yet."""
    if not is_kept(conn):
        return {}
    found = rows(
        conn,
        f"SELECT outcome, count(*), coalesce(sum(size), 0)::bigint FROM {TABLE}"
        " WHERE change = %s AND kind = 'copy' GROUP BY outcome",
        (change,),
    )
    return {outcome: (int(number), int(size)) for outcome, number, size in found}


def any_missing(conn: Connection, change: str, backfill: str) -> bool:
    """Tell whether there are objects that were looked for and are not there."""
    asked = (
        f"SELECT EXISTS (SELECT FROM {TABLE} WHERE change = %s AND backfill = %s AND kind = 'copy'"
        " AND outcome = %s AND target_bucket IS NOT NULL)"
    )
    return value(conn, asked, (change, backfill, Outcome.MISSING.value)) is True


def count_good(conn: Connection, change: str) -> int:
    """Count what is known to be at its target."""
    if not is_kept(conn):
        return 0
    asked = f"SELECT count(*) FROM {TABLE} WHERE change = %s AND outcome IN ({GOOD})"
    return int(value(conn, asked, (change,)))


def buckets(conn: Connection, change: str, backfill: str) -> tuple[set[str], set[str]]:
    """Name the buckets that waiting records are read from, and those they are written to, as declared."""
    found = rows(
        conn,
        f"SELECT DISTINCT from_bucket, to_bucket FROM {TABLE}"
        " WHERE change = %s AND backfill = %s AND outcome IS NULL AND kind = 'copy'",
        (change, backfill),
    )
    return {str(one) for one, _ in found}, {str(one) for _, one in found}


def try_again(conn: Connection, quarantined: str, params: Sequence[Any]) -> int:
    """Forget the bad outcomes of the objects of rows, so that the next copy tries them anew; says of how many.

    `quarantined` is the condition by which the rows are chosen, over quarantine q and backfill b.
    """
    if not is_kept(conn):
        return 0
    return execute(
        conn,
        f"UPDATE {TABLE} AS o SET outcome = NULL, detail = NULL, since = NULL, source_bucket = NULL,"
        " target_bucket = NULL, extension = NULL"
        " FROM migrator.quarantine AS q JOIN migrator.backfill AS b ON b.id = q.backfill"
        f" WHERE {quarantined} AND o.change = b.change AND o.backfill = b.name AND o.source_key = q.source_key"
        f" AND o.outcome NOT IN ({GOOD}, {CONTESTED})",
        params,
    )


def try_unheld_again(
    conn: Connection, change: str, backfill: str, id: int, provenance: str, key_types: Sequence[str]
) -> int:
    """Forget the bad outcomes of objects whose rows no quarantine keeps back, such as those that moved before.

    What is kept back waits for somebody to say that it is to be tried again. Says of how many; `id` is that of the
    backfill.
    """
    same = " AND ".join(f"p.s{n} = o.source_key[{n}]::{name}" for n, name in enumerate(key_types, 1))
    held = (
        f"SELECT FROM migrator.quarantine AS q WHERE q.backfill = {id} AND q.source_key = o.source_key"
        f" AND (q.status = 'dismissed' OR NOT EXISTS (SELECT FROM {provenance} AS p WHERE {same}))"
    )
    return execute(
        conn,
        f"UPDATE {TABLE} AS o SET outcome = NULL, detail = NULL, since = NULL, source_bucket = NULL,"
        " target_bucket = NULL, extension = NULL WHERE o.change = %s AND o.backfill = %s AND o.kind = 'copy'"
        f" AND o.outcome NOT IN ({GOOD}, {CONTESTED}) AND NOT EXISTS ({held})",
        (change, backfill),
    )


def is_kept(conn: Connection) -> bool:
    """Tell whether the Ledger is new enough to know objects."""
    return value(conn, f"SELECT pg_catalog.to_regclass('{TABLE}') IS NOT NULL") is True


def declared_key(alias: str) -> str:
    """Write the declared target key as the indexes hold it."""
    return f"(CASE WHEN octet_length({alias}.to_key) <= {LONGEST} THEN {alias}.to_key END)"


def target_key(alias: str) -> str:
    """Write the target key as it became, as the indexes hold it."""
    became = f"replace({alias}.to_key, {_EXT}, {alias}.extension)"
    return f"(CASE WHEN octet_length({alias}.to_key) <= {LONGEST} THEN {became} END)"


def records(found: Sequence[Sequence[object]]) -> list[Record]:
    """Read records, as RECORD selects them."""
    names = RECORD.split(", ")
    return [Record(**dict(zip(names, row, strict=True))) for row in found]  # type: ignore[arg-type]  # as selected


def _plain(said: str | None) -> str | None:
    """Make what an object store said a text that the server takes."""
    return said and said.replace("\0", "\N{REPLACEMENT CHARACTER}")
