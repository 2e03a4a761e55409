"""Pace: how many orders to the application a backfill may have open at once."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.model.errors import ConfigurationError
from migrator.model.expressions import Given, Sql
from migrator.model.parameters import Arguments, Parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Never more than `at_most` open rows; `open` is the query that counts them."""

    at_most: Parameter | int
    open: Sql

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What is given from outside: how many, and what stands in the places of the query."""
        places = [one.parameter for _, one in self.open.places if isinstance(one, Given)]
        return (*((self.at_most,) if isinstance(self.at_most, Parameter) else ()), *places)

    def cap(self, arguments: Arguments) -> int:
        """Give the largest number of open rows."""
        if isinstance(self.at_most, int):
            return self.at_most
        found = arguments.scalars.get(self.at_most.name)
        return int(self.at_most.default if found is None else found)  # type: ignore[arg-type]  # pace() saw a default


def pace(*, at_most: Parameter | int, open: Sql) -> Pace:
    """Hold a backfill back while so many rows are open.

    Raises ConfigurationError M110 for a number that is none, and for a query that is none.
    """
    places = all(isinstance(one, Given) for _, one in open.places) if isinstance(open, Sql) else False
    number = isinstance(at_most, int) and not isinstance(at_most, bool)
    if isinstance(at_most, Parameter):
        number = at_most.kind is int and at_most.default is not None
    if not number or not places:
        raise ConfigurationError(
            "M110",
            "pace() was given no number and query.",
            'Write pace(at_most=param("open_jobs", int, default=200), open=sql("SELECT count(*) FROM …")).',
        )
    return Pace(at_most=at_most, open=open)
