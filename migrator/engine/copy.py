"""Copying a backfill: Range by Range, batch by batch, every batch one transaction that ends whole or not at all.

In each batch, in this order: the lease row (fence = ours, else stop), the backfill's advisory lock in shared form, the
range row, then *one* data statement with target rows, provenance, quarantine and checkpoint. Killed at any instant, the
next run finds the checkpoint and the rows it speaks of, or neither. A batch that fails by a row is done carefully; one
that fails so too is cut into smaller transactions until the row is alone, and that row goes to quarantine.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Event

from migrator.database import failures
from migrator.database.connect import Connection, Database
from migrator.database.failures import Failure, SqlError
from migrator.database.session import execute, one, rows, value
from migrator.engine.blame import Blame, blame
from migrator.engine.contested import LOCK_SPACE, Drain
from migrator.engine.counts import Counts, counted
from migrator.engine.groups import Ranking
from migrator.engine.inplace import forget_deleted
from migrator.engine.pacing import FullError, OvershotError, Pacing, end_within
from migrator.engine.ranges import Key, plan_ranges
from migrator.engine.scout import Scouted, scout
from migrator.engine.statements import Writing
from migrator.engine.work import Line, Work
from migrator.ledger import backfills, lease, quarantine
from migrator.ledger.backfills import Range
from migrator.ledger.lease import Lease
from migrator.model.change import Settings
from migrator.model.errors import RefusedError
from migrator.model.names import Relation, literal

CAREFUL_FOR = 8  # batches after one that failed by a row
PASSES = 20  # over rows found behind, and over references to later rows
DANGLING = "backfill = %s AND run = %s AND sqlstate = '23503' AND status = 'open'"


@dataclass(frozen=True, slots=True)
class _Trouble:
    """What is expected of the next batch: how many rows one look can take, and whether the definition raises."""

    rows: int
    raises: bool = False


class _MissedRowsError(Exception):
    """A plain batch inserted fewer rows than it should have: something in the target swallowed some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """The copy of one backfill by one run."""

    database: Database
    lease: Lease
    writing: Writing
    settings: Settings
    pacing: Pacing | None = None
    part: bool = False  # of the source: its rows are found behind, and no Ranges are planned for the whole
    stop: Event = field(default_factory=Event)
    full: Event = field(default_factory=Event)  # whether the copy ended because there was no room for more

    def run(self) -> Iterator[Counts]:
        """Copy all open Ranges, then what is found behind them; yields the counts of each batch.

        Raises RefusedError M404 at the quarantine limit and M402 when the lease was lost, WorldError M301 when a lock
        is not got; other faults of the world pass as SqlError. In every case the next run goes on from here.
        """
        try:
            yield from self._run()
        except FullError:
            self.full.set()

    def _run(self) -> Iterator[Counts]:
        with self._line() as line:
            self._rank(line, whole=True)
            self._forget_deleted(line)
            if not self.part:
                self._plan(line)
                yield from self._ranges(line)
                yield from self._drain(line)
            waiting: int | None = None
            for _ in range(PASSES):
                held = self._dangling(line)
                if held and (waiting is None or held < waiting):
                    waiting = held
                    self._release_dangling(line)
                self._rank(line)
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

    @property
    def _work(self) -> Work:
        projection = self.writing.projection
        return Work(
            database=self.database,
            lease=self.lease,
            settings=self.settings,
            backfill=projection.backfill.name,
            doing=f"copying {projection.source.relation} to {projection.target.relation}",
            relations=(projection.target.relation, projection.source.relation, Relation("migrator", "lease")),
        )

    def _drain(self, line: Line) -> Iterator[Counts]:
        return Drain(work=self._work, writing=self.writing, pacing=self.pacing).run(line)

    def _plan(self, line: Line) -> None:
        """Cut the source into Ranges, once; a resumed copy goes on with the Ranges it finds."""

        def plan() -> None:
            with self._work.transaction(line) as conn:
                lease.check(conn, self.lease)
                if not backfills.was_planned(conn, self._id):
                    bounds = plan_ranges(conn, self.writing.keyset, self.settings.range_rows)
                    backfills.add_ranges(conn, self._id, bounds)

        self._work.retrying(plan)

    def _forget_deleted(self, line: Line) -> None:
        """In place, forget the rows that the application deleted."""
        if not self.writing.projection.backfill.in_place:
            return

        def forget() -> None:
            with self._work.transaction(line) as conn:
                lease.check(conn, self.lease)
                forget_deleted(conn, self.writing.projection, self.writing.recorded)

        self._work.retrying(forget)

    def _rank(self, line: Line, *, whole: bool = False) -> None:
        """Bring the groups in the Ledger up to date with the source, before their rows are taken."""
        ranking = Ranking.of(self.writing)
        if ranking is None:
            return

        def rank() -> None:
            with self._work.transaction(line) as conn:
                lease.check(conn, self.lease)
                ranking.run(conn, whole=whole)

        self._work.retrying(rank)

    def _ranges(self, line: Line) -> Iterator[Counts]:
        ranges = backfills.open_ranges(line.conn, self._id)
        if self.settings.workers > 1 and len(ranges) > 1 and not self._must_keep_order(line):
            yield from self._in_parallel(ranges)
            return
        for one_range in ranges:
            yield from self._range(line, one_range)

    def _must_keep_order(self, line: Line) -> bool:
        """Say whether two source rows may be in each other's way: the first by key goes first, so one worker does all.

        The Projection knows of plain unique keys; partial ones, expressions and exclusion constraints are the server's.
        """
        projection = self.writing.projection
        if self.pacing is not None or projection.contested:
            return True
        return bool(
            value(
                line.conn,
                "SELECT EXISTS (SELECT FROM pg_catalog.pg_index WHERE indrelid ="
                f" {literal(projection.target.relation.sql)}::pg_catalog.regclass AND (indisexclusion OR indisunique"
                " AND (indpred IS NOT NULL OR indexprs IS NOT NULL)))",
            )
        )

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
        careful, trouble = 0, None
        while True:
            if trouble is not None:
                trouble = yield from self._without_the_bad(line, one_range, trouble)
                continue
            slow = one_range.careful or careful > 0 or not self.writing.projection.finds_out_by_inserting
            try:
                step = self._batch(line, one_range, self.settings.batch_rows, careful=slow)
                careful = max(0, careful - 1)
            except (SqlError, _MissedRowsError) as error:
                if not _is_row(error):
                    raise
                careful, trouble = CAREFUL_FOR, _Trouble(self.settings.batch_rows) if slow else None
                continue
            if step is None:
                return
            yield step
            if step.quarantined:
                self._refuse_over_limit(line)

    def _without_the_bad(
        self, line: Line, one_range: Range, trouble: _Trouble
    ) -> Generator[Counts, None, _Trouble | None]:
        """Do the next batch without the rows at fault, which go to quarantine; says what to expect of the next."""
        found = self._scout(line, one_range, trouble)
        try:
            if found is None:
                yield from self._split(line, one_range, trouble.rows)
                return None
            step = self._batch(line, one_range, trouble.rows, careful=True, scouted=found)
        except SqlError as error:
            if not _is_row(error):
                raise
            yield from self._split(line, one_range, trouble.rows)
            return trouble
        if step is not None:
            yield step
            if step.quarantined:
                self._refuse_over_limit(line)
        if step is None or not found.blames:
            return None
        rows = max(1, step.read) if step.read < trouble.rows else trouble.rows * 2
        return _Trouble(min(rows, self.settings.batch_rows), found.raised)

    def _scout(self, line: Line, one_range: Range, trouble: _Trouble) -> Scouted | None:
        """Find out which rows of the next batch are at fault; nothing that is written for that stays."""

        def look() -> Scouted | None:
            with self._work.transaction(line) as conn, conn.transaction(force_rollback=True):
                here = self._enter(conn, one_range.id)
                if here is None:
                    return None
                hi = self._end(conn, here, trouble.rows, self._room(conn))
                upto = here.hi if hi is None else hi
                return scout(conn, self.writing, here.position, upto, raising=trouble.raises)

        try:
            return self._work.retrying(look)
        except SqlError as error:
            if not _is_row(error):
                raise
        return None

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
            if step.quarantined:
                self._refuse_over_limit(line)

    def _batch(
        self, line: Line, one_range: Range, size: int, *, careful: bool, scouted: Scouted | None = None
    ) -> Counts | None:
        """Do one batch, again where somebody else was merely in the way; None when the Range is done."""

        def attempt(*, tight: bool = False) -> Counts | None:
            with self._work.transaction(line) as conn:
                here = self._enter(conn, one_range.id)
                if here is None:
                    return None
                room = self._room(conn)
                many = min(size, room) if room is not None and tight else size
                hi = scouted.upto if scouted and not tight else self._end(conn, here, many, room)
                ends = hi is None or hi == here.hi
                held = self._hold(conn, one_range.id, scouted.blames) if scouted else 0
                write = self.writing.careful if careful else self.writing.plain
                found = one(conn, write(one_range.id, here.position, here.hi if hi is None else hi, ends=ends))
                counts, inserted = counted(found)
                if not careful and inserted != counts.moved:
                    raise _MissedRowsError
                if room is not None and inserted > room:
                    raise OvershotError
                read, quarantined = counts.read + held, counts.quarantined + held
                return replace(counts, read=read, moved=inserted, quarantined=quarantined)

        try:
            return self._work.retrying(attempt)
        except OvershotError:  # rows changed while it was counted how many there is room for
            return self._work.retrying(lambda: attempt(tight=True))

    def _room(self, conn: Connection) -> int | None:
        """Say how many rows may be written now; None where nobody asks."""
        return None if self.pacing is None else self.pacing.room(conn)

    def _end(self, conn: Connection, here: Range, size: int, room: int | None) -> Key | None:
        """Find where a batch of so many source rows ends; None for the end of its Range."""
        hi = self.writing.keyset.nth_after(conn, here.position, here.hi, size)
        if room is None or room >= size:
            return hi
        return end_within(conn, self.writing, here.position, here.hi if hi is None else hi, room) or hi

    def _hold(self, conn: Connection, range_id: int, blames: Sequence[Blame]) -> int:
        """Quarantine rows at fault, so that the careful statement passes them over."""
        if not blames:
            return 0
        held = execute(conn, self.writing.held(blames))
        execute(
            conn,
            f"UPDATE migrator.range SET read = read + {held}, quarantined = quarantined + {held} WHERE id = {range_id}",
        )
        return held

    def _enter(self, conn: Connection, range_id: int) -> Range | None:
        """Lock, in this order: the lease, the backfill against its drain, the Range."""
        lease.check(conn, self.lease)
        execute(conn, f"SELECT pg_catalog.pg_advisory_xact_lock_shared({LOCK_SPACE}, {self._id})")
        execute(conn, "SET CONSTRAINTS ALL IMMEDIATE")
        return backfills.lock_range(conn, range_id)

    def _quarantine_next(self, line: Line, one_range: Range, error: SqlError) -> Counts:
        def quarantine_it() -> Counts:
            with self._work.transaction(line) as conn:
                here = self._enter(conn, one_range.id)
                if here is None:
                    return Counts()
                key = self.writing.keyset.nth_after(conn, here.position, here.hi, 1)
                if key is None:
                    return Counts()
                execute(conn, self.writing.single(one_range.id, blame(key, error, self._id)))
                return Counts(read=1, quarantined=1)

        return self._work.retrying(quarantine_it)

    def _dangling(self, line: Line) -> int:
        """Count the rows this run quarantined because what they point at was not there yet."""
        return int(value(line.conn, f"SELECT count(*) FROM migrator.quarantine WHERE {DANGLING}", self._this_run))

    def _release_dangling(self, line: Line) -> None:
        """Take these rows out of quarantine: what they point at may have come with a later batch."""
        with self._work.transaction(line) as conn:
            lease.check(conn, self.lease)
            execute(conn, f"DELETE FROM migrator.quarantine WHERE {DANGLING}", self._this_run)

    @property
    def _this_run(self) -> tuple[int, int]:
        return self._id, self.lease.run

    def _find_behind(self, line: Line) -> int:
        """Plan careful Ranges around the source rows that nobody accounts for; says how many rows there are."""

        def find() -> int:
            with self._work.transaction(line) as conn:
                lease.check(conn, self.lease)
                bounds = [
                    (tuple(str(part) for part in key), int(count)) for key, count in rows(conn, self._behind_sql())
                ]
                los = [None, *(key for key, _ in bounds)]
                found = [(lo, hi, size) for lo, (hi, size) in zip(los, bounds, strict=False)]
                backfills.add_ranges(conn, self._id, found, careful=True)
                return sum(size for _, _, size in found)

        try:
            return self._work.retrying(find)
        except SqlError as error:
            if not _is_row(error):
                raise
        return self._work.retrying(lambda: self._look_everywhere(line))

    def _look_everywhere(self, line: Line) -> int:
        """Where the definition's SQL raises for rows behind, plan one careful Range: splitting will find them."""
        with self._work.transaction(line) as conn:
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
    return int(value(conn, f"SELECT count(*) FROM ({writing.behind(waiting=True)}) AS behind"))


def _is_row(error: SqlError | _MissedRowsError) -> bool:
    return isinstance(error, _MissedRowsError) or failures.kind(error) is Failure.ROW
