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
from typing import TYPE_CHECKING, Final, Protocol

from migrator.cli.render.report import detail, elided
from migrator.cli.render.words import duration, number, percent, rate, rows
from migrator.cli.run import Run, colourful
from migrator.model.step import Event, Phase

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

EVERY: Final = 5.0  # seconds between two lines of one Step, where there is no terminal


class Way(Protocol):
    """One way to show what happens; called under a lock."""

    def show(self, event: Event) -> None:
        """Show one Event."""


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
        self._last: dict[str, float] = {}
        self._begun: dict[str, float] = {}

    def show(self, event: Event) -> None:
        """Write the line of an Event, when it is due."""
        now = time.monotonic()
        match event.kind:
            case "note":
                self._run.say([f"! {event.title or event.name}"])
            case "step":
                self._last[event.name] = self._begun[event.name] = now
                total = f" ({rows(event.total)})" if event.total else ""
                self._run.say([f"{_step(event)} …{total}"])
            case "progress":
                last = self._last.setdefault(event.name, now)
                begun = self._begun.setdefault(event.name, now)
                if now - last >= self._every:
                    self._last[event.name] = now
                    self._run.say([f"{_step(event)}  {_so_far(event, now - begun)}"])
            case "done":
                self._run.say([f"{_step(event)}  done in {duration(event.seconds)}{_sum(event)}"])


class Bars:
    """Draws a bar with speed and time to go for every Step that counts rows."""

    def __init__(self, run: Run, progress: Progress) -> None:
        """Draw on a running Rich progress."""
        self._run = run
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

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
        task = self._tasks.get(event.name)
        if task is None:
            task = self._progress.add_task(_step(event), total=event.total, result="")
            self._tasks[event.name] = task
        if event.total is not None:
            self._progress.update(task, total=event.total)
        if event.kind == "progress":
            self._progress.update(task, completed=event.rows)
        if event.kind == "done":
            total = max(event.rows, 1)
            self._progress.update(task, total=total, completed=total, result=_sum(event))

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
            if self._copies and event.phase is Phase.BACKFILL:
                self._safe[event.name] = max(event.rows, self._safe.get(event.name, 0))
                self._run.safe_rows = sum(self._safe.values())
            self._way.show(event)


@contextmanager
def listening(run: Run) -> Iterator[Listener]:
    """Listen in the way that fits: bars on a terminal, lines elsewhere, nothing with --quiet."""
    if run.quiet:
        yield Listener(run, Quiet())
    elif not colourful(sys.stderr):
        yield Listener(run, Lines(run))
    else:
        progress = _rich()
        with progress:
            yield Listener(run, Bars(run, progress))


def _rich() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.text import Text

    class Numbers(ProgressColumn):
        """`3,402,113 / 5,000,000  71k rows/s  ETA 22 s`."""

        def render(self, task: Task) -> Text:
            done = str(task.fields["result"])
            return Text(done or _numbers(int(task.completed), task.total, task.elapsed or 0.0))

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        Numbers(),
        console=Console(stderr=True),
        transient=True,
    )


def _numbers(done: int, total: float | None, elapsed: float) -> str:
    if not total:
        return rows(done) if done else ""
    speed = rate(done, elapsed)
    to_go = duration((total - done) * elapsed / done) if speed and done < total else ""
    counted = f"{percent(done, int(total)):>5}  {number(done)} / {number(int(total))}"
    return "  ".join(part for part in (counted, speed, to_go and f"ETA {to_go}") if part)


def _step(event: Event) -> str:
    return f"{event.phase.value:<9} {elided(event.title or event.name)}"


def _so_far(event: Event, elapsed: float) -> str:
    return _numbers(event.rows, event.total, elapsed) or rows(event.rows)


def _sum(event: Event) -> str:
    found = detail(event.detail)
    if found:
        return f": {found}"
    return f": {rows(event.rows)}" if event.rows else ""
