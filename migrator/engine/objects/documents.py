"""The documents of the rows that one backfill moved, written batch by batch; killed, it goes on.

Each batch is noted in the Ledger, committed, and written under the lease. What a row says now is what is written: a
document that says something else by now, or has another key, is removed as ours before it is written anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from migrator.database import failures
from migrator.database.connect import Connection
from migrator.database.failures import SqlError
from migrator.database.session import rows
from migrator.engine.isolate import is_row_fault
from migrator.engine.objects.failures import RefusalError
from migrator.engine.objects.going import Going
from migrator.engine.objects.look import look
from migrator.engine.objects.pool import Pool
from migrator.engine.objects.store import Store
from migrator.engine.objects.write import refuse_careless, write_where_free
from migrator.engine.projection.projection import Projection
from migrator.engine.ranges import Key, Keyset
from migrator.engine.statements import Writing
from migrator.ledger import documents as ledger
from migrator.ledger import objects
from migrator.ledger.backfills import Recorded
from migrator.ledger.documents import Row, Wanted, Written
from migrator.ledger.run import Run
from migrator.model.checked_objects import Astray, WrittenDocuments
from migrator.model.documents import WriteTask
from migrator.model.errors import MigratorError, UsageError
from migrator.model.objects import Copied, CopySettings, ObjectName, Outcome, Removal, StoredObject

BATCH: Final = 500  # rows
WRITTEN: Final = "written"
BEFORE: Final = "written before"
ANEW: Final = "written anew"
CONTESTED: Final = Outcome.CONTESTED.value
WELL: Final = frozenset({WRITTEN, BEFORE, ANEW, Outcome.THERE.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A document as the row says it now; `anew` where another one of ours was there before."""

    name: str
    row: tuple[str, ...]
    bucket: str
    task: WriteTask
    anew: bool = False

    @property
    def place(self) -> Row:
        """Whose it is."""
        return self.name, self.row


