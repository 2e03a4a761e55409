"""Codes: the numbers that a Projection gives to outcomes, in the order of fate, and to marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from migrator.engine.projection.pieces import FOLLOWING, Outcome


@dataclass(slots=True)
class Codes:
    """What was numbered so far: outcomes from 0, of which the first three are the same everywhere; marks from 1."""

    outcomes: list[Outcome] = field(
        default_factory=lambda: [Outcome("moved"), Outcome("merged"), Outcome("merged", FOLLOWING)]
    )
    marks: list[str] = field(default_factory=list)

    def of(self, outcome: Outcome) -> int:
        """Give an outcome its code, in the order of fate."""
        self.outcomes.append(outcome)
        return len(self.outcomes) - 1

    def quarantined(self, reason: str) -> int:
        """Give the code of a fault."""
        return self.of(Outcome("quarantined", reason))

    def known(self, reason: str) -> int | None:
        """Find the code of a reason that was numbered before."""
        return next((code for code, one in enumerate(self.outcomes) if one.reason == reason), None)

    def mark(self, text: str) -> int:
        """Give the number of a mark, one for the same text."""
        if text not in self.marks:
            self.marks.append(text)
        return self.marks.index(text) + 1

    def mark_of_rules(self, fired: str, texts: Sequence[str]) -> str:
        """Write the mark of the rule that fired: those of one list get numbers in a row, so that adding gives it."""
        start = len(self.marks)
        self.marks += texts
        return f"CASE WHEN {fired} > 0 THEN {start} + {fired} END"
