"""Catching up: rows moved before whose source row changed since are brought up to date, where the target is still ours.

A target row that the application changed is left alone, and so is one that it deleted: verify names both. Rows are
updated in place, so that what points at them stays; a row that cannot be updated stays stale, and is named too. One
whose object is bad now stays as it is, and is quarantined beside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from migrator.database import failures
from migrator.database.connect import Database
from migrator.database.failures import Failure, SqlError
from migrator.database.session import execute, transaction, value
from migrator.engine.projection.compiled import CODE, DIGEST, MARKS
from migrator.engine.projection.images import stored_digest
from migrator.engine.projection.pieces import MOVED
from migrator.engine.projection.projection import Projection
from migrator.engine.ranges import Key, Keyset, plan_ranges
from migrator.engine.statements import Writing
from migrator.engine.work import Line, Work
from migrator.ledger import lease
from migrator.ledger.lease import Lease
from migrator.model.change import Settings
from migrator.model.names import ours, quote


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchUp:
    """The catching up of one backfill by one run."""

    database: Database
    lease: Lease
    writing: Writing
    settings: Settings

    def run(self) -> Iterator[int]:
        """Bring changed rows up to date, interval by interval of the source key; yields how many were updated."""
        line = Line(self.database)
        try:
            with transaction(line.conn, read_only=True, search_path=self.database.search_path) as conn:
                bounds = plan_ranges(conn, self.writing.keyset, self.settings.batch_rows)
            for lo, hi, _ in bounds:
                yield from self._interval(line, lo, hi, self.settings.batch_rows)
        finally:
            line.close()

    @property
    def _projection(self) -> Projection:
        return self.writing.projection

    def _interval(self, line: Line, lo: Key | None, hi: Key | None, size: int) -> Iterator[int]:
        """Update one interval, in halves where a row of it cannot be updated; such a row alone is passed over."""
        try:
            yield self._update(line, lo, hi)
        except SqlError as error:
            if failures.kind(error) is not Failure.ROW:
                raise
            if size <= 1:
                return
            with transaction(line.conn, read_only=True, search_path=self.database.search_path) as conn:
                middle = self.writing.keyset.nth_after(conn, lo, hi, size // 2)
            if middle is None or middle == hi:
                yield from self._interval(line, lo, hi, size // 2)
                return
            yield from self._interval(line, lo, middle, size // 2)
            yield from self._interval(line, middle, hi, size - size // 2)

    def _update(self, line: Line, lo: Key | None, hi: Key | None) -> int:
        target = self._projection.target.relation
        work = Work(
            database=self.database,
            lease=self.lease,
            settings=self.settings,
            backfill=self._projection.backfill.name,
            doing=f"bringing {target} up to date",
            relations=(target,),
        )

        def attempt() -> int:
            with work.transaction(line) as conn:
                lease.check(conn, self.lease)
                execute(conn, "SET CONSTRAINTS ALL IMMEDIATE")
                return int(value(conn, self._sql(lo, hi)))

        return work.retrying(attempt)

    def _sql(self, lo: Key | None, hi: Key | None) -> str:
        """Write the statement: target row and provenance are updated together, or neither."""
        projection, recorded = self._projection, self.writing.recorded
        if projection.backfill.in_place:
            return self.writing.in_place.caught_up(lo, hi, self.writing.held_back())
        walked = Keyset.of_provenance(recorded.provenance, projection.keys)
        pairs = list(zip(walked.names, projection.key_columns("p"), strict=True))
        same_key = " AND ".join(f"{ours} = {theirs}" for ours, theirs in pairs)
        same_row = " AND ".join(f"t.{quote(one.name)} = walked.t{n}" for n, one in enumerate(projection.identity, 1))
        kept_id = " AND ".join(f"p.{quote(one.name)} = walked.t{n}" for n, one in enumerate(projection.identity, 1))
        still_ours = f"{stored_digest(recorded, projection.target, 'walked', 't')} = walked.digest"
        new = ", ".join(
            f"{quote(one.name)} = p.{quote(one.name)}" for one in projection.columns if self._settable(one.name)
        )
        keys = ", ".join(f"{ours} AS k{n}" for n, (ours, _) in enumerate(pairs, 1))
        found = " AND ".join(f"v.s{n} = updated.k{n}" for n in range(1, len(pairs) + 1))
        held = "".join(f",\n{one}" for one in self.writing.held_back())
        return f"""WITH p AS MATERIALIZED ({self._select(lo, hi)}),
updated AS (UPDATE {projection.target.relation.sql} AS t SET {new} FROM p JOIN {recorded.provenance} AS walked
    ON {same_key} WHERE {same_row} AND {kept_id} AND walked.kind = 'moved' AND p.{quote(CODE)} = {MOVED}
    AND p.{quote(DIGEST)} <> walked.digest AND {still_ours}
  RETURNING {keys}, p.{quote(DIGEST)} AS digest, p.{quote(MARKS)} AS marks),
provenance AS (UPDATE {recorded.provenance} AS v SET digest = updated.digest, marks = updated.marks,
    definition = {recorded.definition} FROM updated WHERE {found} RETURNING 1){held}
SELECT count(*) FROM updated"""

    def _select(self, lo: Key | None, hi: Key | None) -> str:
        near = Keyset.nearby(self._projection.keys, ours("keyed")).within(lo, hi)
        return self._projection.select(self.writing.keyset.within(lo, hi), near=near, merging=False)

    def _settable(self, name: str) -> bool:
        """Leave out the identity, which stays, and what the database alone may set."""
        column = self._projection.target.column(name)
        return name not in self._projection.backfill.identities and column is not None and column.identity != "a"
