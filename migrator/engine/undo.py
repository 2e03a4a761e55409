"""Undoing a copy: delete by provenance what is still as we wrote it; count first what that would lose.

Rows the application changed since, and rows of its own, are never deleted unless they were accepted by name. What was
written into a row that was there already is put back from its before-image; the row stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from migrator.database import failures
from migrator.database.connect import Database
from migrator.database.failures import Failure, SqlError
from migrator.database.session import execute, one, rows
from migrator.engine.letting_go import Others
from migrator.engine.projection.images import stored_digest
from migrator.engine.ranges import Key, Keyset
from migrator.engine.work import Line, Work
from migrator.ledger import lease
from migrator.ledger.backfills import Recorded
from migrator.ledger.lease import Lease
from migrator.model.change import Settings
from migrator.model.names import EXACTLY, key_text, literal, ours, quote
from migrator.model.tables import Table, TableColumn

BATCH_ROWS: Final = 10_000
# The rows of a batch are looked up: no table is read as a whole for each.
ONE_BY_ONE: Final = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off"
THERE, KEPT = ours("there"), ours("kept")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What one backfill wrote, as the Ledger knows it: enough to undo it without its definition's expressions."""

    name: str
    recorded: Recorded
    target: Table
    keys: tuple[TableColumn, ...]
    identity: tuple[TableColumn, ...]
    in_place: bool = False
    handed_over: bool = False

    def same_row(self, provenance: str, target: str) -> str:
        """Write the condition that a provenance row speaks of a target row."""
        return " AND ".join(
            f"{target}.{quote(column.name)} = {provenance}.t{n}" for n, column in enumerate(self.identity, 1)
        )

    def kept(self, provenance: str) -> str:
        """Write the condition that a before-image speaks of a provenance row."""
        key = ", ".join(key_text(f"{provenance}.t{n}") for n in range(1, len(self.identity) + 1))
        return f"kept.backfill = {self.recorded.id} AND kept.target_key = ARRAY[{key}]"

    def unchanged(self, provenance: str, target: str) -> str:
        """Write the condition that the target row is as we wrote it."""
        return f"COALESCE({stored_digest(self.recorded, self.target, provenance, target)} = {provenance}.digest, false)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """The undoing of one backfill by one run. `lose_changed` deletes also what the application changed since.

    `others` is what else of the change is lost, so that rows which point at each other may go.
    """

    database: Database
    lease: Lease
    written: Written
    settings: Settings
    lose_changed: bool = False
    others: Others = field(default_factory=Others)

    def run(self) -> Iterator[int]:
        """Delete batch by batch, newest Range or not; yields the provenance rows dealt with. Killed, it goes on."""
        line = Line(self.database)
        try:
            kept = "SELECT DISTINCT jsonb_object_keys(written) FROM migrator.before_image WHERE backfill = %s"
            filled = tuple(str(name) for (name,) in rows(line.conn, kept, (self.written.recorded.id,)))
            position: Key | None = None
            size = BATCH_ROWS
            while True:
                try:
                    done, position = self._batch(line, position, filled, size)
                except SqlError as error:
                    if not self.written.in_place or failures.kind(error) is not Failure.ROW:
                        raise
                    if size > 1:
                        size = max(1, size // 10)
                        continue
                    done, position = 0, self._past(line, position)
                size = min(size * 2, BATCH_ROWS)
                if position is None:
                    return
                yield done
        finally:
            line.close()

    def _past(self, line: Line, position: Key | None) -> Key | None:
        """Leave a row where it is: what stood there cannot be put back, for what it pointed at is gone."""
        walked = Keyset.of_provenance(self.written.recorded.provenance, self.written.keys)
        return walked.nth_after(line.conn, position, None, 1)

    def _batch(self, line: Line, position: Key | None, filled: tuple[str, ...], size: int) -> tuple[int, Key | None]:
        work = Work(
            database=self.database,
            lease=self.lease,
            settings=self.settings,
            backfill=self.written.name,
            doing=f"undoing {self.written.name}",
            relations=(self.written.target.relation,),
        )

        def attempt() -> tuple[int, Key | None]:
            with work.transaction(line) as conn:
                lease.check(conn, self.lease)
                execute(conn, "SET CONSTRAINTS ALL IMMEDIATE")
                if self.lose_changed and not self.written.in_place:
                    self.others.let_go(conn, self.written.target, self._going(position, size))
                if self.written.in_place:
                    execute(conn, ONE_BY_ONE)
                found = one(conn, self._sql(position, filled, size))
                assert found is not None  # an aggregate
                return int(found[0]), None if found[1] is None else tuple(map(str, found[1]))

        return work.retrying(attempt)

    def _restored(self, filled: tuple[str, ...], ours: str) -> list[str]:
        """Put back what stood in a row that was there: in place where the row is ours to write, merged by column."""
        written = self.written
        columns = [column for name in filled if (column := written.target.column(name)) is not None]
        if not columns:
            return []
        kept, kind = written.kept("b"), "moved" if written.in_place else "merged"
        back = ", ".join(f"{quote(one.name)} = {self._before(one)}" for one in columns)
        rows = f"{written.same_row('b', 't')} AND {ours}" if written.in_place else written.same_row("b", "t")
        names = ", ".join(f"t.{quote(one.name)}" for one in written.identity)
        return [
            f"restored AS (UPDATE {written.target.relation.sql} AS t SET {back}"
            f" FROM b, migrator.before_image AS kept WHERE {kept} AND b.kind = '{kind}' AND {rows} RETURNING {names})",
            f"unkept AS (DELETE FROM migrator.before_image AS kept USING b"
            f" WHERE {kept} AND {self._is_done(restored=True)})",
        ]

    def _before(self, column: TableColumn) -> str:
        """Write what a column gets back: what stood there, unless another value than ours stands there now."""
        name, now = literal(column.name), f"t.{quote(column.name)}"
        held = f"kept.written ? {name}"
        if not self.written.in_place:
            held = f"{now}::text {EXACTLY} = kept.written ->> {name}"
        return f"CASE WHEN {held} THEN (kept.before ->> {name})::{column.type.name} ELSE {now} END"

    def _is_done(self, *, restored: bool) -> str:
        """Write the condition that nothing of ours is left of a row of the batch."""
        written = self.written
        gone = ", ".join(f"b.t{n}" for n in range(1, len(written.identity) + 1))
        if written.in_place:
            back = f" OR ({gone}) IN (SELECT * FROM restored)" if restored else ""
            return f"(NOT b.{THERE} OR NOT b.{KEPT}{back})"
        there = f"SELECT FROM {written.target.relation.sql} AS t WHERE {written.same_row('b', 't')}"
        return f"(b.kind = 'merged' OR NOT EXISTS ({there}) OR ({gone}) IN (SELECT * FROM del))"

    def _looked_up(self, walked: str) -> str:
        """Add to the rows of a batch in place whether they are still there, and whether they were written to."""
        written, first = self.written, quote(self.written.identity[0].name)
        target = f"{written.target.relation.sql} AS t ON {written.same_row('walked', 't')}"
        return (
            f"SELECT walked.*, t.{first} IS NOT NULL AS {THERE}, kept.backfill IS NOT NULL AS {KEPT}"
            f" FROM ({walked}) AS walked LEFT JOIN {target}"
            f" LEFT JOIN migrator.before_image AS kept ON {written.kept('walked')}"
        )

    def _walked(self, position: Key | None, size: int) -> str:
        """Write the SELECT of the provenance rows of a batch."""
        walked = Keyset.of_provenance(self.written.recorded.provenance, self.written.keys)
        order = ", ".join(walked.names)
        return (
            f"SELECT walked.* FROM {walked.relation} AS walked WHERE {walked.after(position)}"
            f" ORDER BY {order} LIMIT {size}"
        )

    def _going(self, position: Key | None, size: int) -> str:
        """Write the SELECT of the target rows that a batch will delete."""
        return (
            f"SELECT t.* FROM {self.written.target.relation.sql} AS t JOIN ({self._walked(position, size)}) AS b"
            f" ON {self.written.same_row('b', 't')} WHERE b.kind = 'moved'"
        )

    def _sql(self, position: Key | None, filled: tuple[str, ...], size: int) -> str:
        """Write the statement of a batch: target rows and their provenance go together, or stay together."""
        written = self.written
        keys = ", ".join(f"s{n}" for n in range(1, len(written.keys) + 1))
        same_key = " AND ".join(f"v.s{n} = b.s{n}" for n in range(1, len(written.keys) + 1))
        ours = "true" if self.lose_changed else written.unchanged("b", "t")
        if not (self.lose_changed or written.in_place):
            ours += f" AND {self.others.frees(written.target, 't')}"
        back = self._restored(filled, ours)
        parts = [
            *back,
            f"forgotten AS (DELETE FROM {written.recorded.table} AS v USING b"
            f" WHERE {same_key} AND {self._is_done(restored=bool(back))})",
        ]
        if not written.in_place:
            names = ", ".join(f"t.{quote(one.name)}" for one in written.identity)
            parts.insert(
                0,
                f"del AS (DELETE FROM {written.target.relation.sql} AS t USING b"
                f" WHERE b.kind = 'moved' AND {written.same_row('b', 't')} AND {ours} RETURNING {names})",
            )
        body = ",\n".join(parts)
        done = "restored" if written.in_place else "del"
        walked = self._walked(position, size)
        return f"""WITH b AS MATERIALIZED ({self._looked_up(walked) if written.in_place else walked}),
{body}
SELECT {f"(SELECT count(*) FROM {done})" if back or not written.in_place else "0"},
  (SELECT ARRAY[{", ".join(f"{k}::text" for k in keys.split(", "))}] FROM b ORDER BY {_descending(keys)} LIMIT 1)"""


def _descending(keys: str) -> str:
    return ", ".join(f"{one} DESC" for one in keys.split(", "))
