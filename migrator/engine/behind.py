"""Source rows behind the checkpoint that nobody accounts for yet: found, counted, planned as Ranges of their own."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.database.connect import Connection
from migrator.database.failures import SqlError
from migrator.database.session import execute, rows, value
from migrator.engine.batches import is_row
from migrator.engine.statements import Writing
from migrator.engine.work import Line, Work
from migrator.ledger import backfills, lease

DANGLING = "backfill = %s AND run = %s AND sqlstate = '23503' AND status = 'open'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """The rows behind of one backfill."""

    work: Work
    writing: Writing

    @property
    def _id(self) -> int:
        return self.writing.recorded.id

    def find(self, line: Line) -> int:
        """Plan careful Ranges around the source rows that nobody accounts for; says how many rows there are."""

        def find() -> int:
            with self.work.transaction(line) as conn:
                lease.check(conn, self.work.lease)
                bounds = [
                    (tuple(str(part) for part in key), int(count)) for key, count in rows(conn, self._behind_sql())
                ]
                los = [None, *(key for key, _ in bounds)]
                found = [(lo, hi, size) for lo, (hi, size) in zip(los, bounds, strict=False)]
                backfills.add_ranges(conn, self._id, found, careful=True)
                return sum(size for _, _, size in found)

        try:
            return self.work.retrying(find)
        except SqlError as error:
            if not is_row(error):
                raise
        return self.work.retrying(lambda: self._look_everywhere(line))

    def _look_everywhere(self, line: Line) -> int:
        """Where the definition's SQL raises for rows behind, plan one careful Range: splitting will find them."""
        with self.work.transaction(line) as conn:
            lease.check(conn, self.work.lease)
            backfills.add_ranges(conn, self._id, [(None, None, 0)], careful=True)
            return 1

    def _behind_sql(self) -> str:
        """List the last key of every batch of rows behind, and the batch's size."""
        projection, size = self.writing.projection, self.work.settings.batch_rows
        keys = ", ".join(projection.key_columns("behind"))
        texts = ", ".join(f"{name}::text" for name in projection.key_columns("behind"))
        return (
            f"SELECT key, place - ((place - 1) / {size}) * {size} FROM ("
            f"SELECT ARRAY[{texts}] AS key, row_number() OVER (ORDER BY {keys}) AS place, count(*) OVER () AS total"
            f" FROM ({self.writing.behind()}) AS behind) AS numbered"
            f" WHERE place % {size} = 0 OR place = total ORDER BY place"
        )

    def dangling(self, line: Line) -> int:
        """Count the rows this run quarantined because what they point at was not there yet."""
        return int(value(line.conn, f"SELECT count(*) FROM migrator.quarantine WHERE {DANGLING}", self._this_run))

    def release_dangling(self, line: Line) -> None:
        """Take these rows out of quarantine: what they point at may have come with a later batch."""
        with self.work.transaction(line) as conn:
            lease.check(conn, self.work.lease)
            execute(conn, f"DELETE FROM migrator.quarantine WHERE {DANGLING}", self._this_run)

    @property
    def _this_run(self) -> tuple[int, int]:
        return self._id, self.work.lease.run


def count_behind(conn: Connection, writing: Writing) -> int:
    """Count the source rows nobody accounts for yet and which the Projection would take."""
    return int(value(conn, f"SELECT count(*) FROM ({writing.behind(waiting=True)}) AS behind"))
