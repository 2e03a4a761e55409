"""The fate of a row: the last layers of a Projection, which give every row its code.

judged    rules, faults, what the target's catalog foretells, rows that are met, merge; the smallest code is the fate
gated     where objects move with rows: of a row that would move, whether its objects are there
weighed   what only the other rows of this SELECT tell
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from migrator.engine.projection import meeting, twins
from migrator.engine.projection.compiled import CODE, DETAIL, FAULT, MARKS, RULE, Compiled
from migrator.engine.projection.layers import Part, cast
from migrator.engine.projection.moving import GATE, GATE_DETAIL, Moving
from migrator.engine.projection.pieces import FOLLOWS, MERGED, MOVED
from migrator.model.names import quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """What rows are held against: rows of the target (`merging`), of the source, and those still to come.

    `foretelling` finds source rows that compete for one unique value. `awaiting` judges foreign keys to tables that
    earlier backfills fill; `awaited` are the joins of what these keys can point at.
    """

    merging: bool = False
    foretelling: bool = False
    awaiting: bool = False
    awaited: str = ""


def judged(of: Compiled, part: Part, against: Against, carries: Sequence[Moving] = ()) -> str:
    """Write the rows with their codes, as far as each can be judged without the others and without its objects."""
    alias = of.target_alias
    joins = " ".join(meeting.joins(of, few=part.near != "true")) if against.merging else ""
    joins += against.awaited
    joins += " ".join(_twins(of, against)) if against.foretelling else ""
    values = [", ".join(of.key_columns(alias)), f"{_code(of, against)} AS {quote(CODE)}"]
    values += [f"{alias}.{quote(DETAIL)}", f"{alias}.{quote(MARKS)}"]
    values += [", ".join(f"{alias}.{quote(one.name)}" for one in of.columns)]
    values += [", ".join(meeting.into(of, merging=against.merging))]
    values += of.winner_columns(alias)
    values += [f"{alias}.{quote(one)}" for one in (GATE, GATE_DETAIL) if of.moving]
    values += [f"{alias}.{name}" for one in carries for name in one.columns]
    return f"SELECT {', '.join(values)}\n FROM ({cast(of, part)}) AS {alias} {joins} OFFSET 0"


def _code(of: Compiled, against: Against) -> str:
    alias = of.target_alias
    rule, fault = (f"{alias}.{quote(one)}" for one in (RULE, FAULT))
    tests = [
        f"CASE WHEN {one.when} THEN {one.code} END" for one in of.judgements if against.awaiting or one.awaited is None
    ]
    tests += [twins.lost(of, one) for one in of.contested if against.foretelling]
    tests += meeting.faults(of) if against.merging else []
    worst = f"LEAST({', '.join([fault, *tests])})" if tests else fault
    merged = [f"CASE WHEN {meeting.merges(of)} THEN {MERGED} END"] if against.merging else []
    return f"COALESCE({', '.join([rule, worst, *merged, str(MOVED)])})::smallint"


def _twins(of: Compiled, against: Against) -> list[str]:
    faults = [one.when for one in of.judgements if against.awaiting or one.awaited is None]
    return [twins.join(of, one, against.awaited, faults) for one in of.contested]


def gated(of: Compiled, rows: str, carries: Sequence[Moving] = ()) -> str:
    """Keep back what would move, and whose objects are not proven to be where its keys will point."""
    if not of.moving:
        return rows
    kept = f"rows.{quote(CODE)} = {MOVED} AND rows.{quote(GATE)} IS NOT NULL"
    values = [
        *_names(of, MARKS),
        *(name for one in carries for name in one.columns),
        f"CASE WHEN {kept} THEN rows.{quote(GATE_DETAIL)} ELSE rows.{quote(DETAIL)} END AS {quote(DETAIL)}",
        f"CASE WHEN {kept} THEN rows.{quote(GATE)}::smallint ELSE rows.{quote(CODE)} END AS {quote(CODE)}",
    ]
    return f"SELECT {', '.join(values)} FROM ({rows}) AS rows OFFSET 0"


def weighed(of: Compiled, rows: str, against: Against) -> str:
    """Say what only the other rows tell: a row of the target is merged into once; winners that cannot move."""
    code, tests = f"rows.{quote(CODE)}", []
    if of.folds and against.merging:
        into, keys = ", ".join(of.into_columns("rows")), ", ".join(of.key_columns("rows"))
        place = f"row_number() OVER (PARTITION BY {code}, {into} ORDER BY {keys})"
        tests.append(f"WHEN {code} = {MERGED} AND {place} > 1 THEN {of.taken}::smallint")
    if of.grouping is not None and against.foretelling:
        moves = f"bool_or({code} IN ({MOVED}, {MERGED})) OVER (PARTITION BY {', '.join(of.winner_columns('rows'))})"
        tests.append(f"WHEN {code} = {FOLLOWS} AND NOT {moves} THEN {of.cannot}::smallint")
    if not tests:
        return rows
    names = ", ".join(_names(of, DETAIL, MARKS))
    return f"SELECT {names}, CASE {' '.join(tests)} ELSE {code} END AS {quote(CODE)} FROM ({rows}) AS rows OFFSET 0"


def _names(of: Compiled, *more: str) -> list[str]:
    """List what every row has besides its code, quoted."""
    names = [*map(quote, more), *(quote(one.name) for one in of.columns)]
    return [*of.key_columns(), *names, *of.into_columns(), *of.winner_columns()]
