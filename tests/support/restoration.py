"""The documented photo restoration, ready to be worked on: its legacy database, its change, and a way to its proof."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from migrator.demo.jobs_and_attempts import build_legacy, build_new_application_rows, fates, identity_map, job_id
from migrator.demo.jobs_and_attempts.mix import MIX
from migrator.ledger.quarantine import Selection
from migrator.model.step import Phase, Report, State
from migrator.workflow import housekeeping, use_cases
from migrator.workflow.desk import Desk, open_desk
from tests.support.projects import rows_of, run, silent

ROOT = str(Path(__file__).parents[2])
CHANGE = "jobs_and_attempts"
NOTE = "nobody knows them any more"
IDENTITIES = str(identity_map())


def desk_on(url: str, flags: Mapping[str, Any] | None = None, **params: str) -> Desk:
    """Open the documented change on a database, with the identity map unless another is named."""
    return open_desk(CHANGE, config=ROOT, url=url, params={"identity_map": IDENTITIES, **params}, flags=flags)


def legacy(url: str, *, upper: bool = True, rows: int | None = None) -> None:
    """Build the old table."""
    with closing(psycopg.connect(url)) as conn, conn:
        build_legacy(conn, upper=upper, rows=rows)


def expanded(url: str, *, upper: bool = True) -> None:
    """Build the old table and the new ones beside it."""
    legacy(url, upper=upper)
    run(desk_on(url), to=Phase.EXPAND)


def with_application(url: str, *, upper: bool = True) -> None:
    """Build the same, with rows which the new application wrote already."""
    expanded(url, upper=upper)
    with closing(psycopg.connect(url)) as conn, conn:
        build_new_application_rows(conn)


def waiting(report: Report) -> dict[str, dict[str, int]]:
    """Count what waits in quarantine, by backfill and reason."""
    found: dict[str, dict[str, int]] = {}
    for balance in report.balances:
        held = {one.reason: one.rows for one in balance.terms if one.disposition == "quarantined" and one.rows}
        if held:
            found[balance.backfill] = held
    return found


def settle(desk: Desk) -> Report:
    """Apply the change; dismiss by name exactly what is planted to wait in quarantine; apply it to its proof."""
    report = use_cases.apply(desk, listen=silent)
    assert False is report.proven
    assert {name: dict(one.quarantined) for name, one in fates().items() if one.quarantined} == waiting(report)
    housekeeping.quarantine_dismiss(desk, Selection(change=CHANGE), NOTE)
    report = use_cases.apply(desk, listen=silent)
    assert (State.VERIFIED, True) == (report.state, report.proven)
    return report


def moved(url: str, **params: str) -> Desk:
    """Apply the change as far as its proof, which must hold."""
    desk = desk_on(url, **params)
    settle(desk)
    return desk


def scalar(url: str, query: str, *params: Any) -> Any:
    """Fetch one value."""
    return rows_of(url, query, params or None)[0][0]


def counted(url: str, query: str) -> dict[str, int]:
    """Fetch numbers by name."""
    return {str(name): int(number) for name, number in rows_of(url, query)}


def id_of(number: int) -> str:
    """Give the id of the planted row with this number."""
    return job_id(next(place for place, one in enumerate(MIX) if one.number == number))
