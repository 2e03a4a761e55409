"""Expressions: how one target column is made from a source row, and for which rows it cannot be.

An expression is a frozen value without any behaviour towards a database; `engine.projection` compiles it. Definitions
write them by the words of constructors.py.
Fragments of SQL see the source row: its columns by name, and the row as a whole by the source's table name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from migrator.model.errors import ConfigurationError
from migrator.model.parameters import Parameter


@dataclass(frozen=True, slots=True)
class Predicate:
    """A condition on a source row with three values; only *true* counts, NULL never skips or quarantines."""

    def __invert__(self) -> Not:
        """Negate: NULL stays NULL, so a row is caught by neither."""
        return Not(self)

    def __and__(self, other: Predicate) -> Both:
        """Hold where both hold."""
        return Both(self, other)

    def __bool__(self) -> bool:
        """Refuse `and`, `or` and `not`, which would silently drop one side."""
        raise ConfigurationError("M110", "a condition has no truth of its own.", "Write & for and, ~ for not.")


@dataclass(frozen=True, slots=True)
class Not(Predicate):
    """The negation of a predicate."""

    inner: Predicate


@dataclass(frozen=True, slots=True)
class Both(Predicate):
    """The conjunction of two predicates."""

    left: Predicate
    right: Predicate


@dataclass(frozen=True, slots=True)
class Sql(Predicate):
    """A fragment of SQL over the source row; an expression or a condition. It must read no clock and no chance.

    `places` are what stands for `{name}` in the text: parameters, expressions or conditions. Nothing else is replaced.
    """

    text: str
    places: tuple[tuple[str, Expression | Predicate], ...] = ()

    def filled(self, written: Mapping[str, str]) -> str:
        """Give the text with each of its places written as SQL, in one pass: what is put in is not searched again."""
        if not self.places:
            return self.text
        names = "|".join(re.escape(name) for name, _ in self.places)
        return re.sub(rf"\{{({names})\}}", lambda found: written[found[1]], self.text)


@dataclass(frozen=True, slots=True)
class Contains(Predicate):
    """The text of a value contains these words."""

    of: Expression
    words: str


@dataclass(frozen=True, slots=True)
class Readable(Predicate):
    """The text of a value can be read as a type, such as jsonb; never an error."""

    of: Expression
    type: str


@dataclass(frozen=True, slots=True)
class Column:
    """The source column of that name; `absent` gives the reason why it may be missing, and is then NULL."""

    name: str
    absent: str | None = None


@dataclass(frozen=True, slots=True)
class Constant:
    """One value for every row, declared by the author."""

    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Missing:
    """NULL with a reason; `unless` names the parameters that can give the value instead, the first that does wins."""

    reason: str
    unless: tuple[Given, ...] = ()


@dataclass(frozen=True, slots=True)
class Given:
    """The value of a parameter; of a `File` or `Table`, what it has for `by` (the source key)."""

    parameter: Parameter
    by: Expression | None = None


@dataclass(frozen=True, slots=True)
class Lookup:
    """A word of the source replaced by a word of the target; an unknown word is a fault, never guessed."""

    of: Expression
    words: tuple[tuple[str | None, str | None], ...]


@dataclass(frozen=True, slots=True)
class Array:
    """The given values as an array without NULL and empty elements; no element left is NULL, never `{}` or `{NULL}`."""

    items: tuple[Expression, ...]
    when: Predicate | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Defaulted:
    """A declared value where the expression is NULL, flagged by its reason."""

    of: Expression
    value: Expression
    reason: str


@dataclass(frozen=True, slots=True)
class Estimated:
    """A value the source does not record exactly, flagged by its reason wherever it is not NULL."""

    of: Expression
    reason: str


@dataclass(frozen=True, slots=True)
class Discarded:
    """NULL instead of a value known to be wrong, flagged by its reason."""

    of: Expression
    when: Predicate
    reason: str


@dataclass(frozen=True, slots=True)
class Flagged:
    """A value taken as it is, with a remark wherever the condition is true."""

    of: Expression
    when: Predicate
    reason: str


@dataclass(frozen=True, slots=True, repr=False)
class DerivedUuid:
    """A UUID version 8 made from the declared source name and the source key: the same key, the same id, for ever."""

    salt: str = ""

    def __repr__(self) -> str:
        """Say it as a definition without a salt always did: its digest rests on that."""
        return f"DerivedUuid({f'salt={self.salt!r}' if self.salt else ''})"


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivedText:
    """A text id made like a derived UUID: a prefix, and so many digits of base 36."""

    prefix: str
    length: int
    salt: str = ""


@dataclass(frozen=True, slots=True)
class Clock:
    """The moment of writing, in UTC and milliseconds; only for columns that are not compared."""


@dataclass(frozen=True, slots=True)
class MovedTo:
    """The identity of the target row which this source row became in another, earlier backfill; NULL for none."""

    backfill: str


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """The key to which an object of the row goes; `otherwise` where the row has none, or none is wanted."""

    name: str
    otherwise: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One named rule: where its condition is true, its value is taken and its name is kept with the row."""

    name: str
    when: Predicate
    value: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Named rules tried in order; the first true one decides. No rule and no fallback is a fault."""

    name: str
    rules: tuple[Rule, ...]
    fallback: Rule | None = None
    otherwise: Expression | None = None

    def equals(self, word: str) -> RulesGive:
        """Hold for the rows for which these rules give that word."""
        given = [one.value for one in (*self.rules, *((self.fallback,) if self.fallback else ()))]
        given += [] if self.otherwise is None else [self.otherwise]
        words = [one.value for one in given if isinstance(one, Constant)]
        if len(words) == len(given) and word not in words:
            raise ConfigurationError(
                "M110",
                f"rules({self.name!r}) never give {word!r}.",
                f"They give: {', '.join(sorted({str(one) for one in words}))}.",
            )
        return RulesGive(self, word)


@dataclass(frozen=True, slots=True)
class RulesGive(Predicate):
    """Named rules give a certain word for the row."""

    rules: Rules
    word: str


Expression: TypeAlias = (
    Sql
    | Column
    | Constant
    | Missing
    | Given
    | Lookup
    | Array
    | Defaulted
    | Estimated
    | Discarded
    | Flagged
    | DerivedUuid
    | DerivedText
    | Clock
    | MovedTo
    | ObjectKey
    | Rules
)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A skip whose rows another backfill of the same source must take."""

    when: Predicate
    backfill: str


