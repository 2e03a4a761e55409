"""Finding 26: the death of the server's processes loses nothing that was committed; here once, not as a campaign."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg

from migrator.model.errors import MigratorError
from migrator.model.step import Phase
from tests.support.projects import check, execute, one_table, rows_of, run, terms

if TYPE_CHECKING:
    from pathlib import Path

    from migrator.servers import Postgres

ROWS, DONE = 2_000, 1_000
# The server dies within the statement that comes to this row, after so many rows were committed.
SLEEPS = (
    "CREATE FUNCTION sleeps() RETURNS trigger LANGUAGE plpgsql AS"
    " $$BEGIN PERFORM pg_sleep(300); RETURN NEW; END$$;"
    "CREATE TRIGGER sleeps BEFORE INSERT ON new FOR EACH ROW"
    f" WHEN (NEW.id = {DONE + 50}) EXECUTE FUNCTION sleeps()"
)


def test_finding_26_a_killed_server_loses_nothing_committed(killable: Postgres, tmp_path: Path) -> None:
    """Killed within a batch and without fsync, it has exactly what was committed; the next run goes on from there."""
    with closing(psycopg.connect(killable.url(), autocommit=True)) as conn:
        conn.execute("CREATE DATABASE moving")
        assert ("off",) == conn.execute("SHOW fsync").fetchone()
    url = killable.url("moving")
    desk = one_table(tmp_path, url, rows=[], also=SLEEPS, settings={"batch_rows": 100, "range_rows": 700})
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
    end = time.monotonic() + 60
    while not rows_of(url, "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):
        assert time.monotonic() < end
        time.sleep(0.01)
    committed = rows_of(url, "SELECT * FROM new ORDER BY id")
    killable.kill()
    worker.join(90)
    assert DONE == len(committed)
    assert ["M307"] == [error.id for error in raised]
    killable.restart()
    assert committed == rows_of(url, "SELECT * FROM new ORDER BY id")
    ledger = "SELECT (SELECT sum(moved)::int FROM migrator.range), count(*) FROM migrator.provenance_1"
    assert [(DONE, DONE)] == rows_of(url, ledger)
    execute(url, "DROP TRIGGER sleeps ON new")
    run(desk)
    assert ({("moved", ""): ROWS}, True) == (terms(desk), check(desk, "trigger sleeps of new").proven)
    counted = "SELECT sum(read)::int, sum(moved)::int, bool_and(done) FROM migrator.range"
    assert [(ROWS, ROWS, True)] == rows_of(url, counted)
