"""Projection: the single SELECT a Backfill compiles to, used five ways.

Its rows are (key, code, detail, marks, digest, target columns, identity of the row merged into). The code stands for
an Outcome. It is a total function of table state: it yields a fault where a value cannot be made, it never raises for
anything the catalog foretells, and every layer is fenced so that no column is pruned and no condition is reordered.

    raw     one value per target column, its own faults, the skip and quarantine rules
    cast    every value in the target's type, or a fault
    judged  NOT NULL, CHECK, foreign and unique keys, merge, and from all this the code
    gated   where objects move with rows: of a row that would move, whether its objects are there
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from migrator.engine.projection.awaited import Awaited
from migrator.engine.projection.grouping import Grouping
from migrator.engine.projection.images import digest, likeness
from migrator.engine.projection.merging import Fold, recognition
from migrator.engine.projection.moving import FORESEEN, GATE, GATE_DETAIL, Moving
from migrator.engine.projection.pieces import FOLLOWS, MERGED, MOVED, Outcome
from migrator.engine.projection.translate import DECIDED, NEARBY
from migrator.ledger.provenance import table
from migrator.model.backfill import Backfill
from migrator.model.names import RESERVED, key_text, literal, ours, quote
from migrator.model.tables import Table, TableColumn

KEY, INTO = f"{RESERVED}k", f"{RESERVED}into"
CODE, DETAIL, MARKS, DIGEST = f"{RESERVED}code", f"{RESERVED}detail", f"{RESERVED}marks", f"{RESERVED}digest"


# Which rows of a group are looked at: all; those whose turn has come; of these only the winners.
Turn = Literal["all", "ready", "winners"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A condition over the cast row under which it cannot move, with its code.

    One that is `awaited` is judged only where asked for, for it reads what earlier backfills will bring.
    """

    code: int
    when: str
    awaited: Awaited | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contested:
    """A unique key of the target that two source rows could share: the first by source key holds it."""

    code: int
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """The compiled Backfill. `select()` gives the SQL for a part of the source.

    `outcomes` and `mark_names` are what the codes stand for; marks count from 1. `excluding` is a condition on source
    rows that holds for all that are looked at. `coming` are the Projections of earlier backfills of the change, over
    their rows that are still to come.
    """

    backfill: Backfill
    source: Table
    target: Table
    outcomes: tuple[Outcome, ...]
    mark_names: tuple[str, ...]
    raw_steps: tuple[str, ...]
    raw_values: tuple[tuple[str, str], ...]
    cast_values: tuple[tuple[str, str], ...]
    judgements: tuple[Judgement, ...]
    contested: tuple[Contested, ...]
    target_exists: bool
    grouping: Grouping | None = None
    cannot: int = 0  # the code of a row whose winner could not move
    folds: tuple[Fold, ...] = ()
    ambiguous: int = 0  # the code of a row that several rows of the target match
    taken: int = 0  # the code of a row whose row of the target another source row is merged into
    recorded: int | None = None  # the backfill's number in the Ledger, once it ran
    provenances: tuple[str, ...] = ()
    excluding: str = "true"
    reads: str = ""
    coming: tuple[Projection, ...] = ()
    moving: tuple[Moving, ...] = ()  # the objects that are wanted
    gates: tuple[int, ...] = ()  # the codes of rows whose objects are not there
    foresees: bool = False  # objects that nobody copied yet are no fault
    written: tuple[Moving, ...] = ()  # the documents that are wanted, and the steps that they alone need
    written_steps: tuple[str, ...] = ()
    left_unread: tuple[str, ...] = ()
    not_known_yet: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # columns, and the backfills they await
    notes: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[TableColumn, ...]:
        """The source key's columns as the catalog has them."""
        return tuple(self._known(self.source, name) for name in self.backfill.keys)

    @property
    def identity(self) -> tuple[TableColumn, ...]:
        """The target identity's columns."""
        return tuple(self._known(self.target, name) for name in self.backfill.identities)

    @property
    def columns(self) -> tuple[TableColumn, ...]:
        """The target columns that are filled, in declared order."""
        return tuple(self._known(self.target, name) for name in self.backfill.columns)

    @property
    def compared(self) -> tuple[TableColumn, ...]:
        """The target columns a digest covers."""
        return tuple(self._known(self.target, name) for name in self.backfill.compared)

    @property
    def recognised(self) -> tuple[TableColumn, ...]:
        """The target columns that are compared of a merged row: merge, or else identity; in place nothing merges."""
        names = () if self.backfill.in_place else self.backfill.merges or self.backfill.identities
        return tuple(self._known(self.target, name) for name in names)

    def recognition(self, of: str) -> str:
        """Write the digest of what is compared of a merged row."""
        return recognition(self.folds, of) if self.folds else digest(self.recognised, of=of, by=likeness)

    @property
    def finds_out_by_inserting(self) -> bool:
        """Whether a plain insert fails where a row of the application is in the way, so that none need be looked up."""
        merges = self.backfill.merges
        plain = not self.folds and not self.moving and not self.backfill.in_place
        return plain and (not merges or self.target.unique_over(merges) is not None)

    @property
    def source_alias(self) -> str:
        """The name under which a `where` sees the source row."""
        return quote(self.source.relation.name)

    def key_columns(self, of: str = "") -> list[str]:
        """List the Projection's own key columns, quoted."""
        prefix = f"{of}." if of else ""
        return [f"{prefix}{quote(f'{KEY}{n}')}" for n in range(1, len(self.keys) + 1)]

    def into_columns(self, of: str = "") -> list[str]:
        """List the columns that hold the identity of the row merged into, quoted."""
        prefix = f"{of}." if of else ""
        return [f"{prefix}{quote(f'{INTO}{n}')}" for n in range(1, len(self.identity) + 1)]

    def identity_columns(self, of: str) -> list[str]:
        """List the columns that hold the target identity, quoted: in place it is the key, which is not written."""
        if self.backfill.in_place:
            return self.key_columns(of)
        return [f"{of}.{quote(one.name)}" for one in self.identity]

    def source_keys(self, of: str) -> list[str]:
        """List the key columns as the source has them, quoted."""
        return [f"{of}.{quote(one.name)}" for one in self.keys]

    def outcome(self, code: int) -> Outcome:
        """Say what a code stands for."""
        return self.outcomes[code]

    def codes(self, disposition: str) -> tuple[int, ...]:
        """List the codes of one Disposition."""
        return tuple(code for code, one in enumerate(self.outcomes) if one.disposition == disposition)

    def select(
        self,
        where: str = "true",
        *,
        near: str = "true",
        merging: bool = True,
        foretelling: bool = False,
        turn: Turn = "all",
        awaiting: bool = False,
    ) -> str:
        """Give the SELECT for the source rows under `where`.

        `near` says where tables with the source's key have them, as "~migrator keyed". `turn` leaves out rows of a
        group that wait for others.
        Without `merging` no row of the target is looked at: for a first copy, where an insert finds out by itself.
        `foretelling` also finds source rows that compete for one unique value, at the price of reading them all;
        once rows are in the target, the target itself tells. `awaiting` also judges foreign keys to tables that earlier
        backfills fill, by their Projections.
        """
        merging = merging and self.target_exists and not self.backfill.in_place
        judged = self._judged_rows(where, near, turn, merging=merging, foretelling=foretelling, awaiting=awaiting)
        judged = self._gated(judged)
        judged = self._weighed(judged, self._held_against_others(merging, foretelling))
        hold = ", ".join(["judged.*", f"{self._digest()} AS {quote(DIGEST)}"])
        return f"SELECT {hold} FROM ({judged}) AS judged"

    def objects(self, where: str = "true", *, near: str = "true", merging: bool = True, turn: Turn = "all") -> str:
        """Give the SELECT of the objects of the source rows under `where` that would move, whatever became of them.

        Its columns: source_key (of the row, as texts), name, source_bucket, source_key_ (of the object), target_bucket
        and target_key. An empty bucket is that of [s3]; `{ext}` stands in a key where the content type decides. Without
        `merging` no row of the target is looked at, which is right for rows that moved before.
        """
        merging = merging and self.target_exists and not self.backfill.in_place
        rows = self._judged_rows(where, near, turn, merging=merging, carries=self.moving)
        nowhere = " OR ".join(
            f"p.{from_key} IS NOT NULL AND p.{to_key} IS NULL" for _, from_key, _, to_key in map(_columns, self.moving)
        )
        columns = ("name", "source_bucket", "source_key_", "target_bucket", "target_key")
        return self._listed(rows, self.moving, columns, f"o.source_key_ IS NOT NULL AND NOT ({nowhere})")

    def documents(self, where: str = "true", *, near: str = "true", merging: bool = False) -> str:
        """Give the SELECT of the documents of the source rows under `where` that move.

        Its columns: source_key (of the row, as texts), name, target_bucket, target_key (NULL where no object can have
        it) and content; a row whose content is NULL has no document.
        """
        whole = replace(
            self,
            raw_steps=(*self.raw_steps, *self.written_steps),
            raw_values=(*self.raw_values, *(pair for one in self.written for pair in one.carried)),
            cast_values=(
                *self.cast_values,
                *((name, f"raw.{quote(name)}") for one in self.written for name, _ in one.carried),
            ),
        )
        merging = merging and self.target_exists and not self.backfill.in_place
        rows = whole._judged_rows(where, near, "all", merging=merging, carries=self.written)  # noqa: SLF001 -- its own
        rows = self._gated(rows, carries=self.written)
        columns = ("name", "target_bucket", "target_key", "content")
        return self._listed(rows, self.written, columns, "o.content IS NOT NULL")

    def _listed(self, rows: str, carries: Sequence[Moving], columns: Sequence[str], where: str) -> str:
        """Write one line for each object or document of the rows that move."""
        lines = ", ".join(
            f"({', '.join([literal(one.name), *(f'p.{name}' for name in _columns(one))])})" for one in carries
        )
        lines = lines or f"({', '.join(['NULL::text'] * len(columns))})"
        keys = f"ARRAY[{', '.join(key_text(one) for one in self.key_columns('p'))}]"
        where = where if carries else "false"
        return (
            f"SELECT {keys} AS source_key, o.* FROM ({rows}) AS p CROSS JOIN LATERAL (VALUES {lines})"
            f" AS o({', '.join(columns)}) WHERE p.{quote(CODE)} = {MOVED} AND {where}"
        )

    @property
    def foreseeing(self) -> Projection:
        """The same Projection for foretelling: objects that nobody copied yet are taken to be there."""
        return replace(self, foresees=True) if self.moving else self

    def _judged_rows(
        self,
        where: str,
        near: str,
        turn: Turn,
        *,
        merging: bool,
        foretelling: bool = False,
        awaiting: bool = False,
        carries: Sequence[Moving] = (),
    ) -> str:
        """Write the rows with their codes, as far as each can be judged without the others and without its objects."""
        alias = quote(self.target.relation.name)
        joins = " ".join(self._merge_joins(alias)) if merging else ""
        joins += self._awaited_joins(alias) if awaiting else ""
        joins += " ".join(self._twin(one, alias, awaiting) for one in self.contested) if foretelling else ""
        into = self._into(merging)
        columns = ", ".join(f"{alias}.{quote(one.name)}" for one in self.columns)
        keys = ", ".join(self.key_columns(alias))
        values = [keys, f"{self._code(merging, foretelling, awaiting)} AS {quote(CODE)}"]
        values += [f"{alias}.{quote(DETAIL)}", f"{alias}.{quote(MARKS)}", columns, into]
        values += [f"{alias}.{one}" for one in self._winner()]
        values += [f"{alias}.{quote(one)}" for one in (GATE, GATE_DETAIL) if self.moving]
        values += [f"{alias}.{name}" for one in carries for name in _columns(one)]
        return f"SELECT {', '.join(values)}\n FROM ({self._cast(where, near, turn)}) AS {alias} {joins} OFFSET 0"

    def limited_to(self, provenances: Iterable[str]) -> Projection:
        """Give the same Projection knowing which provenance tables exist."""
        return replace(self, provenances=tuple(provenances))

    def awaiting(self, coming: Iterable[Projection]) -> Projection:
        """Give the same Projection knowing what earlier backfills will bring."""
        return replace(self, coming=tuple(coming))

    def without(self, condition: str) -> Projection:
        """Give the same Projection over the source rows under a condition."""
        return replace(self, excluding=condition if self.excluding == "true" else f"{self.excluding} AND {condition}")

    def raw(self, where: str = "true", near: str = "true", turn: Turn = "all") -> str:
        """Give the first layer: values as the definition writes them, in their own types."""
        alias = self.source_alias
        keys = [f"{alias}.{quote(one.name)} AS {quote(f'{KEY}{number}')}" for number, one in enumerate(self.keys, 1)]
        values = [f"{text} AS {quote(name)}" for name, text in self.raw_values]
        steps = "\n  ".join(one.replace(NEARBY, near) for one in self.raw_steps)
        steps = steps.replace(FORESEEN, "true") if self.foresees else steps
        if self.grouping is not None and turn != "all":
            ruled = f"{DECIDED}.{ours('code')}" if self.is_ruled else ""
            steps += f"\n  WHERE {self.grouping.taken(ruled, followers=turn == 'ready')}"
        rows = f"{self.reads or self.source.relation.sql} AS {alias}"
        where = " AND ".join(one for one in (where, self.excluding) if one != "true")
        if where:  # rows under the condition first, so that no expression meets another row
            rows = f"(SELECT * FROM {rows} WHERE {where} OFFSET 0) AS {alias}"
        return f"SELECT {', '.join([*keys, *values])}\n  FROM {rows}\n  {steps} OFFSET 0"

    def _cast(self, where: str, near: str = "true", turn: Turn = "all") -> str:
        keys = ", ".join(self.key_columns("raw"))
        values = ", ".join(f"{text} AS {quote(name)}" for name, text in self.cast_values)
        return f"SELECT {keys}, {values}\n FROM ({self.raw(where, near, turn)}) AS raw OFFSET 0"

    @property
    def is_ruled(self) -> bool:
        """Whether there are skip or quarantine rules."""
        return bool(self.backfill.skip or self.backfill.quarantine)

    def _winner(self) -> list[str]:
        """List the columns that hold the key of a row's winner."""
        numbers = range(1, len(self.keys) + 1) if self.grouping is not None else ()
        return [quote(f"~migrator winner{n}") for n in numbers]

    def _held_against_others(self, merging: bool, foretelling: bool) -> list[str]:
        """Write what only the other rows tell: a row of the target is merged into once; winners that cannot move."""
        code, tests = f"rows.{quote(CODE)}", []
        if self.folds and merging:
            into, keys = ", ".join(self.into_columns("rows")), ", ".join(self.key_columns("rows"))
            place = f"row_number() OVER (PARTITION BY {code}, {into} ORDER BY {keys})"
            tests.append(f"WHEN {code} = {MERGED} AND {place} > 1 THEN {self.taken}::smallint")
        if self.grouping is not None and foretelling:
            group = ", ".join(f"rows.{one}" for one in self._winner())
            moves = f"bool_or({code} IN ({MOVED}, {MERGED})) OVER (PARTITION BY {group})"
            tests.append(f"WHEN {code} = {FOLLOWS} AND NOT {moves} THEN {self.cannot}::smallint")
        return tests

    def _gated(self, judged: str, carries: Sequence[Moving] = ()) -> str:
        """Keep back what would move, and whose objects are not proven to be where its keys will point."""
        if not self.moving:
            return judged
        kept = f"rows.{quote(CODE)} = {MOVED} AND rows.{quote(GATE)} IS NOT NULL"
        values = [
            *self._names(MARKS),
            *(name for one in carries for name in _columns(one)),
            f"CASE WHEN {kept} THEN rows.{quote(GATE_DETAIL)} ELSE rows.{quote(DETAIL)} END AS {quote(DETAIL)}",
            f"CASE WHEN {kept} THEN rows.{quote(GATE)}::smallint ELSE rows.{quote(CODE)} END AS {quote(CODE)}",
        ]
        return f"SELECT {', '.join(values)} FROM ({judged}) AS rows OFFSET 0"

    def _names(self, *more: str) -> list[str]:
        """List what every row has besides its code, quoted."""
        names = [*map(quote, more), *(quote(one.name) for one in self.columns)]
        return [*self.key_columns(), *names, *self.into_columns(), *self._winner()]

    def _weighed(self, judged: str, tests: list[str]) -> str:
        if not tests:
            return judged
        names = self._names(DETAIL, MARKS)
        fate = f"CASE {' '.join(tests)} ELSE rows.{quote(CODE)} END"
        return f"SELECT {', '.join(names)}, {fate} AS {quote(CODE)} FROM ({judged}) AS rows OFFSET 0"

    def _awaited_joins(self, alias: str) -> str:
        """Join what the keys that are awaited can point at: rows that are there, and rows that would move there."""
        return "".join(
            one.awaited.join(
                alias,
                [
                    f"SELECT * FROM ({earlier.select(foretelling=True, awaiting=True)}) AS {ours('moved')}"
                    f" WHERE {quote(CODE)} = {MOVED}"
                    for earlier in self.coming
                    if earlier.target.relation == one.awaited.key.references and not earlier.backfill.in_place
                ],
            )
            for one in self.judgements
            if one.awaited
        )

    def _judged(self, awaiting: bool) -> list[Judgement]:
        return [one for one in self.judgements if awaiting or one.awaited is None]

    def _code(self, merging: bool, foretelling: bool, awaiting: bool) -> str:
        alias = quote(self.target.relation.name)
        tests = [f"CASE WHEN {one.when} THEN {one.code} END" for one in self._judged(awaiting)]
        tests += [self._lost_to_twin(one, alias) for one in self.contested if foretelling]
        tests += [*self._held_by_ours(), *self._several()] if merging else []
        fault = f"{alias}.{quote('~migrator fault')}"
        worst = f"LEAST({', '.join([fault, *tests])})" if tests else fault
        merged = [f"CASE WHEN {self._is_merged()} THEN {MERGED} END"] if merging else []
        rule = f"{alias}.{quote('~migrator rule')}"
        return f"COALESCE({', '.join([rule, worst, *merged, str(MOVED)])})::smallint"

    def _digest(self) -> str:
        whole = digest(self.compared, of="judged")
        merged = self.recognition("judged")
        if self.grouping is None:
            return f"CASE judged.{quote(CODE)} WHEN {MERGED} THEN {merged} ELSE {whole} END"
        # A row that follows is as declared as long as it follows the same one.
        won = ", ".join(f"{key_text(f'judged.{one}')}" for one in self._winner())
        follows = f"hash_record_extended(ROW({won}), 0)"
        return f"CASE judged.{quote(CODE)} WHEN {MERGED} THEN {merged} WHEN {FOLLOWS} THEN {follows} ELSE {whole} END"

    def _is_merged(self) -> str:
        tests = [self._is_strangers("~migrator same")]
        if self.backfill.merges:
            tests.append(self._is_strangers("~migrator like"))
        return f"({' OR '.join(tests)})"

    def _held_by_ours(self) -> list[str]:
        """Find rows whose identity or merge value a row moved from another source row has: the first one holds it.

        Only asked of rows that are not accounted for yet, so that no row meets itself.
        """
        sides = {"~migrator same": set(self.backfill.identities), "~migrator like": set(self.backfill.merges)}
        codes = {name: one.code for name, by in sides.items() for one in self.contested if set(one.columns) == by}
        return [
            f"CASE WHEN {quote(name)}.{ours('id1')} IS NOT NULL AND NOT ({self._is_strangers(name)}) THEN {code} END"
            for name, code in codes.items()
        ]

    def _several(self) -> list[str]:
        """Find rows that several rows of the application match, or one that another source row is merged into."""
        same, rows = f"{quote('~migrator same')}.{ours('id1')}", f"{quote('~migrator like')}.{ours('rows')}"
        if not self.folds:
            return []
        tests = [f"CASE WHEN {same} IS NULL AND {rows} > 1 THEN {self.ambiguous} END"]
        if self.recorded is not None:
            like = quote("~migrator like")
            into = " AND ".join(f"mine.t{n} = {like}.{ours(f'id{n}')}" for n in range(1, len(self.identity) + 1))
            merged = f"SELECT true FROM {table(self.recorded)} AS mine WHERE {into} AND mine.kind = 'merged' LIMIT 1"
            tests.append(f"CASE WHEN {like}.{ours('id1')} IS NOT NULL AND ({merged}) THEN {self.taken} END")
        return tests

    def _is_strangers(self, name: str) -> str:
        """Write the condition that a joined row of the target is there and is none of ours.

        The scalar subqueries are probed by index for the few rows that match; EXISTS might be hashed as a whole.
        """
        there = f"{quote(name)}.{quote('~migrator id1')} IS NOT NULL"
        tests = []
        for provenance in self.provenances:
            same = " AND ".join(
                f"ours.t{n} = {quote(name)}.{quote(f'~migrator id{n}')}" for n in range(1, len(self.identity) + 1)
            )
            moved = f"SELECT true FROM {provenance} AS ours WHERE {same} AND ours.kind = 'moved' LIMIT 1"
            tests.append(f"({moved}) IS NULL")
        return f"CASE WHEN {there} THEN {' AND '.join(tests) or 'true'} ELSE false END"

    def _into(self, merging: bool) -> str:
        found = []
        for number, one in enumerate(self.identity, 1):
            value = f"NULL::{one.type.name}" if self.target_exists else "NULL::text"
            if merging:
                same, like = (
                    f"{quote(side)}.{quote(f'~migrator id{number}')}" for side in ("~migrator same", "~migrator like")
                )
                value = f"COALESCE({same}, {like})" if self.backfill.merges else same
            if self.grouping is not None and self.grouping.recorded is not None:
                lead = f"{quote(self.target.relation.name)}.{quote(f'~migrator lead{number}')}"
                value = f"COALESCE({lead}, {value})"
            found.append(f"{value} AS {quote(f'{INTO}{number}')}")
        return ", ".join(found)

    def _merge_joins(self, alias: str) -> list[str]:
        """Find the application's rows: by the identity itself, and by the merge columns."""
        joins = [self._join("~migrator same", list(self.backfill.identities), alias)]
        if self.backfill.merges:
            other = " OR ".join(
                f"{quote('~migrator like')}.{quote(f'~migrator id{n}')} <> {alias}.{quote(one.name)}"
                for n, one in enumerate(self.identity, 1)
            )
            joins.append(self._join("~migrator like", list(self.backfill.merges), alias, extra=f" AND ({other})"))
        return joins

    def _join(self, name: str, by: list[str], alias: str, *, extra: str = "") -> str:
        """Join the target by unique columns; of rows that only resemble, the first that is none of ours.

        The joined columns get names of their own, for a CHECK of the target names its columns plainly.
        """
        identity = [quote(one.name) for one in self.identity]
        named = [f"candidate.{one} AS {quote(f'~migrator id{n}')}" for n, one in enumerate(identity, 1)]
        there, here = self._sides(name, by, alias)
        named += [f"{one} AS {quote(f'~migrator by{n}')}" for n, one in enumerate(there, 1)]
        on = " AND ".join(f"{quote(name)}.{quote(f'~migrator by{n}')} = {one}" for n, one in enumerate(here, 1))
        once, where = "", ""
        if self._is_folded(name) or not self.target.unique_over(tuple(by)):
            first = ", ".join(there)
            named += [f"count(*) OVER (PARTITION BY {first}) AS {ours('rows')}"] if self._is_folded(name) else []
            none = " AND ".join(f"NOT EXISTS ({self._ours(table)})" for table in self.provenances) or "true"
            order = ", ".join([first, *(f"candidate.{one}" for one in identity)])
            once, where = f"DISTINCT ON ({first}) ", f" WHERE {none} ORDER BY {order}"
        return (
            f"\n LEFT JOIN (SELECT {once}{', '.join(named)} FROM {self.target.relation.sql} AS candidate{where})"
            f" AS {quote(name)} ON {on}{extra}"
        )

    def _is_folded(self, name: str) -> bool:
        return bool(self.folds) and name == "~migrator like"

    def _sides(self, name: str, by: list[str], alias: str) -> tuple[list[str], list[str]]:
        """List what is compared: of the target's rows, and of the Projection's."""
        if self._is_folded(name):
            return [one.of("candidate") for one in self.folds], [one.of(alias) for one in self.folds]
        return [f"candidate.{quote(one)}" for one in by], [f"{alias}.{quote(one)}" for one in by]

    def _twin(self, contested: Contested, alias: str, awaiting: bool) -> str:
        """Find the source row that comes first among those sharing a unique value and without a fault of their own."""
        name = quote(f"~migrator twin{contested.code}")
        by = ", ".join(f"{alias}.{quote(one)}" for one in contested.columns)
        keys = ", ".join(self.key_columns(alias))
        given = [f"{alias}.{quote(one)} IS NOT NULL" for one in contested.columns]
        sound = [f"{alias}.{quote(one)} IS NULL" for one in ("~migrator rule", "~migrator fault")]
        sound += [f"{alias}.{quote(GATE)} IS NULL"] if self.moving else []
        sound += [f"({one.when}) IS NOT TRUE" for one in self._judged(awaiting)]
        joins = self._awaited_joins(alias) if awaiting else ""
        places = [(ours(f"by{n}"), f"{alias}.{quote(one)}") for n, one in enumerate(contested.columns, 1)]
        named = ", ".join(f"{value} AS {place}" for place, value in places)
        on = " AND ".join(f"{name}.{place} = {value}" for place, value in places)
        return (
            f"\n LEFT JOIN (SELECT DISTINCT ON ({by}) {named}, {keys} FROM ({self._cast('true')}) AS {alias}{joins}"
            f" WHERE {' AND '.join([*sound, *given])} ORDER BY {by}, {keys}) AS {name} ON {on}"
        )

    def _lost_to_twin(self, contested: Contested, alias: str) -> str:
        name = quote(f"~migrator twin{contested.code}")
        pairs = zip(self.key_columns(name), self.key_columns(alias), strict=True)
        other = " OR ".join(f"{a} <> {b}" for a, b in pairs)
        if self.moving:  # a row whose objects are not there does not compete
            other = f"{alias}.{quote(GATE)} IS NULL AND ({other})"
        return f"CASE WHEN {other} THEN {contested.code} END"

    def _ours(self, provenance: str) -> str:
        same = " AND ".join(
            f"moved.t{number} = candidate.{quote(one.name)}" for number, one in enumerate(self.identity, 1)
        )
        return f"SELECT FROM {provenance} AS moved WHERE moved.kind = 'moved' AND {same}"

    @staticmethod
    def _known(table: Table, name: str) -> TableColumn:
        found = table.column(name)
        assert found is not None  # compile() refuses a definition that names another column
        return found


def _columns(of: Moving) -> list[str]:
    """List the columns that the layers carry of an object or a document, quoted."""
    return [quote(name) for name, _ in of.carried]
