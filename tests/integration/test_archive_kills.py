"""Killed at every statement, an archive and its undo go on or back: client by SIGKILL, server by terminate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from migrator.database import budget
from migrator.ledger import lease
from migrator.model.errors import MigratorError
from migrator.model.step import Phase, State
from migrator.workflow.use_cases import status_facts
from tests.support.archives import Forker, everything, put_away, watches
from tests.support.projects import back, execute, one_table, rows_of, run

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


def goes_on(desk: Desk, number: int, start: dict[str, Any], away: dict[str, Any]) -> None:
    """Assert that what a kill left is one side or the other, and that both ways from there end well."""
    url = desk.database.url
    state = status_facts(desk).state
    assert everything(url) == {State.VERIFIED: start, State.ARCHIVED: away}[state]
    if number % 2:
        assert State.ARCHIVED is put_away(desk).state
        assert everything(url) == away
    assert State.VERIFIED is back(desk, to=Phase.VERIFY).state
    assert everything(url) == start
    assert (0, [(0,)]) == (watches(url), rows_of(url, "SELECT count(*) FROM migrator.step WHERE phase = 'archive'"))


def both_sides(desk: Desk) -> tuple[dict[str, Any], dict[str, Any]]:
    """Describe the database before and after an archive, and go back."""
    start = everything(desk.database.url)
    put_away(desk)
    away = everything(desk.database.url)
    back(desk, to=Phase.VERIFY)
    return start, away


def test_a_killed_archive_goes_on_or_back(desk: Desk) -> None:
    """SIGKILL before each statement from the watch to the end, and with the last message just sent."""
    start, away = both_sides(desk)
    with Forker(desk) as forker:
        number = 1
        while forker.dies_in("archive", number):
            goes_on(desk, number, start, away)
            number += 1
        assert number > 20
        goes_on(desk, 0, start, away)


def test_a_killed_way_back_goes_on(desk: Desk) -> None:
    """SIGKILL before each statement of the undo."""
    start, away = both_sides(desk)
    put_away(desk)
    with Forker(desk) as forker:
        number = 1
        while forker.dies_in("rollback", number):
            assert everything(desk.database.url) in (start, away)
            goes_on(desk, 0, start, away)
            put_away(desk)
            number += 1
        assert number > 8
        assert start == everything(desk.database.url)


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
        assert unchanged == everything(desk.database.url)
        at += 1
    assert at > 8
    monkeypatch.setattr(budget, "_script", script)
    act()
    assert everything(desk.database.url) == (away if verb == "archive" else start)


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

    for wanted in range(1, 5):  # noqa: B007 read by the closure
        count = 0
        with monkeypatch.context() as patch:
            patch.setattr(psycopg.Cursor, "execute", counted)
            with pytest.raises(MigratorError) as raised:
                put_away(desk)
        assert "M307" == raised.value.id
        goes_on(desk, wanted, start, away)
