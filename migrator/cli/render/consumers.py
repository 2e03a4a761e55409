"""One line per consumer: which side it is on, and since when."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.cli.render.words import WIDTH, columns
from migrator.model.step import Consumer

NOTHING = "\u2013"


def consumers(given: Sequence[Consumer], *, width: int = WIDTH) -> list[str]:
    """Write who is on which side."""
    if not given:
        return ["The change names no consumers."]
    table = [("consumer", "side", "since", "what it is"), *map(_line, given)]
    left = sum(one.side != "new" for one in given)
    end = "All are on the new tables." if not left else f"{left} of {len(given)} are not on the new tables alone."
    return [*columns(table, width=width), "", end]


def _line(one: Consumer) -> tuple[str, ...]:
    since = NOTHING if one.since is None else f"{one.since:%Y-%m-%d %H:%M}"
    said = one.what if one.note is None else f"{one.what} ({one.note})"
    return (one.name, one.side, since, said or NOTHING)
