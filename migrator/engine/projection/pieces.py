"""The pieces a Projection is made of: SQL text with the faults and marks that belong to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Disposition = Literal["moved", "merged", "skipped", "quarantined"]

# What every Projection has: a row that FOLLOWS is merged into what the winner of its group became.
TAKEN = "another source row became, or is merged into, the same target row"
FOLLOWING = "another row of its group stands for it"
MOVED, MERGED, FOLLOWS, FIRST_OUTCOME = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Fault:
    """A reason why a row cannot move: a condition over the row, and the value to show for it."""

    reason: str
    when: str
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A flag or a deciding rule: its text, and the condition under which the row carries it."""

    text: str
    when: str


@dataclass(frozen=True, slots=True)
class Piece:
    """One expression as SQL over the source row. `exact` says it has the target column's type already."""

    sql: str
    faults: tuple[Fault, ...] = ()
    marks: tuple[Mark, ...] = ()
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a code of the Projection stands for: a Disposition with its reason.

    `elsewhere` names the backfill that takes a row skipped here.
    """

    disposition: Disposition
    reason: str = ""
    elsewhere: str | None = None


def first(tests: list[tuple[str, int]]) -> str:
    """Write a CASE that gives the code of the first condition that is true."""
    return f"CASE {' '.join(f'WHEN {when} THEN {code}' for when, code in tests)} END" if tests else "NULL::int"
