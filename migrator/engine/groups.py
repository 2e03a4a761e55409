"""Ranking a source: which rows are one group, and which of them wins; kept in the Ledger, added to, not done again.

A winner stays the winner: a row that comes later joins its group, whatever the order says. A row that follows and now
belongs elsewhere is forgotten and taken anew, which touches no row of the target. A winner that was moved stays what it
is; verify names it where its group is another one now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from migrator.database import failures
from migrator.database.connect import Connection
from migrator.database.failures import SqlError
from migrator.database.session import execute, rows, value
from migrator.engine.isolate import is_row_fault
from migrator.engine.projection.grouping import CANNOT, Grouping
from migrator.engine.projection.projection import Projection
from migrator.engine.statements import Writing
from migrator.engine.work import WORK_MEM
from migrator.ledger import provenance, winners
from migrator.model.errors import UsageError
from migrator.model.names import key_text, literal, ours

EXAMPLES: Final = 3


def look_at(conn: Connection, projection: Projection) -> None:
    """Try the groups of a source that were never ranked, in the open transaction.

    Raises UsageError M151 for pairs that are a chain, a circle or ambiguous, M152 where the group's SQL raises.
    """
    if projection.grouping is None or projection.grouping.recorded is not None:
        return
    try:
        with conn.transaction():
            execute(conn, f"SET LOCAL work_mem = '{WORK_MEM}'")  # what is too big to be hashed is read for every row
            if projection.grouping.is_query:
                _refuse_chains(conn, projection, projection.grouping)
            else:
                value(conn, f"SELECT count(w1) FROM ({projection.grouping.pairs()}) AS pairs")
    except SqlError as error:
        if not is_row_fault(error):
            raise
        raise _raising(projection, error) from error


def _raising(projection: Projection, error: SqlError) -> UsageError:
    return UsageError(
        "M152",
        f"{projection.backfill.name}: the SQL of its group raises for a row: {failures.message(error)}.",
        "Write it so that it gives NULL where there is no value: such a row stands for itself.",
    )


def _refuse_chains(conn: Connection, projection: Projection, grouping: Grouping) -> None:
    """Refuse pairs by which a row follows one that follows another, or follows two."""
    if not grouping.is_query:
        return
    numbers = range(1, grouping.keys + 1)
    own, won, key = (", ".join(f"{letter}{n}" for n in numbers) for letter in ("s", "w", "k"))
    named = ", ".join(f"w{n} AS k{n}" for n in numbers)
    as_key = ", ".join(f"s{n} AS k{n}" for n in numbers)
    ctes = (
        f"WITH pairs AS MATERIALIZED (SELECT DISTINCT * FROM ({grouping.pairs()}) AS pairs WHERE ({own}) <> ({won})),"
        f" wrong AS MATERIALIZED (SELECT {key} FROM (SELECT {as_key}, 1 AS follows, 0 AS wins FROM pairs"
        f" UNION ALL SELECT {named}, 0, 1 FROM pairs) AS both_sides GROUP BY {key}"
        " HAVING sum(follows) > 1 OR sum(follows) = 1 AND sum(wins) > 0)"
    )
    if not value(conn, f"{ctes} SELECT EXISTS (SELECT FROM wrong)"):
        return
    follows, wins = (
        f"array_to_string(ARRAY[{', '.join(f'{letter}{n}::text' for n in numbers)}], ', ')" for letter in "sw"
    )
    found = rows(
        conn,
        f"{ctes} SELECT {follows} || ' follows ' || {wins} FROM pairs"
        f" WHERE ({own}) IN (SELECT * FROM wrong) OR ({won}) IN (SELECT * FROM wrong) ORDER BY 1 LIMIT {EXAMPLES}",
    )
    raise UsageError(
        "M151",
        f"{projection.backfill.name}: its pairs are a chain, a circle, or name two winners for a row:"
        f" {'; '.join(str(said) for (said,) in found)}.",
        "Let the query name for each row the one that stands for the whole group, and for that one none.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The ranking of one backfill's source. `id` is its number in the Ledger, `part` the provenance looked at."""

    projection: Projection
    grouping: Grouping
    id: int
    part: str

    @classmethod
    def of(cls, writing: Writing) -> Ranking | None:
        """Give the ranking of a backfill; None where each row stands for itself."""
        grouping = writing.projection.grouping
        if grouping is None:
            return None
        recorded = writing.recorded
        return cls(projection=writing.projection, grouping=grouping, id=recorded.id, part=recorded.provenance)

    def run(self, conn: Connection, *, whole: bool) -> None:
        """Rank what was never ranked, in the open transaction; `whole` also looks at what was.

        Raises UsageError M151 and M152, as `look_at` does.
        """
        try:
            with conn.transaction():
                if whole and self._is_begun(conn):
                    self._forget_those_that_moved_on(conn)
                if self._any_new(conn):
                    _refuse_chains(conn, self.projection, self.grouping)
                    self._add(conn)
                    execute(conn, f"ANALYZE {self._table}")
                self._release(conn)
        except SqlError as error:
            if not is_row_fault(error):
                raise
            raise _raising(self.projection, error) from error

    def regrouped(self) -> str:
        """Write the SELECT of rows that are accounted for and belong to another row now: key, target key, winner."""
        same = " AND ".join(f"v.s{n} = pairs.s{n}" for n in self._numbers)
        into = ", ".join(key_text(f"v.t{n}") for n in range(1, len(self.projection.identity) + 1))
        own, won = (", ".join(key_text(f"pairs.{letter}{n}") for n in self._numbers) for letter in "sw")
        return (
            f"SELECT ARRAY[{own}], ARRAY[{into}], array_to_string(ARRAY[{won}], ', ') FROM ({self._now()}) AS pairs"
            f" JOIN {self.part} AS v ON {same} WHERE {self._moved_on('pairs')} ORDER BY 1"
        )

    @property
    def _numbers(self) -> range:
        return range(1, self.grouping.keys + 1)

    @property
    def _table(self) -> str:
        return winners.table(self.id)

    def _list(self, letter: str, of: str) -> str:
        return ", ".join(f"{of}.{letter}{n}" for n in self._numbers)

    def _same(self, one: tuple[str, str], other: tuple[str, str]) -> str:
        """Write that two keys agree, each as (alias, letter)."""
        return " AND ".join(f"{one[0]}.{one[1]}{n} = {other[0]}.{other[1]}{n}" for n in self._numbers)

    def _moved_on(self, of: str) -> str:
        return f"{of}.was1 IS NOT NULL AND ({self._list('w', of)}) <> ({self._list('was', of)})"

    def _now(self) -> str:
        """Write the SELECT of all rows that no rule takes: key, winner now, and the winner kept (was1, …) if any.

        A kept pair holds while both are in one group, or while the winner's row is what is left of it.
        """
        n = self._numbers
        keys, by = self.grouping.names("key", of="r"), f"r.{ours('by')}"
        given = [f"r.{one}" for one in self.grouping.names("winner")] if self.grouping.is_query else [by]
        lead = " AND ".join(f"lead.{ours(f'key{i}')} = kept.w{i}" for i in n)
        still = " AND ".join(f"v.s{i} = kept.w{i}" for i in n)
        alone = f"({self._list('s', 'kept')}) = ({self._list('w', 'kept')})"
        together = "false" if self.grouping.is_query else f"lead.{ours('by')} IS NOT DISTINCT FROM {by}"
        gone = f"v.s1 IS NOT NULL{f' AND {given[0]} IS NULL' if self.grouping.is_query else ''}"
        class_ = (
            f"CASE WHEN kept.s1 IS NULL THEN 2 WHEN {alone} THEN 0"
            f" WHEN CASE WHEN lead.{ours('key1')} IS NULL THEN {gone} ELSE {together} END THEN 1 ELSE 2 END"
        )
        heads = [f"CASE WHEN ({class_}) = 1 THEN kept.w{i} ELSE {key} END AS head{i}" for i, key in enumerate(keys, 1)]
        was = ", ".join(f"kept.w{i} AS was{i}" for i in n)
        joined = (
            f"SELECT r.*, {', '.join(heads)}, {was}, {class_} AS class FROM r"
            f" LEFT JOIN {self._table} AS kept ON {' AND '.join(f'kept.s{i} = {key}' for i, key in enumerate(keys, 1))}"
            f" LEFT JOIN r AS lead ON {lead} AND NOT {alone}"
            f" LEFT JOIN {provenance.table(self.id)} AS v ON {still} AND NOT {alone}"
        )
        return (
            f"WITH r AS MATERIALIZED ({self.grouping.rows}), j AS ({joined})"
            f" SELECT {', '.join(f'{key} AS s{i}' for i, key in enumerate(self.grouping.names('key'), 1))},"
            f" {', '.join(self._won())}, {', '.join(f'was{i}' for i in n)} FROM j{self._window()}"
        )

    def _won(self) -> list[str]:
        keys, grouping = self.grouping.names("key"), self.grouping
        if grouping.is_query:
            given = grouping.names("winner")
            return [
                f"CASE WHEN {given[0]} IS NULL THEN head{i} ELSE {one} END AS w{i}" for i, one in enumerate(given, 1)
            ]
        return [
            f"CASE WHEN {ours('by')} IS NULL THEN {key} ELSE first_value(head{i}) OVER ranked END AS w{i}"
            for i, key in enumerate(keys, 1)
        ]

    def _window(self) -> str:
        if self.grouping.is_query:
            return ""
        order = ", ".join(["class", *self.grouping.order(), *self.grouping.names("key")])
        return f" WINDOW ranked AS (PARTITION BY {ours('by')} ORDER BY {order})"

    def _is_begun(self, conn: Connection) -> bool:
        return bool(value(conn, f"SELECT EXISTS (SELECT FROM {self._table})"))

    def _any_new(self, conn: Connection) -> bool:
        """Tell whether a row that no rule takes was never ranked."""
        same = " AND ".join(f"kept.s{i} = r.{ours(f'key{i}')}" for i in self._numbers)
        return bool(
            value(
                conn,
                # Counted: for the first row alone the planner would read all pairs anew for every row.
                f"SELECT count(*) > 0 FROM ({self.grouping.free}) AS r"
                f" WHERE NOT EXISTS (SELECT FROM {self._table} AS kept WHERE {same})",
            )
        )

    def _add(self, conn: Connection) -> None:
        """Rank the rows that were never ranked."""
        execute(
            conn,
            f"INSERT INTO {self._table} SELECT {self._list('s', 'pairs')}, {self._list('w', 'pairs')}"
            f" FROM ({self._now()}) AS pairs WHERE was1 IS NULL ORDER BY {self._list('s', 'pairs')}",
        )

    def _forget_those_that_moved_on(self, conn: Connection) -> None:
        """Forget what is known of rows that belong to another one now, and have no target row of their own."""
        moved = f"SELECT FROM {provenance.table(self.id)} AS v WHERE {self._same(('v', 's'), ('pairs', 's'))}"
        texts = ", ".join(key_text(f"b.s{n}") for n in self._numbers)
        execute(
            conn,
            f"WITH b AS MATERIALIZED (SELECT {self._list('s', 'pairs')} FROM ({self._now()}) AS pairs"
            f" WHERE {self._moved_on('pairs')} AND NOT EXISTS ({moved} AND v.kind = 'moved')),"
            f" v AS (DELETE FROM {provenance.table(self.id)} AS v USING b WHERE {self._same(('v', 's'), ('b', 's'))}),"
            f" q AS (DELETE FROM migrator.quarantine AS q USING b WHERE q.backfill = {self.id} AND q.status = 'open'"
            f" AND q.source_key = ARRAY[{texts}])"
            f" DELETE FROM {self._table} AS kept USING b WHERE {self._same(('kept', 's'), ('b', 's'))}",
        )

    def _release(self, conn: Connection) -> None:
        """Take rows out of quarantine that are there for their winners alone, whose winners are not any more."""
        texts, won = (", ".join(key_text(f"kept.{letter}{n}") for n in self._numbers) for letter in "sw")
        execute(
            conn,
            f"DELETE FROM migrator.quarantine AS q USING {self._table} AS kept, {self._table} AS lead"
            f" WHERE q.backfill = {self.id} AND q.status = 'open' AND q.reason = {literal(CANNOT)}"
            f" AND q.source_key = ARRAY[{texts}] AND {self._same(('lead', 's'), ('kept', 'w'))}"
            f" AND NOT EXISTS (SELECT FROM migrator.quarantine AS held WHERE held.backfill = {self.id}"
            f" AND held.source_key = ARRAY[{won}])",
        )
