"""The Plan as people see it: every Step, where the rows will go, and what to know before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from migrator.cli.render import fates
from migrator.cli.render.words import WIDTH, blocks, columns, fold, number, parts, place, size
from migrator.model.commands import again, command
from migrator.model.step import Hazard, Phase, Plan, PlannedStep, State

STEP: Final = 46  # columns for what a step is called
LEAST: Final = 16  # of them, however narrow the terminal
TITLE: Final = 13
APPLY: Final = "apply"
OBJECTS: Final = "objects of "  # begins the title of a Step that copies objects, beside that of their rows


def plan(given: Plan, *, sql: bool = False, brief: bool = False, verb: str = APPLY, width: int = WIDTH) -> list[str]:
    """Write a Plan of a verb; `sql` adds the statements of each Step, `brief` leaves all but the fates out."""
    groups = fates.by_source(given.balances)
    return list(
        blocks(
            _head(given, width),
            () if brief else _steps(given, width),
            _statements(given) if sql else (),
            *(fates.going(group, given.sources, width) for group in groups),
            () if brief else _remarks(given, width) if verb == APPLY else _around(given, width),
            _end(given, width) if verb == APPLY else _archive(given),
        )
    )


def _head(given: Plan, width: int) -> Iterator[str]:
    where = f"database {place(given.database)}" + (f" ({given.server})" if given.server else "")
    guide = f"guide {given.guide}" if given.guide else ""
    yield from parts([given.change, guide, where, f"now {given.state.value}"], width)
    if given.title:
        yield from fold(given.title, width)
    if given.bytes_needed is not None:
        yield f"Needs about {size(given.bytes_needed)} of room on the server's disk."


def _steps(given: Plan, width: int) -> list[str]:
    if not given.steps:
        return ["Every step is done."]
    head = (" #", "phase", "step", "rows", "locks")
    table = [head, *(_step(number_of, one) for number_of, one in enumerate(given.steps, 1))]
    return columns(table, right=(0, 3), limits={2: max(STEP - (WIDTH - width), LEAST)}, width=width)


def _step(number_of: int, one: PlannedStep) -> tuple[str, ...]:
    count = "" if one.rows is None else number(one.rows)
    locks = "done" if one.done else one.preview.locks
    if not one.done and one.preview.blocks:
        locks += f"; blocks {one.preview.blocks}"
    return (str(number_of), one.phase.value, one.title or one.name, count, locks)


def _statements(given: Plan) -> Iterator[str]:
    yield from blocks(*(_sql(position, one) for position, one in enumerate(given.steps, 1) if one.preview.sql))


def _sql(position: int, one: PlannedStep) -> Iterator[str]:
    yield f"-- {position} {one.phase.value}: {one.title or one.name}"
    for statement in one.preview.sql:
        yield from statement.strip().splitlines()


def _remarks(given: Plan, width: int) -> Iterator[str]:
    yield from _listed("Flags", fates.flags(given.balances), width, right=(1,))
    yield from _listed("Left NULL", _by_column(given, given.missing), width)
    yield from _listed("Left behind", _by_column(given, given.left_behind), width)
    unread = {name: dict.fromkeys(names, "") for name, names in given.unread.items()}
    yield from _listed("Not read", _by_column(given, unread), width)
    yield from _listed("Objects", _by_column(given, given.moving), width)
    reads = {name: dict.fromkeys(what, "") for name, what in given.reads.items()}
    yield from _listed("Reads too", _by_column(given, reads), width)
    yield from _around(given, width)


def _around(given: Plan, width: int) -> Iterator[str]:
    yield from _listed("Hazards", (_hazard(one) for one in given.hazards), width)
    yield from _listed("Undo", ((one,) for one in given.undo), width)
    yield from _listed("Note", ((one,) for one in given.notes), width)


def _listed(title: str, table: Iterable[Sequence[str]], width: int, *, right: Sequence[int] = ()) -> Iterator[str]:
    """Write a title at the left, and beside it a table."""
    for line in columns(table, right=right, indent=" " * TITLE, width=width):
        yield f"{title:<{TITLE}}{line[TITLE:]}".rstrip()
        title = ""


def _by_column(given: Plan, reasons: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    """Say each column with its reason, and for which targets where it is not so for all."""
    found: dict[tuple[str, str], list[str]] = {}
    for backfill, of_backfill in reasons.items():
        for column, reason in of_backfill.items():
            found.setdefault((column, reason), []).append(backfill)
    copies = [one for one in given.steps if one.phase is Phase.BACKFILL and not one.title.startswith(OBJECTS)]
    targets = {one.name: one.title.partition(" ← ")[0] for one in copies}
    for (column, reason), backfills in found.items():
        names = ", ".join(targets.get(one, one) for one in backfills)
        every = len(backfills) == len(targets)
        yield column, reason if every else f"{reason} ({names})".strip()


def _hazard(hazard: Hazard) -> tuple[str, str]:
    cure = f"\ncure: {hazard.cure}" if hazard.cure else ""
    return hazard.id, f"{hazard.what}{cure}"


def _end(given: Plan, width: int) -> Iterator[str]:
    if given.dry_run:
        yield from fold(
            "Every column of every row was evaluated in one transaction that the server held READ ONLY.",
            width,
        )
    if not given.pending:
        yield "Nothing to do. Nothing was changed."
        left = any(not one.done for one in given.steps)
        yield from _archive(given) if left else _verify(given)
        return
    looked = given.dry_run or all(one.phase is Phase.VERIFY for one in given.pending)
    next_one = again(APPLY, given.change) if looked else command(APPLY, given.change, "--dry-run")
    yield f"Nothing was changed. Next: {next_one}"


def _verify(given: Plan) -> Iterator[str]:
    if given.state is not State.ARCHIVED:
        yield f"Next: {command('verify', given.change)}"


def _archive(given: Plan) -> Iterator[str]:
    yield f"Next, when nobody needs the old tables: {command('archive', given.change)}"
