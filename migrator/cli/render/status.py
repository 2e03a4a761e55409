"""One line per change: its state, how far it is, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from migrator.cli.render.words import WIDTH, columns, number, percent
from migrator.model.step import ChangeStatus

NOTHING = "–"


def status(given: Sequence[ChangeStatus], *, width: int = WIDTH) -> list[str]:
    """Write the state of every change."""
    if not given:
        return ["There is no change yet."]
    table = [("change", "state", "since", "rows", "quarantine", "next")]
    table += [_line(one) for one in given]
    return [*columns(table, width=width), *_beside(given)]


def _line(one: ChangeStatus) -> tuple[str, ...]:
    done = number(one.rows) if one.total is None else percent(one.rows, one.total)
    if one.total is not None and 0 < one.rows < one.total:
        done += f" of {number(one.total)}"
    elif one.total is not None and one.total:
        done = f"{number(one.rows)} of {number(one.total)}"
    return (
        one.change,
        one.state.value,
        one.since or NOTHING,
        done if one.rows or one.total else NOTHING,
        number(one.quarantined) if one.quarantined else NOTHING,
        one.next or NOTHING,
    )


def _beside(given: Sequence[ChangeStatus]) -> Iterator[str]:
    """Say what a word in a table cannot: reasons, and who holds the lease."""
    for one in given:
        if one.reasons:
            yield f"{one.change}: {', '.join(one.reasons)}"
        if one.holder:
            yield f"lease of {one.change}: {one.holder}"
