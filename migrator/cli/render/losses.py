"""What a rollback would lose, table by table, before anybody is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from migrator.cli.render.words import WIDTH, fold, number, rows
from migrator.model.step import Losses


def losses(given: Sequence[Losses], *, width: int = WIDTH) -> list[str]:
    """Write what would be lost, table by table."""
    found = [one for one in given if one.rows]
    if not found:
        return ["Nothing would be lost."]
    made = ["Rolling back would lose"]
    for one in found:
        made += fold(f"{one.sentence}:", width, first="  ", rest="    ")
        for said in _parts(one):
            made += fold(said, width, first="    ")
    return made


def _parts(one: Losses) -> Iterator[str]:
    if one.foreign:
        keys = _shown(one, "foreign", one.foreign)
        yield f"{number(one.foreign)} written by the application{keys}"
    if one.changed:
        keys = _shown(one, "changed", one.changed)
        yield f"{number(one.changed)} of ours that the application has changed since{keys}"
    for table, count in one.cascades.items():
        yield f"{rows(count)} of {table} that refer to them{_shown(one, table, count)}"


def _shown(one: Losses, cause: str, count: int) -> str:
    keys = one.examples.get(cause, ())
    return f": {', '.join(keys)}{', …' if len(keys) < count else ''}" if keys else ""
