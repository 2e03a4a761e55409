"""In place: rows written where they are, with what stood there kept, so that it can be read and put back.

A row is written only while it is the very version that was read: `xmin` tells versions apart, and is looked at again
where somebody else's write was waited for. What the application wrote meanwhile is therefore never lost; such a row is
*contested*, and decided again alone and under its row lock (engine/contested.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from migrator.database.connect import Connection
from migrator.database.session import execute
from migrator.engine.projection.compiled import CODE, DIGEST, MARKS
from migrator.engine.projection.images import image, stored_digest
from migrator.engine.projection.pieces import MOVED
from migrator.engine.projection.projection import Projection
from migrator.engine.ranges import Key, Keyset
from migrator.ledger.backfills import Recorded
from migrator.model.backfill import Backfill
from migrator.model.names import key_text, literal, ours, quote
from migrator.model.tables import Table, TypeOf

WAS, BEFORE, WRITTEN, DIFFERS, GOT = ours("was"), ours("before"), ours("written"), ours("differs"), ours("got")
PAIRS: Final = 40  # of one call: a function takes at most a hundred arguments


def as_before(source: Table, backfill: Backfill, recorded: Recorded | None, instead: Mapping[str, str]) -> str:
    """Write the source as it was before rows of it were written: what stood in a column lies over what stands there.

    `instead` says what is read in the place of columns that a revision has still to make. Empty where all is as it was.
    """
    if recorded is None and not instead:
        return ""
    row, kept, join = ours("row"), ours("kept"), ""
    laid = set[str]()
    if recorded is not None:
        laid = {*backfill.columns, *(name for names in recorded.compared.values() for name in names)}
        key = ", ".join(key_text(f"{row}.{quote(name)}") for name in backfill.keys)
        join = (
            f" LEFT JOIN migrator.before_image AS {kept}"
            f" ON {kept}.backfill = {recorded.id} AND {kept}.target_key = ARRAY[{key}]"
        )
    columns = []
    for one in source.columns:
        now = f"{row}.{quote(one.name)}"
        if one.name in instead:
            now = instead[one.name]
        elif one.name in laid:
            before = f"({kept}.before ->> {literal(one.name)})::{one.type.name}"
            now = f"CASE WHEN {kept}.before ? {literal(one.name)} THEN {before} ELSE {now} END"
        columns.append(f"{now} AS {quote(one.name)}")
    return f"(SELECT {', '.join(columns)} FROM {source.relation.sql} AS {row}{join})"


def instead_of(shape: Table, live: Table, known: Callable[[TypeOf], bool]) -> dict[str, str]:
    """Say what is read in the place of columns that are still to be made, or whose type is still to get its words."""
    found = {}
    for one in shape.columns:
        if live.column(one.name) is None:
            plain = one.default if one.default is not None and one.type.builtin and "(" not in one.default else "NULL"
            found[one.name] = f"({plain})::{one.type.name if known(one.type) else 'text'}"
        elif not known(one.type):
            found[one.name] = f"{ours('row')}.{quote(one.name)}::text"
    return found


def _pairs(columns: Sequence[str], of: str) -> str:
    """Write the text images of columns as one jsonb object."""
    parts = [
        ", ".join(f"{literal(name)}, {of}.{quote(name)}::text" for name in columns[at : at + PAIRS])
        for at in range(0, len(columns), PAIRS)
    ]
    return " || ".join(f"jsonb_build_object({one})" for one in parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class InPlace:
    """The statements of one backfill that is in place; `p` in them is the Projection."""

    projection: Projection
    recorded: Recorded
    run: int

    def parts(self, attempt: int, where: str) -> list[str]:
        """Write what a batch does to the rows that move: written, recorded, and what stood there kept.

        A row that holds the values already is moved without being touched, and nothing of it is kept. `where` says of
        the table as `t` in which part of it they are, so that not all of it need be read.
        """
        key_texts = f"ARRAY[{', '.join(key_text(one) for one in self._keys('got'))}]"
        moved = ", ".join(
            [*self._keys("got"), *self._keys("got"), "'moved'", f"got.{quote(MARKS)}", f"got.{quote(DIGEST)}"]
        )
        same = " AND ".join(f"old.{one} = written.{one}" for one in self._keys())
        return [
            f"old AS MATERIALIZED ({self._old(f'p.{quote(CODE)} = {MOVED} AND {where}')})",
            f"written AS ({self._update(f'old.{DIFFERS} AND {where}')} RETURNING {', '.join(self._keys('old'))})",
            f"got AS MATERIALIZED (SELECT old.*, NOT old.{DIFFERS} OR written.{self._keys()[0]} IS NOT NULL AS {GOT}"
            f" FROM old LEFT JOIN written ON {same})",
            f"prov AS (INSERT INTO {self.recorded.provenance}"
            f" SELECT {moved}, {self.recorded.definition} FROM got WHERE got.{GOT})",
            self._kept("got", f"got.{GOT} AND got.{DIFFERS}", before="excluded.before"),
            "contested AS (INSERT INTO migrator.change_log (backfill, source_key, attempts)"
            f" SELECT {self.recorded.id}, {key_texts}, {attempt} FROM got WHERE NOT got.{GOT})",
        ]

    def caught_up(self, lo: Key | None, hi: Key | None, beside: Sequence[str] = ()) -> str:
        """Write the statement that brings rows up to date whose source columns changed since they were written.

        What is done `beside` reads p as well.
        """
        projection, recorded = self.projection, self.recorded
        walked = Keyset.of_provenance(recorded.provenance, projection.keys)
        same = " AND ".join(f"{a} = {b}" for a, b in zip(walked.names, self._keys("p"), strict=True))
        still_ours = f"{stored_digest(recorded, projection.target, 'walked', 't')} = walked.digest"
        here = replace(Keyset.of_source(projection.source, projection.keys), alias="t").within(lo, hi)
        stale = f"p.{quote(CODE)} = {MOVED} AND p.{quote(DIGEST)} <> walked.digest AND {still_ours}"
        stale += f" AND {here} AND {walked.within(lo, hi)}"
        found = " AND ".join(f"v.s{n} = updated.{key}" for n, key in enumerate(self._keys(), 1))
        select = projection.select(Keyset.of_source(projection.source, projection.keys).within(lo, hi))
        parts = [
            f"p AS MATERIALIZED ({select})",
            f"old AS MATERIALIZED ({self._old(stale, f' JOIN {walked.relation} AS walked ON {same}')})",
            f"updated AS ({self._update(here)} RETURNING old.*)",
            self._kept("updated", "true", before="excluded.before || kept.before"),
            f"prov AS (UPDATE {recorded.provenance} AS v SET digest = updated.{quote(DIGEST)},"
            f" marks = updated.{quote(MARKS)}, definition = {recorded.definition} FROM updated WHERE {found})",
            *beside,
        ]
        body = ",\n".join(parts)
        return f"WITH {body}\nSELECT count(*) FROM updated"

    def _keys(self, of: str = "") -> list[str]:
        return self.projection.key_columns(of)

    def _old(self, where: str, join: str = "") -> str:
        """Read, in the snapshot of the Projection, the rows it would write: their version, and what stands there."""
        projection = self.projection
        names = [one.name for one in projection.columns]
        on = " AND ".join(f"{a} = {b}" for a, b in zip(projection.source_keys("t"), self._keys("p"), strict=True))
        differs = " OR ".join(
            f"{image(one, f't.{quote(one.name)}')} IS DISTINCT FROM {image(one, f'p.{quote(one.name)}')}"
            for one in projection.compared
        )
        return (
            f"SELECT p.*, t.xmin AS {WAS}, ({differs or 'true'}) AS {DIFFERS}, {_pairs(names, 't')} AS {BEFORE},"
            f" {_pairs(names, 'p')} AS {WRITTEN}"
            f" FROM p JOIN {projection.target.relation.sql} AS t ON {on}{join} WHERE {where}"
        )

    def _update(self, where: str) -> str:
        projection = self.projection
        new = ", ".join(f"{quote(one.name)} = old.{quote(one.name)}" for one in projection.columns)
        on = " AND ".join(f"{a} = {b}" for a, b in zip(projection.source_keys("t"), self._keys("old"), strict=True))
        target = projection.target.relation.sql
        return f"UPDATE {target} AS t SET {new} FROM old WHERE {on} AND t.xmin = old.{WAS} AND {where}"

    def _kept(self, of: str, where: str, *, before: str) -> str:
        key = f"ARRAY[{', '.join(key_text(one) for one in self._keys(of))}]"
        return (
            "kept AS (INSERT INTO migrator.before_image AS kept (backfill, target_key, written, before, run)"
            f" SELECT {self.recorded.id}, {key}, {of}.{WRITTEN}, {of}.{BEFORE}, {self.run} FROM {of} WHERE {where}"
            " ON CONFLICT (backfill, target_key) DO UPDATE"
            f" SET written = excluded.written, before = {before}, run = excluded.run)"
        )


def forget_deleted(conn: Connection, projection: Projection, recorded: Recorded) -> None:
    """Forget the rows that are no longer there: an application that deletes its rows is no fault."""
    walked = Keyset.of_provenance(recorded.provenance, projection.keys)
    there = Keyset.of_source(projection.source, projection.keys)
    same = " AND ".join(f"{a} = {b}" for a, b in zip(there.names, walked.names, strict=True))
    row = f"FROM {there.relation} AS {there.alias}"
    execute(
        conn,
        f"WITH gone AS (DELETE FROM {walked.relation} AS {walked.alias} WHERE NOT EXISTS (SELECT {row} WHERE {same})"
        f" RETURNING {walked.texts} AS key)"
        " DELETE FROM migrator.before_image AS kept USING gone"
        f" WHERE kept.backfill = {recorded.id} AND kept.target_key = gone.key",
    )
    execute(
        conn,
        f"DELETE FROM migrator.quarantine AS held WHERE held.backfill = {recorded.id}"
        f" AND NOT EXISTS (SELECT {row} WHERE {there.texts} = held.source_key)",
    )
