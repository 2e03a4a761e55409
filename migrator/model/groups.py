"""Groups: many source rows become one target row. One of them wins and is moved; the others follow it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from migrator.model.errors import ConfigurationError
from migrator.model.expressions import Expression, Sql, as_expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouped:
    """Rows for which `by` gives the same value are one group; the first by `order`, then by key, wins."""

    by: Expression
    order: tuple[Expression, ...] = ()

    def parts(self) -> tuple[Any, ...]:
        """List the expressions in it."""
        return (self.by, *self.order)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """The groups that a query gives, as pairs of keys: key1, … of a row and winner1, … of the row it follows."""

    query: Sql

    def parts(self) -> tuple[Any, ...]:
        """List the fragment in it."""
        return (self.query,)


Group: TypeAlias = Grouped | Paired


def grouped(*, by: str | Expression, order: str | Expression | tuple[str | Expression, ...] = ()) -> Grouped:
    """Make one target row of all rows for which `by` gives the same value; where it gives NULL, of each its own.

    The first by `order`, then by key, wins.
    """
    several = order if isinstance(order, tuple) else (order,)
    return Grouped(by=as_expression(by), order=tuple(as_expression(one) for one in several))


def paired(query: Sql) -> Paired:
    """Make one target row of the rows that a query pairs: SELECT … AS key1, … AS winner1; the others are their own.

    Raises ConfigurationError M110 for what is no sql(…).
    """
    if not isinstance(query, Sql):
        raise ConfigurationError(
            "M110",
            f"paired() was given {query!r}, which is no query.",
            'Write paired(sql("SELECT a.id AS key1, b.id AS winner1 FROM …")).',
        )
    return Paired(query=query)
