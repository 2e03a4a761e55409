"""One line per change: its state, how far it is, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from migrator.cli.render.words import WIDTH, columns, fold, number, percent
from migrator.model.step import ChangeStatus

QUARANTINE = 4  # the column that is left out where nothing waits
WIDEST = 200
NOTHING = "\u2013"


def status(given: Sequence[ChangeStatus], *, width: int = WIDTH) -> list[str]:
    """Write the state of every change."""
    if not given:
        return ["There is no change yet."]
    head = ("change", "state", "since", "rows", "quarantine", "next")
    table = [head, *map(_line, given)]
    if not any(one.quarantined for one in given):
        table = [(*line[:QUARANTINE], *line[QUARANTINE + 1 :]) for line in table]
    # A command is never broken over lines, whatever the width.
    return [*columns(table, width=max(width, WIDEST)), *_beside(given, width)]


def _line(one: ChangeStatus) -> tuple[str, ...]:
    done = number(one.rows)
    if one.total and one.rows < one.total:
        done = f"{percent(one.rows, one.total)} of {number(one.total)}"
    return (
        one.change,
        one.state.value,
        one.since or NOTHING,
        done if one.rows or one.total else NOTHING,
        number(one.quarantined) if one.quarantined else NOTHING,
        one.next or NOTHING,
    )


def _beside(given: Sequence[ChangeStatus], width: int) -> Iterator[str]:
    """Say what a word in a table cannot: reasons, and who holds the lease."""
    for one in given:
        for reason in one.reasons:
            said = f"{one.change}: {reason}"
            # A command is never broken over lines.
            yield from [said] if "migrator " in reason else fold(said, width, rest="  ")
        if one.holder:
            yield f"lease of {one.change}: {one.holder}"
