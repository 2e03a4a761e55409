"""An identity map of a million lines: read, counted, joined and undone, and memory does not grow with the rows."""

from __future__ import annotations

import resource
import time
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from migrator.demo.jobs_and_attempts import build_legacy, digest, fates, planted
from migrator.demo.jobs_and_attempts.fates import ATTEMPTS, JOBS, SELECTED
from migrator.ledger.quarantine import Selection
from migrator.workflow import housekeeping, use_cases
from tests.support.projects import back, silent, terms
from tests.support.restoration import CHANGE, IDENTITIES, NOTE, desk_on

pytestmark = pytest.mark.soak
LINES, ROWS = 1_000_000, 100_000


def test_a_million_lines_name_the_users(database: str, tmp_path: Path) -> None:
    """Every row meets its fate, and all of it goes back."""
    file = tmp_path / "identities.csv"
    with file.open("w", encoding="utf-8") as out:
        out.write(Path(IDENTITIES).read_text(encoding="utf-8"))
        out.writelines(f"auth0|{number:024x},user{number}@example.org\n" for number in range(LINES))
    with closing(psycopg.connect(database, autocommit=True)) as conn:
        build_legacy(conn, rows=ROWS)
        before = digest(conn)
        desk = desk_on(database, identity_map=str(file))
        begun = time.monotonic()
        (unnamed,) = [one.what for one in use_cases.plan(desk).hazards if one.id == "H162"]
        assert (
            f"no line for 1 of 12 values of restoration_jobs.user_id: {planted(rows=ROWS).of_nobody:,} rows" in unnamed
        )
        planned = time.monotonic()
        use_cases.apply(desk, listen=silent)
        housekeeping.quarantine_dismiss(desk, Selection(change=CHANGE), NOTE)
        assert use_cases.apply(desk, listen=silent).proven
        for name in (JOBS, ATTEMPTS, SELECTED):
            assert fates(rows=ROWS)[name].moved == terms(desk, name)["moved", ""]
        applied = time.monotonic()
        back(desk)
        assert before == digest(conn)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = f"plan {planned - begun:.0f} s, apply {applied - planned:.0f} s, back {time.monotonic() - applied:.0f} s"
    print(f"{LINES:,} lines, {ROWS:,} rows: {seconds}, {peak:.0f} MiB")  # noqa: T201 -- for whoever runs it with -s
