"""Columns of the first two layers, written when a Backfill is compiled: values, and the faults and marks of a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from migrator.engine.projection.casts import Cast
from migrator.engine.projection.codes import Codes
from migrator.engine.projection.compiled import DETAIL, FAULT, MARKS, RULE
from migrator.engine.projection.fit import Subject
from migrator.engine.projection.grouping import Grouping
from migrator.engine.projection.moving import Movements
from migrator.engine.projection.pieces import Fault, Mark, Piece, first
from migrator.engine.projection.translate import Translator
from migrator.model.names import DEFAULT_COLLATION, quote

Columned = tuple[tuple[str, str], ...]  # columns of a layer: name and value


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Writes the columns of one compilation. `cannot` is the code of a row whose winner could not move."""

    subject: Subject
    translator: Translator
    codes: Codes
    movements: Movements
    grouping: Grouping | None
    cannot: int

    def raw(self, pieces: Mapping[str, Piece], faults: Sequence[tuple[int, Fault]]) -> Columned:
        """Write those of the first layer; `faults` have their codes, in the order of fate."""
        guarded, decided = self.translator.steps.guarded, self.translator.steps.decided
        details = [f"WHEN {one.when} THEN {one.detail}" for _, one in faults if one.detail]
        detail = guarded(f"CASE {' '.join(details)} END") if details else "NULL::text"
        return (
            *((name, one.sql if one.exact else guarded(one.sql)) for name, one in pieces.items()),
            (RULE, decided or "NULL::int"),
            (FAULT, guarded(first([(one.when, code) for code, one in faults]))),
            (DETAIL, self._naming_winner(detail)),
            (MARKS, guarded(self._marks(pieces), otherwise="'{}'::smallint[]")),
            *self._of_group(),
            *self.movements.values(),
        )

    def _naming_winner(self, detail: str) -> str:
        """Show of a row whose winner could not move the key of that one."""
        if self.grouping is None:
            return detail
        won = [value for name, value in self._of_group() if name.startswith("~migrator winner")]
        key = f"concat_ws(', ', {', '.join(f'({one})::text' for one in won)})"
        return f"CASE WHEN {self.translator.steps.decided} = {self.cannot} THEN {key} ELSE {detail} END"

    def _of_group(self) -> list[tuple[str, str]]:
        """List what groups need in every layer."""
        if self.grouping is None:
            return []
        backfill = self.subject.backfill
        return self.grouping.values([self.translator.key(name) for name in backfill.keys], len(backfill.identities))

    def _marks(self, pieces: Mapping[str, Piece]) -> str:
        flags = [Mark(f"{name} {one.text}", one.when) for name, piece in pieces.items() for one in piece.marks]
        flags += [Mark(f"{name} {one.text}", one.when) for name, one in self.movements.marks]
        rules = self.translator.deciding_rules()
        elements = [self.codes.mark_of_rules(fired, texts) for fired, texts in rules.items()]
        elements += [f"CASE WHEN {one.when} THEN {self.codes.mark(one.text)} END" for one in flags]
        return f"array_remove(ARRAY[{', '.join(elements)}]::smallint[], NULL)" if elements else "'{}'::smallint[]"

    def cast(self, casts: Mapping[str, Cast], faults: Sequence[tuple[int, str]]) -> Columned:
        """Write those of the second layer; `faults` are the codes of values that their types cannot hold, by column."""
        wrong = [(f"raw.{quote(name)} IS NOT NULL AND NOT ({casts[name].valid})", code, name) for code, name in faults]
        shown = [f"WHEN {when} THEN (raw.{quote(name)})::text" for when, _, name in wrong]
        detail = f"CASE {' '.join(shown)} END" if shown else "NULL"
        fault = first([(when, code) for when, code, _ in wrong])
        return (
            *((name, self._collated(name, one.total)) for name, one in casts.items()),
            (RULE, f"raw.{quote(RULE)}"),
            (FAULT, f"LEAST(raw.{quote(FAULT)}, {fault})"),
            (DETAIL, f"left(COALESCE(raw.{quote(DETAIL)}, {detail}), 200)"),
            (MARKS, self._marks_with_rounding(casts)),
            *((name, f"raw.{quote(name)}") for name, _ in (*self._of_group(), *self.movements.values())),
        )

    def _collated(self, name: str, value: str) -> str:
        """Give a value the collation of its column: the source may have another one, or several that disagree."""
        column = self.subject.target.column(name)
        if column is None or column.collates is None:
            return value
        return f"({value}) COLLATE {column.collates if self.subject.target_exists else DEFAULT_COLLATION}"

    def _marks_with_rounding(self, casts: Mapping[str, Cast]) -> str:
        own = f"raw.{quote(MARKS)}"
        elements = [
            f"CASE WHEN {one.rounds} THEN {self.codes.mark(f'{name} rounded to {self.subject.type_of(name).name}')} END"
            for name, one in casts.items()
            if one.rounds
        ]
        if not elements:
            return own
        return f"{own} || array_remove(ARRAY[{', '.join(elements)}]::smallint[], NULL)"
