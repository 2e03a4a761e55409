"""Steps: what several columns of a Projection share, computed once beside the source row.

Each is a join of the first layer, in the order in which they were asked for; a later one may read those before it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, replace

from migrator.engine.projection.pieces import first
from migrator.model.names import ours

DECIDED, FATED = ours("decided"), ours("fated")
NEARBY = "(/* ~migrator near */ true)"  # where a table keyed as the source is narrowed to the keys that are looked at


@dataclass(slots=True, kw_only=True)
class Steps:
    """The steps of one SELECT over a source; `decided` is the code of what decided a row before its columns are."""

    written: list[str] = field(default_factory=list)
    decided: str = ""
    _deciding: str = ""  # the step that decides by skip and quarantine rules, where there are some
    _known: dict[Hashable, str] = field(default_factory=dict)

    def add(self, word: str, gives: str, write: Callable[[str], str]) -> str:
        """Write a step under a name of its own, which `write` is told; gives the column of it that is wanted."""
        alias = ours(f"{word}{len(self.written)}")
        self.written.append(write(alias))
        return f"{alias}.{gives}"

    def once(self, what: Hashable, word: str, gives: str, write: Callable[[str], str]) -> str:
        """Give the column of the step that is about this, written when first asked for."""
        if what not in self._known:
            self._known[what] = self.add(word, gives, write)
        return self._known[what]

    def only_where_no_rule_decided(self, rules: list[tuple[str, int]]) -> None:
        """Decide by these conditions first: what is translated from now on is computed only for the rows left over.

        A skipped row then costs its rules and nothing else, and no expression meets a row it is not meant for.
        """
        if rules:
            self._deciding = f"CROSS JOIN LATERAL (SELECT {first(rules)} AS {ours('code')} OFFSET 0) {DECIDED}"
            self.written.append(self._deciding)
            self.decided = f"{DECIDED}.{ours('code')}"

    def only_where_no_other_row_stands_for_it(self, joins: Iterable[str], fate: str) -> None:
        """Decide next by the group of a row: nothing else is computed for one that follows another."""
        self.written += [*joins, f"CROSS JOIN LATERAL (SELECT {fate} AS {ours('code')} OFFSET 0) {FATED}"]
        self.decided = f"{FATED}.{ours('code')}"

    def guarded(self, value: str, *, otherwise: str = "NULL") -> str:
        """Write a value that is computed only where no rule decided."""
        return f"CASE WHEN {self.decided} IS NULL THEN {value} ELSE {otherwise} END" if self.decided else value

    def without_rules(self) -> list[str]:
        """List the steps as if no rule decided, so that a wrong rule cannot hide which column is sound."""
        nothing = f"CROSS JOIN LATERAL (SELECT NULL::int AS {ours('code')}) {DECIDED}"
        return [nothing if one == self._deciding else one for one in self.written]

    def apart(self) -> Steps:
        """Give the same steps, to which others can be added that are not among these."""
        return replace(self, written=[*self.written], _known={**self._known})

    def anew(self) -> Steps:
        """Give none of them, for the same rows."""
        return replace(self, written=[], _known={})