@dataclass(slots=True)
class _Counts:
    documents: int = 0
    bytes: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    examples: list[Astray] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """The writing of the documents of one backfill. `bucket` is meant where a definition names none."""

    run: Run
    projection: Projection
    recorded: Recorded
    store: Store
    settings: CopySettings
    bucket: str
    show: int = 20
    tell: Callable[[int, int], None] = lambda _documents, _bytes: None
    counts: dict[str, _Counts] = field(default_factory=dict)
    tried: list[bool] = field(default_factory=list)  # whether the store keeps the conditions, once that is known

    @property
    def name(self) -> str:
        """The name of the backfill."""
        return self.projection.backfill.name

    def go(self, conn: Connection) -> tuple[WrittenDocuments, ...]:
        """Write them all. Raises M288 where SQL of the definition raises, M402, and M252 to M262."""
        keyset = Keyset.of_source(self.projection.source, self.projection.keys)
        self.counts.update((one.name, _Counts()) for one in self.projection.written)
        lo: Key | None = None
        while True:
            with self.run.writing(conn):
                hi = keyset.nth_after(conn, lo, None, BATCH)
                said = self._read(conn, lo, hi)
            self._batch(conn, said)
            self.tell(sum(one.documents for one in self.counts.values()), sum(o.bytes for o in self.counts.values()))
            if hi is None:
                return tuple(self._told(name, one) for name, one in self.counts.items())
            lo = hi

    def _read(self, conn: Connection, lo: Key | None, hi: Key | None) -> list[Said]:
        """Read the documents of the rows of an interval that moved."""
        types = {name: one.content_type for name, one in self.projection.backfill.documents.items()}
        writing = Writing(projection=self.projection, recorded=self.recorded, run=self.run.lease.run)
        asked = "SELECT name, source_key, target_bucket, target_key, content"
        try:
            found = rows(conn, f"{asked} FROM ({writing.documents(lo, hi)}) AS said")
        except SqlError as error:
            if not is_row_fault(error):
                raise
            raise UsageError(
                "M288",
                f"{self.name}: what the document of a row says cannot be said: {failures.message(error)}.",
                "Write the SQL so that it gives NULL where a row has no document.",
            ) from error
        return [
            Said(
                name=str(name),
                row=tuple(map(str, row)),
                bucket=str(bucket),
                task=WriteTask(
                    target=ObjectName(str(bucket) or self.bucket, key or ""),
                    content=str(content).encode(),
                    content_type=types[name],
                ),
            )
            for name, row, bucket, key, content in found
        ]

    def _batch(self, conn: Connection, said: Sequence[Said]) -> None:
        for one in said:
            self.counts[one.name].documents += 1
            self.counts[one.name].bytes += len(one.task.content)
        nameless = [one for one in said if one.task.target.fault]
        for one in nameless:
            self._count(one, Outcome.NO_NAME.value, one.task.target.fault or "")
        named = [one for one in said if not one.task.target.fault]
        with self.run.writing(conn, endless=True):
            known = ledger.known(conn, self.run.change.name, self.name, sorted({one.row for one in named}))
            todo = [one for one in (self._cleared(conn, one, known.get(one.place)) for one in named) if one]
        if todo:
            self._write(conn, todo, known)

    def _cleared(self, conn: Connection, said: Said, known: Written | None) -> Said | None:
        """Make room for a document: what we wrote before goes, if it is another one; None where nothing is to be done.

        Raises M252 to M262.
        """
        if known is None:
            return said
        same = (known.target, known.etag, known.size) == (said.task.target, said.task.digest, len(said.task.content))
        if same and known.outcome in {Outcome.COPIED.value, Outcome.THERE.value}:
            self._count(said, BEFORE)
            return None
        if same and known.outcome is None and known.since is not None:
            return replace(said, task=replace(said.task, since=known.since))
        ours = self._ours(known)
        if ours is None:
            return said
        (removed,) = Pool(self.store, CopySettings(workers=1)).remove([ours])
        if removed.removal not in {Removal.REMOVED, Removal.GONE}:
            self._count(said, removed.removal.value, removed.detail)
            return None
        ledger.let_go(conn, [known.id])
        return replace(said, anew=True)

    def _ours(self, known: Written) -> StoredObject | None:
        """Give what an earlier attempt wrote, also where it was killed before it could say so."""
        if known.outcome == Outcome.COPIED.value:
            return known.made
        if known.outcome is not None or known.since is None:
            return None
        try:
            there = look(self.store, known.target)
        except RefusalError:
            return None
        if there is None or there.modified is None or there.modified < known.since:
            return None
        return there if (there.etag, there.size) == (known.etag, known.size) else None

    def _write(self, conn: Connection, todo: Sequence[Said], known: Mapping[Row, Written]) -> None:
        """Note what is to be written, commit that, and write it while the lease is held."""
        self.store.check(self.bucket)  # tells what time it is there
        since = self.store.clock or datetime.now(UTC)
        begun = [one for one in todo if one.task.since is not None]
        wanted = [_wanted(one) for one in todo if one.task.since is None]
        with self.run.writing(conn):
            ids = dict(ledger.note(conn, self.run.change.name, self.name, self.run.lease.run, since, wanted))
        ids |= {one.place: known[one.place].id for one in begun}
        tasks = []
        for one in todo:
            if one.place in ids:
                tasks.append(replace(one.task, reference=one))
            else:
                self._count(one, CONTESTED, str(one.task.target))
        with self.run.writing(conn, endless=True):
            done, failure = self._put(tasks)
            objects.note_outcomes(conn, self.run.lease.run, {ids[one.task.reference.place]: one for one in done})
        for each in done:
            self._counted(each)
        if failure is not None:
            raise failure

    def _put(self, tasks: Sequence[WriteTask]) -> tuple[list[Copied], MigratorError | None]:
        """Write them; what is done is told of also where the world ends it."""
        done: list[Copied] = []
        left = list(tasks)
        try:
            while left and not self.tried:
                task = left.pop(0)
                done.append(write_where_free(self.store, task, Going()))
                if done[-1].outcome is Outcome.COPIED:
                    refuse_careless(self.store, task)
                    self.tried.append(True)
            for one in Pool(self.store, self.settings).write(left):
                done.append(one)  # noqa: PERF402 -- what was done before an error counts
        except MigratorError as error:
            return done, error
        return done, None

    def _counted(self, done: Copied) -> None:
        said: Said = done.task.reference
        word = done.outcome.value
        if done.outcome is Outcome.COPIED:
            word = ANEW if said.anew else WRITTEN
        self._count(said, word, done.detail)

    def _count(self, said: Said, word: str, detail: str = "") -> None:
        counts = self.counts[said.name]
        counts.outcomes[word] += 1
        if word not in WELL and len(counts.examples) < self.show:
            where = str(said.task.target)
            counts.examples.append(Astray(row=said.row, object=where, why=word, detail=detail))

    def _told(self, name: str, counts: _Counts) -> WrittenDocuments:
        return WrittenDocuments(
            backfill=self.name,
            name=name,
            documents=counts.documents,
            bytes=counts.bytes,
            outcomes=dict(counts.outcomes.most_common()),
            well=sum(count for word, count in counts.outcomes.items() if word in WELL),
            examples=tuple(counts.examples),
        )


def _wanted(said: Said) -> Wanted:
    task = said.task
    return Wanted(
        name=said.name,
        source_key=said.row,
        to_bucket=said.bucket,
        to_key=task.target.key,
        target_bucket=task.target.bucket,
        etag=task.digest,
        size=len(task.content),
        content_type=task.content_type,
    )
