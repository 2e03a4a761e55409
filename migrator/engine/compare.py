"""The proof: source Projection and target held against each other, row by row, in both directions.

One statement per Range with one snapshot; keys that differ are looked at again column by column. Equality is exact by
image (engine/projection/images.py). What counts as which kind:

    altered   the target row is not what we wrote         stale   the source row is not what we moved
    lost      the target row is gone                      extra   a target row whose source row is gone, or nobody's
    doubled   a second target row of the same source row  pending a source row nobody accounts for yet
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, get_args

from migrator.database.connect import Connection
from migrator.database.failures import SqlError
from migrator.database.session import execute, rows, transaction, value
from migrator.engine.groups import Ranking
from migrator.engine.isolate import is_row_fault, raising_rows, without
from migrator.engine.projection.compiled import CODE, DIGEST
from migrator.engine.projection.images import digest, image, stored_digest
from migrator.engine.projection.pieces import FOLLOWS, MOVED
from migrator.engine.projection.projection import Projection
from migrator.engine.ranges import Key, Keyset, plan_ranges
from migrator.engine.statements import Writing
from migrator.model.change import Foreign
from migrator.model.expressions import Column, DerivedText, DerivedUuid
from migrator.model.names import EXACTLY, key_text, literal, ours, quote
from migrator.model.tables import TableColumn
from migrator.model.verdict import ColumnDifference, Comparison, RowVerdict, VerdictKind

RANGE_ROWS: Final = 100_000
WORK_MEM: Final = "128MB"
# A Range is a small part of a table: its rows are looked up, the table is not read once for each Range.
BY_INDEX: Final = "SELECT pg_catalog.set_config('random_page_cost', '1.1', true)"
RECOGNISED: Final = ours("recognised")
_KINDS: Final = get_args(VerdictKind)


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
        projection = self.writing.projection
        return Comparison(
            backfill=projection.backfill.name,
            source=str(projection.source.relation),
            target=str(projection.target.relation),
            compared=compared,
            counts={kind: counts[kind] for kind in _KINDS if counts[kind]},
            rows=tuple(self._with_columns(conn, one) for one in found),
            foreign=foreign,
            handed_over=self._handed_over(conn),
            seconds=time.monotonic() - begun,
        )

    @property
    def _projection(self) -> Projection:
        return self.writing.projection

    def _handed_over(self, conn: Connection) -> int:
        """Count the rows that were handed over to the application, which are not compared."""
        if not self._projection.backfill.handed_over:
            return 0
        with transaction(conn, read_only=True, search_path=self.search_path):
            return int(
                value(conn, f"SELECT count(*) FROM {self.writing.recorded.provenance} AS known WHERE kind = 'moved'")
            )

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
                found = rows(conn, self._range_sql(lo, hi))
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
        kind, _, note = kind.partition(": ")
        assert kind in _KINDS
        return RowVerdict(
            kind=kind,  # type: ignore[arg-type]  # asserted above
            source_key=_named(self._projection.keys, source),
            target_key=_named(self._projection.identity, target),
            note=note,
        )

    def _range_sql(self, lo: Key | None, hi: Key | None) -> str:
        """Write the statement: a first row with the number of rows compared, then one row per difference."""
        projection, recorded = self._projection, self.writing.recorded
        walked = Keyset.of_provenance(recorded.provenance, projection.keys)
        keys = projection.key_columns("p")
        on = " AND ".join(f"{key} = {name}" for key, name in zip(keys, walked.names, strict=True))
        identity = " AND ".join(
            f"t.{quote(one.name)} = walked.t{number}" for number, one in enumerate(projection.identity, 1)
        )
        source_key = ", ".join(key_text(f"COALESCE({a}, {b})") for a, b in zip(keys, walked.names, strict=True))
        target_key = ", ".join(key_text(f"walked.t{number}") for number in range(1, len(projection.identity) + 1))
        held = f"held.backfill = {recorded.id} AND held.source_key = ARRAY[{', '.join(key_text(k) for k in keys)}]"
        given = f" WHERE NOT EXISTS (SELECT FROM walked WHERE {on})" if projection.backfill.handed_over else ""
        recognised = projection.recognition("whole")
        near = Keyset.nearby(projection.keys, ours("keyed")).within(lo, hi)
        more = "".join(f", {quote(name)}" for name in projection.backfill.fills)
        more += f", {', '.join(projection.into_columns())}" if projection.grouping else ""
        return f"""WITH p AS MATERIALIZED (
  SELECT {", ".join(projection.key_columns())}, {quote(CODE)}, {quote(DIGEST)}, {recognised} AS {RECOGNISED}{more}
  FROM ({projection.select(self.writing.keyset.within(lo, hi), near=near, merging=False)}) AS whole),
