"""Killed at every statement, an archive and its undo go on or back: client by SIGKILL, server by terminate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from migrator.database import budget
from migrator.ledger import events, lease
from migrator.model.errors import MigratorError, WorldError
from migrator.model.step import Phase
from tests.support.archives import both_sides, everything, goes_on, kill_archives, kill_ways_back, put_away
from tests.support.projects import back, execute, one_table, run

if TYPE_CHECKING:
    from pathlib import Path

    from migrator.workflow.desk import Desk

MORE = """
CREATE INDEX old_note ON old (note);
ALTER TABLE old ENABLE ROW LEVEL SECURITY;
CREATE POLICY open ON old USING (true);
GRANT SELECT ON old TO PUBLIC
"""


@pytest.fixture
def desk(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Make a small change that is verified; who died is given up quickly."""
    monkeypatch.setattr(lease, "BEAT", 0.02)
    monkeypatch.setattr(lease, "SILENCE_OF_THE_DEAD", 0.06)
    made = one_table(tmp_path, database, archive={"old": "_archived_old"})
    execute(database, MORE)
    run(made, to=Phase.VERIFY)
    return made


@pytest.mark.soak
def test_a_killed_archive_goes_on_or_back(desk: Desk) -> None:
    """SIGKILL before each statement that locks or writes, and at some of the proof's; tests/soak takes all of them."""
    kill_archives(desk, every=False)


@pytest.mark.soak
def test_a_killed_way_back_goes_on(desk: Desk) -> None:
    """SIGKILL before each statement of the undo."""
    kill_ways_back(desk)


@pytest.mark.parametrize("verb", ["archive", "rollback"])
def test_a_backend_that_ends_within_the_last_message_changes_nothing(
    desk: Desk, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends the session before each statement under the locks; all of it is undone, or all of it done."""
    start, away = both_sides(desk)
    if verb == "rollback":
        put_away(desk)
    script, at, there = budget._script, 0, 0

    def deadly(lock: str, statements: Any, given: Any) -> str:
        nonlocal there
        if "RENAME TO" not in "".join(statements):
            return script(lock, statements, given)
        there = len(statements)
        end = "PERFORM pg_terminate_backend(pg_backend_pid())"
        return script(lock, [*statements[:at], end, *statements[at:]], given)

    act = (lambda: put_away(desk)) if verb == "archive" else (lambda: back(desk, to=Phase.VERIFY))
    unchanged = start if verb == "archive" else away
    monkeypatch.setattr(budget, "_script", deadly)
    while at <= there:
        with pytest.raises(MigratorError) as raised:
            act()
        assert "M307" == raised.value.id
        assert unchanged == everything(desk.database.url, dumped=False)
        at += 1
    assert at > 6
    monkeypatch.setattr(budget, "_script", script)
    act()
    assert everything(desk.database.url, dumped=False) == (away if verb == "archive" else start)


def test_what_fails_after_the_archive_does_not_take_it_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error between the COMMIT and the report: the archive is done, is known to be, and can be taken back."""
    start, away = both_sides(desk)

    def fails(*_: Any) -> None:
        raise WorldError("M307", "lost", "again")

    with monkeypatch.context() as patch:
        patch.setattr(events, "tell", fails)
        with pytest.raises(WorldError, match="lost"):
            put_away(desk)
    goes_on(desk, start, away, forward=True)


def test_a_backend_that_ends_between_messages_changes_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server ends the session before some message of an archive: it stops with an error, and goes on next time."""
    start, away = both_sides(desk)
    execute_one = psycopg.Cursor.execute
    count, wanted = 0, 0

    def counted(self: Any, query: Any, params: Any = None, **more: Any) -> Any:
        nonlocal count
        text = query.decode() if isinstance(query, bytes) else str(query)
        count += "migrator_watch" in text or "RENAME TO" in text or "SHARE UPDATE EXCLUSIVE" in text
        if count == wanted:
            count += 1
            execute(desk.database.url, f"SELECT pg_terminate_backend({self.connection.info.backend_pid}, 5000)")
        return execute_one(self, query, params, **more)

    for wanted in range(1, 5):
        count = 0
        with monkeypatch.context() as patch:
            patch.setattr(psycopg.Cursor, "execute", counted)
            with pytest.raises(MigratorError) as raised:
                put_away(desk)
        assert "M307" == raised.value.id
        goes_on(desk, start, away, forward=wanted % 2 == 0)
