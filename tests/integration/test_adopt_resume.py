"""Bringing a found table over may stop anywhere, wait for others, and meet what others do meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from migrator.database import concurrently
from migrator.model.errors import RefusedError
from migrator.model.step import Event, Phase
from migrator.phases import adopt
from migrator.workflow import change_steps, undoing, use_cases
from migrator.workflow.desk import Desk
from migrator.workflow.use_cases import status_facts
from tests.support.databases import Databases
from tests.support.kills import Child, as_it_was
from tests.support.projects import back, execute, make_project, make_source, rows_of, run, silent
from tests.support.scratch import beside

DECLARED = """
CREATE TYPE public.mood AS ENUM ('good', 'bad');
CREATE TABLE public.new (
    id bigint PRIMARY KEY, note text NOT NULL CHECK (note <> ''), code text UNIQUE, said jsonb, mood public.mood);
CREATE INDEX new_note ON public.new (note);
ALTER TABLE public.new ENABLE ROW LEVEL SECURITY
"""
DECLARED_BACK = "DROP TABLE public.new; DROP TYPE public.mood"
FOUND = """
CREATE TABLE public.new (id integer PRIMARY KEY, note varchar(50), code text, said json);
INSERT INTO public.new VALUES (-1, 'of the application', 'x', '{"b": 1,  "a": 2}'), (-2, 'another', NULL, NULL)
"""


class Killed(BaseException):
    """The process ends here."""


def project(tmp_path: Path, url: str, **more) -> Desk:
    """Write the project whose revision declares `new` and its type."""
    return make_project(tmp_path, url, ddl_up=DECLARED, ddl_down=DECLARED_BACK, **more)


def build(url: str) -> None:
    """Make a source, and a target that somebody else made worse."""
    make_source(url, rows=((1, "one"), (2, "two"), (3, "three")))
    execute(url, FOUND)


@pytest.fixture
def quickly(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look once, and on a database beside; what the revision declares is the same every time."""
    with ExitStack() as stack:
        monkeypatch.setattr(change_steps, "declare", beside(databases, stack, once=True))
        yield


def dying(monkeypatch: pytest.MonkeyPatch, at: int) -> Callable[[], int]:
    """Let the process die before (2n) or after (2n + 1) its nth statement; give how many there were."""
    counted = 0

    def wrapped(do: Callable) -> Callable:
        def doing(*given, **named):
            nonlocal counted
            if counted == at:
                raise Killed
            result = do(*given, **named)
            if counted + 1 == at:
                raise Killed
            counted += 2
            return result

        return doing

    monkeypatch.setattr(adopt, "execute", wrapped(adopt.execute))
    monkeypatch.setattr(concurrently, "build", wrapped(concurrently.build))
    monkeypatch.setattr(concurrently, "run", wrapped(concurrently.run))
    return lambda: counted


def objects(url: str) -> list[tuple]:
    """Describe the table with its rows, without the order in which its constraints were made."""
    return rows_of(
        url,
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'new'::regclass"
        " UNION ALL SELECT attname, format_type(atttypid, atttypmod) || attnotnull FROM pg_attribute"
        " WHERE attrelid = 'new'::regclass AND attnum > 0 AND NOT attisdropped"
        " UNION ALL SELECT relname, indisvalid::text FROM pg_index JOIN pg_class c ON c.oid = indexrelid"
        " WHERE indrelid = 'new'::regclass UNION ALL SELECT 'row', new::text FROM new ORDER BY 1, 2",
    )


