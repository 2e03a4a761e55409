"""Contested keys: rows whose insert neither happened nor failed, decided again under fresh snapshots.

A row committed after our snapshot is not inserted, not returned and not visible; a trigger that returns NULL looks the
same (docs/postgresql.md, finding 16). The key goes to the change log; here it is taken again, alone, under the
exclusive form of the backfill's lock. What stays contested is quarantined.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from migrator.database.connect import Connection
from migrator.database.session import execute, one, rows
from migrator.engine.blame import Blame
from migrator.engine.counts import Counts, counted
from migrator.engine.pacing import Pacing
from migrator.engine.ranges import Key
from migrator.engine.statements import Writing
from migrator.engine.work import Line, Work
from migrator.ledger import lease

LOCK_SPACE: Final = 0x6D69  # advisory locks of backfills: (this, backfill id)
ATTEMPTS: Final = 2  # for a contested key, before it is quarantined
SUPPRESSED: Final = "the insert is suppressed by a trigger or a rule of the target"
UPDATE_SUPPRESSED: Final = "the update is suppressed by a trigger of the table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """The draining of one backfill's contested keys."""

    work: Work
    writing: Writing
    pacing: Pacing | None = None

    def run(self, line: Line) -> Iterator[Counts]:
        """Decide every logged key, as often as it takes. Raises FullError where there is no room for one more row."""
        asked = "SELECT DISTINCT source_key FROM migrator.change_log WHERE backfill = %s"
        for _ in range(ATTEMPTS + 1):
            keys = [tuple(str(part) for part in key) for (key,) in rows(line.conn, asked, (self._id,))]
            for key in keys:
                if self.pacing is not None:
                    self.pacing.room(line.conn)
                yield self._decide(line, key)

    @property
    def _id(self) -> int:
        return self.writing.recorded.id

    def _decide(self, line: Line, key: Key) -> Counts:
        def decide() -> Counts:
            with self.work.transaction(line) as conn:
                lease.check(conn, self.work.lease)
                execute(conn, f"SELECT pg_catalog.pg_advisory_xact_lock({LOCK_SPACE}, {self._id})")
                execute(conn, "SET CONSTRAINTS ALL IMMEDIATE")
                return self._decide_here(conn, key)

        return self.work.retrying(decide)

    def _decide_here(self, conn: Connection, key: Key) -> Counts:
        logged = (self._id, list(key))
        taken = "DELETE FROM migrator.change_log WHERE backfill = %s AND source_key = %s RETURNING attempts"
        tried = max((int(attempts) for (attempts,) in rows(conn, taken, logged)), default=None)
        if tried is None:
            return Counts()
        if tried > ATTEMPTS:
            in_place = self.writing.projection.backfill.in_place
            reason = UPDATE_SUPPRESSED if in_place else SUPPRESSED
            swallowed = Blame(key=key, reason=reason, message="written, and not returned")
            execute(conn, self.writing.held([swallowed]))
            return Counts(quarantined=1)
        if self.writing.projection.backfill.in_place:
            execute(conn, self.writing.locked(key))
        counts, inserted = counted(one(conn, self.writing.contested(key, tried + 1)))
        return replace(counts, read=0, moved=inserted)
