"""What a verb did, what is true now, and what comes next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from migrator.cli.render.balance import balances
from migrator.cli.render.proof import proof
from migrator.cli.render.words import WIDTH, blocks, columns, duration, fold, number, rate, rows
from migrator.model.step import Report, StepReport


def report(given: Report, *, width: int = WIDTH) -> list[str]:
    """Write a Report."""
    return list(
        blocks(
            _head(given, width),
            _steps(given, width),
            balances(given.balances, given.sources, change=given.change, width=width),
            proof(given.comparisons, given.verdicts, width=width),
            (line for one in given.notes for line in fold(one, width, first="! ", rest="  ")),
            _next(given),
        )
    )


def _head(given: Report, width: int) -> list[str]:
    database = f" · database {given.database}" if given.database else ""
    return fold(f"{given.change} · {given.verb}{database} · now {given.state.value}", width)


def _steps(given: Report, width: int) -> list[str]:
    if given.nothing_done:
        nothing = given.proven is None and not given.balances and not given.comparisons
        return ["Nothing to do."] if nothing else []
    return columns([_step(one) for one in given.steps], right=(3,), width=width)


def _step(one: StepReport) -> tuple[str, ...]:
    took = " · ".join(
        part
        for part in (detail(one.detail), duration(one.seconds), rate(one.rows, one.seconds))
        if part
    )
    return ("✓", one.phase.value, one.title or one.name, rows(one.rows) if one.rows else "", took)


def detail(given: Mapping[str, int]) -> str:
    """Write what became of the rows of a Step."""
    return ", ".join(f"{name} {number(count)}" for name, count in given.items() if count)


def _next(given: Report) -> Iterator[str]:
    for place, command in enumerate(given.next):
        yield f"{'Next: ' if place == 0 else '      '}{command}"
