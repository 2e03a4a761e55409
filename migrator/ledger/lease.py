"""The Lease: who may run a change now, kept by a row lock and a fencing number, never by comparing clocks.

A batch holds the lease row FOR SHARE until its COMMIT; a takeover locks it FOR UPDATE and raises the fence. So a worker
that lost its lease cannot commit another row, however late it wakes (docs/design.md, laws of the engine). The heartbeat
only tells a challenger when trying makes sense: it watches the beat by its own monotonic clock.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from migrator import __version__
from migrator.database.connect import Connection, Database
from migrator.database.failures import SqlError
from migrator.database.session import execute, one, transaction, value
from migrator.model.commands import command
from migrator.model.errors import MigratorError, RefusedError

BEAT = 1.0
SILENCE = 15.0
SILENCE_OF_THE_DEAD = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to run one change: its fence, and the run it belongs to."""

    change: str
    fence: int
    run: int


@dataclass(frozen=True, slots=True)
class _Beat:
    fence: int
    beat: int
    backend_lives: bool


def me() -> str:
    """Name this process for others: user, host and pid."""
    user = os.environ.get("MIGRATOR_HOLDER") or os.environ.get("USER") or f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()} (pid {os.getpid()})"


@contextmanager
def hold(
    database: Database, change: str, verb: str, *, waiting: Callable[[str], None] = lambda _: None
) -> Iterator[Lease]:
    """Hold the lease of a change while the block runs; the outcome of the run is recorded at the end.

    Raises RefusedError M401 naming the holder when another one is alive.
    """
    with database.connect() as conn:
        lease = _acquire(conn, change, verb, waiting)
        outcome = "failed"
        stop = threading.Event()
        thread = threading.Thread(target=_beat, args=(database, lease, stop), daemon=True)
        thread.start()
        try:
            yield lease
            outcome = "done"
        except KeyboardInterrupt:
            outcome = "interrupted"
            raise
        except MigratorError as error:
            outcome = f"failed: {error.id}"
            raise
        finally:
            stop.set()
            thread.join()
            _release(database, lease, outcome)


def check(conn: Connection, lease: Lease) -> None:
    """Lock the lease row until the end of this transaction, as its first statement.

    Raises RefusedError M402 when somebody else has taken the change over.
    """
    ours = value(
        conn,
        "SELECT true FROM migrator.lease WHERE change = %s AND fence = %s AND held FOR SHARE",
        (lease.change, lease.fence),
    )
    if ours is not True:
        holder = value(conn, "SELECT holder FROM migrator.lease WHERE change = %s", (lease.change,))
        raise RefusedError(
            "M402",
            f"{lease.change} was taken over by {holder or 'somebody else'}; this run stops without another write.",
            f"Look with: {command('status')}",
        )


class Watch:
    """Watches over a lease that another process holds, by the clock of this one."""

    def __init__(self, lease: Lease) -> None:
        """Nothing is known yet."""
        self._lease, self._beat, self._heard = lease, -1, time.monotonic()

    def is_silent(self, conn: Connection) -> bool:
        """Tell whether its holder has not been heard of for so long that somebody may take it over."""
        now = _look(conn, self._lease.change)
        if now.beat != self._beat:
            self._beat, self._heard = now.beat, time.monotonic()
        return time.monotonic() - self._heard > SILENCE_OF_THE_DEAD


def holder(conn: Connection, change: str) -> tuple[str, str] | None:
    """Tell who holds the lease of a change, and for which verb; None when nobody does."""
    found = one(conn, "SELECT holder, verb FROM migrator.lease WHERE change = %s AND held", (change,))
    return (str(found[0]), str(found[1])) if found else None


def running(conn: Connection, change: str) -> tuple[str, Lease] | None:
    """Name the verb that runs a change, with the lease it holds; None where nobody does."""
    asked = (
        "SELECT l.verb, l.fence, (SELECT max(r.id) FROM migrator.run AS r WHERE r.change = l.change"
        " AND r.fence = l.fence) FROM migrator.lease AS l WHERE l.change = %s AND l.held"
    )
    there = value(conn, "SELECT pg_catalog.to_regclass('migrator.lease') IS NOT NULL")
    found = one(conn, asked, (change,)) if there else None
    return None if found is None else (str(found[0]), Lease(change=change, fence=int(found[1]), run=int(found[2])))


def is_held(conn: Connection, lease: Lease) -> bool:
    """Tell whether a lease is still that of its run."""
    asked = "SELECT held AND fence = %s FROM migrator.lease WHERE change = %s"
    return value(conn, asked, (lease.fence, lease.change)) is True


