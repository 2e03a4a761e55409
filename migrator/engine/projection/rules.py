"""Named rules as SQL: a step says which one fired, and value, faults and marks of a row are those of that rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from migrator.engine.projection.pieces import Fault, Mark, Piece
from migrator.model.expressions import Constant, Expression, Rules
from migrator.model.names import EXACTLY, literal, ours

FIRED = ours("fired")


def step(alias: str, conditions: Sequence[str], guarded: Callable[[str], str]) -> str:
    """Write the step that gives the number of the first rule whose condition is true, 0 for none."""
    arms = [f"WHEN {when} THEN {number}" for number, when in enumerate(conditions, 1)]
    case = guarded(f"CASE {' '.join(arms)} ELSE 0 END") if arms else "0"
    return f"CROSS JOIN LATERAL (SELECT {case} AS {FIRED} OFFSET 0) {alias}"


def ending(tried: Rules) -> Expression | None:
    """Give what stands for the rows for which no rule is true."""
    return tried.fallback.value if tried.fallback else tried.otherwise


def chosen(tried: Rules, fired: str, pieces: Sequence[Piece], last: Piece | None) -> Piece:
    """Choose among the values of the rules by the number of the one that fired; `last` is where none did."""
    faults = [fault for number, one in enumerate(pieces, 1) for fault in _under(f"{fired} = {number}", one).faults]
    marks = [mark for number, one in enumerate(pieces, 1) for mark in _under(f"{fired} = {number}", one).marks]
    if last is None:
        faults.append(Fault(f"no rule of {tried.name} fits", f"{fired} = 0"))
    if tried.fallback:
        marks.append(Mark(f"defaulted: {tried.fallback.name}", f"{fired} = 0"))
    left_over = _under(f"{fired} = 0", last or Piece("NULL"))
    arms = [f"WHEN {number} THEN {one.sql}" for number, one in enumerate(pieces, 1)]
    made = f"CASE {fired} {' '.join(arms)} ELSE {left_over.sql} END" if arms else left_over.sql
    return Piece(made, (*faults, *left_over.faults), (*marks, *left_over.marks))


def _under(condition: str, of: Piece) -> Piece:
    """Give a value whose faults and marks are those of the rows under a condition."""
    return Piece(
        of.sql,
        tuple(Fault(one.reason, f"{condition} AND {one.when}", one.detail) for one in of.faults),
        tuple(Mark(one.text, f"{condition} AND {one.when}") for one in of.marks),
    )


def numbered(tried: Rules) -> list[tuple[int, Expression]]:
    """List the values that the rules can give, each with the number under which they do."""
    last = ending(tried)
    return [*enumerate((one.value for one in tried.rules), 1), *([] if last is None else [(0, last)])]


def give(tried: Rules, fired: str, word: str, others: Mapping[int, str]) -> str:
    """Write the condition that the rules give a word; `others` are the values that are no constants, by number."""
    known = [str(number) for number, value in numbered(tried) if value == Constant(word)]
    tests = [f"{fired} IN ({', '.join(known)})"] if known else []
    tests += [
        f"({fired} = {number} AND (({value})::text {EXACTLY}) IS NOT DISTINCT FROM {literal(word)})"
        for number, value in others.items()
    ]
    return f"({' OR '.join(tests) or 'false'})"
