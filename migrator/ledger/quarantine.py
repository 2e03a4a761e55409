"""Quarantine: rows that could not move, each with its key, its reason and the row itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from migrator.database.connect import Connection
from migrator.database.session import execute, rows, value
from migrator.ledger import objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One quarantined row."""

    id: int
    backfill: str
    source: str
    key: tuple[str, ...]
    reason: str
    sqlstate: str | None
    constraint: str | None
    message: str | None
    row: dict[str, Any]
    status: str
    note: str | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which quarantined rows are meant; all conditions hold together."""

    change: str
    backfill: str | None = None
    reason: str | None = None
    ids: tuple[int, ...] = ()
    status: str | None = "open"


def entries(conn: Connection, wanted: Selection, *, limit: int | None = None) -> list[Entry]:
    """List quarantined rows, oldest first."""
    where, params = _where(wanted)
    tail = "" if limit is None else f" LIMIT {limit}"
    found = rows(
        conn,
        "SELECT q.id, b.name, b.source, q.source_key, q.reason, q.sqlstate, q.constraint_name, q.message, q.source_row,"
        " q.status, q.note, q.quarantined_at FROM migrator.quarantine q JOIN migrator.backfill b ON b.id = q.backfill"
        f" WHERE {where} ORDER BY q.id{tail}",
        params,
    )
    return [
        Entry(
            id=row[0],
            backfill=row[1],
            source=row[2],
            key=tuple(row[3]),
            reason=row[4],
            sqlstate=row[5],
            constraint=row[6],
            message=row[7],
            row=row[8],
            status=row[9],
            note=row[10],
            at=row[11],
        )
        for row in found
    ]


def counts(conn: Connection, change: str) -> list[tuple[str, str, str, int]]:
    """Count quarantined rows by backfill, reason and status."""
    found = rows(
        conn,
        "SELECT b.name, q.reason, q.status, count(*) FROM migrator.quarantine q JOIN migrator.backfill b"
        " ON b.id = q.backfill WHERE b.change = %s GROUP BY 1, 2, 3 ORDER BY 1, 4 DESC, 2",
        (change,),
    )
    return [(str(name), str(reason), str(status), int(number)) for name, reason, status, number in found]


def open_count(conn: Connection, backfill: int) -> int:
    """Count the open quarantined rows of one backfill."""
    return int(
        value(conn, "SELECT count(*) FROM migrator.quarantine WHERE backfill = %s AND status = 'open'", (backfill,))
    )


def any_raised(conn: Connection, backfill: int) -> bool:
    """Tell whether rows are held because an attempt to move them raised."""
    asked = "SELECT EXISTS (SELECT FROM migrator.quarantine WHERE backfill = %s AND sqlstate IS NOT NULL)"
    return bool(value(conn, asked, (backfill,)))


def retry(conn: Connection, wanted: Selection) -> int:
    """Take rows out of quarantine, so that the next apply tries them again and their objects; says how many rows."""
    where, params = _where(wanted)
    objects.try_again(conn, where, params)
    return execute(
        conn,
        "DELETE FROM migrator.quarantine WHERE id IN (SELECT q.id FROM migrator.quarantine q"
        f" JOIN migrator.backfill b ON b.id = q.backfill WHERE {where})",
        params,
    )


def release(conn: Connection, backfill: int, reasons: Sequence[str]) -> int:
    """Take the rows of one backfill that wait for something out of quarantine; says how many."""
    asked = "DELETE FROM migrator.quarantine WHERE backfill = %s AND status = 'open' AND reason = ANY (%s)"
    return execute(conn, asked, (backfill, list(reasons)))


def dismiss(conn: Connection, wanted: Selection, note: str) -> int:
    """Accept by name that rows stay behind; says how many."""
    where, params = _where(wanted)
    return execute(
        conn,
        "UPDATE migrator.quarantine SET status = 'dismissed', note = %s WHERE id IN (SELECT q.id"
        f" FROM migrator.quarantine q JOIN migrator.backfill b ON b.id = q.backfill WHERE {where})",
        [note, *params],
    )


def _where(wanted: Selection) -> tuple[str, Sequence[Any]]:
    tests: list[tuple[str, Any]] = [("b.change = %s", wanted.change)]
    if wanted.backfill is not None:
        tests.append(("b.name = %s", wanted.backfill))
    if wanted.reason is not None:
        tests.append(("q.reason = %s", wanted.reason))
    if wanted.ids:
        tests.append(("q.id = ANY (%s)", list(wanted.ids)))
    if wanted.status is not None:
        tests.append(("q.status = %s", wanted.status))
    return " AND ".join(one for one, _ in tests), [given for _, given in tests]