def _acquire(conn: Connection, change: str, verb: str, waiting: Callable[[str], None]) -> Lease:
    with transaction(conn):
        execute(conn, "INSERT INTO migrator.lease (change) VALUES (%s) ON CONFLICT (change) DO NOTHING", (change,))
        execute(conn, "INSERT INTO migrator.heartbeat (change) VALUES (%s) ON CONFLICT (change) DO NOTHING", (change,))
    seen = _wait_until_silent(conn, change, waiting)
    with transaction(conn, lock_timeout_ms=10_000):
        row = one(conn, "SELECT fence, held, holder, verb FROM migrator.lease WHERE change = %s FOR UPDATE", (change,))
        assert row is not None  # inserted above; leases are never deleted
        if row[1] and (seen is None or row[0] != seen):
            raise _held(change, str(row[2]), str(row[3]))
        return _take(conn, change, verb, int(row[0]) + 1)


def _take(conn: Connection, change: str, verb: str, fence: int) -> Lease:
    execute(
        conn,
        "UPDATE migrator.lease SET fence = %s, held = true, holder = %s, verb = %s, taken_at = now() WHERE change = %s",
        (fence, me(), verb, change),
    )
    execute(
        conn,
        "UPDATE migrator.heartbeat SET fence = %s, beat = beat + 1, backend = pg_backend_pid(), beat_at = now()"
        " WHERE change = %s",
        (fence, change),
    )
    run = value(
        conn,
        "INSERT INTO migrator.run (change, verb, fence, holder, tool) VALUES (%s, %s, %s, %s, %s) RETURNING id",
        (change, verb, fence, me(), __version__),
    )
    return Lease(change=change, fence=fence, run=int(run))


def _wait_until_silent(conn: Connection, change: str, waiting: Callable[[str], None]) -> int | None:
    """Watch a held lease; give its fence once its holder has fallen silent, None when nobody holds it.

    Raises RefusedError M401 as soon as the holder is seen alive.
    """
    current = holder(conn, change)
    if current is None:
        return None
    waiting(f"{change} is held by {current[0]}; looking whether it is alive")
    first = _look(conn, change)
    begun = time.monotonic()
    while True:
        time.sleep(BEAT / 4)
        if holder(conn, change) is None:
            return None
        now = _look(conn, change)
        if (now.fence, now.beat) != (first.fence, first.beat):
            raise _held(change, *current)
        silence = time.monotonic() - begun
        if silence > (SILENCE if now.backend_lives else SILENCE_OF_THE_DEAD):
            return now.fence


def _look(conn: Connection, change: str) -> _Beat:
    row = one(
        conn,
        "SELECT h.fence, h.beat, EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.pid = h.backend)"
        " FROM migrator.heartbeat h WHERE h.change = %s",
        (change,),
    )
    assert row is not None  # inserted before anybody can hold the lease
    return _Beat(int(row[0]), int(row[1]), bool(row[2]))


def _held(change: str, holder: str, verb: str) -> RefusedError:
    return RefusedError(
        "M401",
        f"{change} is being run by {holder}: {verb}.",
        f"Wait for it to end ({command('status')} shows its progress), or stop it there with Ctrl-C.",
    )


def _beat(database: Database, lease: Lease, stop: threading.Event) -> None:
    """Beat once a second on a connection of its own, until told to stop or until the lease is lost."""
    conn: Connection | None = None
    while not stop.wait(BEAT):
        try:
            conn = conn or database.connect()
            beaten = execute(
                conn,
                "UPDATE migrator.heartbeat SET beat = beat + 1, backend = pg_backend_pid(), beat_at = now()"
                " WHERE change = %s AND fence = %s",
                (lease.change, lease.fence),
            )
        except (MigratorError, SqlError):
            # A lost beat harms nothing: the fence decides who may write. Try again on a new connection.
            if conn is not None:
                conn.close()
            conn = None
            continue
        if beaten == 0:
            break
    if conn is not None:
        conn.close()


def _release(database: Database, lease: Lease, outcome: str) -> None:
    """Let the lease go; a server that is gone frees it by the heartbeat's silence instead."""
    try:
        with database.connect() as conn, transaction(conn):
            execute(
                conn,
                "UPDATE migrator.lease SET held = false WHERE change = %s AND fence = %s",
                (lease.change, lease.fence),
            )
            execute(conn, "UPDATE migrator.run SET ended_at = now(), outcome = %s WHERE id = %s", (outcome, lease.run))
    except (MigratorError, SqlError):
        return
