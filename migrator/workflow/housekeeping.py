"""Housekeeping: rows in quarantine, and the Ledger itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from migrator.database.connect import Connection
from migrator.database.session import transaction
from migrator.ledger import install, quarantine
from migrator.ledger.quarantine import Entry, Selection
from migrator.model.commands import command
from migrator.model.errors import UsageError
from migrator.workflow.desk import Desk


def quarantine_entries(desk: Desk, wanted: Selection, limit: int | None = None) -> list[Entry]:
    """List quarantined rows."""
    with ledgered(desk) as conn:
        return quarantine.entries(conn, wanted, limit=limit)


def quarantine_counts(desk: Desk) -> list[tuple[str, str, str, int]]:
    """Count quarantined rows by backfill, reason and status."""
    with ledgered(desk) as conn:
        return quarantine.counts(conn, desk.change.name)


def quarantine_retry(desk: Desk, wanted: Selection) -> int:
    """Let the next apply try quarantined rows again."""
    with ledgered(desk) as conn, transaction(conn):
        return quarantine.retry(conn, wanted)


def quarantine_dismiss(desk: Desk, wanted: Selection, note: str) -> int:
    """Accept by name that rows stay behind."""
    with ledgered(desk) as conn, transaction(conn):
        return quarantine.dismiss(conn, wanted, note)


def ledger_remove(desk: Desk) -> None:
    """Take the Ledger away; refused while a change can still be undone by it."""
    with ledgered(desk) as conn, transaction(conn):
        install.remove(conn)


@contextmanager
def ledgered(desk: Desk) -> Iterator[Connection]:
    """Connect to a database that has a Ledger; raises UsageError M407 where there is none."""
    with desk.explained("reading the ledger"), desk.database.connect() as conn:
        if install.version(conn) is None:
            raise UsageError(
                "M407",
                f"There is no ledger in {desk.database.shown}: nothing was applied there.",
                f"First: {command('apply', desk.change.name)}",
            )
        yield conn
