"""The data statements of a copy: target rows, provenance, quarantine and checkpoint in one statement, or nothing.

A *plain* statement inserts and lets the server raise where a row is in the way; a *careful* one names its arbiter and
classifies every row that was not returned (docs/postgresql.md, finding 16). Both read the source once, through the
Projection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from migrator.engine.blame import Blame
from migrator.engine.inplace import GOT, InPlace
from migrator.engine.projection.compiled import CODE, DETAIL, DIGEST, MARKS
from migrator.engine.projection.pieces import FIRST_OUTCOME, FOLLOWS, MERGED, MOVED
from migrator.engine.projection.projection import Projection
from migrator.engine.ranges import Key, Keyset
from migrator.ledger.backfills import Recorded
from migrator.model import moved_objects
from migrator.model.names import key_text, literal, ours, quote, text_array


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """What the statements of one backfill are written for."""

    projection: Projection
    recorded: Recorded
    run: int

    @property
    def keyset(self) -> Keyset:
        """The walk over the source."""
        return Keyset.of_source(self.projection.source, self.projection.keys)

    @property
    def in_place(self) -> InPlace:
        """What is written where the source is its own target."""
        return InPlace(projection=self.projection, recorded=self.recorded, run=self.run)

    def plain(self, range_id: int, lo: Key | None, hi: Key | None, *, ends: bool) -> str:
        """Write the statement for a batch nobody has touched yet."""
        where = self.keyset.within(lo, hi)
        moved = f"SELECT {self._provenance_of('p')} FROM p WHERE p.{quote(CODE)} = {MOVED}"
        return self._statement(
            self.projection.select(where, near=self._near(lo, hi), merging=False, turn="winners"),
            [
                f"ins AS (INSERT INTO {self._target} {self._insert_from_p()} RETURNING 1)",
                f"prov AS (INSERT INTO {self.recorded.provenance} {moved})",
                self._quarantined(),
                self._checkpoint(range_id, hi, ends=ends),
            ],
            inserted="(SELECT count(*) FROM ins)",
        )

    def careful(self, range_id: int, lo: Key | None, hi: Key | None, *, ends: bool) -> str:
        """Write the statement that only takes rows nobody accounts for yet, and merges where a row is in the way."""
        return self._careful(
            self.careful_rows(lo, hi), self._checkpoint(range_id, hi, ends=ends), self._there.within(lo, hi)
        )

    def careful_rows(self, lo: Key | None, hi: Key | None) -> str:
        """Write the SELECT of the rows that the careful statement takes."""
        where = Keyset.nearby(self.projection.keys, ours("known")).within(lo, hi)
        rows = f"{self.keyset.within(lo, hi)} AND {self.unaccounted_for(where)}"
        return self._as_it_is.select(rows, near=self._near(lo, hi), turn="ready")

    def contested(self, key: Key, attempt: int) -> str:
        """Write the statement that decides one contested key again, under a fresh snapshot."""
        near = Keyset.nearby(self.projection.keys, ours("keyed")).at(key)
        select = self._as_it_is.select(f"{self.keyset.at(key)} AND {self.unaccounted_for()}", near=near, turn="ready")
        return self._careful(select, None, self._there.at(key), attempt)

    def locked(self, key: Key) -> str:
        """Write the statement that keeps everybody from one row until the end of the transaction."""
        keyset = self.keyset
        return f"SELECT FROM {keyset.relation} AS {keyset.alias} WHERE {keyset.at(key)} FOR NO KEY UPDATE"

    def tried(self, row: str) -> str:
        """Write the statement by which a scout tries one row of the Projection, a record of that name."""
        projection = self.projection
        names, target = [quote(one.name) for one in projection.columns], projection.target.relation.sql
        values = [f"{row}.{name}" for name in names]
        if projection.backfill.in_place:
            pairs = zip(projection.source_keys("t"), projection.key_columns(row), strict=True)
            new = ", ".join(f"{name} = {one}" for name, one in zip(names, values, strict=True))
            return f"UPDATE {target} AS t SET {new} WHERE {' AND '.join(f'{a} = {b}' for a, b in pairs)}"
        identity = ", ".join(quote(one.name) for one in projection.identity)
        return f"INSERT INTO {self._target} VALUES ({', '.join(values)}) ON CONFLICT ({identity}) DO NOTHING"

    def single(self, range_id: int, blamed: Blame) -> str:
        """Write the statement that quarantines the next row of a Range."""
        counted = f"read = read + 1, quarantined = quarantined + 1, position = {text_array(blamed.key)}"
        return f"WITH quar AS ({self.held([blamed])}) UPDATE migrator.range SET {counted} WHERE id = {range_id}"

    def held(self, blames: Sequence[Blame]) -> str:
        """Write the statement that quarantines rows by their keys, for faults that only an attempt could show."""
        keyset = self.keyset
        names = [f"k{n}" for n in range(1, len(keyset.columns) + 1)]
        facts = [
            (literal(one.reason), *(literal(said) for said in (one.sqlstate, one.constraint or None, one.message)))
            for one in blames
        ]
        listed = ", ".join(
            f"({keyset.values(one.key)}, {', '.join(said)})" for one, said in zip(blames, facts, strict=True)
        )
        blamed = ours("blamed")
        same = " AND ".join(f"{name} = {blamed}.{key}" for name, key in zip(keyset.names, names, strict=True))
        row = (
            f"SELECT {self.recorded.id}, {keyset.texts}, {blamed}.reason, {blamed}.sqlstate, {blamed}.constraint_name,"
            f" {blamed}.message, to_json({keyset.alias}.*), {self.recorded.definition}, {self.run}"
            f" FROM (VALUES {listed}) AS {blamed} ({', '.join(names)}, reason, sqlstate, constraint_name, message)"
            f" JOIN {keyset.relation} AS {keyset.alias} ON {same} WHERE {self.unaccounted_for()}"
        )
        columns = "backfill, source_key, reason, sqlstate, constraint_name, message, source_row, definition, run"
        return f"INSERT INTO migrator.quarantine ({columns}) {row} ON CONFLICT (backfill, source_key) DO NOTHING"

    def unaccounted_for(self, where: str = "true") -> str:
        """Write the condition that no provenance and no quarantine knows the source row.

        `where` says where its provenance is, so that not all of it need be read.
        """
        keyset = self.keyset
        known, held = ours("known"), ours("held")
        same = " AND ".join(f"{known}.s{n} = {name}" for n, name in enumerate(keyset.names, 1))
        return (
            f"NOT EXISTS (SELECT FROM {self.recorded.provenance} AS {known} WHERE {same} AND {where})"
            f" AND NOT EXISTS (SELECT FROM migrator.quarantine AS {held} WHERE {held}.backfill = {self.recorded.id}"
            f" AND {held}.source_key = {keyset.texts})"
        )

    def behind(self, *, waiting: bool = False) -> str:
        """Write the SELECT of the source rows nobody accounts for yet and which the Projection would take.

        With `waiting` also of those of a group whose turn has not come.
        """
        select = self._as_it_is.select(self.unaccounted_for(), merging=False, turn="all" if waiting else "ready")
        skipped = ", ".join(str(code) for code in self.projection.codes("skipped")) or "-1"
        return f"SELECT * FROM ({select}) AS taken WHERE taken.{quote(CODE)} NOT IN ({skipped})"

    def objects(self, lo: Key | None, hi: Key | None) -> str:
        """Write the SELECT of the objects of the rows within (lo, hi]: of those that moved, and of those that would.

        A row that was dismissed has none; nor has one that was handed over, for it stays as it was written. Rows of a
        group must have been ranked before: of those that were not, nobody knows who stands for them.
        """
        within, near = self.keyset.within(lo, hi), self._near(lo, hi)
        known = Keyset.nearby(self.projection.keys, ours("known")).within(lo, hi)
        found = self._as_it_is.objects(f"{within} AND NOT EXISTS ({self._known(known)})", near=near, turn="winners")
        if self.projection.backfill.handed_over:
            return found
        moved = self.projection.objects(
            f"{within} AND EXISTS ({self._known(known, 'moved')})", near=near, merging=False
        )
        return f"{found} UNION ALL {moved}"

    def documents(self, lo: Key | None, hi: Key | None) -> str:
        """Write the SELECT of the documents of the rows within (lo, hi] that moved, and still would."""
        known = Keyset.nearby(self.projection.keys, ours("known")).within(lo, hi)
        where = f"{self.keyset.within(lo, hi)} AND EXISTS ({self._known(known, 'moved')})"
        return self.projection.documents(where, near=self._near(lo, hi))

    def _known(self, where: str, kind: str = "") -> str:
        """Write the subquery for a source row's provenance; `where` says where it is."""
        known = ours("known")
        same = " AND ".join(f"{known}.s{n} = {name}" for n, name in enumerate(self.keyset.names, 1))
        of_kind = f" AND {known}.kind = {literal(kind)}" if kind else ""
        return f"SELECT FROM {self.recorded.provenance} AS {known} WHERE {same}{of_kind} AND {where}"

    @property
    def _there(self) -> Keyset:
        """The walk over the table that is written in place, under the name it has there."""
        return replace(self.keyset, alias="t")

    @property
    def _as_it_is(self) -> Projection:
        """The Projection of rows nobody accounts for: nothing of them was written, so nothing lies over them."""
        return replace(self.projection, reads="")

    @property
    def _target(self) -> str:
        columns = ", ".join(quote(one.name) for one in self.projection.columns)
        return f"{self.projection.target.relation.sql} ({columns}) OVERRIDING SYSTEM VALUE"

    def _insert_from_p(self) -> str:
        columns = ", ".join(f"p.{quote(one.name)}" for one in self.projection.columns)
        return f"SELECT {columns} FROM p WHERE p.{quote(CODE)} = {MOVED}"

    def _near(self, lo: Key | None, hi: Key | None) -> str:
        return Keyset.nearby(self.projection.keys, ours("keyed")).within(lo, hi)

    def _identity(self, of: str) -> list[str]:
        return [f"{of}.{quote(one.name)}" for one in self.projection.identity]

    def _provenance_of(self, of: str) -> str:
        values = [*self.projection.key_columns(of), *self._identity(of), "'moved'"]
        return ", ".join([*values, f"{of}.{quote(MARKS)}", f"{of}.{quote(DIGEST)}", str(self.recorded.definition)])

    def _careful(self, selected: str, checkpoint: str | None, where: str, attempt: int = 1) -> str:
        if self.projection.backfill.in_place:
            parts = [*self.in_place.parts(attempt, where), self._quarantined(), *([checkpoint] if checkpoint else [])]
            return self._statement(selected, parts, inserted=f"(SELECT count(*) FROM got WHERE got.{GOT})")
        by_identity = " AND ".join(
            f"{ours} = {theirs}" for ours, theirs in zip(self._identity("ins"), self._identity("p"), strict=True)
        )
        names = ", ".join(quote(one.name) for one in self.projection.identity)
        merged = [*self.projection.key_columns("p"), *self.projection.into_columns("p"), "'merged'"]
        merged += [f"p.{quote(MARKS)}", f"p.{quote(DIGEST)}", str(self.recorded.definition)]
        grouped = self.projection.grouping is not None
        merged += [f"p.{quote(CODE)} = {FOLLOWS}"] if grouped else []
        parts = [
            f"ins AS (INSERT INTO {self._target} {self._insert_from_p()}"
            f" ON CONFLICT ({names}) DO NOTHING RETURNING {names})",
            # FULL, for it is never a loop in a loop: nobody can tell the planner how many rows there will be.
            f"got AS MATERIALIZED (SELECT p.*, {self._identity('ins')[0]} IS NOT NULL AS {quote('~got')}"
            f" FROM p FULL JOIN ins ON {by_identity})",
            f"prov AS (INSERT INTO {self.recorded.provenance}"
            f" SELECT {self._provenance_of('got')}{', false' if grouped else ''} FROM got"
            f" WHERE got.{quote(CODE)} = {MOVED} AND got.{quote('~got')}"
            f" UNION ALL SELECT {', '.join(merged)} FROM p WHERE p.{quote(CODE)} IN ({MERGED}, {FOLLOWS}))",
            f"contested AS (INSERT INTO migrator.change_log (backfill, source_key, attempts)"
            f" SELECT {self.recorded.id}, {self._key_texts('got')}, {attempt} FROM got"
            f" WHERE got.{quote(CODE)} = {MOVED} AND NOT got.{quote('~got')})",
            self._quarantined(),
            *self._filled(),
            *([checkpoint] if checkpoint else []),
        ]
        return self._statement(selected, parts, inserted="(SELECT count(*) FROM ins)")

    def _filled(self) -> list[str]:
        """Complete the empty columns of rows merged into, under their row locks, and keep what was written."""
        projection, names = self.projection, self.projection.backfill.fills
        if not names:
            return []
        identity = list(zip(self._identity("t"), projection.into_columns("p"), strict=True))
        empty = " OR ".join(f"(t.{quote(one)} IS NULL AND p.{quote(one)} IS NOT NULL)" for one in names)
        taken = ", ".join(
            [f"{theirs} AS {ours(f't{n}')}" for n, (theirs, _) in enumerate(identity, 1)]
            + [f"CASE WHEN t.{quote(one)} IS NULL THEN p.{quote(one)} END AS {quote(one)}" for one in names]
        )
        on = " AND ".join(f"{theirs} = {into}" for theirs, into in identity)
        texts = ", ".join(key_text(ours(f"t{n}")) for n in range(1, len(identity) + 1))
        written = ", ".join(f"{literal(one)}, {quote(one)}::text" for one in names)
        complete = ", ".join(f"{quote(one)} = COALESCE(t.{quote(one)}, taken.{quote(one)})" for one in names)
        same = " AND ".join(f"{theirs} = taken.{ours(f't{n}')}" for n, (theirs, _) in enumerate(identity, 1))
        target = projection.target.relation.sql
        return [
            f"taken AS MATERIALIZED (SELECT {taken} FROM p JOIN {target} AS t ON {on}"
            f" WHERE p.{quote(CODE)} = {MERGED} AND ({empty}) FOR UPDATE OF t)",
            "kept AS (INSERT INTO migrator.before_image AS kept (backfill, target_key, written, run)"
            f" SELECT {self.recorded.id}, ARRAY[{texts}], jsonb_strip_nulls(jsonb_build_object({written})), {self.run}"
            " FROM taken ON CONFLICT (backfill, target_key) DO UPDATE SET written = kept.written || excluded.written)",
            f"filled AS (UPDATE {target} AS t SET {complete} FROM taken WHERE {same})",
        ]

    def _key_texts(self, of: str) -> str:
        return f"ARRAY[{', '.join(key_text(one) for one in self.projection.key_columns(of))}]"

    def held_back(self) -> list[str]:
        """Write what quarantines, of the rows p that moved before, those whose objects are bad now.

        What was held so and needs its objects no more, or has them, is let go of. What waits for a copy is not held.
        """
        projection, id = self.projection, self.recorded.id
        bad = [one for one in projection.gates if not projection.outcome(one).reason.endswith(moved_objects.WAITING)]
        if not bad:
            return []
        walked, held = Keyset.of_provenance(self.recorded.provenance, projection.keys), ours("held")
        pairs = zip(walked.names, projection.key_columns("p"), strict=True)
        moved = f"JOIN {walked.relation} AS {walked.alias} ON {' AND '.join(f'{a} = {b}' for a, b in pairs)}"
        moved += f" AND {walked.alias}.kind = 'moved'"
        reasons = text_array(moved_objects.reasons(projection.backfill.objects))
        gates = ", ".join(map(str, bad))
        said = ("reason", "message", "source_row", "definition", "run")
        anew = ", ".join(f"{name} = excluded.{name}" for name in said)
        return [
            f"{self._quarantined(bad, moved)[:-1]} ON CONFLICT (backfill, source_key) DO UPDATE SET {anew}"
            f" WHERE quarantine.status = 'open' AND quarantine.reason <> excluded.reason)",
            f"freed AS (DELETE FROM migrator.quarantine AS {held} USING p {moved} WHERE {held}.backfill = {id}"
            f" AND {held}.source_key = {self._key_texts('p')} AND {held}.status = 'open'"
            f" AND {held}.reason = ANY ({reasons}) AND p.{quote(CODE)} NOT IN ({gates}))",
        ]

    def _quarantined(self, codes: Sequence[int] = (), join: str = "") -> str:
        projection, keyset = self.projection, replace(self.keyset, alias=ours("source"))
        reasons = text_array(one.reason for one in projection.outcomes)
        same = " AND ".join(
            f"{name} = {key}" for name, key in zip(keyset.names, projection.key_columns("p"), strict=True)
        )
        wanted = ", ".join(str(code) for code in codes or projection.codes("quarantined")) or "-1"
        return (
            "quar AS (INSERT INTO migrator.quarantine"
            " (backfill, source_key, reason, message, source_row, definition, run)"
            f" SELECT {self.recorded.id}, {keyset.texts}, ({reasons})[p.{quote(CODE)} + 1], p.{quote(DETAIL)},"
            f" to_json({keyset.alias}.*), {self.recorded.definition}, {self.run}"
            f" FROM p JOIN {keyset.relation} AS {keyset.alias} ON {same} {join}"
            f" WHERE p.{quote(CODE)} IN ({wanted}))"
        )

    def _checkpoint(self, range_id: int, hi: Key | None, *, ends: bool) -> str:
        place = "position" if hi is None else text_array(hi)
        skipped = ", ".join(str(code) for code in self.projection.codes("skipped")) or "-1"
        code = f"p.{quote(CODE)}"
        return (
            f"walked AS (UPDATE migrator.range SET position = {place}, done = {'true' if ends else 'false'},"
            " read = read + (SELECT count(*) FROM p),"
            f" moved = moved + (SELECT count(*) FROM p WHERE {code} = {MOVED}),"
            f" merged = merged + (SELECT count(*) FROM p WHERE {code} IN ({MERGED}, {FOLLOWS})),"
            f" skipped = skipped + (SELECT count(*) FROM p WHERE {code} IN ({skipped})),"
            f" quarantined = quarantined + (SELECT count(*) FROM p WHERE {code} >= {FIRST_OUTCOME}"
            f" AND {code} NOT IN ({skipped})) WHERE id = {range_id})"
        )

    def _statement(self, selected: str, parts: list[str], *, inserted: str) -> str:
        skipped = ", ".join(str(code) for code in self.projection.codes("skipped")) or "-1"
        code = f"p.{quote(CODE)}"
        body = ",\n".join([f"p AS MATERIALIZED ({selected})", *parts])
        return (
            f"WITH {body}\nSELECT count(*), count(*) FILTER (WHERE {code} = {MOVED}),"
            f" count(*) FILTER (WHERE {code} IN ({MERGED}, {FOLLOWS})), count(*) FILTER (WHERE {code} IN ({skipped})),"
            f" count(*) FILTER (WHERE {code} >= {FIRST_OUTCOME} AND {code} NOT IN ({skipped})), {inserted} FROM p"
        )
