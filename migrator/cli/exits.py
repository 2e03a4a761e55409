"""How a verb ends: exit codes, and every error as one line with an id.

0    done, or nothing to do
1    failed; the same command may be run again
2    what was asked for or configured cannot be
3    work is pending (`plan --exit-code`), or rows wait until there is room for them
4    not proven
5    refused by a guard or by the lease; nothing was changed
130  interrupted by Ctrl-C or SIGTERM; the state is safe
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from migrator.cli.render.balance import closed
from migrator.model.errors import BugError, MigratorError

if TYPE_CHECKING:
    from types import FrameType

    from migrator.model.step import Plan, Report

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
PENDING: Final = 3
NOT_PROVEN: Final = 4
REFUSED: Final = 5
INTERRUPTED: Final = 130

UNEXPECTED: Final = "M900"
STOPPED: Final = "M901"
COMMAND_LINE: Final = "M100"


def of_report(report: Report) -> int:
    """Give the exit code of a Report: what is claimed must be proven, every Balance closes, and no row waits."""
    open_balance = not closed(report.balances, report.sources)
    unproven = report.proven is False or not all(one.proven for one in report.comparisons)
    if open_balance or unproven:
        return NOT_PROVEN
    return PENDING if report.waiting else DONE


def of_plan(plan: Plan, *, tell_pending: bool = False) -> int:
    """Give the exit code of a Plan; pending work counts only where that was asked."""
    if not closed(plan.balances, plan.sources):
        return NOT_PROVEN
    return PENDING if tell_pending and plan.pending else DONE


def as_ours(error: BaseException, doing: str) -> MigratorError:
    """Say any error in our words: one of ours as it is, one of the database explained, M900 else."""
    if isinstance(error, MigratorError):
        return error
    original = getattr(error, "orig", None)  # SQLAlchemy wraps the errors of the driver
    for one in (error, original):
        if isinstance(one, BaseException) and _is_of_psycopg(one):
            from migrator.database.explaining import as_error

            return as_error(one, doing)
    said = " ".join(str(error).split())
    name = type(error).__name__
    what = f"Something unexpected happened: {name}{f': {said}' if said else ''}."
    return BugError(UNEXPECTED, what, "Run it again with --debug and report what it says, please.")


def _is_of_psycopg(error: BaseException) -> bool:
    """Look without importing the driver: where it was never loaded, no error is its own."""
    psycopg = sys.modules.get("psycopg")
    return psycopg is not None and isinstance(error, psycopg.Error)


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM stop the block as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
