"""Finding 6: fencing. Safety rests on a row lock held to COMMIT, never on time."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from migrator.ledger import lease
from migrator.model.errors import MigratorError, RefusedError
from migrator.model.step import Event, Phase
from migrator.workflow import use_cases
from tests.support.projects import CHANGE, check, execute, one_table, rows_of, run, terms

if TYPE_CHECKING:
    from collections.abc import Callable

    from migrator.workflow.desk import Desk

ROWS = 6
SLOW = (
    "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
    " $$BEGIN PERFORM pg_sleep(0.2); RETURN NEW; END$$;"
    "CREATE TRIGGER slow BEFORE INSERT ON new FOR EACH ROW EXECUTE FUNCTION slow()"
)
# A worker that stops after its first batch until a line comes in, as one that was put to sleep.
WORKER = """
import sys
from migrator.workflow.desk import open_desk
from migrator.workflow.use_cases import apply

def listen(event):
    if event.kind == "progress" and event.rows == 1:
        print("paused", flush=True)
        sys.stdin.readline()

try:
    apply(open_desk(config=sys.argv[1], url=sys.argv[2]), listen=listen)
except Exception as error:
    print(getattr(error, "id", error), flush=True)
"""


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def moved(url: str) -> int:
    """Count the target rows that are committed."""
    return int(rows_of(url, "SELECT count(*) FROM new")[0][0])


def by_ones(tmp_path: Path, url: str, also: str = "") -> Desk:
    """Make a project whose every row is a batch of its own."""
    rows = [(number, str(number)) for number in range(1, ROWS + 1)]
    return one_table(tmp_path, url, rows=rows, also=also, settings={"batch_rows": 1})


def test_finding_6_a_fence_checked_before_the_write_does_not_fence(database: str) -> None:
    """Checked in the same statement and without a lock, the old worker writes after it was replaced."""
    execute(database, "CREATE TABLE lease (fence int); INSERT INTO lease VALUES (1); CREATE TABLE new (by int)")
    with closing(psycopg.connect(database)) as old, closing(psycopg.connect(database)) as thief:
        writing = "INSERT INTO new SELECT 1 FROM pg_sleep(1) WHERE EXISTS (SELECT FROM lease WHERE fence = 1)"
        worker = threading.Thread(target=lambda: old.execute(writing) and old.commit())
        worker.start()
        time.sleep(0.3)
        thief.execute("UPDATE lease SET fence = 2")
        thief.commit()
        assert 0 == moved(database)
        worker.join()
    assert 1 == moved(database)


def test_finding_6_a_worker_that_lost_its_lease_commits_no_other_row(database: str, tmp_path: Path) -> None:
    """The takeover waits for the batch in flight; after it the old worker ends with M402 and not one row more."""
    desk = by_ones(tmp_path, database, also=SLOW)
    run(desk, to=Phase.EXPAND)
    raised: list[BaseException] = []

    def work() -> None:
        try:
            run(desk)
        except MigratorError as error:
            raised.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    until(lambda: moved(database) >= 1)
    with closing(psycopg.connect(database)) as thief:
        thief.execute("SELECT fence FROM migrator.lease WHERE change = %s FOR UPDATE", (CHANGE,))
        thief.execute("UPDATE migrator.lease SET fence = fence + 1, holder = 'a thief' WHERE change = %s", (CHANGE,))
        thief.commit()
    at_takeover = moved(database)
    worker.join(30)
    (error,) = raised
    assert isinstance(error, RefusedError)
    assert ("M402", True) == (error.id, "a thief" in error.what)
    assert 0 < at_takeover < ROWS
    assert at_takeover == moved(database)
    # The lease still belongs to the thief: what its old holder did at its end did not free it.
    assert [("a thief", True)] == rows_of(database, "SELECT holder, held FROM migrator.lease")
    execute(database, "UPDATE migrator.lease SET held = false; DROP TRIGGER slow ON new")
    run(desk)
    assert ({("moved", ""): ROWS}, True) == (terms(desk), check(desk, "trigger slow of new").proven)


def test_finding_6_a_living_worker_is_never_replaced(database: str, tmp_path: Path) -> None:
    """While its heart beats, another run is refused with the holder's name, however slow the batch is."""
    desk = by_ones(tmp_path, database)
    run(desk, to=Phase.EXPAND)
    paused, go_on = threading.Event(), threading.Event()

    def listen(event: Event) -> None:
        if event.kind == "progress":
            paused.set()
            go_on.wait(30)

    worker = threading.Thread(target=lambda: use_cases.apply(desk, listen=listen))
    worker.start()
    assert paused.wait(20)
    with pytest.raises(RefusedError) as caught:
        run(desk)
    go_on.set()
    worker.join(30)
    assert ("M401", True) == (caught.value.id, lease.me() in caught.value.what)
    assert {("moved", ""): ROWS} == terms(desk)


def test_finding_6_a_stopped_process_is_replaced_and_stays_so(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker put to sleep between two batches is taken over; woken up, it ends with M402 and doubles nothing."""
    monkeypatch.setattr(lease, "SILENCE", 1.5)
    desk = by_ones(tmp_path, database)
    command = [sys.executable, "-c", WORKER, str(tmp_path), database]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as old:
        assert old.stdin is not None
        assert old.stdout is not None
        try:
            assert "paused\n" == old.stdout.readline()
            old.send_signal(19)  # SIGSTOP: its heart stops too
            assert 1 == moved(database)
            run(desk)
            assert ROWS == moved(database)
            old.send_signal(18)  # SIGCONT
            old.stdin.write("\n")
            old.stdin.flush()
            assert "M402\n" == old.stdout.readline()
        finally:
            old.kill()
    assert ({("moved", ""): ROWS}, True) == (terms(desk), check(desk).proven)
    outcomes = rows_of(database, "SELECT outcome FROM migrator.run ORDER BY id")
    assert {("done",), ("failed: M402",)} <= set(outcomes)
