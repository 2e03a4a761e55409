"""Expressions of a definition as SQL over the source row.

The source table is in scope under its own name, so a fragment may name columns plainly, qualified, or the whole row.
What several columns share (named rules, the derived id) is computed once in a lateral step of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import lru_cache

from migrator.engine.projection.pieces import Fault, Mark, Piece
from migrator.model import expressions as ex
from migrator.model.errors import ConfigurationError
from migrator.model.names import DEFAULT_COLLATION, EXACTLY, Relation, literal, ours, quote, text_array
from migrator.model.parameters import Arguments, Mapping
from migrator.model.parameters import Table as Keyed
from migrator.model.tables import Table

NAMESPACE = bytes.fromhex("8f5d0d1f5ae04c1cb2f0c1b9a2a4a5e1")
DECIDED, FATED = ours("decided"), ours("fated")
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
NEARBY = "(/* ~migrator near */ true)"  # where a table keyed as the source is narrowed to the keys that are looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedRows:
    """What another backfill did with the rows of the source: its provenance once it ran, and its identity's type."""

    provenance: str | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedKey:
    """The key of an object that moves with its row, and the condition that the row has one."""

    key: str
    given: str


@dataclass(slots=True)
class Translator:
    """Translates the expressions of one backfill; collects the lateral steps and joins they need."""

    source: Table
    declared_source: str
    keys: tuple[str, ...]
    arguments: Arguments
    input_check: str | None = None  # the function that tests a text for a type
    stored_for: str | None = None  # the change whose files are in the Ledger; None writes files inline
    steps: list[str] = field(default_factory=list)
    deciding: str = ""  # the step that decides by skip and quarantine rules, where there are some
    decided: str = ""  # the code of the rule that decided a row
    moved: dict[str, MovedRows] = field(default_factory=dict)  # what other backfills did with the source, by name
    objects: dict[str, MovedKey] = field(default_factory=dict)  # those that are wanted, by name
    _shared: dict[object, str] = field(default_factory=dict)
    _rule_marks: dict[ex.Rules, str] = field(default_factory=dict)

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
                return self._lookup(self.value(of), words)
            case ex.Array():
                return self._array(expression)
            case ex.Defaulted() | ex.Estimated() | ex.Discarded() | ex.Flagged():
                return self._flagged(expression)
            case ex.Clock():
                return Piece("date_trunc('milliseconds', timezone('UTC', statement_timestamp()))")
            case ex.MovedTo() | ex.ObjectKey():
                return self._became(expression)
            case ex.Rules():
                return self._rules(expression)

    def apart(self) -> Translator:
        """Give one that knows what this one wrote, and whose own steps are not among these."""
        return replace(
            self,
            steps=[*self.steps],
            _shared={**self._shared},
            _rule_marks={**self._rule_marks},
            objects={**self.objects},
        )

    def only_where_no_rule_decided(self, rules: list[tuple[str, int]]) -> None:
        """Decide by these conditions first: what is translated from now on is computed only for the rows left over.

        A skipped row then costs its rules and nothing else, and no expression meets a row it is not meant for.
        """
        if rules:
            self.deciding = f"CROSS JOIN LATERAL (SELECT {first(rules)} AS {ours('code')} OFFSET 0) {DECIDED}"
            self.steps.append(self.deciding)
            self.decided = f"{DECIDED}.{ours('code')}"

    def only_where_no_other_row_stands_for_it(self, joins: list[str], fate: str) -> None:
        """Decide next by the group of a row: nothing else is computed for one that follows another."""
        self.steps += [*joins, f"CROSS JOIN LATERAL (SELECT {fate} AS {ours('code')} OFFSET 0) {FATED}"]
        self.decided = f"{FATED}.{ours('code')}"

    def steps_without_rules(self) -> list[str]:
        """List the steps as if no rule decided, so that a wrong rule cannot hide which column is sound."""
        nothing = f"CROSS JOIN LATERAL (SELECT NULL::int AS {ours('code')}) {DECIDED}"
        return [nothing if one == self.deciding else one for one in self.steps]

    def guarded(self, value: str, *, otherwise: str = "NULL") -> str:
        """Write a value that is computed only where no rule decided."""
        return f"CASE WHEN {self.decided} IS NULL THEN {value} ELSE {otherwise} END" if self.decided else value

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

    def deciding_rules(self) -> dict[str, tuple[str, ...]]:
        """List the named rules met so far: for each step the texts of its rules, in the order of their numbers."""
        return {
            step: tuple(f"{tried.name}: {one.name}" for one in tried.rules) for tried, step in self._rule_marks.items()
        }

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
        """Write a fragment with its places filled; what stands in them keeps its faults and marks."""
        pieces = {name: self._in_place(one) for name, one in fragment.places}
        return Piece(
            f"({fragment.filled({name: one.sql for name, one in pieces.items()})}\n)",
            tuple(fault for one in pieces.values() for fault in one.faults),
            tuple(mark for one in pieces.values() for mark in one.marks),
        )

    def _in_place(self, part: ex.Expression | ex.Predicate) -> Piece:
        if isinstance(part, ex.Predicate) and not isinstance(part, ex.Sql):
            return Piece(self.condition(part))
        return self.value(part)

    def _missing(self, unless: tuple[ex.Given, ...]) -> Piece:
        """Take the first value that is given; where several may give one, the row says which did."""
        given = [one for one in unless if self._is_given(one.parameter.name)]
        if len(unless) < 2 or not given:  # noqa: PLR2004 -- one or none
            return self._given(given[0]) if given else Piece("NULL", exact=True)
        values = [f"({self._given(one).sql})::text" for one in given]
        nulls = [f"{value} IS NULL" for value in values]
        marks = [
            Mark(f"given by {one.parameter.name}", " AND ".join([*nulls[:place], f"{values[place]} IS NOT NULL"]))
            for place, one in enumerate(given)
        ]
        return Piece(f"COALESCE({', '.join(values)})", (), tuple(marks))

    def _is_given(self, name: str) -> bool:
        return name in self.arguments.files or self.arguments.scalars.get(name) is not None

    def _given(self, wanted: ex.Given) -> Piece:
        name = wanted.parameter.name
        if name in self.arguments.files:
            content = self.arguments.files[name]
            return Piece(self._looked_up(name, lambda: self._lines(name, content), wanted.by))
        value = self.arguments.scalars.get(name, wanted.parameter.default)
        if value is not None and wanted.parameter.kind is Keyed:
            return Piece(self._looked_up(name, lambda: _rows_of(str(value)), wanted.by))
        return Piece("NULL", exact=True) if value is None else Piece(literal(value))

    def _looked_up(self, name: str, lines: Callable[[], str], by: ex.Expression | None) -> str:
        if by is None and len(self.keys) != 1:
            raise ConfigurationError(
                "M106",
                f"parameter {name} has a key of one column, and {self.source.relation} has a key of several columns.",
                "Say what its first column holds: given(param(…), by=…).",
            )
        looked_up = self.key(self.keys[0]) if by is None else self.value(by).sql
        if (name, looked_up) not in self._shared:
            alias = quote(f"~migrator file{len(self.steps)}")
            self.steps.append(
                f"LEFT JOIN {lines()} AS {alias}({ours('key')}, {ours('value')})"
                f" ON {alias}.{ours('key')} = ({looked_up})::text {EXACTLY}"
            )
            self._shared[name, looked_up] = f"{alias}.{ours('value')}"
        return self._shared[name, looked_up]

    def _lines(self, name: str, content: Mapping) -> str:
        if self.stored_for is not None:
            where = f"change = {literal(self.stored_for)} AND parameter = {literal(name)}"
            return f"(SELECT key, value FROM migrator.parameter_line WHERE {where})"
        return _inline(content)

    def _lookup(self, of: Piece, words: tuple[tuple[str | None, str | None], ...]) -> Piece:
        word = f"(({of.sql})::text {EXACTLY})"
        known = [old for old, _ in words if old is not None]
        arms = [f"WHEN {literal(old)} THEN {literal(new)}" for old, new in words if old is not None]
        nulls = [literal(new) for old, new in words if old is None]
        found = f"CASE {word} {' '.join(arms)} END" if arms else "NULL::text"
        if nulls:
            found = f"CASE WHEN {word} IS NULL THEN {nulls[0]} ELSE {found} END"
        unknown = f"{word} <> ALL ({text_array(known)})"
        return Piece(found, (*of.faults, Fault("unknown word", unknown, word)), of.marks)

    def _array(self, wanted: ex.Array) -> Piece:
        pieces = [self.value(one) for one in wanted.items]
        faults = tuple(fault for one in pieces for fault in one.faults)
        marks = tuple(mark for one in pieces for mark in one.marks)
        texts = [f"(({one.sql})::text {EXACTLY})" for one in pieces]
        if wanted.split is not None:
            joined = f"concat_ws({literal(wanted.split)}, {', '.join(texts)})"
            made = (
                f"NULLIF(ARRAY(SELECT btrim(part) FROM unnest(string_to_array({joined}, {literal(wanted.split)}))"
                " WITH ORDINALITY AS parts(part, place) WHERE btrim(part) <> '' ORDER BY place), '{}'::text[])"
            )
        elif len(texts) == 1:
            made = f"CASE WHEN {texts[0]} <> '' THEN ARRAY[{texts[0]}] END"
        else:
            kept = ", ".join(f"NULLIF({one}, '')" for one in texts)
            made = f"NULLIF(array_remove(ARRAY[{kept}], NULL), '{{}}'::text[])"
        if wanted.when is not None:
            made = f"CASE WHEN {self.condition(wanted.when)} THEN {made} END"
        return Piece(made, faults, marks)

    def _flagged(self, wanted: ex.Defaulted | ex.Estimated | ex.Discarded | ex.Flagged) -> Piece:
        of = self.value(wanted.of)
        match wanted:
            case ex.Defaulted(_, other, reason):
                value = self.value(other)
                made = Piece(f"coalesce({of.sql}, {value.sql})", (*of.faults, *value.faults))
                mark = Mark(f"defaulted: {reason}", f"({of.sql}) IS NULL")
            case ex.Estimated(_, reason):
                made, mark = of, Mark(f"estimated: {reason}", f"({of.sql}) IS NOT NULL")
            case ex.Discarded(_, when, reason):
                wrong = self.condition(when)
                made = Piece(f"CASE WHEN {wrong} THEN NULL ELSE {of.sql} END", of.faults)
                mark = Mark(f"discarded: {reason}", f"{wrong} AND ({of.sql}) IS NOT NULL")
            case ex.Flagged(_, when, reason):
                made = of
                mark = Mark(reason, f"{self.condition(when)} AND ({of.sql}) IS NOT NULL")
        return Piece(made.sql, made.faults, (*of.marks, mark), made.exact)

    def _derived_id(self, wanted: ex.DerivedUuid | ex.DerivedText) -> Piece:
        if isinstance(wanted, ex.DerivedText):
            digest = self._derived("digits", wanted.salt, "{}")
            digits = [f"substr('{DIGITS}', get_byte({digest}, {n}) % 36 + 1, 1)" for n in range(wanted.length)]
            return Piece(f"({' || '.join([literal(wanted.prefix), *digits])})")
        hex = self._derived("id", wanted.salt, "encode({}, 'hex')")
        variant = f"translate(substr({hex}, 17, 1), '0123456789abcdef', '89ab89ab89ab89ab')"
        parts = [f"substr({hex}, 1, 12)", "'8'", f"substr({hex}, 14, 3)", variant, f"substr({hex}, 18, 15)"]
        return Piece(f"({' || '.join(parts)})::uuid")

    def _became(self, wanted: ex.MovedTo | ex.ObjectKey) -> Piece:
        if isinstance(wanted, ex.MovedTo):
            return self._moved_to(wanted.backfill)
        return self._object_key(self.objects.get(wanted.name), wanted.otherwise)

    def _moved_to(self, backfill: str) -> Piece:
        """Look up in its provenance what another backfill made of the row; before it ran that is not known."""
        rows = self.moved.get(backfill, MovedRows())
        if rows.provenance is None:
            return Piece("NULL" if rows.type is None else f"NULL::{rows.type}", exact=True)
        if ("moved", backfill) not in self._shared:
            alias = quote(f"~migrator moved{len(self.steps)}")
            keyed = ours("keyed")
            same = " AND ".join(f"{alias}.s{n} = {self.key(one)}" for n, one in enumerate(self.keys, 1))
            here = f"(SELECT * FROM {rows.provenance} AS {keyed} WHERE {NEARBY})"
            self.steps.append(f"LEFT JOIN {here} AS {alias} ON {same}")
            self._shared["moved", backfill] = f"{alias}.t1"
        return Piece(self._shared["moved", backfill])

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

    def _derived(self, word: str, salt: str, form: str) -> str:
        """Compute what an id is made of, once for each salt."""
        if (word, salt) not in self._shared:
            alias = quote(f"~migrator {word}{len(self.steps)}")
            made = self.guarded(form.format(f"sha256({self._identity_bytes(salt)})"))
            self.steps.append(f"CROSS JOIN LATERAL (SELECT {made} AS {ours('hex')} OFFSET 0) {alias}")
            self._shared[word, salt] = f"{alias}.{ours('hex')}"
        return self._shared[word, salt]

    def _identity_bytes(self, salt: str) -> str:
        name = self.declared_source.encode()
        prefix = NAMESPACE + len(name).to_bytes(4, "big") + name
        parts = [f"'\\x{prefix.hex()}'::bytea", *(_sized(f"({self.key(one)})::text") for one in self.keys)]
        if salt:
            parts.append(f"'\\x{(len(salt.encode()).to_bytes(4, 'big') + salt.encode()).hex()}'::bytea")
        return " || ".join(parts)

    def _rules_step(self, tried: ex.Rules) -> str:
        if tried not in self._rule_marks:
            arms = [f"WHEN {self.condition(one.when)} THEN {number}" for number, one in enumerate(tried.rules, 1)]
            alias = quote(f"~migrator rules{len(self.steps)}")
            case = self.guarded(f"CASE {' '.join(arms)} ELSE 0 END") if arms else "0"
            self.steps.append(f"CROSS JOIN LATERAL (SELECT {case} AS {ours('fired')} OFFSET 0) {alias}")
            self._rule_marks[tried] = f"{alias}.{ours('fired')}"
        return self._rule_marks[tried]

    def _rules(self, tried: ex.Rules) -> Piece:
        step = self._rules_step(tried)
        pieces = [self.value(one.value) for one in tried.rules]
        last = tried.fallback.value if tried.fallback else tried.otherwise
        faults = tuple(
            Fault(fault.reason, f"{step} = {number} AND {fault.when}", fault.detail)
            for number, one in enumerate(pieces, 1)
            for fault in one.faults
        )
        marks = tuple(
            Mark(mark.text, f"{step} = {number} AND {mark.when}")
            for number, one in enumerate(pieces, 1)
            for mark in one.marks
        )
        ending = Piece("NULL") if last is None else self.value(last)
        if last is None:
            faults = (*faults, Fault(f"no rule of {tried.name} fits", f"{step} = 0"))
        if tried.fallback:
            marks = (*marks, Mark(f"defaulted: {tried.fallback.name}", f"{step} = 0"))
        faults += tuple(Fault(one.reason, f"{step} = 0 AND {one.when}", one.detail) for one in ending.faults)
        marks += tuple(Mark(one.text, f"{step} = 0 AND {one.when}") for one in ending.marks)
        arms = [f"WHEN {number} THEN {one.sql}" for number, one in enumerate(pieces, 1)]
        if not arms:
            return Piece(ending.sql, faults, marks)
        return Piece(f"CASE {step} {' '.join(arms)} ELSE {ending.sql} END", faults, marks)

    def _rules_give(self, tried: ex.Rules, word: str) -> str:
        step = self._rules_step(tried)
        numbered = [*enumerate((one.value for one in tried.rules), 1)]
        last = tried.fallback.value if tried.fallback else tried.otherwise
        numbered += [] if last is None else [(0, last)]
        known = [str(number) for number, value in numbered if value == ex.Constant(word)]
        other = [
            f"({step} = {number} AND (({self.value(value).sql})::text {EXACTLY}) IS NOT DISTINCT FROM {literal(word)})"
            for number, value in numbered
            if not isinstance(value, ex.Constant)
        ]
        tests = [f"{step} IN ({', '.join(known)})"] if known else []
        return f"({' OR '.join([*tests, *other]) or 'false'})"


