"""Copying a backfill: Range by Range, batch by batch, every batch one transaction that ends whole or not at all.

In each batch, in this order: the lease row (fence = ours, else stop), the backfill's advisory lock in shared form, the
range row, then *one* data statement with target rows, provenance, quarantine and checkpoint. Killed at any instant, the
next run finds the checkpoint and the rows it speaks of, or neither. A batch that fails by a row is done carefully; one
that fails so too is cut into smaller transactions until the row is alone, and that row goes to quarantine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from threading import Event
from typing import TypeVar

from migrator.database import failures
from migrator.database.connect import Connection, Database
from migrator.database.failures import Failure, SqlError
from migrator.database.locks import with_lock_retries
from migrator.database.session import Row, execute, one, rows, transaction, value
from migrator.engine.ranges import Key, plan_ranges
from migrator.engine.statements import Writing
from migrator.ledger import backfills, lease, provenance, quarantine
from migrator.ledger.backfills import Range
from migrator.ledger.lease import Lease
from migrator.model.change import Settings
from migrator.model.errors import RefusedError
from migrator.model.names import Relation

WORK_MEM = "64MB"
CAREFUL_FOR = 8  # batches after one that failed by a row
ATTEMPTS = 2  # for a contested key, before it is quarantined
PASSES = 20  # over rows found behind, and over references to later rows
LOCK_SPACE = 0x6D69  # advisory locks of backfills: (this, backfill id)
DANGLING = "backfill = %s AND run = %s AND sqlstate = '23503' AND status = 'open'"
TAKEN = "another source row became, or is merged into, the same target row"
SUPPRESSED = "the insert is suppressed by a trigger or a rule of the target"

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of the source by what became of them."""

    read: int = 0
    moved: int = 0
    merged: int = 0
    skipped: int = 0
    quarantined: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Add up."""
        return Counts(
            self.read + other.read,
            self.moved + other.moved,
            self.merged + other.merged,
            self.skipped + other.skipped,
            self.quarantined + other.quarantined,
        )


class Line:
    """A connection that is opened again after its end was survived."""

    def __init__(self, database: Database) -> None:
        """Open it at the first use."""
        self._database = database
        self._conn: Connection | None = None

    @property
    def conn(self) -> Connection:
        """The connection, open."""
        if self._conn is None or self._conn.closed:
            self._conn = self._database.connect()
        return self._conn

    def close(self) -> None:
        """Close it."""
        if self._conn is not None:
            self._conn.close()


class _MissedRowsError(Exception):
    """A plain batch inserted fewer rows than it should have: something in the target swallowed some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """The copy of one backfill by one run."""

    database: Database
    lease: Lease
    writing: Writing
    settings: Settings
    stop: Event = field(default_factory=Event)

    def run(self) -> Iterator[Counts]:
        """Copy all open Ranges, then what is found behind them; yields the counts of each batch.

        Raises RefusedError M404 at the quarantine limit and M402 when the lease was lost, WorldError M301 when a lock
        is not got; other faults of the world pass as SqlError. In every case the next run goes on from here.
        """
        with self._line() as line:
            self._plan(line)
            yield from self._ranges(line)
            yield from self._drain(line)
            waiting: int | None = None
            for _ in range(PASSES):
                held = self._dangling(line)
                if held and (waiting is None or held < waiting):
                    waiting = held
                    self._release_dangling(line)
                if not self._find_behind(line):
                    return
                yield from self._ranges(line)
                yield from self._drain(line)

    @property
    def _id(self) -> int:
        return self.writing.recorded.id

    @contextmanager
    def _line(self) -> Iterator[Line]:
        line = Line(self.database)
        try:
            yield line
        finally:
            line.close()

    def _transaction(self, line: Line) -> AbstractContextManager[Connection]:
        return transaction(
            line.conn,
            search_path=self.database.search_path,
            lock_timeout_ms=self.settings.lock_timeout_ms,
            applying=self.writing.projection.backfill.name,
            work_mem=WORK_MEM,
            reconnect=self.database.connect,
        )

    def _retrying(self, fn: Callable[[], Result]) -> Result:
        projection = self.writing.projection
        return with_lock_retries(
            fn,
            doing=f"copying {projection.source.relation} to {projection.target.relation}",
            tries=self.settings.lock_tries,
            relations=(projection.target.relation, projection.source.relation, Relation("migrator", "lease")),
            connect=self.database.connect,
        )

    def _plan(self, line: Line) -> None:
        """Cut the source into Ranges, once; a resumed copy goes on with the Ranges it finds."""

        def plan() -> None:
            with self._transaction(line) as conn:
                lease.check(conn, self.lease)
                if not backfills.was_planned(conn, self._id):
                    bounds = plan_ranges(conn, self.writing.keyset, self.settings.range_rows)
                    backfills.add_ranges(conn, self._id, bounds)

        self._retrying(plan)

    def _ranges(self, line: Line) -> Iterator[Counts]:
        ranges = backfills.open_ranges(line.conn, self._id)
        if self.settings.workers > 1 and len(ranges) > 1:
            yield from self._in_parallel(ranges)
            return
        for one_range in ranges:
            yield from self._range(line, one_range)

    def _in_parallel(self, ranges: list[Range]) -> Iterator[Counts]:
        """Give each Range to a thread with a connection of its own; a failure stops the others after their batch."""
        finished: list[Counts] = []

        def work(one_range: Range) -> None:
            with self._line() as line:
                for counts in self._range(line, one_range):
                    finished.append(counts)
                    if self.stop.is_set():
                        return

        with ThreadPoolExecutor(self.settings.workers) as pool:
            futures: set[Future[None]] = {pool.submit(work, one_range) for one_range in ranges}
            try:
                while futures:
                    done, futures = wait(futures, timeout=0.2, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
                    while finished:
                        yield finished.pop(0)
            except BaseException:
                self.stop.set()
                pool.shutdown(cancel_futures=True)
                raise

    def _range(self, line: Line, one_range: Range) -> Iterator[Counts]:
        careful = 0
        while True:
            slow = one_range.careful or careful > 0 or not self.writing.projection.finds_out_by_inserting
            try:
                step = self._batch(line, one_range, self.settings.batch_rows, careful=slow)
                careful = max(0, careful - 1)
            except (SqlError, _MissedRowsError) as error:
                if not _is_row(error):
                    raise
                careful = CAREFUL_FOR
                if not slow:
                    continue
                for counts in self._split(line, one_range, self.settings.batch_rows):
                    yield counts
                    self._refuse_over_limit(line)
                continue
            if step is None:
                return
            yield step
            if step.quarantined:
                self._refuse_over_limit(line)

    def _split(self, line: Line, one_range: Range, size: int) -> Iterator[Counts]:
        """Do the next `size` rows in halves, each a transaction of its own; a lone row that fails is quarantined."""
        try:
            step = self._batch(line, one_range, size, careful=True)
        except SqlError as error:
            if not _is_row(error):
                raise
            if size > 1:
                yield from self._split(line, one_range, size // 2)
                yield from self._split(line, one_range, size - size // 2)
                return
            step = self._quarantine_next(line, one_range, error)
        if step is not None:
            yield step

    def _batch(self, line: Line, one_range: Range, size: int, *, careful: bool) -> Counts | None:
        """Do one batch, again where somebody else was merely in the way; None when the Range is done."""

        def attempt() -> Counts | None:
            with self._transaction(line) as conn:
                here = self._enter(conn, one_range.id)
                if here is None:
                    return None
                hi = self.writing.keyset.nth_after(conn, here.position, here.hi, size)
                ends = hi is None or hi == here.hi
                write = self.writing.careful if careful else self.writing.plain
                found = one(conn, write(one_range.id, here.position, here.hi if hi is None else hi, ends=ends))
                return _counted(found, exact=not careful)

        return self._retrying(attempt)

    def _enter(self, conn: Connection, range_id: int) -> Range | None:
        """Lock, in this order: the lease, the backfill against its drain, the Range."""
        lease.check(conn, self.lease)
        execute(conn, f"SELECT pg_catalog.pg_advisory_xact_lock_shared({LOCK_SPACE}, {self._id})")
        execute(conn, "SET CONSTRAINTS ALL IMMEDIATE")
        return backfills.lock_range(conn, range_id)

    def _quarantine_next(self, line: Line, one_range: Range, error: SqlError) -> Counts:
        def quarantine_it() -> Counts:
            with self._transaction(line) as conn:
                here = self._enter(conn, one_range.id)
                if here is None:
                    return Counts()
                key = self.writing.keyset.nth_after(conn, here.position, here.hi, 1)
                if key is None:
                    return Counts()
                execute(conn, self.writing.single(one_range.id, key, *_said(error, self._id)))
                return Counts(read=1, quarantined=1)

        return self._retrying(quarantine_it)

    def _drain(self, line: Line) -> Iterator[Counts]:
        """Decide contested keys again under fresh snapshots; one that stays contested is quarantined."""
        asked = "SELECT DISTINCT source_key FROM migrator.change_log WHERE backfill = %s"
        for _ in range(ATTEMPTS + 1):
            keys = [tuple(str(part) for part in key) for (key,) in rows(line.conn, asked, (self._id,))]
            for key in keys:
                yield self._decide(line, key)

    def _decide(self, line: Line, key: Key) -> Counts:
        def decide() -> Counts:
            with self._transaction(line) as conn:
                lease.check(conn, self.lease)
                execute(conn, f"SELECT pg_catalog.pg_advisory_xact_lock({LOCK_SPACE}, {self._id})")
                execute(conn, "SET CONSTRAINTS ALL IMMEDIATE")
                return self._decide_here(conn, key)

        return self._retrying(decide)

    def _decide_here(self, conn: Connection, key: Key) -> Counts:
        logged = (self._id, list(key))
        taken = "DELETE FROM migrator.change_log WHERE backfill = %s AND source_key = %s RETURNING attempts"
        tried = max((int(attempts) for (attempts,) in rows(conn, taken, logged)), default=None)
        if tried is None:
            return Counts()
        if tried > ATTEMPTS:
            execute(conn, self.writing.single(None, key, SUPPRESSED, "", "", "inserted, and not returned"))
            return Counts(quarantined=1)
        return replace(_counted(one(conn, self.writing.contested(key, tried + 1)), exact=False), read=0)

    def _dangling(self, line: Line) -> int:
        """Count the rows this run quarantined because what they point at was not there yet."""
        return int(value(line.conn, f"SELECT count(*) FROM migrator.quarantine WHERE {DANGLING}", self._this_run))

    def _release_dangling(self, line: Line) -> None:
        """Take these rows out of quarantine: what they point at may have come with a later batch."""
        with self._transaction(line) as conn:
            lease.check(conn, self.lease)
            execute(conn, f"DELETE FROM migrator.quarantine WHERE {DANGLING}", self._this_run)

    @property
    def _this_run(self) -> tuple[int, int]:
        return self._id, self.lease.run

    def _find_behind(self, line: Line) -> int:
        """Plan careful Ranges around the source rows that nobody accounts for; says how many rows there are."""

        def find() -> int:
            with self._transaction(line) as conn:
                lease.check(conn, self.lease)
                bounds = [
                    (tuple(str(part) for part in key), int(count)) for key, count in rows(conn, self._behind_sql())
                ]
                los = [None, *(key for key, _ in bounds)]
                found = [(lo, hi, size) for lo, (hi, size) in zip(los, bounds, strict=False)]
                backfills.add_ranges(conn, self._id, found, careful=True)
                return sum(size for _, _, size in found)

        try:
            return self._retrying(find)
        except SqlError as error:
            if not _is_row(error):
                raise
        return self._retrying(lambda: self._look_everywhere(line))

    def _look_everywhere(self, line: Line) -> int:
        """Where the definition's SQL raises for rows behind, plan one careful Range: splitting will find them."""
        with self._transaction(line) as conn:
            lease.check(conn, self.lease)
            backfills.add_ranges(conn, self._id, [(None, None, 0)], careful=True)
            return 1

    def _behind_sql(self) -> str:
        """List the last key of every batch of rows behind, and the batch's size."""
        projection, size = self.writing.projection, self.settings.batch_rows
        keys = ", ".join(projection.key_columns("behind"))
        texts = ", ".join(f"{name}::text" for name in projection.key_columns("behind"))
        return (
            f"SELECT key, place - ((place - 1) / {size}) * {size} FROM ("
            f"SELECT ARRAY[{texts}] AS key, row_number() OVER (ORDER BY {keys}) AS place, count(*) OVER () AS total"
            f" FROM ({self.writing.behind()}) AS behind) AS numbered"
            f" WHERE place % {size} = 0 OR place = total ORDER BY place"
        )

    def _refuse_over_limit(self, line: Line) -> None:
        limit = self.settings.quarantine_limit
        if limit is None:
            return
        held = quarantine.open_count(line.conn, self._id)
        if held > limit:
            raise RefusedError(
                "M404",
                f"{self.writing.projection.backfill.name}: {held:,} rows wait in quarantine, the limit is {limit:,}.",
                "Look at them: migrator quarantine list. Then mend the definition, or raise quarantine_limit.",
            )


def count_behind(conn: Connection, writing: Writing) -> int:
    """Count the source rows nobody accounts for yet and which the Projection would take."""
    return int(value(conn, f"SELECT count(*) FROM ({writing.behind()}) AS behind"))


def _counted(found: Row | None, *, exact: bool) -> Counts:
    """Read the counts of a data statement; a plain one must have inserted every row it meant to."""
    assert found is not None  # the statement is an aggregate
    read, moved, merged, skipped, quarantined, inserted = (int(number) for number in found)
    if exact and inserted != moved:
        raise _MissedRowsError
    return Counts(read, inserted, merged, skipped, quarantined)


def _is_row(error: SqlError | _MissedRowsError) -> bool:
    return isinstance(error, _MissedRowsError) or failures.kind(error) is Failure.ROW


def _said(error: SqlError, backfill: int) -> tuple[str, str, str, str]:
    """Give reason, SQLSTATE, constraint and message of a row's fault; the reason groups, so it holds no value."""
    state, constraint = failures.sqlstate(error), failures.constraint(error)
    reason = TAKEN if constraint == provenance.one_each(backfill) else failures.message(error)
    return reason, state, constraint, failures.detail(error)
