"""The pet portrait shop's database before `artworks_v2`: two rows for each upload, and what had got into them.

`build_legacy` makes the old tables with their dirty rows. `go_on_writing` adds, once the change has begun, what the old
application writes into them meanwhile, and what the new one writes through the new functions. `planted` and `fates` say
how many rows of every kind that makes, and what must become of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from migrator.demo import scripts
from migrator.demo.artworks_v2.fates import CLOSED_TAB, Fate, fates
from migrator.demo.artworks_v2.mix import MIX, USERS
from migrator.demo.artworks_v2.planted import Meanwhile, Planted, planted, row_count
from migrator.demo.scripts import run_script

if TYPE_CHECKING:
    from migrator.database.connect import Connection

__all__ = [
    "LEGACY_TABLES",
    "Fate",
    "Meanwhile",
    "Planted",
    "build_legacy",
    "digest",
    "fates",
    "go_on_writing",
    "planted",
]

LEGACY_TABLES = ("users", "artworks", "orders", "order_status_history", "admin_reviews")
# What is digested of a table to which the change adds a column.
BEFORE = {"users": "ROW(t.id, t.email, t.created_at, t.updated_at)"}
DAY = 86_400


def build_legacy(
    connection: Connection,
    *,
    seed: int = 1,
    scale: int = 1,
    rows: int | None = None,
    auth: bool = True,
) -> None:
    """Make the old tables with `scale` repeats of the mix, or exactly `rows` artworks.

    `auth=False` leaves out the schema of the hosting service, and the policies that need it.
    """
    values = {"seed": seed, "rows": row_count(scale=scale, rows=rows), "kinds": len(MIX)}
    with connection.transaction():
        run_script(connection, __name__, "legacy.sql")
        run_script(connection, __name__, "mix.sql")
        _fill(connection)
        run_script(connection, __name__, "rows.sql", values)
        run_script(connection, __name__, "legacy_objects.sql")
        if auth:
            run_script(connection, "migrator.demo.output_type_tables", "auth.sql")
            run_script(connection, __name__, "auth.sql")


def go_on_writing(connection: Connection, *, seed: int = 1) -> None:
    """Let both applications write, once expand has made the new tables and functions."""
    values = {"seed": seed, "closed_tab": CLOSED_TAB}
    with connection.transaction():
        run_script(connection, __name__, "meanwhile.sql", values)


def digest(connection: Connection) -> str:
    """Return one digest of all rows of the old tables, as far as they were there before the change."""
    return scripts.digest(connection, *LEGACY_TABLES, rows=BEFORE)


def _fill(connection: Connection) -> None:
    for table, rows in (("legacy_mix", list(_mix_rows())), ("legacy_users", list(_user_rows()))):
        query = f"INSERT INTO {table} SELECT * FROM jsonb_populate_recordset(null::{table}, %s)"
        connection.execute(query.encode(), [json.dumps(rows)])


def _user_rows() -> Iterator[dict[str, object]]:
    for one in USERS:
        yield {"role": one.role, "email": one.email}


def _mix_rows() -> Iterator[dict[str, object]]:
    for position, row in enumerate(MIX):
        # The second row of an upload came seconds after the first; tests are from the days afterwards.
        second = row.upload * DAY + 3 * row.twin if row.upload else 22 * DAY + position * 600
        yield {
            "position": position,
            "second": second,
            "email": row.email,
            "name": row.name,
            "pet_name": row.pet_name,
            "status": row.status,
            "generated": row.generated,
            "upscale": row.upscale,
            "original": row.original,
            "pet_urls": row.pet_urls,
            "mockups": row.mockups,
            "token": row.token,
            "expires": row.expires,
            "lasting": row.lasting,
            "user": row.user,
            "product": row.order.product if row.order else None,
            "order_status": row.order.status if row.order else None,
            "sent": row.order is not None and row.order.sent,
            "reviewed": row.reviewed,
        }
