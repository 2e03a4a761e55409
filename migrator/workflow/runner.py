"""Runs of a change: holding its lease, and walking its Steps, forward or back, telling what happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from migrator.database.connect import Connection
from migrator.database.session import transaction
from migrator.ledger import events, install, lease
from migrator.ledger.run import Listen, Run, Step
from migrator.model.step import Event, Phase, StepReport, Unit
from migrator.phases.objects import CopyObjects
from migrator.workflow.desk import Desk


def take(step: Step, run: Run) -> StepReport:
    """Take a Step forward."""
    return _walk(step, run, "done", lambda: step.apply(run), step.title)


def take_back(step: Step, run: Run) -> StepReport:
    """Take a Step back."""
    return _walk(step, run, "undone", lambda: step.undo(run), f"undo {step.title}")


def _walk(step: Step, run: Run, kind: str, act: Callable[[], dict[str, int]], title: str) -> StepReport:
    unit: Unit = "object" if isinstance(step, CopyObjects) else "row"
    run.listen(Event(kind="step", phase=step.phase, name=step.name, title=title, unit=unit))
    begun = time.monotonic()
    detail = act()
    seconds = time.monotonic() - begun
    rows = detail.get("read", 0) or sum(detail.values())
    with run.database.connect() as conn:
        said = {"phase": step.phase, "name": step.name, "seconds": round(seconds, 3), **detail}
        events.tell(conn, run.lease.run, f"step {kind}", said)
    told: dict[str, Any] = {"phase": step.phase, "name": step.name, "title": title, "unit": unit}
    told |= {"rows": rows, "detail": detail, "seconds": seconds}
    run.listen(Event(kind="done", **told))
    return StepReport(**told)


def install_ledger(desk: Desk) -> None:
    """Install the Ledger where there is none, or bring it to the newest version."""
    with desk.explained("installing the ledger"), desk.database.connect() as conn:
        if install.version(conn) != install.VERSION:
            with transaction(conn, lock_timeout_ms=10_000):
                install.install(conn)


@contextmanager
def running(desk: Desk, verb: str, listen: Listen) -> Iterator[tuple[Run, Connection]]:
    """Hold the lease of the change, with a connection to look around."""

    def waiting(said: str) -> None:
        listen(Event(kind="note", phase=Phase.EXPAND, name="lease", title=said))

    with (
        lease.hold(desk.database, desk.change.name, verb, waiting=waiting) as held,
        desk.database.connect() as conn,
    ):
        yield Run(change=desk.change, database=desk.database, lease=held, listen=listen), conn
