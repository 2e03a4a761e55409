"""Undoing a copy: delete by provenance what is still as we wrote it; count first what that would lose.

Rows the application changed since, and rows of its own, are never deleted unless they were accepted by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from migrator.database.connect import Connection, Database
from migrator.database.session import execute, one, rows, value
from migrator.engine.projection.images import stored_digest
from migrator.engine.ranges import Key, Keyset
from migrator.engine.work import Line, Work
from migrator.ledger import lease
from migrator.ledger.backfills import Recorded
from migrator.ledger.lease import Lease
from migrator.model.change import Settings
from migrator.model.names import EXACTLY, key_text, literal, quote
from migrator.model.tables import Table, TableColumn

BATCH_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What one backfill wrote, as the Ledger knows it: enough to undo it without its definition's expressions."""

    name: str
    recorded: Recorded
    target: Table
    keys: tuple[TableColumn, ...]
    identity: tuple[TableColumn, ...]

    def same_row(self, provenance: str, target: str) -> str:
        """Write the condition that a provenance row speaks of a target row."""
        return " AND ".join(
            f"{target}.{quote(column.name)} = {provenance}.t{n}" for n, column in enumerate(self.identity, 1)
        )

    def unchanged(self, provenance: str, target: str) -> str:
        """Write the condition that the target row is as we wrote it."""
        return f"COALESCE({stored_digest(self.recorded, self.target, provenance, target)} = {provenance}.digest, false)"


def count_changed(conn: Connection, written: Written) -> int:
    """Count rows we moved which the application changed since."""
    return int(
        value(
            conn,
            f"SELECT count(*) FROM {written.recorded.provenance} AS v JOIN {written.target.relation.sql} AS t"
            f" ON {written.same_row('v', 't')} WHERE v.kind = 'moved' AND NOT ({written.unchanged('v', 't')})",
        )
    )


def count_cascades(conn: Connection, written: Written) -> list[tuple[str, int]]:
    """Count rows of other tables that hang on ours by ON DELETE CASCADE, SET NULL or SET DEFAULT."""
    found = []
    for key in written.target.referenced_by:
        if key.on_delete not in "cnd":
            continue
        pairs = zip(key.columns, key.referenced_columns, strict=True)
        same = " AND ".join(f"child.{quote(here)} = t.{quote(there)}" for here, there in pairs)
        number = value(
            conn,
            f"SELECT count(*) FROM {key.references.sql} AS child JOIN {written.target.relation.sql} AS t ON {same}"
            f" JOIN {written.recorded.provenance} AS v ON {written.same_row('v', 't')} WHERE v.kind = 'moved'",
        )
        if number:
            found.append((str(key.references), int(number)))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """The undoing of one backfill by one run. `lose_changed` deletes also what the application changed since."""

    database: Database
    lease: Lease
    written: Written
    settings: Settings
    lose_changed: bool = False

    def run(self) -> Iterator[int]:
        """Delete batch by batch, newest Range or not; yields the provenance rows dealt with. Killed, it goes on."""
        line = Line(self.database)
        try:
            kept = "SELECT DISTINCT jsonb_object_keys(filled) FROM migrator.before_image WHERE backfill = %s"
            filled = tuple(str(name) for (name,) in rows(line.conn, kept, (self.written.recorded.id,)))
            position: Key | None = None
            while True:
                done, position = self._batch(line, position, filled)
                if position is None:
                    return
                yield done
        finally:
            line.close()

    def _batch(self, line: Line, position: Key | None, filled: tuple[str, ...]) -> tuple[int, Key | None]:
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
                found = one(conn, self._sql(position, filled))
                assert found is not None  # an aggregate
                return int(found[0]), None if found[1] is None else tuple(map(str, found[1]))

        return work.retrying(attempt)

    def _restored(self, filled: tuple[str, ...]) -> str:
        """Empty again the columns of an application's row that a merge completed, where they are as we wrote them."""
        written = self.written
        names = [name for name in filled if written.target.column(name) is not None]
        if not names:
            return ""
        key = ", ".join(key_text(f"b.t{n}") for n in range(1, len(written.identity) + 1))
        kept = f"kept.backfill = {written.recorded.id} AND kept.target_key = ARRAY[{key}] AND b.kind = 'merged'"
        emptied = ", ".join(
            f"{quote(one)} = CASE WHEN t.{quote(one)}::text {EXACTLY} = kept.filled ->> {literal(one)} THEN NULL"
            f" ELSE t.{quote(one)} END"
            for one in names
        )
        return (
            f"restored AS (UPDATE {written.target.relation.sql} AS t SET {emptied}"
            f" FROM b, migrator.before_image AS kept WHERE {kept} AND {written.same_row('b', 't')}),\n"
            f"unkept AS (DELETE FROM migrator.before_image AS kept USING b WHERE {kept}),\n"
        )

    def _sql(self, position: Key | None, filled: tuple[str, ...]) -> str:
        """Write the statement of a batch: target rows and their provenance go together, or stay together."""
        written, provenance = self.written, self.written.recorded.provenance
        walked = Keyset.of_provenance(provenance, written.keys)
        keys = ", ".join(f"s{n}" for n in range(1, len(written.keys) + 1))
        same_key = " AND ".join(f"v.s{n} = b.s{n}" for n in range(1, len(written.keys) + 1))
        ours = "true" if self.lose_changed else written.unchanged("b", "t")
        names = ", ".join(f"t.{quote(one.name)}" for one in written.identity)
        gone = ", ".join(f"b.t{n}" for n in range(1, len(written.identity) + 1))
        return f"""WITH b AS MATERIALIZED (SELECT walked.* FROM {provenance} AS walked WHERE {walked.after(position)}
  ORDER BY {keys} LIMIT {BATCH_ROWS}),
del AS (DELETE FROM {written.target.relation.sql} AS t USING b
  WHERE b.kind = 'moved' AND {written.same_row("b", "t")} AND {ours} RETURNING {names}),
{self._restored(filled)}forgotten AS (DELETE FROM {provenance} AS v USING b WHERE {same_key} AND (b.kind = 'merged'
  OR ({gone}) IN (SELECT * FROM del)
  OR NOT EXISTS (SELECT FROM {written.target.relation.sql} AS t WHERE {written.same_row("b", "t")})) RETURNING 1)
SELECT (SELECT count(*) FROM del),
  (SELECT ARRAY[{", ".join(f"{k}::text" for k in keys.split(", "))}] FROM b ORDER BY {_descending(keys)} LIMIT 1)"""


def _descending(keys: str) -> str:
    return ", ".join(f"{one} DESC" for one in keys.split(", "))
