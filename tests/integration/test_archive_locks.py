"""The watch misses no write, and nobody queues behind an archive for longer than its budget."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest

from migrator.database.budget import Budget
from migrator.model.errors import MigratorError, RefusedError, WorldError
from migrator.model.step import Phase, State
from migrator.phases.archive import ArchiveTables
from migrator.workflow import archiving, use_cases
from migrator.workflow.archive_step import archive_step
from migrator.workflow.status import status
from tests.support.archives import PARTED, everything, put_away, verified, watches, with_roles
from tests.support.projects import back, check, execute, one_table, rows_of, run, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from migrator.workflow.desk import Desk

AWAY = {"old": "_archived_old"}
WATCHED = "SELECT count(*) FROM migrator.watched_write"


@pytest.fixture
def role(database: str) -> Iterator[str]:
    """Make a role of the test's own, which may do nothing in schema migrator."""
    name = f"app_{uuid4().hex[:8]}"
    execute(database, f"CREATE ROLE {name}")
    yield name
    execute(database, f"DROP SCHEMA public CASCADE; DROP ROLE {name}")


def small(root: Path, url: str, **more: Any) -> Desk:
    """Make a small change that is verified."""
    desk = one_table(root, url, archive=AWAY, **more)
    run(desk, to=Phase.VERIFY)
    return desk


