"""What an earlier backfill made of the same source rows: where moved_to looks it up."""

from __future__ import annotations

from collections.abc import Mapping

from migrator.database import inventory
from migrator.database.connect import Connection
from migrator.engine.projection.fit import MovedRows
from migrator.ledger import backfills
from migrator.model.backfill import Backfill
from migrator.model.change import Change
from migrator.model.names import Relation, first_schema
from migrator.model.tables import Table


def moved_rows(
    conn: Connection,
    change: Change,
    backfill: Backfill,
    *,
    search_path: str,
    shapes: Mapping[Relation, Table],
    ledger: bool,
) -> dict[str, MovedRows]:
    """Find for each backfill that moved_to names its provenance; before it ran, the type of its identity if known."""
    found = {}
    for name in backfill.followed():
        recorded = backfills.recorded(conn, change.name, name) if ledger else None
        other = change.backfill(name)
        found[name] = MovedRows(
            provenance=None if recorded is None else recorded.provenance,
            type=None if other is None else _identity_type(conn, other, search_path, shapes),
        )
    return found


def _identity_type(
    conn: Connection, backfill: Backfill, search_path: str, shapes: Mapping[Relation, Table]
) -> str | None:
    there = inventory.find(conn, backfill.target, search_path)
    relation = there or Relation.parse(backfill.target, default_schema=first_schema(search_path))
    table = shapes.get(relation) or (None if there is None else inventory.table(conn, there))
    column = None if table is None else table.column(backfill.identities[0])
    return column.type.name if column is not None and column.type.builtin else None
