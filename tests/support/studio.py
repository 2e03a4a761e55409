"""The documented studio, ready to be worked on: its legacy database, its change, and what became of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from migrator.demo.output_type_tables import build_legacy, build_new_application_rows, fates
from migrator.demo.output_type_tables.fates import STYLES
from migrator.ledger.quarantine import Selection
from migrator.model.step import Phase, Report, State
from migrator.model.verdict import Balance
from migrator.workflow import housekeeping, use_cases
from migrator.workflow.desk import Desk, open_desk
from tests.support.guide_001 import run_step_2
from tests.support.projects import execute, rows_of, run, silent

ROOT = str(Path(__file__).parents[2])
CHANGE = "output_type_tables"
NOTE = "cancelled by whoever asked for it"


def desk_on(url: str, flags: Mapping[str, Any] | None = None, **params: str) -> Desk:
    """Open the documented change on a database."""
    return open_desk(CHANGE, config=ROOT, url=url, params=params, flags=flags)


def expanded(url: str) -> None:
    """Build the legacy tables and the new ones beside them."""
    with closing(psycopg.connect(url)) as conn, conn:
        build_legacy(conn)
    run(desk_on(url), to=Phase.EXPAND)


def with_application(url: str) -> None:
    """Build the same, with rows which the new application wrote already, those of the last edits among them."""
    expanded(url)
    with closing(psycopg.connect(url)) as conn, conn:
        build_new_application_rows(conn, dual_written=True)


def guided(url: str) -> None:
    """Run the guide's own SQL, on a database whose prompt ids it can bear."""
    expanded(url)
    execute(
        url,
        "DELETE FROM style_transfers AS a USING style_transfers AS b WHERE a.comfyui_prompt_id = b.comfyui_prompt_id"
        " AND (a.created_at, a.id) > (b.created_at, b.id)",
    )
    assert {} == run_step_2(url).failed


def captioned_too(url: str) -> None:
    """Move all four sources."""
    expanded(url)
    moved(url, captions="true")


def settle(desk: Desk) -> Report:
    """Apply the change; dismiss by name exactly what is planted to wait in quarantine; apply it to its proof."""
    planted = fates()[STYLES].quarantined
    report = use_cases.apply(desk, listen=silent)
    assert False is report.proven
    waiting = {(one.backfill, term.reason): term.rows for one in report.balances for term in one.terms if _waits(term)}
    assert {(STYLES, reason): number for reason, number in planted.items()} == waiting
    housekeeping.quarantine_dismiss(desk, Selection(change=CHANGE, backfill=STYLES), NOTE)
    report = use_cases.apply(desk, listen=silent)
    assert (State.VERIFIED, True) == (report.state, report.proven)
    return report


def _waits(term: Any) -> bool:
    return bool(term.disposition == "quarantined" and term.rows)


def moved(url: str, **params: str) -> Desk:
    """Apply the change as far as its proof, which must hold."""
    desk = desk_on(url, **params)
    settle(desk)
    return desk


def again(url: str, **params: str) -> Desk:
    """Apply the change again with other parameters, to a proof that must hold."""
    desk = desk_on(url, **params)
    report = use_cases.apply(desk, listen=silent)
    assert (State.VERIFIED, True) == (report.state, report.proven)
    return desk


def scalar(url: str, query: str, *params: Any) -> Any:
    """Fetch one value."""
    return rows_of(url, query, params or None)[0][0]


def counted(url: str, query: str) -> dict[str, int]:
    """Fetch numbers by name."""
    return {str(name): int(number) for name, number in rows_of(url, query)}


def balance_of(desk: Desk, backfill: str) -> Balance:
    """Recompute the Balance of one backfill."""
    return next(one for one in use_cases.verify_counts(desk).balances if one.backfill == backfill)


def reasons(desk: Desk, backfill: str) -> dict[str, int]:
    """Count the quarantined rows of one backfill by reason."""
    return {one.reason: one.rows for one in balance_of(desk, backfill).terms if one.disposition == "quarantined"}
