"""Consumers: who reads or writes the tables of a change, and on which side each is."""

from __future__ import annotations

from migrator.database.connect import Connection
from migrator.database.session import execute, rows, value
from migrator.model.change import Change
from migrator.model.step import Consumer


def of_change(conn: Connection, change: Change) -> tuple[Consumer, ...]:
    """List the declared consumers with their sides; whom nobody set is on the old side, as all are without a Ledger."""
    said = {}
    if value(conn, "SELECT pg_catalog.to_regclass('migrator.consumer') IS NOT NULL"):
        found = rows(conn, "SELECT name, side, note, at FROM migrator.consumer WHERE change = %s", (change.name,))
        said = {str(name): {"side": side, "note": note, "since": at} for name, side, note, at in found}
    return tuple(Consumer(name=name, what=what, **said.get(name, {})) for name, what in change.consumers.items())


def forget(conn: Connection, change: str) -> None:
    """Forget the sides of all consumers: where the new tables are gone, nobody is on them."""
    if value(conn, "SELECT pg_catalog.to_regclass('migrator.consumer') IS NOT NULL"):
        execute(conn, "DELETE FROM migrator.consumer WHERE change = %s", (change,))


def put(conn: Connection, change: str, name: str, side: str, note: str | None) -> None:
    """Record on which side a consumer is now; a note stays until another one is given."""
    execute(
        conn,
        "INSERT INTO migrator.consumer (change, name, side, note) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (change, name) DO UPDATE SET side = excluded.side,"
        " note = coalesce(excluded.note, consumer.note), at = now()",
        (change, name, side, note),
    )
