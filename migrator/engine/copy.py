"""Copying a backfill: Range by Range, batch by batch, then what is found behind them.

Killed at any instant, the next run finds the checkpoint and the rows it speaks of, or neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event

from migrator.database.connect import Database
from migrator.database.session import value
from migrator.engine.batches import Batches
from migrator.engine.behind import Behind
from migrator.engine.contested import Drain
from migrator.engine.counts import Counts
from migrator.engine.groups import Ranking
from migrator.engine.inplace import forget_deleted
from migrator.engine.pacing import FullError, Pacing
from migrator.engine.ranges import plan_ranges
from migrator.engine.statements import Writing
from migrator.engine.work import Line, Work
from migrator.ledger import backfills, lease
from migrator.ledger.backfills import Range
from migrator.ledger.lease import Lease
from migrator.model.change import Settings
from migrator.model.names import Relation, literal

PASSES = 20  # over rows found behind, and over references to later rows


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
            behind = Behind(work=self._work, writing=self.writing)
            waiting: int | None = None
            for _ in range(PASSES):
                held = behind.dangling(line)
                if held and (waiting is None or held < waiting):
                    waiting = held
                    behind.release_dangling(line)
                self._rank(line)
                if not behind.find(line):
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

    @property
    def _batches(self) -> Batches:
        return Batches(work=self._work, writing=self.writing, pacing=self.pacing)

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
            yield from self._batches.run(line, one_range)

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
                for counts in self._batches.run(line, one_range):
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
