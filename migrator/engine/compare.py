"""The proof: source Projection and target held against each other, row by row, in both directions.

One statement per Range with one snapshot (verdicts.py); keys that differ are looked at again column by column
(differences.py); then rows that nobody moved (foreign.py). Equality is exact by image (projection/images.py).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from migrator.database.connect import Connection
from migrator.database.failures import SqlError
from migrator.database.session import execute, rows, transaction, value
from migrator.engine.differences import with_columns
from migrator.engine.foreign import ForeignRows
from migrator.engine.groups import Ranking
from migrator.engine.isolate import is_row_fault, raising_rows, without
from migrator.engine.projection.projection import Projection
from migrator.engine.ranges import Key, plan_ranges
from migrator.engine.statements import Writing
from migrator.engine.verdicts import KINDS, of_range, verdict
from migrator.model.change import Foreign
from migrator.model.verdict import Comparison, RowVerdict

RANGE_ROWS: Final = 100_000
WORK_MEM: Final = "128MB"
# A Range is a small part of a table: its rows are looked up, the table is not read once for each Range.
BY_INDEX: Final = "SELECT pg_catalog.set_config('random_page_cost', '1.1', true)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    """The comparison of one backfill. `provenances` are those of all backfills into the same target."""

    writing: Writing
    foreign: Foreign
    provenances: tuple[str, ...]
    search_path: str = "public"
    show: int = 100
    progress: Callable[[int], None] = field(default=lambda _: None)

    def run(self, conn: Connection) -> Comparison:
        """Compare everything; holds no lock and no snapshot longer than a Range."""
        begun = time.monotonic()
        counts: Counter[str] = Counter()
        found: list[RowVerdict] = []
        compared = 0
        for lo, hi in self._ranges(conn):
            read, verdicts = self.compare_range(conn, lo, hi)
            compared += read
            counts.update(one.kind for one in verdicts)
            found += verdicts[: max(0, self.show - len(found))]
            self.progress(read)
        foreign, strangers = self._foreign_rows(conn)
        strangers += self._regrouped(conn)
        counts.update(one.kind for one in strangers)
        found += strangers[: max(0, self.show - len(found))]
        projection = self._projection
        return Comparison(
            backfill=projection.backfill.name,
            source=str(projection.source.relation),
            target=str(projection.target.relation),
            compared=compared,
            counts={kind: counts[kind] for kind in KINDS if counts[kind]},
            rows=tuple(self._with_columns(conn, one) for one in found),
            foreign=foreign,
            handed_over=self._handed_over(conn),
            seconds=time.monotonic() - begun,
        )

    @property
    def _projection(self) -> Projection:
        return self.writing.projection

    def _ranges(self, conn: Connection) -> Iterator[tuple[Key | None, Key | None]]:
        with transaction(conn, read_only=True, search_path=self.search_path):
            bounds = plan_ranges(conn, self.writing.keyset, RANGE_ROWS)
        for lo, hi, _ in bounds:
            yield lo, hi

    def compare_range(self, conn: Connection, lo: Key | None, hi: Key | None) -> tuple[int, list[RowVerdict]]:
        """Compare the source keys within (lo, hi] by one statement; gives the rows read and what differs."""
        try:
            with transaction(conn, read_only=True, search_path=self.search_path, work_mem=WORK_MEM):
                execute(conn, BY_INDEX)
                found = rows(conn, of_range(self.writing, lo, hi))
        except SqlError as error:
            if not is_row_fault(error):
                raise
            return self._range_with_raising(conn, lo, hi)
        read = next(int(row[3]) for row in found if row[0] is None)
        return read, [self._verdict(row[0], row[1], row[2]) for row in found if row[0] is not None]

    def _range_with_raising(self, conn: Connection, lo: Key | None, hi: Key | None) -> tuple[int, list[RowVerdict]]:
        """Compare a Range in which the definition's SQL raises for some rows: these are pending, the rest is judged."""
        with transaction(conn, read_only=True, search_path=self.search_path):
            raising = raising_rows(conn, self._projection, lo, hi)
        writing = replace(self.writing, projection=without(self._projection, raising))
        read, found = replace(self, writing=writing).compare_range(conn, lo, hi)
        keys = {one.key for one in raising}
        rest = [one for one in found if tuple(one.source_key.values()) not in keys]
        return read, rest + [self._verdict(f"pending: {one.reason}", list(one.key), []) for one in raising]

    def _verdict(self, kind: str, source: Sequence[str | None], target: Sequence[str | None]) -> RowVerdict:
        return verdict(self._projection, kind, source, target)

    def _foreign_rows(self, conn: Connection) -> tuple[int, list[RowVerdict]]:
        if self._projection.backfill.in_place:  # all rows were there
            return 0, []
        known = ForeignRows(writing=self.writing, foreign=self.foreign, provenances=self.provenances)
        with transaction(conn, read_only=True, isolation="repeatable read", search_path=self.search_path):
            return known.found(conn)

    def _regrouped(self, conn: Connection) -> list[RowVerdict]:
        """Name the rows that belong to another row now than they did when they were moved."""
        ranking = Ranking.of(self.writing)
        if ranking is None:
            return []
        with transaction(conn, read_only=True, search_path=self.search_path, work_mem=WORK_MEM):
            found = rows(conn, ranking.regrouped())
        return [self._verdict(f"stale: it belongs to {won} now", list(key), list(into)) for key, into, won in found]

    def _with_columns(self, conn: Connection, verdict: RowVerdict) -> RowVerdict:
        """Name the columns of a row that differ, judged by a snapshot of its own."""
        if verdict.kind not in {"altered", "stale"} or verdict.note:
            return verdict
        with transaction(conn, read_only=True, search_path=self.search_path):
            return with_columns(conn, self.writing, verdict)

    def _handed_over(self, conn: Connection) -> int:
        """Count the rows that were handed over to the application, which are not compared."""
        if not self._projection.backfill.handed_over:
            return 0
        with transaction(conn, read_only=True, search_path=self.search_path):
            return int(
                value(conn, f"SELECT count(*) FROM {self.writing.recorded.provenance} AS known WHERE kind = 'moved'")
            )