@pytest.mark.soak
def test_a_process_that_dies_at_any_statement_is_gone_on_with(
    database_from, tmp_path: Path, quickly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever statement was the last, before or after it: going on ends the same, and so does going back."""
    before = as_it_was(database_from("a found table", build))
    whole = database_from("a found table", build)
    with monkeypatch.context() as patched:
        count = dying(patched, 10_000)
        run(project(tmp_path, whole), to=Phase.EXPAND)
        moments = count()
    assert moments > 30
    expected = objects(whole)
    for at in range(1, moments, 5):
        url = database_from("a found table", build)
        desk = project(tmp_path, url)
        with monkeypatch.context() as patched:
            dying(patched, at)
            with pytest.raises(Killed):
                run(desk, to=Phase.EXPAND)
        assert "expanding" == status_facts(desk).state, at
        run(desk, to=Phase.EXPAND)
        assert expected == objects(url), at
        assert run(desk, to=Phase.EXPAND).nothing_done
        with monkeypatch.context() as patched:
            dying(patched, at // 3)
            with pytest.raises(Killed):
                back(desk)
        assert "undoing" == status_facts(desk).state, at
        back(desk)
        assert before == as_it_was(url), at


@pytest.mark.parametrize("at", [3, 9])
def test_a_killed_client_is_gone_on_with(at: int, database: str, tmp_path: Path) -> None:
    """SIGKILL while acts are done, then SIGKILL nowhere: a half adopted change rolls back from where it is."""
    build(database)
    before = as_it_was(database)
    desk = project(tmp_path, database)
    with Child("apply", desk.project.root, database, change=desk.change.name) as child:
        assert child.heard("progress expand", at), child.last
        assert child.kill()
    assert "expanding" == status_facts(desk).state
    with Child("rollback", desk.project.root, database, change=desk.change.name) as child:
        assert 0 == child.wait(), child.last
    assert before == as_it_was(database)


def test_rows_in_the_way_are_counted_before_anything_is_written(database: str, tmp_path: Path, quickly) -> None:
    """NULL, empty and doubled values are refused with their number and first keys; mended, the same command goes on."""
    build(database)
    execute(database, "INSERT INTO new (id, note, code) VALUES (7, NULL, 'x'), (8, '', 'x')")
    before = as_it_was(database)
    desk = project(tmp_path, database)
    for verb in (use_cases.plan, run):
        with pytest.raises(RefusedError, match="M216") as refused:
            verb(desk)
        said = refused.value.what
        assert "new: 1 row: note is NULL (id 7)" in said
        assert "new: 3 rows: (code) is there more than once (id -1, 7, 8)" in said
        assert "note <> ''" in said
    assert before == as_it_was(database)
    assert [(None,)] == rows_of(database, "SELECT to_regclass('migrator.meta')")
    execute(database, "DELETE FROM new WHERE id > 0")
    assert use_cases.apply(desk, listen=silent).proven


def test_values_the_application_wrote_meanwhile_are_no_silent_loss(database: str, tmp_path: Path, quickly) -> None:
    """A value in an added column is lost by name only; one that no longer fits is refused before anything is undone."""
    build(database)
    desk = project(tmp_path, database)
    run(desk)
    execute(database, "UPDATE new SET mood = 'bad' WHERE id = -1; UPDATE new SET note = repeat('x', 60) WHERE id = -2")
    before = as_it_was(database)
    with pytest.raises(RefusedError, match="M412") as refused:
        back(desk)
    assert '--lose "1 row of new column mood"' in refused.value.cure
    with pytest.raises(RefusedError, match="M218") as refused:
        back(desk, lose=["1 row of new column mood"])
    assert "note is longer than 50" in refused.value.what
    assert before == as_it_was(database)
    assert [] == [one for one in status_facts(desk).steps if one.status == "undoing"]
    execute(database, "UPDATE new SET note = 'short' WHERE id = -2")
    back(desk, lose=["1 row of new column mood"])
    assert [(-2, "short"), (-1, "of the application")] == rows_of(database, "SELECT id, note FROM new ORDER BY 1")


def test_an_invalid_index_is_found_and_built_anew(database: str, tmp_path: Path, quickly) -> None:
    """G1: what a failed CREATE INDEX CONCURRENTLY left is no index; it is rebuilt, and the plan says so."""
    build(database)
    execute(database, f"DROP TABLE new; {DECLARED}")
    execute(database, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'new_note'::regclass")
    desk = project(tmp_path, database)
    (step,) = [one for one in use_cases.plan(desk).steps if one.phase is Phase.EXPAND]
    assert "DROP INDEX CONCURRENTLY" in step.preview.sql[0]
    assert "undo does not bring that back" in step.preview.sql[0]
    run(desk, to=Phase.EXPAND)
    assert [(True,)] == rows_of(database, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'new_note'::regclass")


def waiting_for(url: str) -> list[int]:
    """List the processes that build an index and wait for an old transaction."""
    asked = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'"
    return [int(pid) for (pid,) in rows_of(url, f"{asked} AND pid <> pg_backend_pid()")]


def until(found: Callable[[], object], patience: float = 60.0) -> object:
    """Wait until something is found."""
    begun = time.monotonic()
    while not (result := found()):
        assert time.monotonic() - begun < patience
        time.sleep(0.05)
    return result


@contextmanager
def old_snapshot(url: str) -> Iterator[psycopg.Connection]:
    """Hold a transaction open that an index build must wait for."""
    with closing(psycopg.connect(url)) as conn:
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        conn.execute("SELECT count(*) FROM old")
        yield conn


def test_an_index_build_waits_for_old_transactions_without_a_limit(
    database: str, tmp_path: Path, quickly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock timeout of 50 ms bounds every other act, and not the wait for an old snapshot; a note says for whom."""
    build(database)
    execute(database, f"DROP TABLE new; {DECLARED}; DROP INDEX new_note")
    execute(database, f"ALTER DATABASE {database.rpartition('/')[2]} SET lock_timeout = '50ms'")
    monkeypatch.setattr(concurrently, "LOOK", 0.05)
    desk = project(tmp_path, database, settings={"lock_timeout": "50ms", "lock_tries": 1})
    heard: list[Event] = []
    with old_snapshot(database) as conn:
        thread = threading.Thread(
            target=use_cases.apply, args=(desk,), kwargs={"to": Phase.EXPAND, "listen": heard.append}
        )
        thread.start()
        until(lambda: waiting_for(database))
        until(lambda: [one for one in heard if f"waits for pid {conn.info.backend_pid}" in one.title])
        conn.rollback()
        thread.join(60)
    assert "expanded" == status_facts(desk).state


def test_an_index_that_somebody_else_builds_is_named(database: str, tmp_path: Path, quickly) -> None:
    """A living build of another session is not disturbed: it is refused with the process until it ends."""
    build(database)
    execute(database, f"DROP TABLE new; {DECLARED}; DROP INDEX new_note")
    desk = project(tmp_path, database)
    with old_snapshot(database) as conn:
        statement = "CREATE INDEX CONCURRENTLY new_note ON new (note)"
        thread = threading.Thread(target=execute, args=(database, statement))
        thread.start()
        (pid,) = until(lambda: waiting_for(database))
        with pytest.raises(RefusedError, match="M209") as refused:
            run(desk, to=Phase.EXPAND)
        assert f"an index of it is being built by pid {pid}" in refused.value.what
        conn.rollback()
        thread.join(60)
    run(desk, to=Phase.EXPAND)
    (step,) = [one for one in status_facts(desk).steps if one.phase is Phase.EXPAND]
    assert ("adopted", []) == (step.origin, step.undo["acts"])


def test_the_table_that_is_missing_is_made_and_taken_away_again(database: str, tmp_path: Path, quickly) -> None:
    """One of two tables is there: the other is made; its rows are a loss, those of the found one are none."""
    make_source(database, rows=((1, "one"),))
    first = "CREATE TABLE public.new (id bigint PRIMARY KEY, note text)"
    second = "CREATE TABLE public.more (id bigint PRIMARY KEY REFERENCES public.new, at timestamptz DEFAULT now())"
    execute(database, f"{first}; INSERT INTO new VALUES (-1, 'mine')")
    before = as_it_was(database)
    desk = make_project(tmp_path, database, ddl_up=f"{first};\n{second}", ddl_down="DROP TABLE more; DROP TABLE new")
    assert use_cases.apply(desk, listen=silent).proven
    execute(database, "INSERT INTO more VALUES (-1)")
    with pytest.raises(RefusedError, match="M412") as refused:
        back(desk)
    assert '--lose "1 row of more"' in refused.value.cure
    assert "of new" not in refused.value.cure
    assert ["1 row of more"] == [one.sentence for one in undoing.losses(desk) if one.rows]
    back(desk, lose=["1 row of more"])
    assert before == as_it_was(database)
