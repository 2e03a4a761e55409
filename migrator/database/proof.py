"""A COMMIT whose answer was lost: the server is asked what became of it, nobody guesses."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg

from migrator.database.connect import Connection
from migrator.model.errors import WorldError
from migrator.model.names import literal

DEADLINE = 60.0  # seconds
# Seconds after which a transaction still open is ended: its client is gone, and only we know it.
PATIENCE = 5.0
POLL = 0.1


def committed_or_raise(xid: str, reconnect: Callable[[], Connection], lost: psycopg.Error) -> None:
    """Return when the transaction (an xid8 as text) is committed; else raise M307."""
    fate = fate_of(xid, reconnect)
    if fate == "committed":
        return
    if fate == "aborted":
        raise WorldError(
            "M307",
            "The connection was lost during COMMIT; the server says that nothing was committed.",
            "Run the same command again; it goes on from the last recorded position.",
        ) from lost
    raise WorldError(
        "M307",
        "The connection was lost during COMMIT, and the server could not say what became of it.",
        "Run the same command again when the server is reachable; what was committed is found in the ledger.",
    ) from lost


def fate_of(xid: str, reconnect: Callable[[], Connection], *, deadline: float = DEADLINE) -> str:
    """Ask for the fate of a transaction: 'committed', 'aborted' or 'unknown'."""
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < deadline:
        status = _ask(xid, reconnect, end_it=passed > PATIENCE)
        if status in {"committed", "aborted"}:
            return status
        if status == "unknown":
            break
        time.sleep(POLL)
    return "unknown"


def _ask(xid: str, reconnect: Callable[[], Connection], *, end_it: bool) -> str:
    """Ask once; 'in progress' also while the server cannot be reached."""
    number = f"{literal(xid)}::pg_catalog.xid8"
    try:
        with reconnect() as conn:
            if end_it:
                conn.execute(_ended(number).encode())
            found = conn.execute(f"SELECT pg_catalog.pg_xact_status({number})".encode()).fetchone()
    except (WorldError, psycopg.OperationalError):
        return "in progress"
    except psycopg.DataError:
        return "unknown"  # an id of the future: this server never saw it, as after a failover
    return str(found[0]) if found and found[0] else "unknown"


def _ended(number: str) -> str:
    return (
        f"SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE"
        f" backend_xid = ({number})::pg_catalog.xid"
    )
