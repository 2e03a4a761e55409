"""Progress: bars on a terminal, a few plain lines elsewhere, nothing when nobody wants to hear it.

The use cases tell what happens by Events, from whatever thread; each way of showing them is one
listener, and all of them keep count of the rows that are safe.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from migrator.cli.render.report import detail, elided
from migrator.cli.render.words import WIDTH, duration, number, percent, rate, rows, size
from migrator.cli.run import Run, is_terminal
from migrator.model.step import Event, Phase

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

EVERY: Final = 5.0  # seconds between two lines of one Step, where there is no terminal


Key = tuple[Phase, str]  # of a Step


class Way(Protocol):
    """One way to show what happens; called under a lock."""

    def show(self, event: Event) -> None:
        """Show one Event."""


class Pace:
    """How fast a Step is, counted from the first that was heard of it: a copy may go on from before."""

    def __init__(self) -> None:
        """Begin now."""
        self._begun = time.monotonic()
        self._from: int | None = None

    def said(self, event: Event) -> str:
        """Write how far a Step is, how fast, and how long it still takes."""
        self._from = event.rows if self._from is None else self._from
        if not event.total:
            return rows(event.rows, event.unit) if event.rows else ""
        elapsed = time.monotonic() - self._begun
        done = event.rows - self._from
        speed = rate(done, elapsed, event.unit)
        to_go = duration((event.total - event.rows) * elapsed / done) if speed else ""
        counted = f"{percent(event.rows, event.total):>5}  {number(event.rows)}"
        weight = f"{size(round(event.bytes / elapsed))}/s" if speed and event.bytes else ""
        parts = (f"{counted} / {number(event.total)}", speed, weight, to_go and f"ETA {to_go}")
        return "  ".join(part for part in parts if part)


class Quiet:
    """Shows nothing."""

    def show(self, event: Event) -> None:
        """Show nothing."""


class Lines:
    """Writes a line at the beginning and the end of each Step, and now and then between."""

    def __init__(self, run: Run, *, every: float = EVERY) -> None:
        """Write to the stderr of a run, at most every so many seconds."""
        self._run = run
        self._every = 0.0 if run.verbose else every
        self._last: dict[Key, float] = {}
        self._pace: dict[Key, Pace] = {}

    def show(self, event: Event) -> None:
        """Write the line of an Event, when it is due."""
        now = time.monotonic()
        match event.kind:
            case "note":
                self._run.say([f"! {event.title or event.name}"])
            case "step":
                self._last[_key(event)] = now
                self._pace[_key(event)] = Pace()
                total = f" ({rows(event.total, event.unit)})" if event.total else ""
                self._run.say([f"{_step(event)} …{total}"])
            case "progress":
                last = self._last.setdefault(_key(event), now)
                said = self._pace.setdefault(_key(event), Pace()).said(event)
                if now - last >= self._every:
                    self._last[_key(event)] = now
                    self._run.say([f"{_step(event)}  {said}"])
            case "done":
                self._run.say([f"{_step(event)}  done in {duration(event.seconds)}{_sum(event)}"])


class Bars:
    """Draws a bar with speed and time to go for every Step that counts rows."""

    def __init__(self, run: Run, progress: Progress) -> None:
        """Draw on a running Rich progress."""
        self._run = run
        self._progress = progress
        self._tasks: dict[Key, tuple[TaskID, Pace]] = {}

    def show(self, event: Event) -> None:
        """Move the bar of an Event, or replace it by its result."""
        match event.kind:
            case "note":
                self._say(f"! {event.title or event.name}")
            case "step" | "progress":
                self._move(event)
            case "done":
                self._move(event)

    def _move(self, event: Event) -> None:
        if _key(event) not in self._tasks:
            task = self._progress.add_task(_short(event), total=event.total, said="")
            self._tasks[_key(event)] = (task, Pace())
        task, pace = self._tasks[_key(event)]
        if event.kind == "progress":
            said = pace.said(event)
            self._progress.update(task, total=event.total, completed=event.rows, said=said)
        if event.kind == "done":
            said = _sum(event).removeprefix(": ") or "done"
            self._progress.update(task, total=1, completed=1, said=said)

    def _say(self, text: str) -> None:
        shown = self._run.masker.text(text)
        self._progress.console.print(shown, markup=False, highlight=False, soft_wrap=True)


class Listener:
    """Hears Events from any thread, counts the rows that are safe, and shows them one at a time."""

    def __init__(self, run: Run, way: Way) -> None:
        """Show Events in one way."""
        self._run = run
        self._way = way
        self._lock = threading.Lock()
        self._safe: dict[str, int] = {}
        self._copies = run.verb in {"apply", "backfill"}

    def __call__(self, event: Event) -> None:
        """Hear one Event."""
        with self._lock:
            if self._copies and event.phase is Phase.BACKFILL and event.unit == "row":
                self._safe[event.name] = max(event.rows, self._safe.get(event.name, 0))
                self._run.safe_rows = sum(self._safe.values())
            self._way.show(event)


@contextmanager
def listening(run: Run) -> Iterator[Listener]:
    """Listen in the way that fits: bars on a terminal, lines elsewhere, nothing with --quiet."""
    if run.quiet:
        yield Listener(run, Quiet())
    elif not is_terminal(sys.stderr):
        yield Listener(run, Lines(run))
    else:
        progress = _rich()
        with progress:
            yield Listener(run, Bars(run, progress))


def _rich() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    console = Console(stderr=True)
    console.width = min(console.width, WIDTH)
    one_line: Any = {"no_wrap": True, "overflow": "ellipsis"}

    return Progress(
        TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, **one_line)),
        BarColumn(bar_width=16),
        TextColumn("{task.fields[said]}", markup=False, table_column=Column(**one_line)),
        console=console,
        transient=True,
        expand=True,
    )


def _key(event: Event) -> Key:
    return event.phase, event.name


def _step(event: Event) -> str:
    return f"{event.phase.value:<9} {event.title or event.name}"


def _short(event: Event) -> str:
    return f"{event.phase.value:<9} {elided(event.title or event.name)}"


def _sum(event: Event) -> str:
    found = detail(event.detail)
    if found:
        return f": {found}"
    return f": {rows(event.rows, event.unit)}" if event.rows else ""