def after_the_proof(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something in the instant between the proof and the locks."""
    proven = archiving._proven

    def then(*given: Any) -> Any:
        proof = proven(*given)
        act()
        return proof

    monkeypatch.setattr(archiving, "_proven", then)


def uncounted(url: str, *statements: str) -> None:
    """Write in a session whose writes PostgreSQL never counts, so that its statistics show nothing."""
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        for one in ("SET track_counts = off", *statements):
            conn.execute(one.encode())


def writes(url: str) -> list[tuple[Any, ...]]:
    """Read PostgreSQL's counters."""
    return rows_of(url, "SELECT relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables ORDER BY 1")


def test_a_write_that_no_counter_shows_is_caught(
    database: str, tmp_path: Path, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between proof and locks: through the parent, into a leaf, by a trigger-less session, TRUNCATE, by which role."""
    roles = {"one": role, "two": role}
    desk = verified(tmp_path, database, with_roles(PARTED, roles))
    before = everything(database)
    counted: list[Any] = []

    def act() -> None:
        counted.append(writes(database))
        uncounted(
            database,
            f"SET ROLE {role}",
            "UPDATE jobs_low SET note = note WHERE id = 1",
            "DELETE FROM jobs_highest WHERE id = -1",
            "RESET ROLE",
            "SET session_replication_role = replica",
            "INSERT INTO jobs VALUES (40, 'new'); DELETE FROM jobs WHERE id = 40",
            "BEGIN; TRUNCATE jobs_rest; COMMIT",
        )
        assert counted[-1] == [one for one in writes(database) if one[0] in {name for name, *_ in counted[-1]}]

    after_the_proof(monkeypatch, act)
    with pytest.raises(RefusedError, match="since the watch was laid") as refused:
        put_away(desk)
    assert "M433" == refused.value.id
    assert f"jobs_low: 1 statement of {role}, the last at 20" in refused.value.what
    assert f"jobs_highest: 1 statement of {role}" in refused.value.what
    assert "jobs: 2 statements of postgres" in refused.value.what
    assert "jobs_rest: 1 statement of postgres" in refused.value.what
    assert (0, [(0,)]) == (watches(database), rows_of(database, WATCHED))
    assert before == everything(database)
    monkeypatch.undo()
    run(desk, to=Phase.VERIFY)  # TRUNCATE gives a table another file, so the proof is stale
    assert State.ARCHIVED is put_away(desk).state


def test_the_watch_itself_is_looked_at(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch that was switched off, and a partition that nobody watches, prove nothing: refused."""
    desk = verified(tmp_path, database, with_roles(PARTED, {"one": "PUBLIC", "two": "PUBLIC"}))
    for act in (
        "ALTER TABLE jobs_low DISABLE TRIGGER migrator_watch",
        "CREATE TABLE jobs_more PARTITION OF jobs_high FOR VALUES FROM (600) TO (700)",
    ):
        with monkeypatch.context() as patch:
            after_the_proof(patch, lambda act=act: execute(database, act))
            with pytest.raises(RefusedError) as refused:
                put_away(desk)
        assert "M433" == refused.value.id
        assert 0 == watches(database)
    run(desk, to=Phase.VERIFY)  # a partition more makes the proof stale
    assert State.ARCHIVED is put_away(desk).state


def test_a_change_that_is_not_proven_any_more_stays(database: str, tmp_path: Path) -> None:
    """Its proof is fresh by the counters of its sources; proven again, it does not hold, so nothing is archived."""
    desk = small(tmp_path, database)
    execute(database, "UPDATE new SET note = 'changed' WHERE id = 1")
    report = put_away(desk)
    assert (False, State.COPIED) == (report.proven, report.state)
    assert "nothing was archived" in report.notes[0]
    assert (0, [(3,)]) == (watches(database), rows_of(database, "SELECT count(*) FROM old"))


def test_an_interrupted_archive_is_seen_and_harms_nobody(database: str, tmp_path: Path, role: str) -> None:
    """A watch left behind: told by status; plan, verify and the application go on; rollback takes it off."""
    desk = small(tmp_path, database)
    before = everything(database)
    with use_cases.running(desk, "archive", silent) as (held, _):
        archive_step(desk).watch(held)
    assert 2 == watches(database)
    execute(database, f"GRANT INSERT, SELECT, DELETE ON old TO {role}")
    execute(database, f"SET ROLE {role}; INSERT INTO old VALUES (9, 'nine'); DELETE FROM old WHERE id = 9")
    execute(database, f"REVOKE ALL ON old FROM {role}")
    assert [(role, "DELETE"), (role, "INSERT")] == rows_of(
        database, "SELECT role, operation FROM migrator.watched_write ORDER BY 2"
    )
    (line,) = status(desk.project, url=database)
    assert any("an archive was begun and did not end" in one for one in line.reasons)
    assert check(desk).proven
    assert () == use_cases.plan(desk).hazards
    assert State.VERIFIED is back(desk, to=Phase.VERIFY).state
    assert (0, [(0,)]) == (watches(database), rows_of(database, WATCHED))
    assert before == everything(database)


def test_rights_granted_at_the_last_instant_are_taken_too(
    database: str, tmp_path: Path, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GRANT takes no lock on a table: what was read is held against what is there, and read again."""
    desk = small(tmp_path, database)
    execute(database, f"GRANT SELECT ON old TO {role}")
    look, looked = ArchiveTables.look, []

    def late(self: ArchiveTables, conn: Any) -> Any:
        found = look(self, conn)
        looked.append(found)
        if len(looked) == 1:
            execute(database, f"GRANT UPDATE ON old TO {role}")
        return found

    monkeypatch.setattr(ArchiveTables, "look", late)
    put_away(desk)
    may = "SELECT has_table_privilege(%s, %s, 'UPDATE')"
    assert (2, [(False,)]) == (len(looked), rows_of(database, may, [role, "_archived_old"]))
    back(desk, to=Phase.VERIFY)
    assert [(True,)] == rows_of(database, may, [role, "old"])


def test_a_held_lock_is_named(database: str, tmp_path: Path) -> None:
    """A transaction that only read the table is in the way: told with its pid and its query, and nothing is changed."""
    desk = small(tmp_path, database, settings={"lock_timeout": "50ms", "lock_tries": 2})
    before = everything(database)
    with closing(psycopg.connect(database)) as holder:
        holder.execute("SELECT count(*) FROM old")
        with pytest.raises(WorldError, match=f"pid {holder.info.backend_pid} .*SELECT count") as refused:
            put_away(desk)
        assert "M301" == refused.value.id
        assert "The watch stays on the tables until then" in refused.value.cure
    assert State.VERIFIED is back(desk, to=Phase.VERIFY).state
    assert (0, before) == (watches(database), everything(database))


def test_writers_get_through_while_an_archive_waits(database: str, tmp_path: Path) -> None:
    """No writer waits as long as deadlock_timeout, although an archive tries again and again to get its lock."""
    desk = small(tmp_path, database, settings={"lock_timeout": "10s", "lock_tries": 1000})
    raised: list[MigratorError] = []

    def archive() -> None:
        try:
            put_away(desk)
        except MigratorError as error:
            raised.append(error)

    waits = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted"
    with closing(psycopg.connect(database)) as holder, closing(psycopg.connect(database, autocommit=True)) as writer:
        holder.execute("SELECT count(*) FROM old")
        writer.execute("SELECT set_config('lock_timeout', current_setting('deadlock_timeout'), false)")
        thread = threading.Thread(target=archive)
        thread.start()
        for number in range(10, 13):
            end = time.monotonic() + 60
            while rows_of(database, waits) == [(0,)]:
                assert time.monotonic() < end
                assert thread.is_alive()
            # It queues behind the archive, which gives up before this writer would.
            writer.execute("INSERT INTO old VALUES (%s, 'during')", (number,))
        assert thread.is_alive()
        holder.rollback()
        thread.join(60)
    assert ["M433"] == [error.id for error in raised]
    assert [(6,)] == rows_of(database, "SELECT count(*) FROM old")
    assert 0 == watches(database)


def test_the_budget_stays_below_deadlock_timeout() -> None:
    """Whatever lock_timeout says, waiting and working together end before the server looks for deadlocks."""
    for deadlock in (10, 1_000, 60_000):
        for asked in (1, 500, 600_000):
            budget = Budget.of(deadlock, asked)
            assert budget.wait_ms < budget.whole_ms < deadlock
            assert budget.wait_ms <= asked
            assert budget.evict_ms >= 2 * deadlock


def test_the_last_message_needs_nothing_from_us(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first exclusive lock to COMMIT there is one message: locks, gate, renames, the Ledger."""
    desk = small(tmp_path, database)
    sent: list[str] = []
    execute_one = psycopg.Cursor.execute

    def kept(self: Any, query: Any, params: Any = None, **more: Any) -> Any:
        sent.append(query.decode() if isinstance(query, bytes) else str(query))
        return execute_one(self, query, params, **more)

    monkeypatch.setattr(psycopg.Cursor, "execute", kept)
    put_away(desk)
    (message,) = [one for one in sent if "RENAME TO" in one]
    assert message.endswith("; COMMIT")
    parts = (
        "statement_timeout",
        "ACCESS EXCLUSIVE MODE",
        "migrator.watched_write",
        "RENAME TO",
        "migrator.step",
        "COMMIT",
    )
    assert sorted(parts, key=message.index) == list(parts)
    assert not [one for one in sent if "ACCESS EXCLUSIVE" in one and not one.endswith("; COMMIT")]
