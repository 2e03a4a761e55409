"""Events: what happened when, for whoever reads it at night."""

from __future__ import annotations

import json
from collections.abc import Mapping

from migrator.database.connect import Connection
from migrator.database.session import execute, value


def tell(conn: Connection, run: int, kind: str, detail: Mapping[str, object]) -> None:
    """Record an event of a run."""
    sql = "INSERT INTO migrator.event (run, kind, detail) VALUES (%s, %s, %s::jsonb)"
    execute(conn, sql, (run, kind, json.dumps(dict(detail))))


def is_done(conn: Connection, run: int, step: str) -> bool:
    """Tell whether a run has ended a Step."""
    asked = (
        "SELECT EXISTS (SELECT FROM migrator.event WHERE run = %s AND kind = 'step done' AND detail ->> 'name' = %s)"
    )
    return value(conn, asked, (run, step)) is True
