"""Listing: which objects the rows of a source name, written into the Ledger batch by batch, in the order of the key."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from migrator.database.connect import Connection
from migrator.database.failures import SqlError
from migrator.engine import isolate
from migrator.engine.blame import Blame
from migrator.engine.ranges import Key
from migrator.engine.reads import versions
from migrator.engine.statements import Writing
from migrator.ledger.listed import Listing
from migrator.ledger.run import Run

BATCH: Final = 10_000  # rows
ANALYZE_FROM: Final = 1_000  # objects; fewer do not change a plan

Select: TypeAlias = Callable[[Writing, Key | None, Key | None], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lister:
    """The listing of one backfill's objects. `unwanted` are names that are not listed now, and stay as they are."""

    run: Run
    writing: Writing
    listing: Listing
    select: Select
    unwanted: Collection[str] = ()

    def state(self, conn: Connection) -> str | None:
        """Say of what state of the database the list is: as long as it is that, there is nothing to be listed.

        None where that cannot be said.
        """
        projection, select = self.writing.projection, self._sql(None, None, ())
        seen = versions(conn, projection, select, self.run.database.search_path)
        return seen and f"{seen} {self.listing.bucket} {sorted(self.unwanted)}"

    def known(self, conn: Connection) -> int:
        """Count what is listed."""
        with self.run.writing(conn):
            return self.listing.count(conn, self.unwanted)

    def go(self, conn: Connection) -> int:
        """List the objects of all rows; gives how many there are. A row for which the definition raises has none."""
        raising: list[Blame] = []
        listed, new, analyzed, position = 0, 0, 0, None
        while True:
            (number, written), position, found = self._batch(conn, position)
            listed, new = listed + number, new + written
            raising += found
            if new >= max(2 * analyzed, ANALYZE_FROM):
                analyzed = new
                with self.run.writing(conn):
                    self.listing.analyze(conn)
            if position is None:
                break
        with self.run.writing(conn):
            # What was handed over is listed once, and stays as it was written.
            handed_over = self.writing.projection.backfill.handed_over
            if not handed_over and self.listing.count(conn, self.unwanted) > listed:
                self.listing.sweep(conn, self._sql(None, None, raising), self.unwanted)
            if self.listing.award(conn) >= ANALYZE_FROM:
                self.listing.analyze(conn)
        return listed

    def _batch(self, conn: Connection, lo: Key | None) -> tuple[tuple[int, int], Key | None, Sequence[Blame]]:
        """List the next rows; gives how many objects they have, and new ones, where the next begins, and who raises."""
        keyset = self.writing.keyset
        types = [name for _, name in keyset.columns]
        raising: Sequence[Blame] = ()
        with self.run.writing(conn):
            hi = keyset.nth_after(conn, lo, None, BATCH)
        for _ in range(2):
            try:
                with self.run.writing(conn):
                    return self.listing.add(conn, self._sql(lo, hi, raising), types), hi, raising
            except SqlError as error:
                if raising or not isolate.is_row_fault(error):
                    raise
            with self.run.writing(conn):
                raising = isolate.raising_rows(conn, self.writing.projection, lo, hi)
        raise AssertionError

    def _sql(self, lo: Key | None, hi: Key | None, raising: Sequence[Blame]) -> str:
        sound = isolate.without(self.writing.projection, raising)
        return self.select(replace(self.writing, projection=sound), lo, hi)