def first(tests: list[tuple[str, int]]) -> str:
    """Write a CASE that gives the code of the first condition that is true."""
    return f"CASE {' '.join(f'WHEN {when} THEN {code}' for when, code in tests)} END" if tests else "NULL::int"


@lru_cache(maxsize=2)  # asked for many times while a definition is compiled, and long
def _inline(content: Mapping) -> str:
    """Write the lines of a file as rows, each column as one constant: a million of them is no expression to parse."""
    columns = [_array_of(row[place] for row in content.rows) for place in (0, 1)]
    return f"(SELECT * FROM unnest({', '.join(columns)}) AS lines(key, value))"


def _array_of(texts: Iterable[str]) -> str:
    quoted = (one.replace("\\", "\\\\").replace('"', '\\"') for one in texts)
    elements = ", ".join(f'"{one}"' for one in quoted)
    return f"{literal('{' + elements + '}')}::text[]"


def _rows_of(table: str) -> str:
    """Read keys and values of a table, by its first two columns; a key that stands for two values has none."""
    exact = f"lines.key::text {EXACTLY}"
    return (
        f"(SELECT {exact}, CASE WHEN min(lines.value::text {EXACTLY}) = max(lines.value::text {EXACTLY})"
        f" THEN min(lines.value::text) END FROM {Relation.parse(table).sql} AS lines(key, value) GROUP BY {exact})"
    )


def _sized(text: str) -> str:
    """Put the length (4 bytes, network order) in front of a text's UTF-8 bytes, so that no two lists agree."""
    encoded = f"convert_to({text}, 'UTF8')"
    return f"int4send(octet_length({encoded})) || {encoded}"
