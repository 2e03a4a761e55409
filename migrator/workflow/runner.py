"""Walking Steps, forward or back: one at a time, telling what happens, keeping what was done."""

from __future__ import annotations

import time
from collections.abc import Callable

from migrator.ledger import events
from migrator.ledger.run import Run, Step
from migrator.model.step import Event, StepReport


def take(step: Step, run: Run) -> StepReport:
    """Take a Step forward."""
    return _walk(step, run, "done", lambda: step.apply(run), step.title)


def take_back(step: Step, run: Run) -> StepReport:
    """Take a Step back."""
    return _walk(step, run, "undone", lambda: step.undo(run), f"undo {step.title}")


def _walk(step: Step, run: Run, kind: str, act: Callable[[], dict[str, int]], title: str) -> StepReport:
    run.listen(Event(kind="step", phase=step.phase, name=step.name, title=title))
    begun = time.monotonic()
    detail = act()
    seconds = time.monotonic() - begun
    rows = detail.get("read", 0) or sum(detail.values())
    with run.database.connect() as conn:
        said = {"phase": step.phase, "name": step.name, "seconds": round(seconds, 3), **detail}
        events.tell(conn, run.lease.run, f"step {kind}", said)
    run.listen(
        Event(kind="done", phase=step.phase, name=step.name, title=title, rows=rows, detail=detail, seconds=seconds)
    )
    return StepReport(phase=step.phase, name=step.name, title=title, rows=rows, detail=detail, seconds=seconds)
