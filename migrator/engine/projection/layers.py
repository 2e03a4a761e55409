"""The first two layers of a Projection over a part of the source: raw values, and each in the type of its column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from migrator.engine.projection.compiled import Compiled
from migrator.engine.projection.moving import FORESEEN
from migrator.engine.projection.steps import DECIDED, NEARBY
from migrator.model.names import ours, quote

# Which rows of a group are looked at: all; those whose turn has come; of these only the winners.
Turn = Literal["all", "ready", "winners"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Which source rows are looked at: those under a condition, of a group those whose turn it is.

    `near` says where tables with the source's key have them, as "~migrator keyed".
    """

    where: str = "true"
    near: str = "true"
    turn: Turn = "all"


def raw(of: Compiled, part: Part) -> str:
    """Write the first layer: values as the definition writes them, in their own types."""
    alias = of.source_alias
    keys = [f"{a} AS {b}" for a, b in zip(of.source_keys(alias), of.key_columns(), strict=True)]
    values = [f"{text} AS {quote(name)}" for name, text in of.raw_values]
    rows = f"{of.reads or of.source.relation.sql} AS {alias}"
    where = " AND ".join(one for one in (part.where, of.excluding) if one != "true")
    if where:  # rows under the condition first, so that no expression meets another row
        rows = f"(SELECT * FROM {rows} WHERE {where} OFFSET 0) AS {alias}"
    return f"SELECT {', '.join([*keys, *values])}\n  FROM {rows}\n  {_steps(of, part)} OFFSET 0"


def _steps(of: Compiled, part: Part) -> str:
    steps = "\n  ".join(one.replace(NEARBY, part.near) for one in of.raw_steps)
    steps = steps.replace(FORESEEN, "true") if of.foresees else steps
    if of.grouping is not None and part.turn != "all":
        ruled = f"{DECIDED}.{ours('code')}" if of.is_ruled else ""
        steps += f"\n  WHERE {of.grouping.taken(ruled, followers=part.turn == 'ready')}"
    return steps


def cast(of: Compiled, part: Part) -> str:
    """Write the second layer: every value in the type of its column, or a fault."""
    keys = ", ".join(of.key_columns("raw"))
    values = ", ".join(f"{text} AS {quote(name)}" for name, text in of.cast_values)
    return f"SELECT {keys}, {values}\n FROM ({raw(of, part)}) AS raw OFFSET 0"
