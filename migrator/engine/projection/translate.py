"""Expressions of a definition as SQL over the source row.

The source table is in scope under its own name, so a fragment may name columns plainly, qualified, or the whole row.
How a value is written once its parts are: values.py, rules.py, derived.py, lines.py. What is shared: steps.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from migrator.engine.projection import derived, lines, rules, values
from migrator.engine.projection.fit import MovedRows
from migrator.engine.projection.pieces import Fault, Mark, Piece
from migrator.engine.projection.steps import NEARBY, Steps
from migrator.model import expressions as ex
from migrator.model.errors import ConfigurationError
from migrator.model.names import DEFAULT_COLLATION, EXACTLY, literal, ours, quote
from migrator.model.parameters import Arguments
from migrator.model.parameters import Table as Keyed
from migrator.model.tables import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedKey:
    """The key of an object that moves with its row, and the condition that the row has one."""

    key: str
    given: str


@dataclass(slots=True, kw_only=True)
class Translator:
    """Translates the expressions of one backfill; collects the steps they need."""

    source: Table
    declared_source: str
    keys: tuple[str, ...]
    arguments: Arguments
    input_check: str | None = None  # the function that tests a text for a type
    stored_for: str | None = None  # the change whose files are in the Ledger; None writes files inline
    steps: Steps = field(default_factory=Steps)
    moved: dict[str, MovedRows] = field(default_factory=dict)  # what other backfills did with the source, by name
    objects: dict[str, MovedKey] = field(default_factory=dict)  # those that are wanted, by name
    _fired: dict[ex.Rules, str] = field(default_factory=dict)  # what says which of these rules fired

    @property
    def alias(self) -> str:
        """The name under which fragments see the source row."""
        return quote(self.source.relation.name)

    def key(self, name: str) -> str:
        """Give a key column, qualified."""
        return f"{self.alias}.{quote(name)}"

    def value(self, expression: ex.Expression) -> Piece:
        """Translate an expression.

        Raises ConfigurationError M113 for a column the source lacks, M106 for a parameter without a value.
        """
        match expression:
            case ex.Sql():
                return self._sql(expression)
            case ex.DerivedUuid() | ex.DerivedText():
                return self._derived_id(expression)
            case ex.Column():
                return self._column(expression)
            case ex.Constant(value):
                return Piece(literal(value), exact=value is None)
            case ex.Missing(_, unless):
                return self._missing(unless)
            case ex.Given():
                return self._given(expression)
            case ex.Lookup(of, words):
                return values.lookup(self.value(of), words)
            case ex.Array(items, when, split):
                pieces = [self.value(one) for one in items]
                return values.array(pieces, split=split, when=None if when is None else self.condition(when))
            case ex.Defaulted() | ex.Estimated() | ex.Discarded() | ex.Flagged():
                return self._flagged(expression)
            case ex.Clock():
                return Piece("date_trunc('milliseconds', timezone('UTC', statement_timestamp()))")
            case ex.MovedTo() | ex.ObjectKey():
                return self._became(expression)
            case ex.Rules():
                return self._rules(expression)

    def condition(self, predicate: ex.Predicate) -> str:
        """Translate a predicate; the result is NULL where it is neither true nor false."""
        match predicate:
            case ex.Sql():
                return self._sql(predicate).sql
            case ex.Not(inner):
                return f"(NOT {self.condition(inner)})"
            case ex.Both(left, right):
                return f"({self.condition(left)} AND {self.condition(right)})"
            case ex.RulesGive(tried, word):
                return self._rules_give(tried, word)
            case ex.Contains(of, words):
                return f"(strpos(({self.value(of).sql})::text {EXACTLY}, {literal(words)}) > 0)"
            case ex.Readable(of, type):
                return self._readable(self.value(of).sql, type)
            case _:
                raise ConfigurationError(
                    "M110", f"{predicate!r} is no condition.", 'Use sql("…"), RULES.equals("…"), ~ or &.'
                )

    def bare(self, fragment: ex.Sql) -> str:
        """Write a fragment with the values of its parameters; expressions in it are parts of their own."""
        written = {name: self.value(one).sql if isinstance(one, ex.Given) else "NULL" for name, one in fragment.places}
        return fragment.filled(written)

    def deciding_rules(self) -> dict[str, tuple[str, ...]]:
        """List the named rules met so far: for each step the texts of its rules, in the order of their numbers."""
        return {
            fired: tuple(f"{tried.name}: {one.name}" for one in tried.rules) for tried, fired in self._fired.items()
        }

    def apart(self) -> Translator:
        """Give one that knows what this one wrote, and whose own steps are not among these."""
        return replace(self, steps=self.steps.apart(), _fired={**self._fired}, objects={**self.objects})

    def anew(self) -> Translator:
        """Give one for the same rows that has written nothing yet."""
        return replace(self, steps=self.steps.anew(), _fired={})

    def _readable(self, value: str, type: str) -> str:
        """Ask whether a text can be read; a server that cannot say so is left to raise at what reads it."""
        if self.input_check is None:
            return f"(({value}) IS NOT NULL)"
        return f"{self.input_check}(({value})::text, {literal(type)})"

    def _column(self, wanted: ex.Column) -> Piece:
        if self.source.column(wanted.name):
            return Piece(self.key(wanted.name))
        if wanted.absent is not None:
            return Piece("NULL", exact=True)
        close = get_close_matches(wanted.name, self.source.names, 1)
        hint = f'Did you mean "{close[0]}"?' if close else f"It has: {', '.join(self.source.names)}."
        raise ConfigurationError("M113", f'{self.source.relation} has no column "{wanted.name}".', hint)

    def _sql(self, fragment: ex.Sql) -> Piece:
        """Write a fragment with its places filled."""
        pieces = {name: self._in_place(one) for name, one in fragment.places}
        text = fragment.filled({name: one.sql for name, one in pieces.items()})
        return values.filled(f"({text}\n)", [*pieces.values()])

    def _in_place(self, part: ex.Expression | ex.Predicate) -> Piece:
        if isinstance(part, ex.Predicate) and not isinstance(part, ex.Sql):
            return Piece(self.condition(part))
        return self.value(part)

    def _missing(self, unless: tuple[ex.Given, ...]) -> Piece:
        """Take the first value that is given; where several may give one, the row says which did."""
        given = [one for one in unless if self._is_given(one.parameter.name)]
        if len(unless) < 2 or not given:  # noqa: PLR2004 -- one or none
            return self._given(given[0]) if given else Piece("NULL", exact=True)
        return values.first_given([(one.parameter.name, self._given(one).sql) for one in given])

    def _is_given(self, name: str) -> bool:
        return name in self.arguments.files or self.arguments.scalars.get(name) is not None

    def _given(self, wanted: ex.Given) -> Piece:
        name = wanted.parameter.name
        if name in self.arguments.files:
            return Piece(self._looked_up(name, lambda: self._lines(name), wanted.by))
        value = self.arguments.scalars.get(name, wanted.parameter.default)
        if value is not None and wanted.parameter.kind is Keyed:
            return Piece(self._looked_up(name, lambda: lines.of_table(str(value)), wanted.by))
        return Piece("NULL", exact=True) if value is None else Piece(literal(value))

    def _looked_up(self, name: str, written: Callable[[], str], by: ex.Expression | None) -> str:
        if by is None and len(self.keys) != 1:
            raise ConfigurationError(
                "M106",
                f"parameter {name} has a key of one column, and {self.source.relation} has a key of several columns.",
                "Say what its first column holds: given(param(…), by=…).",
            )
        looked_up = self.key(self.keys[0]) if by is None else self.value(by).sql
        return self.steps.once(
            (name, looked_up), "file", lines.VALUE, lambda alias: lines.join(alias, written(), looked_up)
        )

    def _lines(self, name: str) -> str:
        if self.stored_for is not None:
            return lines.stored(self.stored_for, name)
        return lines.inline(self.arguments.files[name])

    def _flagged(self, wanted: ex.Defaulted | ex.Estimated | ex.Discarded | ex.Flagged) -> Piece:
        of = self.value(wanted.of)
        match wanted:
            case ex.Defaulted(_, other, reason):
                return values.defaulted(of, self.value(other), reason)
            case ex.Estimated(_, reason):
                return values.estimated(of, reason)
            case ex.Discarded(_, when, reason):
                return values.discarded(of, self.condition(when), reason)
            case ex.Flagged(_, when, reason):
                return values.flagged(of, self.condition(when), reason)

    def _derived_id(self, wanted: ex.DerivedUuid | ex.DerivedText) -> Piece:
        if isinstance(wanted, ex.DerivedUuid):
            return Piece(derived.as_uuid(self._derived("id", wanted.salt, "encode({}, 'hex')")))
        return Piece(derived.as_text(self._derived("digits", wanted.salt, "{}"), wanted.prefix, wanted.length))

    def _derived(self, word: str, salt: str, form: str) -> str:
        """Compute what an id is made of, once for each salt."""
        made = form.format(derived.digest(self.declared_source, map(self.key, self.keys), salt))
        made = self.steps.guarded(made)
        return self.steps.once(
            (word, salt),
            word,
            ours("hex"),
            lambda alias: f"CROSS JOIN LATERAL (SELECT {made} AS {ours('hex')} OFFSET 0) {alias}",
        )

    def _became(self, wanted: ex.MovedTo | ex.ObjectKey) -> Piece:
        if isinstance(wanted, ex.MovedTo):
            return self._moved_to(wanted.backfill)
        return self._object_key(self.objects.get(wanted.name), wanted.otherwise)

    def _moved_to(self, backfill: str) -> Piece:
        """Look up in its provenance what another backfill made of the row; before it ran that is not known."""
        rows = self.moved.get(backfill, MovedRows())
        if rows.provenance is None:
            return Piece("NULL" if rows.type is None else f"NULL::{rows.type}", exact=True)
        here = f"(SELECT * FROM {rows.provenance} AS {ours('keyed')} WHERE {NEARBY})"

        def joined(alias: str) -> str:
            same = " AND ".join(f"{alias}.s{n} = {self.key(one)}" for n, one in enumerate(self.keys, 1))
            return f"LEFT JOIN {here} AS {alias} ON {same}"

        return Piece(self.steps.once(("moved", backfill), "moved", "t1", joined))

    def _object_key(self, moved: MovedKey | None, otherwise: ex.Expression | None) -> Piece:
        """Take the new key of a row's object; what stands for it counts only where the row has none."""
        other = Piece("NULL", exact=True) if otherwise is None else self.value(otherwise)
        if moved is None:
            return other
        none = f"NOT ({moved.given})"
        return Piece(
            f"(CASE WHEN {moved.given} THEN {moved.key} ELSE ({other.sql})::text END COLLATE {DEFAULT_COLLATION})",
            tuple(Fault(one.reason, f"{none} AND {one.when}", one.detail) for one in other.faults),
            tuple(Mark(one.text, f"{none} AND {one.when}") for one in other.marks),
        )

    def _rules_fired(self, tried: ex.Rules) -> str:
        """Write the step that tries these rules, and say what gives the number of the one that fired."""
        if tried not in self._fired:
            conditions = [self.condition(one.when) for one in tried.rules]
            self._fired[tried] = self.steps.add(
                "rules", rules.FIRED, lambda alias: rules.step(alias, conditions, self.steps.guarded)
            )
        return self._fired[tried]

    def _rules(self, tried: ex.Rules) -> Piece:
        fired, last = self._rules_fired(tried), rules.ending(tried)
        pieces = [self.value(one.value) for one in tried.rules]
        return rules.chosen(tried, fired, pieces, None if last is None else self.value(last))

    def _rules_give(self, tried: ex.Rules, word: str) -> str:
        fired = self._rules_fired(tried)
        others = [(number, one) for number, one in rules.numbered(tried) if not isinstance(one, ex.Constant)]
        return rules.give(tried, fired, word, {number: self.value(one).sql for number, one in others})
