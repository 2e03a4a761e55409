"""The Plan as people see it: every Step, where the rows will go, and what to know before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from migrator.cli.render import fates
from migrator.cli.render.words import WIDTH, blocks, columns, fold, named, number, rows, size
from migrator.model.step import Hazard, Phase, Plan, PlannedStep


def plan(given: Plan, *, sql: bool = False, width: int = WIDTH) -> list[str]:
    """Write a Plan; `sql` adds the statements of each Step."""
    return list(
        blocks(
            _head(given, width),
            _steps(given, width),
            _statements(given) if sql else (),
            *(fates.going(group, given.sources, width) for group in fates.by_source(given.balances)),
            _remarks(given, width),
            _end(given, width),
        )
    )


def _head(given: Plan, width: int) -> Iterator[str]:
    place = f"database {given.database}" + (f" ({given.server})" if given.server else "")
    guide = f"guide {given.guide}" if given.guide else ""
    parts = [given.change, guide, place, f"now {given.state.value}"]
    yield from fold(" · ".join(part for part in parts if part), width, rest="  ")
    if given.title:
        yield from fold(given.title, width)
    if given.bytes_needed is not None:
        yield f"Needs about {size(given.bytes_needed)} of room."


def _steps(given: Plan, width: int) -> list[str]:
    if not given.steps:
        return ["Every step is done."]
    table = [(" #", "phase", "step", "rows", "locks")]
    table += [_step(place, one) for place, one in enumerate(given.steps, 1)]
    return columns(table, right=(0, 3), width=width)


def _step(place: int, one: PlannedStep) -> tuple[str, ...]:
    count = "" if one.rows is None else number(one.rows)
    locks = "done" if one.done else one.preview.locks
    if not one.done and one.preview.blocks:
        locks += f"; {one.preview.blocks}"
    return (str(place), one.phase.value, one.title or one.name, count, locks)


def _statements(given: Plan) -> Iterator[str]:
    for place, one in enumerate(given.steps, 1):
        if not one.preview.sql:
            continue
        yield f"-- {place} {one.phase.value}: {one.title or one.name}"
        for statement in one.preview.sql:
            yield from statement.strip().splitlines()
        yield ""


def _remarks(given: Plan, width: int) -> Iterator[str]:
    yield from _listed("Flags", _flags(given), width)
    yield from _listed("Left NULL", _by_column(given.missing), width)
    yield from _listed("Left behind", _by_column(given.left_behind), width)
    yield from _listed("Not read", _unread(given.unread), width)
    for hazard in given.hazards:
        yield from _hazard(hazard, width)
    yield from _listed("Undo", given.undo, width)
    yield from _listed("Note", given.notes, width)


def _listed(title: str, texts: Iterable[str], width: int) -> Iterator[str]:
    for text in texts:
        yield from named(title, text, width)
        title = ""


def _flags(given: Plan) -> Iterator[str]:
    for one in given.balances:
        for flag, count in one.flags.items():
            yield f"{one.target}: {flag}: {rows(count)}"


def _by_column(reasons: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Say each column with its reason, backfills with the same reason together."""
    found: dict[tuple[str, str], list[str]] = {}
    for backfill, of_backfill in reasons.items():
        for column, reason in of_backfill.items():
            found.setdefault((column, reason), []).append(backfill)
    for (column, reason), backfills in found.items():
        yield f"{column}: {reason} ({', '.join(backfills)})"


def _unread(unread: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Say the columns nobody reads, backfills with the same ones together."""
    found: dict[tuple[str, ...], list[str]] = {}
    for backfill, names in unread.items():
        if names:
            found.setdefault(tuple(names), []).append(backfill)
    for names, backfills in found.items():
        yield f"{', '.join(names)} ({', '.join(backfills)})"


def _hazard(hazard: Hazard, width: int) -> Iterator[str]:
    yield from named("Hazard", f"{hazard.id} {hazard.what}", width)
    if hazard.cure:
        yield from fold(f"cure: {hazard.cure}", width, first=" " * 18)


def _end(given: Plan, width: int) -> Iterator[str]:
    if given.dry_run:
        yield from fold(
            "Every column of every row was evaluated in one transaction that the server held READ"
            " ONLY.",
            width,
        )
    if not given.pending:
        yield "Nothing to do. Nothing was changed."
        yield f"Next: migrator verify {given.change}"
        return
    next_one = "" if given.dry_run else " --dry-run"
    if all(one.phase is Phase.VERIFY for one in given.pending):
        next_one = ""
    yield f"Nothing was changed. Next: migrator apply {given.change}{next_one}"
