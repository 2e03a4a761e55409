"""Indexes built and dropped CONCURRENTLY: in no transaction, past a pooler, waiting for old snapshots unbounded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg

from migrator.database.connect import Connection, Database
from migrator.database.locks import with_lock_retries
from migrator.database.session import execute, one, value
from migrator.model.errors import MigratorError

LOOK = 2.0  # seconds between two looks at how far a build is

Note = Callable[[str], None]


def build(database: Database, statement: str, index: str, *, tries: int, note: Note) -> None:
    """Build an index, or take it as it is where an earlier run built it; what one left half is dropped first.

    Raises M301 when locks were in the way too often; other errors leave as they are, and no INVALID index with them.
    """
    direct = database.direct

    def once() -> None:
        with direct.connect() as conn, _without_limits(conn):
            valid = _valid(conn, index)
            if valid:
                return
            if valid is False:
                execute(conn, f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
            with _watched(direct, conn.info.backend_pid, note):
                _build(conn, statement, index)

    with_lock_retries(once, doing=f"building {index}", tries=tries)


def run(database: Database, statement: str, *, tries: int) -> None:
    """Run a statement that may stand in no transaction, such as DROP INDEX CONCURRENTLY."""

    def once() -> None:
        with database.direct.connect() as conn, _without_limits(conn):
            execute(conn, statement)

    with_lock_retries(once, doing=f"running {statement}", tries=tries)


def _build(conn: Connection, statement: str, index: str) -> None:
    try:
        execute(conn, statement)
    except psycopg.Error:
        if not conn.closed:
            with suppress(psycopg.Error):
                execute(conn, f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
        raise


def _valid(conn: Connection, index: str) -> bool | None:
    """Say whether an index is valid; None where there is none."""
    asked = "SELECT i.indisvalid FROM pg_catalog.pg_index i WHERE i.indexrelid = pg_catalog.to_regclass(%s)"
    found = value(conn, asked, (index,))
    return None if found is None else bool(found)


@contextmanager
def _without_limits(conn: Connection) -> Iterator[None]:
    """Lift the limits of this session: a build waits for transactions older than itself, however long they are."""
    limits = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    lifted = [name for name in limits if value(conn, f"SHOW {name}") != "0"]
    for name in lifted:
        execute(conn, f"SET {name} = 0")
    try:
        yield
    finally:
        if not conn.closed:
            for name in lifted:
                execute(conn, f"RESET {name}")


@contextmanager
def _watched(database: Database, pid: int, note: Note) -> Iterator[None]:
    """Tell now and then how far the build of a process is, and for whom it waits."""
    stop = threading.Event()
    thread = threading.Thread(target=_watch, args=(database, pid, note, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _watch(database: Database, pid: int, note: Note, stop: threading.Event) -> None:
    said = ""
    while not stop.wait(LOOK):
        with suppress(psycopg.Error, MigratorError), database.connect() as conn:
            row = one(
                conn,
                "SELECT phase, current_locker_pid, blocks_done, blocks_total"
                " FROM pg_catalog.pg_stat_progress_create_index WHERE pid = %s",
                (pid,),
            )
            now = "" if row is None else _progress(*row)
            if now and now != said:
                said = now
                note(now)


def _progress(phase: str, locker: int | None, done: int | None, total: int | None) -> str:
    if locker:
        return f"the index build waits for pid {locker}: {phase}"
    return f"the index build: {phase}" + (f", {100 * (done or 0) // total} %" if total else "")
