"""Finding 26: the death of the server's processes loses nothing that was committed; here once, not as a campaign."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg

from migrator.model.errors import MigratorError
from migrator.model.step import Phase
from tests.support.projects import check, one_table, rows_of, run, terms

if TYPE_CHECKING:
    from pathlib import Path

    from migrator.servers import Postgres

ROWS = 20_000


def test_finding_26_a_killed_server_loses_nothing_committed(killable: Postgres, tmp_path: Path) -> None:
    """Killed in the middle of a copy and without fsync, it has all that was seen committed; the next run goes on."""
    with closing(psycopg.connect(killable.url(), autocommit=True)) as conn:
        conn.execute("CREATE DATABASE moving")
        assert ("off",) == conn.execute("SHOW fsync").fetchone()
    url = killable.url("moving")
    desk = one_table(tmp_path, url, rows=[], settings={"batch_rows": 100, "range_rows": 5_000})
    rows_of(url, f"INSERT INTO old SELECT n, 'note ' || n FROM generate_series(1, {ROWS}) AS n")
    run(desk, to=Phase.EXPAND)
    raised: list[MigratorError] = []

    def work() -> None:
        try:
            run(desk)
        except MigratorError as error:
            raised.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    seen: set[int] = set()
    end = time.monotonic() + 30
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        while len(seen) < ROWS // 20:
            assert time.monotonic() < end
            seen = {number for (number,) in conn.execute("SELECT id FROM new")}
        killable.kill()
    worker.join(90)
    assert len(seen) < ROWS
    (error,) = raised
    assert error.id in {"M302", "M307"}
    killable.restart()
    found = {number for (number,) in rows_of(url, "SELECT id FROM new")}
    assert set() == seen - found
    assert len(found) < ROWS
    ledger = rows_of(url, "SELECT (SELECT sum(moved) FROM migrator.range), count(*) FROM migrator.provenance_1")
    assert [(len(found), len(found))] == [(int(moved), written) for moved, written in ledger]
    run(desk)
    assert ({("moved", ""): ROWS}, True) == (terms(desk), check(desk).proven)
    counted = rows_of(url, "SELECT sum(read), sum(moved), bool_and(done) FROM migrator.range")
    assert [(ROWS, ROWS, True)] == [(int(read), int(moved), done) for read, moved, done in counted]
