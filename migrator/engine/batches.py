"""The batches of one Range, each a transaction that ends whole or not at all.

In each, in this order: the lease row (fence = ours, else stop), the backfill's advisory lock in shared form, the range
row, then *one* data statement with target rows, provenance, quarantine and checkpoint. A batch that fails by a row is
done carefully; one that fails so too is cut into smaller transactions until the row is alone, and that row goes to
quarantine.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace

from migrator.database import failures
from migrator.database.connect import Connection
from migrator.database.failures import Failure, SqlError
from migrator.database.session import execute, one
from migrator.engine.blame import Blame, blame
from migrator.engine.contested import LOCK_SPACE
from migrator.engine.counts import Counts, counted
from migrator.engine.pacing import OvershotError, Pacing, end_within
from migrator.engine.ranges import Key
from migrator.engine.scout import Scouted, scout
from migrator.engine.statements import Writing
from migrator.engine.work import Line, Work
from migrator.ledger import backfills, lease, quarantine
from migrator.ledger.backfills import Range
from migrator.model.commands import command
from migrator.model.errors import RefusedError

CAREFUL_FOR = 8  # batches after one that failed by a row


@dataclass(frozen=True, slots=True)
class _Trouble:
    """What is expected of the next batch: how many rows one look can take, and whether the definition raises."""

    rows: int
    raises: bool = False


class _MissedRowsError(Exception):
    """A plain batch inserted fewer rows than it should have: something in the target swallowed some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """The batches of Ranges of one backfill."""

    work: Work
    writing: Writing
    pacing: Pacing | None = None

    @property
    def _id(self) -> int:
        return self.writing.recorded.id

    def run(self, line: Line, one_range: Range) -> Iterator[Counts]:
        """Do one Range from its checkpoint on; yields the counts of each batch. Raises as `Copy.run` does."""
        careful, trouble = 0, None
        while True:
            if trouble is not None:
                trouble = yield from self._without_the_bad(line, one_range, trouble)
                continue
            slow = one_range.careful or careful > 0 or not self.writing.projection.finds_out_by_inserting
            try:
                step = self._batch(line, one_range, self.work.settings.batch_rows, careful=slow)
                careful = max(0, careful - 1)
            except (SqlError, _MissedRowsError) as error:
                if not is_row(error):
                    raise
                careful, trouble = CAREFUL_FOR, _Trouble(self.work.settings.batch_rows) if slow else None
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
            if not is_row(error):
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
        return _Trouble(min(rows, self.work.settings.batch_rows), found.raised)

    def _scout(self, line: Line, one_range: Range, trouble: _Trouble) -> Scouted | None:
        """Find out which rows of the next batch are at fault; nothing that is written for that stays."""

        def look() -> Scouted | None:
            with self.work.transaction(line) as conn, conn.transaction(force_rollback=True):
                here = self._enter(conn, one_range.id)
                if here is None:
                    return None
                hi = self._end(conn, here, trouble.rows, self._room(conn))
                upto = here.hi if hi is None else hi
                return scout(conn, self.writing, here.position, upto, raising=trouble.raises)

        try:
            return self.work.retrying(look)
        except SqlError as error:
            if not is_row(error):
                raise
        return None

    def _split(self, line: Line, one_range: Range, size: int) -> Iterator[Counts]:
        """Do the next `size` rows in halves, each a transaction of its own; a lone row that fails is quarantined."""
        try:
            step = self._batch(line, one_range, size, careful=True)
        except SqlError as error:
            if not is_row(error):
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
            with self.work.transaction(line) as conn:
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
            return self.work.retrying(attempt)
        except OvershotError:  # rows changed while it was counted how many there is room for
            return self.work.retrying(lambda: attempt(tight=True))

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
        lease.check(conn, self.work.lease)
        execute(conn, f"SELECT pg_catalog.pg_advisory_xact_lock_shared({LOCK_SPACE}, {self._id})")
        execute(conn, "SET CONSTRAINTS ALL IMMEDIATE")
        return backfills.lock_range(conn, range_id)

    def _quarantine_next(self, line: Line, one_range: Range, error: SqlError) -> Counts:
        def quarantine_it() -> Counts:
            with self.work.transaction(line) as conn:
                here = self._enter(conn, one_range.id)
                if here is None:
                    return Counts()
                key = self.writing.keyset.nth_after(conn, here.position, here.hi, 1)
                if key is None:
                    return Counts()
                execute(conn, self.writing.single(one_range.id, blame(key, error, self._id)))
                return Counts(read=1, quarantined=1)

        return self.work.retrying(quarantine_it)

    def _refuse_over_limit(self, line: Line) -> None:
        limit = self.work.settings.quarantine_limit
        if limit is None:
            return
        held = quarantine.open_count(line.conn, self._id)
        if held > limit:
            see = command("quarantine list", self.work.lease.change)
            raise RefusedError(
                "M404",
                f"{self.writing.projection.backfill.name}: {held:,} rows wait in quarantine, the limit is {limit:,}.",
                f"Look at them: {see}. Then mend the definition, or raise quarantine_limit.",
            )


def is_row(error: SqlError | _MissedRowsError) -> bool:
    """Say whether a row is at fault, and not the world."""
    return isinstance(error, _MissedRowsError) or failures.kind(error) is Failure.ROW
