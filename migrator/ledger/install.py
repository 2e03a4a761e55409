"""The Ledger's own schema: installing it, knowing its version, taking it away."""

from __future__ import annotations

from importlib.resources import files

from migrator import __version__
from migrator.database.connect import Connection
from migrator.database.session import execute, one, rows, value
from migrator.model.commands import command
from migrator.model.errors import RefusedError
from migrator.model.names import literal

VERSION = 4


def version(conn: Connection) -> int | None:
    """Give the Ledger's version; None where there is no Ledger."""
    if value(conn, "SELECT pg_catalog.to_regclass('migrator.meta') IS NOT NULL") is not True:
        return None
    found = one(conn, "SELECT version FROM migrator.meta")
    return int(found[0]) if found else None


def is_hidden(conn: Connection) -> bool:
    """Tell whether there is a Ledger which this role may not read."""
    return bool(
        value(
            conn,
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'migrator' AND c.relkind = 'r' AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE')"
            " AND pg_catalog.has_table_privilege(c.oid, 'SELECT')))",
        )
    )


def install(conn: Connection) -> None:
    """Install the Ledger in the open transaction, or bring an older one to the newest version.

    Raises RefusedError M420 for a Ledger of a newer tool, M421 for a schema `migrator` that is not ours.
    """
    execute(conn, "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('migrator.ledger'))")
    found = version(conn)
    if found is None:
        _refuse_foreign_schema(conn)
    elif found > VERSION:
        raise RefusedError(
            "M420",
            f"The ledger has version {found}; this migrator knows versions up to {VERSION}.",
            "Use the newer migrator that wrote it.",
        )
    for number in range((found or 0) + 1, VERSION + 1):
        execute(conn, files("migrator.ledger").joinpath(f"schema_{number}.sql").read_text(encoding="utf-8"))
    if found is None:
        made_by = f"{VERSION}, current_database(), {literal(__version__)}"
        execute(conn, f"INSERT INTO migrator.meta (version, database, tool) VALUES ({made_by})")
    elif found < VERSION:
        execute(conn, f"UPDATE migrator.meta SET version = {VERSION}, tool = {literal(__version__)}")


def remove(conn: Connection) -> None:
    """Take the Ledger away in the open transaction.

    Raises RefusedError M422 while a change has steps that are not undone.
    """
    applied = rows(conn, "SELECT DISTINCT change FROM migrator.step ORDER BY change")
    by_hand = "SELECT version_num FROM migrator.alembic_version ORDER BY 1"
    there = value(conn, "SELECT pg_catalog.to_regclass('migrator.alembic_version') IS NOT NULL")
    versions = rows(conn, by_hand) if there else []
    if versions and not applied:
        raise RefusedError(
            "M422",
            f"The ledger's schema says that revision {versions[0][0]} is applied.",
            f"First undo it: {command('rollback')}, or alembic downgrade where it was run by hand.",
        )
    if applied:
        names = ", ".join(name for (name,) in applied)
        raise RefusedError(
            "M422",
            f"The ledger is what can undo {names}.",
            f"First: {command('rollback', applied[0][0])}",
        )
    execute(conn, "DROP SCHEMA migrator CASCADE")


def _refuse_foreign_schema(conn: Connection) -> None:
    strangers = rows(
        conn,
        "SELECT relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'migrator' AND relkind IN ('r', 'v', 'p') AND relname <> 'alembic_version'"
        " ORDER BY relname LIMIT 3",
    )
    if strangers:
        raise RefusedError(
            "M421",
            f"There is a schema named migrator which is not ours: it holds {', '.join(n for (n,) in strangers)}.",
            "Rename that schema; the ledger needs the name.",
        )
    # It may hold Alembic's version table already, from revisions run by hand.
    execute(conn, "CREATE SCHEMA IF NOT EXISTS migrator")