walked AS MATERIALIZED (SELECT * FROM {recorded.provenance} AS walked WHERE {walked.within(lo, hi)}),
held AS MATERIALIZED (SELECT backfill, source_key FROM migrator.quarantine WHERE backfill = {recorded.id}),
judged AS (SELECT {self._kind()} AS kind, ARRAY[{source_key}] AS source_key, ARRAY[{target_key}] AS target_key
  FROM p FULL JOIN walked ON {on}
  LEFT JOIN {projection.target.relation.sql} AS t ON {identity}
  LEFT JOIN held ON {held}{self._filled_join()})
SELECT NULL::text, NULL::text[], NULL::text[], (SELECT count(*) FROM p{given})
UNION ALL SELECT kind, source_key, target_key, NULL FROM judged WHERE kind IS NOT NULL"""

    def _kind(self) -> str:
        projection = self._projection
        first = f"t.{quote(projection.identity[0].name)}"
        whole = digest(projection.compared, of="t")
        recognised = projection.recognition("t")
        code, ours = f"p.{quote(CODE)}", f"p.{quote(DIGEST)}"
        written = stored_digest(self.writing.recorded, projection.target, "walked", "t")
        unchanged = f"CASE walked.kind WHEN 'merged' THEN ({recognised}) ELSE {written} END = walked.digest"
        unchanged = f"({unchanged} AND {self._still_filled('t')})"
        source_gone = f"{projection.key_columns('p')[0]} IS NULL"
        skipped = ", ".join(str(one) for one in projection.codes("skipped")) or "-1"
        backfill = projection.backfill
        given = "\n  WHEN walked.s1 IS NOT NULL THEN NULL" if backfill.handed_over else ""
        past = f"\n  WHEN {source_gone} THEN NULL" if backfill.in_place else ""
        return f"""CASE
  WHEN walked.s1 IS NULL AND held.backfill IS NOT NULL THEN NULL
  WHEN walked.s1 IS NULL THEN CASE WHEN {code} NOT IN ({skipped}) THEN 'pending' END{given}{past}
  WHEN {source_gone} AND {first} IS NULL THEN 'extra: only its provenance is left'
  WHEN {source_gone} THEN 'extra: its source row is gone'
  WHEN {first} IS NULL THEN 'lost: the target row is gone'
  WHEN held.backfill IS NOT NULL THEN 'stale: moved, and quarantined as well'
{self._follows()}  WHEN {self._stays(code)} AND CASE walked.kind WHEN 'merged' THEN {recognised} = p.{RECOGNISED}
    AND {self._still_filled("t")} AND {self._still_filled("p")} ELSE {whole} = {ours} END THEN NULL
  WHEN ({unchanged}) IS NOT TRUE THEN 'altered'
  WHEN {code} = {MOVED} THEN 'stale'{self._held_back(code)}
  ELSE 'stale: the source row would not be moved now' END"""

    def _held_back(self, code: str) -> str:
        """Name the object for which a row that moved before would wait now, or be quarantined."""
        gates = self._projection.gates
        arms = " ".join(f"WHEN {one} THEN {literal(f'stale: {self._projection.outcome(one).reason}')}" for one in gates)
        return f"\n  WHEN {code} IN ({', '.join(map(str, gates))}) THEN CASE {code} {arms} END" if gates else ""

    def _stays(self, code: str) -> str:
        """Write the condition that a row would move or merge now; one that is merged needs no object."""
        gates = ", ".join(map(str, self._projection.gates))
        moves = f"{code} = {MOVED}"
        return f"({moves} OR walked.kind = 'merged' AND {code} IN ({gates}))" if gates else moves

    def _follows(self) -> str:
        """Judge a row that follows another: it points where that one's provenance points, and is as recorded."""
        projection = self._projection
        if projection.grouping is None:
            return ""
        into = projection.into_columns("p")
        same = " AND ".join(f"{one} = walked.t{n}" for n, one in enumerate(into, 1))
        follows, digest = f"p.{quote(CODE)} = {FOLLOWS}", f"p.{quote(DIGEST)}"
        return f"""  WHEN {follows} AND walked.follows AND {same} AND {digest} = walked.digest THEN NULL
  WHEN {follows} AND walked.follows THEN 'stale: its winner became another row'
  WHEN {follows} THEN 'stale: it belongs to another row now'
  WHEN walked.follows THEN 'stale: it stands for itself now'
"""

    def _filled_join(self) -> str:
        """Join what a merge wrote into empty columns of an application's row."""
        if not self._projection.backfill.fills:
            return ""
        key = ", ".join(key_text(f"walked.t{number}") for number in range(1, len(self._projection.identity) + 1))
        return (
            f"\n  LEFT JOIN migrator.before_image AS kept ON kept.backfill = {self.writing.recorded.id}"
            f" AND walked.kind = 'merged' AND kept.target_key = ARRAY[{key}]"
        )

    def _still_filled(self, of: str) -> str:
        """Write the condition that a row has, in the columns a merge completed, what was written there."""
        tests = [
            f"COALESCE(kept.written ->> {literal(name)} = {of}.{quote(name)}::text {EXACTLY},"
            f" NOT kept.written ? {literal(name)}, true)"
            for name in self._projection.backfill.fills
        ]
        return f"({' AND '.join(tests)})" if tests else "true"

    def _foreign_rows(self, conn: Connection) -> tuple[int, list[RowVerdict]]:
        """Count target rows nobody's provenance knows; name those that are a fault. In place all rows were there."""
        if self._projection.backfill.in_place:
            return 0, []
        with transaction(conn, read_only=True, isolation="repeatable read", search_path=self.search_path):
            foreign = int(value(conn, f"SELECT count(*) FROM ({self._strangers()}) AS t"))
            if foreign == 0:
                return 0, []
            doubled = self._doubled(conn)
            if self.foreign == "count":
                return foreign, doubled
            known = {tuple(one.target_key.values()) for one in doubled}
            return foreign, doubled + [one for one in self._extra(conn) if tuple(one.target_key.values()) not in known]

    def _regrouped(self, conn: Connection) -> list[RowVerdict]:
        """Name the rows that belong to another row now than they did when they were moved."""
        ranking = Ranking.of(self.writing)
        if ranking is None:
            return []
        with transaction(conn, read_only=True, search_path=self.search_path, work_mem=WORK_MEM):
            found = rows(conn, ranking.regrouped())
        return [self._verdict(f"stale: it belongs to {won} now", list(key), list(into)) for key, into, won in found]

    def _strangers(self) -> str:
        identity = self._projection.identity
        tests = [
            f"NOT EXISTS (SELECT FROM {table} AS known WHERE "
            + " AND ".join(f"known.t{n} = t.{quote(one.name)}" for n, one in enumerate(identity, 1))
            + ")"
            for table in self.provenances
        ]
        return f"SELECT t.* FROM {self._projection.target.relation.sql} AS t WHERE {' AND '.join(tests) or 'true'}"

    def _extra(self, conn: Connection) -> list[RowVerdict]:
        keys = self._target_key("t")
        found = rows(conn, f"SELECT {keys} FROM ({self._strangers()}) AS t ORDER BY 1")
        return [self._verdict("extra: nobody moved it here", [], list(key)) for (key,) in found]

    def _doubled(self, conn: Connection) -> list[RowVerdict]:
        """Find strangers that carry the content of a row of ours."""
        telling = self._telling()
        if not telling or self._projection.backfill.handed_over:
            return []
        strange, ours = digest(telling, of="stranger"), digest(telling, of="ours")
        alone = self._projection.grouping is None
        walked = Keyset.of_provenance(self.writing.recorded.provenance, self._projection.keys)
        same = " AND ".join(
            f"ours.{quote(one.name)} = walked.t{n}" for n, one in enumerate(self._projection.identity, 1)
        )
        given = " OR ".join(f"stranger.{quote(one.name)} IS NOT NULL" for one in telling)
        found = rows(
            conn,
            f"SELECT {walked.texts}, {self._target_key('stranger')} FROM ({self._strangers()}) AS stranger"
            f" JOIN {self._projection.target.relation.sql} AS ours ON {strange} = {ours}"
            f" JOIN {walked.relation} AS walked ON {same}{'' if alone else ' AND NOT walked.follows'}"
            f" WHERE {given} ORDER BY 2, 1",
        )
        return [self._verdict("doubled: a second row with the same content", list(a), list(b)) for a, b in found]

    def _target_key(self, of: str) -> str:
        return f"ARRAY[{', '.join(key_text(f'{of}.{quote(one.name)}') for one in self._projection.identity)}]"

    def _telling(self) -> tuple[TableColumn, ...]:
        """Choose the columns by which a second copy is told: all content, or what only the source key can give."""
        projection = self._projection
        identity = {one.name for one in projection.identity}
        unique = {name for one in projection.target.uniques for name in one.columns} | identity
        content = tuple(one for one in projection.compared if one.name not in unique)
        if self.foreign == "fault":
            return content
        return tuple(one for one in content if self._only_from_key(one.name))

    def _only_from_key(self, name: str) -> bool:
        made = self._projection.backfill.expressions[name]
        if isinstance(made, DerivedUuid | DerivedText):
            return True
        return isinstance(made, Column) and self._projection.source.unique_over((made.name,)) is not None

    def _with_columns(self, conn: Connection, verdict: RowVerdict) -> RowVerdict:
        """Name the columns of a row that differ, judged by a snapshot of its own."""
        if verdict.kind not in {"altered", "stale"} or verdict.note:
            return verdict
        projection = self._projection
        key = tuple(verdict.source_key.values())
        identity = " AND ".join(
            f"t.{quote(name)} = {literal(text)}::{_type(projection.identity, name)}"
            for name, text in verdict.target_key.items()
        )
        walked = Keyset.of_provenance(self.writing.recorded.provenance, projection.keys)
        merged = f"SELECT FROM {walked.relation} AS {walked.alias} WHERE {walked.at(key)} AND walked.kind = 'merged'"
        ours = {one.name for one in projection.recognised} | set(projection.backfill.fills)
        pairs = ", ".join(_pair(one, ours=one.name in ours) for one in projection.compared)
        sql = (
            f"SELECT c.name, c.found, c.expected FROM ({projection.select(self.writing.keyset.at(key))}) AS p"
            f" JOIN {projection.target.relation.sql} AS t ON {identity}"
            f" CROSS JOIN LATERAL (VALUES {pairs}) AS c(name, ours, their_image, found, our_image, expected)"
            f" WHERE c.their_image IS DISTINCT FROM c.our_image AND (c.ours OR NOT EXISTS ({merged}))"
        )
        with transaction(conn, read_only=True, search_path=self.search_path):
            found = rows(conn, sql)
        differences = tuple(ColumnDifference(column=name, found=a, expected=b) for name, a, b in found)
        return RowVerdict(
            kind=verdict.kind,
            source_key=verdict.source_key,
            target_key=verdict.target_key,
            columns=differences,
        )


def _named(columns: tuple[TableColumn, ...], key: Sequence[str | None]) -> Mapping[str, str]:
    return {one.name: text for one, text in zip(columns, key, strict=False) if text is not None}


def _type(columns: tuple[TableColumn, ...], name: str) -> str:
    return next(one.type.name for one in columns if one.name == name)


def _pair(column: TableColumn, *, ours: bool) -> str:
    """Write one row of VALUES: name, whether a merge compares it, image and text of target and of Projection."""
    found, expected = f"t.{quote(column.name)}", f"p.{quote(column.name)}"
    sides = [f"({image(column, side)})::text {EXACTLY}, {side}::text" for side in (found, expected)]
    return f"({literal(column.name)}, {literal(ours)}, {', '.join(sides)})"
