"""Total casts: a value of one type as a value of the target's type, or a fault, never an error.

What an assignment in PostgreSQL would raise, truncate or round is foreseen here: raised and truncated become faults,
rounded becomes a flag (PostgreSQL 8.1, 10.3 "Value Storage"; `pg_input_is_valid`, 9.26).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from migrator.model.names import EXACTLY, literal, text_array
from migrator.model.tables import TypeOf

CastContext = Literal["i", "a", "e", "io"] | None

_TEXTUAL: Final = frozenset({"text", "varchar", "bpchar", "name", "char", "unknown"})
_WHOLE: Final = {
    "int2": (-(2**15), 2**15 - 1),
    "int4": (-(2**31), 2**31 - 1),
    "int8": (-(2**63), 2**63 - 1),
}
# Half a step above the largest value: what is below is rounded to it.
_LARGEST: Final = {"float4": "3.4028235677973366e38", "float8": "1.797693134862315808e308"}
_FRACTIONAL: Final = frozenset({"numeric", "float4", "float8"})
_MOMENTS: Final = frozenset({"date", "time", "timetz", "timestamp", "timestamptz"})
_MOMENT_RANGES: Final = frozenset({"daterange", "tsrange", "tstzrange"})
_ROUNDING: Final = frozenset({"numeric", "interval"}) | _MOMENTS
_CLOCK_WORDS: Final = "(^|[^[:alpha:]])(now|today|tomorrow|yesterday)([^[:alpha:]]|$)"
_BITS: Final = frozenset({"bit", "varbit"})
# Assignments that drop something without a word, and the type in which the loss is seen.
_SHORTENED: Final = {
    ("timestamp", "date"): "timestamp",
    ("timestamptz", "date"): "timestamptz",
    ("inet", "cidr"): "inet",
    ("numeric", "money"): "numeric",
}
_UNFAILING: Final = frozenset({"i", "a"})
_ANY_TEXT: Final = TypeOf(oid=25, name="text", base="text", schema="pg_catalog", kind="b")


@dataclass(frozen=True, slots=True)
class Cast:
    """How a raw value becomes the target's: its SQL, when it can, why it cannot, and when it loses digits."""

    sql: str
    valid: str | None = None
    reason: str = ""
    rounds: str | None = None

    @property
    def total(self) -> str:
        """The value where it can be had, else NULL."""
        return f"CASE WHEN {self.valid} THEN {self.sql} END" if self.valid else self.sql


def is_textual(of: TypeOf) -> bool:
    """Whether the type is text to PostgreSQL: any other type can be read from it."""
    return of.builtin and of.base in _TEXTUAL and of.element is None


def total_cast(
    raw: str, source: TypeOf, target: TypeOf, *, context: CastContext, input_check: str | None, exists: bool = True
) -> Cast | None:
    """Choose the total cast from `source` to `target` for the SQL value `raw`; None where the types do not fit.

    `context` is pg_cast's word for the pair, `input_check` the function that tests a text for a type, `exists` whether
    the database knows the target's type by now (a type that a revision is still to create is held as text).
    """
    if not exists:
        return _unknown_type(raw, source, target)
    whole = _same(raw, source, target) or _textual(raw, source, target) or _numeric(raw, source, target)
    if whole is not None:
        return whole
    arrays, domain = bool(source.element and target.element), target.kind == "d"
    json = target.builtin and {source.base, target.base} == {"json", "jsonb"}
    if is_textual(source) or domain or arrays or json:
        return _by_text(raw, target, input_check)
    if target.builtin and source.base == target.base and target.base in _BITS:
        return _bits(raw, target)
    if source.builtin and target.builtin and (source.base, target.base) == ("numeric", "money"):
        return _money(raw, source, target)
    if context in _UNFAILING:
        return Cast(f"({raw})::{target.name}", rounds=_loses(raw, source, target))
    return _textual(f"({raw})::text", _ANY_TEXT, target) if is_textual(target) else None


def _by_text(raw: str, target: TypeOf, input_check: str | None) -> Cast:
    """Read a text as the target's type; a word that means another moment at every look is no value.

    A server that cannot test a text (before PostgreSQL 16, with no function of ours) is left to raise: what only reads
    then finds such rows one by one (engine/isolate.py).
    """
    if target.labels and target.element is None and target.kind == "e":
        known = f"({raw})::text {EXACTLY} = ANY ({text_array(target.labels)})"
        return Cast(f"({raw})::text::{target.name}", known, f"not a valid {target.name}")
    if input_check is None:
        return Cast(f"({raw})::{target.name}")
    valid = f"{input_check}(({raw})::text, {literal(target.name)})"
    base = target.element or target.base
    if target.moments or base in _MOMENTS | _MOMENT_RANGES:
        valid = f"({valid} AND ({raw})::text {EXACTLY} !~* {literal(_CLOCK_WORDS)})"
    cast = f"({raw})::{target.name}"
    if target.kind == "d" and not input_check.startswith("pg_catalog."):
        valid = f"CASE WHEN {valid} THEN NOT ({_cut_off(raw, cast)}) ELSE false END"
    rounds = None
    if target.under in _ROUNDING:
        rounds = f"CASE WHEN {valid} THEN ({cast})::{target.under} <> ({raw})::text::{target.under} END"
    if target.builtin and target.modifier != -1 and base in _ROUNDING:
        whole = f"({raw})::{base}{'[]' if target.element else ''}"
        rounds = f"CASE WHEN {valid} THEN {cast} <> {whole} END"
    return Cast(cast, valid, f"not a valid {target.name}", rounds=rounds)


