"""Locks that stop an application, held so briefly that it does not notice: one message, one deadline for all.

While ACCESS EXCLUSIVE is waited for, everybody else queues up behind. So the wait and what is done under the locks
together stay below deadlock_timeout, and from the first of these locks on no byte is needed from us: the last message
ends with COMMIT.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg

from migrator.database import proof
from migrator.database.connect import Connection
from migrator.database.session import begin, execute, results, roll_back, settings_with, value
from migrator.model.names import Relation, literal

IDLE_MS = 10_000  # between our two messages the server waits no longer than this


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How long to wait for one lock, and for all locks and the work under them, in milliseconds."""

    wait_ms: int
    whole_ms: int
    evict_ms: int

    @classmethod
    def of(cls, deadlock_ms: int, lock_timeout_ms: int) -> Budget:
        """Stay below deadlock_timeout with everything, and wait for half of it at most."""
        return cls(
            wait_ms=max(1, min(lock_timeout_ms, deadlock_ms // 2)),
            whole_ms=max(2, deadlock_ms * 9 // 10),
            evict_ms=max(deadlock_ms * 2, lock_timeout_ms),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What one attempt needs: the tables, the mode in which they are locked at last, and how long to wait for each.

    `guard` runs first in the transaction; `look` runs while nobody can alter the tables and gives the statements.
    """

    relations: Sequence[Relation]
    mode: str
    lock_timeout_ms: int
    search_path: str
    guard: Callable[[Connection], None]
    look: Callable[[Connection], Sequence[str]]


def under_locks(conn: Connection, held: Held, reconnect: Callable[[], Connection]) -> None:
    """Carry statements out under locks of all tables, in one attempt and one transaction.

    Raises the errors of psycopg; a deadline that passed is a lock that was not got (55P03). A lost COMMIT is asked.
    """
    budget = Budget.of(_deadlock_ms(conn), held.lock_timeout_ms)
    settings = settings_with(
        search_path=held.search_path,
        lock_timeout_ms=budget.evict_ms,
        idle_in_transaction_session_timeout=f"{IDLE_MS}ms",
    )
    tables = ", ".join(one.sql for one in held.relations)
    try:
        xid = begin(conn, settings)
        held.guard(conn)
        # Stops no reader and no writer, makes autovacuum go away, and keeps DDL out.
        execute(conn, f"LOCK TABLE {tables} IN SHARE UPDATE EXCLUSIVE MODE")
        script = _script(f"LOCK TABLE {tables} IN {held.mode} MODE", held.look(conn), budget)
    except BaseException as error:
        roll_back(conn, error)
        raise
    _send(conn, script, xid, reconnect)


def _deadlock_ms(conn: Connection) -> int:
    asked = "SELECT setting::int FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout'"
    return int(value(conn, asked))


def _script(lock: str, statements: Sequence[str], budget: Budget) -> str:
    """Write the last message: a DO block is one statement, so that one statement_timeout is the deadline of all."""
    body = "BEGIN\n" + "".join(f"{one};\n" for one in (lock, *statements)) + "END"
    limits = (
        f"SELECT pg_catalog.set_config('lock_timeout', '{budget.wait_ms}ms', true),"
        f" pg_catalog.set_config('statement_timeout', '{budget.whole_ms}ms', true)"
    )
    return f"{limits}; DO {literal(body)}; COMMIT"


def _send(conn: Connection, script: str, xid: str, reconnect: Callable[[], Connection]) -> None:
    try:
        results(conn, script)
    except psycopg.errors.QueryCanceled as error:
        roll_back(conn, error)
        raise psycopg.errors.LockNotAvailable("the locks and the work under them took too long") from error
    except psycopg.OperationalError as lost:
        roll_back(conn, lost)
        if not conn.closed:
            raise
        proof.committed_or_raise(xid, reconnect, lost)
    except BaseException as error:
        roll_back(conn, error)
        raise
