"""Claims: the objects that this process copies at a time, taken from the Ledger while those before are being copied.

A claim is looked at first, and what was found is committed: the target's name, and since when something of ours may
stand there. Then its records are locked by a transaction that stays open until their outcomes are written into it, so
that no other process takes them. A process that dies lets go of its locks and has told of every key it may have made.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Final

from migrator.database.connect import Connection
from migrator.database.failures import Failure, SqlError, kind
from migrator.engine.objects.extensions import extension
from migrator.engine.objects.going import StoppedError
from migrator.engine.objects.pool import Pool
from migrator.engine.objects.store import Store
from migrator.engine.work import Line
from migrator.ledger import objects
from migrator.ledger.lease import Watch
from migrator.ledger.objects import Noted, Record
from migrator.ledger.run import Run
from migrator.model.errors import MigratorError
from migrator.model.moved_objects import PLACE
from migrator.model.objects import Copied, CopyTask, Looked, ObjectName, Outcome, StoredObject

SIZE: Final = 200  # objects of a claim
OPEN: Final = 4  # claims: copied to the end, begun with, waiting, and being looked at
MOMENT: Final = 0.2  # seconds
AGAIN: Final = 5  # tries, where two processes wanted one target at the same time


@dataclass(slots=True, eq=False)
class Claim:
    """Objects of which this process holds the records.

    `told` are the outcomes that looking alone told, when that was `noted`; `tried` are records of earlier attempts.
    """

    line: Line
    noted: datetime | None = None
    tried: set[int] = field(default_factory=set)
    held: ExitStack = field(default_factory=ExitStack)
    conn: Connection | None = None  # that of the locks; its end is theirs
    tasks: list[CopyTask] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)
    done: dict[int, Copied] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Claims:
    """Takes claims one after the other by a thread of its own, until there is nothing left that is free."""

    def __init__(self, run: Run, backfill: str, store: Store, pool: Pool, *, joining: bool = False) -> None:
        """Begin to take them at once; `close` ends it. Who has joined a run takes none while its holder is silent."""
        self._run, self._backfill, self._store, self._pool = run, backfill, store, pool
        self._bucket = store.storage.bucket or ""
        self._free: SimpleQueue[Line] = SimpleQueue()
        self._ready: SimpleQueue[Claim | None] = SimpleQueue()
        self._open: set[Claim] = set()
        self._closing = threading.Event()
        self.failure: Exception | None = None  # of taking claims
        self._after = 0
        self._watch = Watch(run.lease) if joining else None
        self._lines = [Line(run.database) for _ in range(OPEN)]
        for line in self._lines:
            self._free.put(line)
        self._thread = threading.Thread(target=self._take_all, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Claim]:
        """Give the claims as they are ready, until there are no more, or the pool has stopped."""
        while not self._pool.stopped:
            # None may ever be ready: a claim whose copies failed is never ended, and keeps its line.
            with suppress(Empty):
                found = self._ready.get(timeout=MOMENT)
                if found is None:
                    return
                yield found

    def keep(self, copied: Copied) -> None:
        """Keep what came of a copy; whoever brings the last of its claim writes all of them down."""
        claim, id = copied.task.reference
        with claim.lock:
            claim.done[id] = copied
            ended = len(claim.done) == len(claim.tasks)
        if ended:
            self._end(claim)

    def close(self) -> None:
        """Take no more; write down what is known of those that are open, as far as that can be done."""
        self._closing.set()
        self._free.put(self._lines[0])  # whoever waits for a line wakes up
        self._thread.join()
        for claim in [*self._open]:
            with suppress(SqlError, MigratorError):
                self._end(claim)
        for line in self._lines:
            line.close()

    def _end(self, claim: Claim) -> None:
        """Write down what came of a claim, and let go of it."""
        if claim.done and claim.conn is not None:
            objects.note_outcomes(claim.conn, self._run.lease.run, claim.done)
        self._open.discard(claim)
        claim.held.close()
        self._free.put(claim.line)

    def _take_all(self) -> None:
        try:
            while not self._closing.is_set():
                line = self._free.get()
                claim = None if self._closing.is_set() else self._taken(line)
                if claim is None:
                    break
                self._ready.put(claim)
        except StoppedError:
            pass
        except Exception as error:  # noqa: BLE001 -- it is raised again by whoever copies
            self.failure = error
        self._ready.put(None)

    def _taken(self, line: Line) -> Claim | None:
        """Take the next claim: those after the last one, then whatever was left behind; None when nothing is free."""
        while self._watch is None or not self._watch.is_silent(line.conn):
            for attempt in range(AGAIN):
                try:
                    found, claim = self._looked_at(line)
                    break
                except SqlError as error:
                    if kind(error) not in {Failure.ROW, Failure.RETRY} or attempt == AGAIN - 1:
                        raise
            if found:
                self._after = max(found)
                return self._held(claim, found)
            if not self._after:
                return None
            self._after = 0
        return None

    def _looked_at(self, line: Line) -> tuple[dict[int, StoredObject | None], Claim]:
        """Look at the sources of the next records, and commit what was found before anything is copied."""
        claim, since = Claim(line), self._store.clock or datetime.now(tz=UTC)
        with self._run.writing(line.conn, endless=True) as conn:
            records = objects.claimable(conn, self._run.change.name, self._backfill, self._after, SIZE)
            looked = self._look([self._source(one) for one in records])
            noted = [self._noted(one, looked[self._source(one)], since) for one in records]
            claim.tried = {one.id for one in records if one.since is not None}
            claim.told, claim.noted = objects.note_looks(conn, self._run.lease.run, noted)
        return {one.id: looked[self._source(one)].found for one in records}, claim

    def _look(self, names: Sequence[ObjectName]) -> dict[ObjectName, Looked]:
        wanted = dict.fromkeys(names)
        found = {one.name: one for one in self._pool.look(wanted, share=2)}
        if len(found) < len(wanted):
            raise StoppedError
        return found

    def _source(self, record: Record) -> ObjectName:
        return ObjectName(record.from_bucket or self._bucket, record.from_key)

    def _noted(self, record: Record, looked: Looked, since: datetime) -> Noted:
        """Say what is to be written down; a target that an earlier attempt may have made stays that target."""
        content_type = looked.found.headers.get("ContentType") if looked.found else None
        known = record.since is not None and record.target_bucket is not None
        ends = record.extension or "" if known else extension(content_type, record.from_key)
        bucket = (record.target_bucket if known else None) or record.to_bucket or self._bucket
        target = ObjectName(bucket, record.to_key.replace(PLACE, ends))
        outcome = Outcome.NO_NAME if target.fault else looked.outcome
        return Noted(
            id=record.id,
            source_bucket=looked.name.bucket,
            target_bucket=bucket,
            target_key=target.key,
            extension=ends,
            known=known,
            size=looked.found.size if looked.found else None,
            etag=looked.found.etag if looked.found else None,
            content_type=content_type,
            since=record.since or (None if outcome else since),
            outcome=outcome.value if outcome else None,
            detail=target.fault or looked.detail or None,
        )

    def _held(self, claim: Claim, seen: Mapping[int, StoredObject | None]) -> Claim:
        """Lock the records that are to be copied, until their outcomes are written down."""
        conn = claim.held.enter_context(self._run.writing(claim.line.conn, endless=True))
        claim.conn = conn
        for one in objects.claimed(conn, [*seen]):
            # Nobody can have made it yet, unless the record was tried before, or by somebody else since it was noted.
            since = one.since if one.id in claim.tried or one.at != claim.noted else None
            task = CopyTask(source=one.source, target=one.target, seen=seen[one.id], since=since)
            claim.tasks.append(replace(task, reference=(claim, one.id)))
        self._open.add(claim)
        if not claim.tasks:
            self._end(claim)
        return claim
