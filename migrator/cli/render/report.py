"""What a verb did, what is true now, and what comes next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from migrator.cli.render import balance
from migrator.cli.render.object_balance import objects
from migrator.cli.render.proof import claims, proof
from migrator.cli.render.words import (
    GAP,
    WIDTH,
    blocks,
    columns,
    duration,
    fold,
    number,
    parts,
    place,
    rate,
    rows,
)
from migrator.model.step import Phase, Report, State, StepReport

COUNTS: Final = "verify-counts"
ARCHIVE: Final = "archive"
CHECKS: Final = ("check: ", "index check: ")
STEP: Final = 32  # columns for what a step is called


def report(given: Report, *, width: int = WIDTH) -> list[str]:
    """Write a Report."""
    return list(
        blocks(
            _head(given, width),
            _steps(given, width),
            _balances(given, width),
            proof([one for one in given.comparisons if not one.proven], width=width),
            balance.misplaced(given.sources, width=width),
            objects(given.objects, width=width),
            _hazards(given, width),
            [*_claims(given, width), *_sentence(given), *_notes(given, width)],
            _next(given),
        )
    )


def _head(given: Report, width: int) -> list[str]:
    database = f"database {place(given.database)}" if given.database else ""
    return parts([given.change, given.verb, database, f"now {given.state.value}"], width)


def _steps(given: Report, width: int) -> list[str]:
    if given.nothing_done:
        silent = not (given.verdicts or given.balances or given.comparisons)
        return ["Nothing to do."] if silent else []
    empty = "" if given.verb == "rollback" else "nothing to move"
    read = {one.backfill for one in given.balances if one.source_rows}
    nothing = {True: f"{empty} in this run", False: f"{empty}: the source has no rows"}
    made = [_step(one, nothing[one.name in read] if empty and _is_empty(one) else "") for one in given.steps]
    others = sum(max(len(line[at]) for line in made) + len(GAP) for at in (0, 1, 3, 4, 5))
    room = max(STEP, width - others)
    short = [(*line[:2], elided(line[2], room), *line[3:]) for line in made]
    lines = columns(short, right=(3,), width=width)
    return lines if all(len(one) <= width for one in lines) else list(_narrow(made, width))


def _narrow(steps: Iterable[Sequence[str]], width: int) -> Iterator[str]:
    """Write Steps where a table has no room: what it is, and below it what became of it."""
    for sign, phase, title, *said in steps:
        head = f"{sign}  {phase:<{len(Phase.BACKFILL.value)}}  "
        yield from fold(title, width, first=head)
        yield from fold(" · ".join(one for one in said if one), width, first=" " * len(head))


def _balances(given: Report, width: int) -> list[str]:
    """Write Balances in full where they are what was asked for, or are not settled."""
    if given.verb == COUNTS or not balance.settled(given.balances, given.sources):
        return balance.balances(given.balances, flags=given.verb == COUNTS, width=width)
    return balance.short(given.balances, width=width)


def _claims(given: Report, width: int) -> Iterator[str]:
    """Write every claim, but of the change's own checks that hold only how many they are.

    What is archived was proven claim by claim before; of the proof made again the sentences suffice.
    """
    held = [one for one in given.verdicts if one.proven and one.claim.startswith(CHECKS)]
    if not (given.verb == ARCHIVE and given.proven):
        yield from claims([one for one in given.verdicts if one not in held], width)
    if held:
        yield f"✓ {number(len(held))} check{' holds' if len(held) == 1 else 's hold'}"


def _sentence(given: Report) -> Iterator[str]:
    yield from balance.sentence(given.balances, given.sources, given.change)
    if given.comparisons and given.proven:
        compared = sum(one.compared for one in given.comparisons)
        took = sum(one.seconds for one in given.comparisons)
        own = sum(one.foreign for one in given.comparisons)
        beside = f", beside {rows(own)} of the application's own" if own else ""
        yield f"✓ proven: {rows(compared)} compared in both directions{beside} ({duration(took)})"


def _hazards(given: Report, width: int) -> Iterator[str]:
    for one in given.hazards:
        yield from fold(f"{one.id}  {one.what}", width, first="! ")
        yield from fold(f"cure: {one.cure}", width, first="  ") if one.cure else ()


def _notes(given: Report, width: int) -> Iterator[str]:
    for one in given.notes:
        yield from fold(one, width, first="! ")


def _is_empty(one: StepReport) -> bool:
    """Whether a copy met no row that it had to move."""
    return one.phase is Phase.BACKFILL and one.unit == "row" and not any(one.detail.values())


def _step(one: StepReport, nothing: str) -> tuple[str, ...]:
    took = duration(one.seconds)
    if one.seconds >= 1 and (speed := rate(one.rows, one.seconds, one.unit)):
        took += f", {speed}"
    count = rows(one.rows, one.unit) if one.rows else ""
    return ("✓", one.phase.value, one.title or one.name, count, nothing or detail(one.detail), took)


def elided(title: str, room: int = STEP) -> str:
    """Cut a title to the room there is."""
    return title if len(title) <= room else f"{title[: room - 1].rstrip()}…"


def detail(given: Mapping[str, int]) -> str:
    """Write what became of the rows of a Step."""
    # How many rows were read stands beside it already.
    said = (f"{name} {number(count)}" for name, count in given.items() if count and name != "read")
    return ", ".join(said)


def _next(given: Report) -> Iterator[str]:
    if given.state is State.ARCHIVED and given.next:
        later, back = given.next
        yield f"Next, when its time is over:  {later}"
        yield f"To have it back:              {back}"
        return
    for position, command in enumerate(given.next):
        yield f"{'Next: ' if position == 0 else '      '}{command}"
