"""Constructors: the words in which a definition writes its expressions, each refusing what cannot be meant.

A bare string where an expression is expected is a column's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from migrator.model.errors import ConfigurationError
from migrator.model.expressions import (
    Array,
    Clock,
    Column,
    Constant,
    Contains,
    Defaulted,
    DerivedText,
    DerivedUuid,
    Discarded,
    Elsewhere,
    Estimated,
    Expression,
    Flagged,
    Given,
    Lookup,
    Missing,
    MovedTo,
    ObjectKey,
    Predicate,
    Readable,
    Rule,
    Rules,
    Sql,
    as_expression,
)
from migrator.model.parameters import File, Parameter, Table

SHORTEST_ID: Final = 12
LONGEST_ID: Final = 32


def sql(text: str, /, **places: str | Expression | Predicate | Parameter) -> Sql:
    """Use a fragment of SQL over the source row; `{name}` stands for the parameter or expression given by that name.

    Raises ConfigurationError M110 for an empty text, a name the text does not use, and a file in the place of a value.
    """
    if not text.strip():
        raise ConfigurationError("M110", "sql() was given an empty fragment.", 'Write for example sql("lower(email)").')
    for name, one in places.items():
        if f"{{{name}}}" not in text:
            raise ConfigurationError(
                "M110", f"sql() was given {name}, which its text does not use.", f"Write {{{name}}} where it stands."
            )
        if isinstance(one, Parameter) and one.kind in {File, Table}:
            raise ConfigurationError(
                "M110",
                f"sql() was given the {one.kind.__name__.lower()} {one.name} as a value.",
                "Write given(param(…)) for one of its lines.",
            )
    return Sql(text, tuple((name, _in_place(one)) for name, one in places.items()))


def _in_place(value: str | Expression | Predicate | Parameter) -> Expression | Predicate:
    return value if isinstance(value, Predicate) else as_expression(value)


def column(name: str, *, absent: str | None = None) -> Column:
    """Take a source column; with `absent`, NULL on databases that lack it, for the reason given."""
    return Column(name, absent)


def constant(value: str | float | bool | None) -> Constant:
    """Give every row the same declared value."""
    return Constant(value)


def missing(reason: str, *, unless: Parameter | Given | tuple[Parameter | Given, ...] = ()) -> Missing:
    """Leave the column NULL, for the reason given, unless a parameter provides the value; of several, the first."""
    several = unless if isinstance(unless, tuple) else (unless,)
    return Missing(reason, tuple(Given(one) if isinstance(one, Parameter) else one for one in several))


def given(parameter: Parameter, *, by: str | Expression | None = None) -> Given:
    """Take a parameter's value; of a file, the line found `by` that value (by the source key when nothing is said)."""
    return Given(parameter, None if by is None else as_expression(by))


def lookup(of: str | Expression, words: Mapping[str | None, str | None]) -> Lookup:
    """Translate word by word; what is not in the table is quarantined."""
    return Lookup(as_expression(of), tuple(words.items()))


def array(*items: str | Expression, when: Predicate | None = None, split: str | None = None) -> Array:
    """Make an array of the given values; `split` first cuts a text at that separator and trims the parts."""
    return Array(tuple(as_expression(item) for item in items), when, split)


def defaulted(of: str | Expression, value: str | int | Expression, *, reason: str) -> Defaulted:
    """Put a declared value in the place of NULL, flagged."""
    return Defaulted(as_expression(of), constant(value) if isinstance(value, (str, int)) else value, reason)


def estimated(of: str | Expression, *, reason: str) -> Estimated:
    """Take a value that is only an estimate, flagged."""
    return Estimated(as_expression(of), reason)


def discarded(of: str | Expression, *, when: Predicate, reason: str) -> Discarded:
    """Leave out a value that is known to be wrong, flagged."""
    return Discarded(as_expression(of), when, reason)


def flagged(of: str | Expression, *, when: Predicate, reason: str) -> Flagged:
    """Take a value as it is, and flag the row where the condition is true."""
    return Flagged(as_expression(of), when, reason)


def contains(of: str | Expression, words: str) -> Contains:
    """Hold where the text of a value contains these words."""
    return Contains(as_expression(of), words)


def readable(of: str | Expression, type: str) -> Readable:
    """Hold where the text of a value can be read as a type; NULL where the value is NULL."""
    return Readable(as_expression(of), type)


def derived_uuid(*, salt: str = "") -> DerivedUuid:
    """Derive the id from the source's name and key, and a salt where one row becomes several; see the glossary."""
    return DerivedUuid(salt)


def derived_text(*, prefix: str = "mg", length: int = 23, salt: str = "") -> DerivedText:
    """Derive a text id as derived_uuid does: the prefix, and so many digits of base 36.

    Raises ConfigurationError M110 for fewer digits than 12, by which ids could meet, or more than the digest gives.
    """
    if not SHORTEST_ID <= length <= LONGEST_ID:
        raise ConfigurationError(
            "M110",
            f"derived_text() was given the length {length}.",
            f"Take {SHORTEST_ID} to {LONGEST_ID} digits; 23 are as safe as a UUID.",
        )
    return DerivedText(prefix=prefix, length=length, salt=salt)


def clock() -> Clock:
    """Take the moment of writing, in UTC; only for a column that `volatile` names."""
    return Clock()


def moved_to(backfill: str) -> MovedTo:
    """Take the identity of the target row which this source row became in an earlier backfill of the same source."""
    return MovedTo(backfill)


def object_key(name: str, *, otherwise: str | Expression | None = None) -> ObjectKey:
    """Take the new key of the object declared by that name, for rows whose object is proven to be there.

    `otherwise` is for rows that have no such object, and for all while it is not wanted.
    """
    return ObjectKey(name, None if otherwise is None else as_expression(otherwise))


def rule(name: str, *, when: Predicate, value: str | Expression) -> Rule:
    """Name a rule: a condition and the value it decides for."""
    return Rule(name=name, when=when, value=constant(value) if isinstance(value, str) else value)


def rules(
    name: str,
    *tried: Rule,
    fallback: tuple[str, str] | None = None,
    otherwise: str | Expression | None = None,
) -> Rules:
    """Try named rules in order; `fallback` is (value, reason) and flagged, `otherwise` is the ordinary case."""
    if fallback is not None and otherwise is not None:
        raise ConfigurationError(
            "M110", f"rules({name!r}) has both a fallback and an otherwise.", "Keep the one that is meant."
        )
    last = None if fallback is None else rule(fallback[1], when=Sql("true"), value=fallback[0])
    return Rules(
        name=name,
        rules=tuple(tried),
        fallback=last,
        otherwise=None if otherwise is None else as_expression(otherwise),
    )


def elsewhere(when: Predicate, backfill: str) -> Elsewhere:
    """Skip rows that the named backfill takes; the Balance of the source proves that it does."""
    return Elsewhere(when, backfill)
