"""The documented photo library, ready to be worked on: its legacy database, its change, and its runner."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from migrator.demo import phase_2_jobs as legacy
from migrator.demo.phase_2_jobs import Origin, build_legacy, build_new_application_rows
from migrator.ledger.quarantine import Selection
from migrator.model.step import Phase, Report, State
from migrator.workflow import housekeeping, use_cases
from migrator.workflow.desk import Desk, open_desk
from tests.support.projects import rows_of, run, settle, silent

ROOT = str(Path(__file__).parents[2])
CHANGE = "phase_2_jobs"
FILES = {name: str(Path(legacy.__file__).parent / f"{name}.csv") for name in ("missing_files", "moved_files")}
OPEN = "SELECT count(*) FROM \"Job\" WHERE id LIKE 'mg%' AND status IN ('PENDING', 'RUNNING')"


# What a text may hold that should be a payload; of each, no image is named.
PAYLOADS = {
    "cut": '{"type":"OFFLOAD_ORIGINAL","imageId":"',
    "no json": "[object Object]",
    "empty": "",
    "nul": '{"imageId":"\\u0000"}',
    "nul beside": '{"imageId":"x","checksum":"\\u0000"}',
    "list": '["imageId"]',
    "text": '"imageId"',
    "number": "17",
    "null": "null",
    "number as id": '{"imageId":5}',
    "object as id": '{"imageId":{"imageId":"x"}}',
    "deep": "[" * 100_000,
    "deeper": '{"imageId":' * 50_000,
    "huge": json.dumps({"imageId": "x", "checksum": "a" * 3_000_000}),
}


def desk_on(url: str, flags: Mapping[str, Any] | None = None, **params: str) -> Desk:
    """Open the documented change on a database."""
    return open_desk(CHANGE, config=ROOT, url=url, params=params, flags=flags)


def old(url: str, origin: Origin = "push") -> None:
    """Build the tables of Phase 1."""
    with closing(psycopg.connect(url)) as conn, conn:
        build_legacy(conn, origin=origin)


def expanded(url: str) -> None:
    """Build the tables of Phase 1, and what Phase 2 adds to them."""
    old(url)
    run(desk_on(url), to=Phase.EXPAND)


def in_use(url: str) -> None:
    """Build the same, and let the application of Phase 2 work for a while."""
    expanded(url)
    with closing(psycopg.connect(url)) as conn, conn:
        build_new_application_rows(conn)


def moved(url: str) -> None:
    """Fill the library of Phase 1, with payloads of every kind, and do not prove it."""
    expanded(url)
    with closing(psycopg.connect(url)) as conn, conn:
        for name, payload in PAYLOADS.items():
            conn.execute(
                'INSERT INTO "Job" (id, type, payload, status, "updatedAt")'
                " VALUES (%s, 'OFFLOAD_ORIGINAL', %s, 'PENDING', '2026-01-29')",
                (f"odd {name}", payload),
            )
    run(desk_on(url))


def done(url: str) -> None:
    """Carry out the whole change on a library in use, with what the disks hold and the repair, to its proof."""
    in_use(url)
    dismissed(desk_on(url, **FILES, repair_stored="true"))


def apply(desk: Desk) -> Report:
    """Apply to the end, with counters that are up to date."""
    settle(desk.database.url)
    return use_cases.apply(desk, listen=silent)


def dismissed(desk: Desk) -> Report:
    """Apply, let stay what waits in quarantine, and apply to the proof, which must hold."""
    assert False is apply(desk).proven
    housekeeping.quarantine_dismiss(desk, Selection(change=CHANGE), "decided by the people of the library")
    report = apply(desk)
    assert (State.VERIFIED, True) == (report.state, report.proven), [one for one in report.verdicts if not one.proven]
    return report


def worked(url: str, jobs: int, *, only: str = "true") -> list[str]:
    """Let the runner finish the oldest jobs that wait, as Phase 2 does; give their ids."""
    return [
        name
        for (name,) in rows_of(
            url,
            "UPDATE \"Job\" SET status = 'COMPLETED', attempts = attempts + 1, \"updatedAt\" = timezone('UTC', now())"
            f" WHERE id IN (SELECT id FROM \"Job\" WHERE status = 'PENDING' AND {only}"
            f' ORDER BY "createdAt", id LIMIT {jobs}) RETURNING id',
        )
    ]


def digest(url: str) -> str:
    """Digest all that Phase 1 had, as it is now."""
    with closing(psycopg.connect(url)) as conn:
        return legacy.digest(conn)
