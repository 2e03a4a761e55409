"""The columns of all tables, so that what goes with a script can be told from what was there."""

from __future__ import annotations

from migrator.database.connect import Connection
from migrator.database.session import rows
from migrator.model.names import Relation


def columns_there(conn: Connection) -> dict[tuple[int, int], tuple[Relation, str]]:
    """List the columns of all tables but the server's own and ours, by what stays when something is renamed."""
    found = rows(
        conn,
        "SELECT c.oid, a.attnum, n.nspname, c.relname, a.attname FROM pg_catalog.pg_attribute a"
        " JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND a.attinhcount = 0"
        " AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'migrator') AND n.nspname NOT LIKE 'pg\\_%'",
    )
    return {
        (int(oid), int(at)): (Relation(str(schema), str(table)), str(name)) for oid, at, schema, table, name in found
    }