def as_expression(value: str | Expression | Parameter) -> Expression:
    """Read a bare word as a column's name."""
    if isinstance(value, str):
        return Column(value)
    if isinstance(value, Parameter):
        return Given(value)
    return value


def children(value: Any) -> tuple[Any, ...]:
    """Name the expressions and predicates directly inside one."""
    match value:
        case Not(inner):
            return (inner,)
        case Both(left, right):
            return (left, right)
        case RulesGive(tried, _):
            return (tried,)
        case Elsewhere(when, _):
            return (when,)
        case Sql(_, places):
            return tuple(one for _, one in places)
        case Missing(_, unless):
            return unless
        case Given(_, maybe) | ObjectKey(_, maybe):
            return () if maybe is None else (maybe,)
        case Lookup(of, _) | Estimated(of, _) | Contains(of, _) | Readable(of, _):
            return (of,)
        case Defaulted(of, other, _) | Discarded(of, other, _) | Flagged(of, other, _):
            return (of, other)
        case Array(items, when, _):
            return items if when is None else (*items, when)
        case Rules():
            return _inside_rules(value)
        case _:
            return ()


def _inside_rules(value: Rules) -> tuple[Any, ...]:
    found: list[Any] = []
    for one in (*value.rules, *(() if value.fallback is None else (value.fallback,))):
        found += [one.when, one.value]
    return (*found, *(() if value.otherwise is None else (value.otherwise,)))


def walk(value: Any) -> tuple[Any, ...]:
    """List an expression and everything inside it, outermost first."""
    found = [value]
    for child in children(value):
        found.extend(walk(child))
    return tuple(found)