def _cut_off(raw: str, cast: str) -> str:
    """Write the condition that a cast cut a text off: one to a domain of a length does, before PostgreSQL 16."""
    kept, whole = f"({cast})::text", f"({raw})::text"
    shorter = f"pg_catalog.length({kept}) < pg_catalog.length(pg_catalog.rtrim({whole}))"
    return f"{shorter} AND pg_catalog.left({whole}, pg_catalog.length({kept})) = {kept}"


def _same(raw: str, source: TypeOf, target: TypeOf) -> Cast | None:
    # By name: a table still to be made was looked at on another server, where types of one's own have other numbers.
    alike = (source.schema, source.base) == (target.schema, target.base)
    if alike and target.modifier == -1 and target.kind != "d":
        return Cast(raw)
    return None


def _unknown_type(raw: str, source: TypeOf, target: TypeOf) -> Cast | None:
    if not is_textual(source):
        return Cast(f"({raw})::text")
    if target.labels:
        known = f"({raw})::text {EXACTLY} = ANY ({text_array(target.labels)})"
        return Cast(f"({raw})::text", known, f"not a valid {target.name}")
    return Cast(f"({raw})::text")


def _textual(raw: str, source: TypeOf, target: TypeOf) -> Cast | None:
    if not (is_textual(source) and is_textual(target)):
        return None
    longest = target.modifier - 4 if target.base in {"varchar", "bpchar"} and target.modifier >= 4 else None
    if longest is not None:
        return Cast(f"({raw})::{target.name}", f"char_length({raw}) <= {longest}", f"longer than {target.name}")
    if target.base == "name":
        return Cast(f"({raw})::name", f"octet_length({raw}) <= 63", "longer than a name")
    if target.base == "char":
        return Cast(f'({raw})::"char"', f"octet_length({raw}) <= 1", 'longer than a "char"')
    return Cast(f"({raw})::{target.name}")


def _numeric(raw: str, source: TypeOf, target: TypeOf) -> Cast | None:
    kinds = (*_WHOLE, *_FRACTIONAL)
    if not (source.builtin and target.builtin and source.base in kinds and target.base in kinds):
        return None
    if source.element or target.element:
        return None
    narrow: Callable[[str, TypeOf, TypeOf], Cast] = _to_whole if target.base in _WHOLE else _to_fractional
    return narrow(raw, source, target)


def _to_whole(raw: str, source: TypeOf, target: TypeOf) -> Cast:
    low, high = _WHOLE[target.base]
    cast = f"({raw})::{target.name}"
    reason = f"out of range for {target.name}"
    if source.base in _WHOLE:
        widens = _WHOLE[source.base][1] <= high
        return Cast(cast) if widens else Cast(cast, f"({raw}) BETWEEN {low} AND {high}", reason)
    number = f"({raw})::numeric"
    finite = f"{number} <> ALL ('{{NaN,Infinity,-Infinity}}'::numeric[])"
    valid = f"CASE WHEN {finite} THEN round({number}) BETWEEN {low} AND {high} ELSE false END"
    return Cast(cast, valid, reason, rounds=f"CASE WHEN {finite} THEN trunc({number}) <> {number} END")


def _to_fractional(raw: str, source: TypeOf, target: TypeOf) -> Cast:
    cast = f"({raw})::{target.name}"
    if target.base != "numeric":
        if source.base in _WHOLE or (source.base, target.base) == ("float4", "float8"):
            return Cast(cast)
        check = f"pg_catalog.abs(({raw})::numeric) < {_LARGEST[target.base]}"
        infinite = f"({raw})::numeric = ANY ('{{NaN,Infinity,-Infinity}}'::numeric[])"
        return Cast(cast, f"({infinite} OR {check})", f"out of range for {target.name}")
    if target.modifier < 4:
        return Cast(cast)
    digits, scale = (target.modifier - 4) >> 16, (target.modifier - 4) & 0x7FF
    scale = scale - 0x800 if scale > 1000 else scale
    number = f"({raw})::numeric"
    rounded = f"round({number}, {scale})"
    valid = f"({number} = 'NaN' OR abs({rounded}) < 1e{digits - scale}::numeric)"
    return Cast(cast, valid, f"out of range for {target.name}", rounds=f"{rounded} <> {number}")


def _money(raw: str, source: TypeOf, target: TypeOf) -> Cast:
    """Refuse what is no number: the server calls it a missing feature, which would stop the run."""
    finite = f"({raw}) <> ALL ('{{NaN,Infinity,-Infinity}}'::numeric[])"
    rounds = f"CASE WHEN {finite} THEN {_loses(raw, source, target)} END"
    return Cast(f"({raw})::{target.name}", finite, f"out of range for {target.name}", rounds=rounds)


def _bits(raw: str, target: TypeOf) -> Cast:
    """Refuse bits of another length, which a cast would cut off or add."""
    fits = "=" if target.base == "bit" else "<="
    return Cast(
        f"({raw})::{target.name}", f"length({raw}) {fits} {target.modifier}", f"not of the length of {target.name}"
    )


def _loses(raw: str, source: TypeOf, target: TypeOf) -> str | None:
    """Write the condition that an assignment drops a part of the value, where there are such values."""
    if not (source.builtin and target.builtin):
        return None
    cast = f"({raw})::{target.name}"
    if source.base == target.base and target.base == "interval":
        return f"({cast})::text <> ({raw})::text"
    if source.base == target.base and target.base in _MOMENTS:
        return f"{cast} <> {raw}"
    back = _SHORTENED.get((source.base, target.base))
    return f"({cast})::{back} <> {raw}" if back else None
