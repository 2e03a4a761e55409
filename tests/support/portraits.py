"""The documented portrait shop, ready to be worked on: its legacy database, its change, and what became of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from migrator.demo.artworks_v2 import build_legacy, digest, fates, go_on_writing
from migrator.demo.artworks_v2.fates import ARTWORKS
from migrator.ledger.quarantine import Selection
from migrator.model.step import Phase, Report, State
from migrator.model.verdict import Balance
from migrator.workflow import housekeeping, use_cases
from migrator.workflow.desk import Desk, open_desk
from tests.support.projects import rows_of, run, silent

ROOT = str(Path(__file__).parents[2])
CHANGE = "artworks_v2"
NOTE = "no link was ever sent"


def desk_on(url: str, flags: Mapping[str, Any] | None = None, **params: str) -> Desk:
    """Open the documented change on a database."""
    return open_desk(CHANGE, config=ROOT, url=url, params=params, flags=flags)


def legacy(url: str, **size: Any) -> None:
    """Build the legacy tables."""
    with closing(psycopg.connect(url)) as conn, conn:
        build_legacy(conn, **size)


def expanded(url: str) -> None:
    """Build the legacy tables and the new ones beside them."""
    legacy(url)
    run(desk_on(url), to=Phase.EXPAND)


def in_use(url: str) -> None:
    """Build the same, with what both applications wrote since."""
    expanded(url)
    with closing(psycopg.connect(url)) as conn, conn:
        go_on_writing(conn)


def settle(desk: Desk) -> Report:
    """Apply the change; dismiss by name exactly what is planted to wait in quarantine; apply it to its proof."""
    report = use_cases.apply(desk, listen=silent)
    assert False is report.proven
    waiting = {(one.backfill, term.reason): term.rows for one in report.balances for term in one.terms if _waits(term)}
    assert {(ARTWORKS, reason): rows for reason, rows in fates()[ARTWORKS].quarantined.items()} == waiting
    housekeeping.quarantine_dismiss(desk, Selection(change=CHANGE), NOTE)
    report = use_cases.apply(desk, listen=silent)
    assert (State.VERIFIED, True) == (report.state, report.proven), unproven(report)
    return report


def _waits(term: Any) -> bool:
    return bool(term.disposition == "quarantined" and term.rows)


def unproven(report: Report) -> list[str]:
    """List what a report does not prove."""
    found = [f"{one.claim}: {one.evidence}" for one in report.verdicts if not one.proven]
    return [*found, *(str(one) for one in report.comparisons if not one.proven)]


def moved(url: str, **params: str) -> Desk:
    """Apply the change as far as its proof, which must hold."""
    desk = desk_on(url, **params)
    settle(desk)
    return desk


def digest_of(url: str) -> str:
    """Digest the old tables, as far as they were there before."""
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        return digest(conn)


def scalar(url: str, query: str, *params: Any) -> Any:
    """Fetch one value."""
    return rows_of(url, query, params or None)[0][0]


def balances_of(desk: Desk) -> dict[str, Balance]:
    """Recompute the Balance of every backfill."""
    return {one.backfill: one for one in use_cases.verify_counts(desk).balances}
