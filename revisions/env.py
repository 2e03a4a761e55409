"""Runs revisions of one change, for the tool on its connection or by hand on DATABASE_URL.

By hand: `alembic -x change=output_type_tables upgrade output_type_tables@head`, with the database
in DATABASE_URL or `-x url=…`, and parameters as `-x param.NAME=VALUE`. Every change is a branch of
its own in this directory, so the change must be named and no other branch is ever touched.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, NullPool, create_engine, text

from migrator.database.urls import for_sqlalchemy
from migrator.model.errors import UsageError

VERSION_SCHEMA = "migrator"
VERSION_TABLE = "alembic_version"
DIALECT = "postgresql+psycopg"

Steps = Callable[[Any, Any], Iterable[Any]]


def run() -> None:
    """Run what the command asks for, in the tool's transaction, one of our own, or as a script."""
    change = wanted_change()
    if context.is_offline_mode():
        run_offline(change)
    elif (connection := context.config.attributes.get("connection")) is not None:
        run_on(connection, change)
    else:
        run_by_hand(change)


def wanted_change() -> str:
    """Return the change that was named, which must have revisions here."""
    x_arguments = context.get_x_argument(as_dictionary=True)
    change = context.config.attributes.get("change") or x_arguments.get("change")
    known = sorted({label for script in every_revision() for label in script.branch_labels})
    if not change:
        message = "No change is named. Say which one: alembic -x change=NAME …"
        raise CommandError(f"{message} (known: {', '.join(known)})")
    if change not in known:
        raise CommandError(f"No revision belongs to change {change}. (known: {', '.join(known)})")
    return str(change)


def called_by_tool() -> bool:
    """Tell whether the tool called, which keeps the schema of the version table itself."""
    return "change" in context.config.attributes


def every_revision() -> Iterable[Any]:
    """Return all revisions of all changes."""
    return context.script.walk_revisions()


def run_offline(change: str) -> None:
    """Print the SQL; no database is asked, so nothing is known about what exists there."""
    configure(change, dialect_name=DIALECT, literal_binds=True, dialect_opts={"paramstyle": "named"})
    with context.begin_transaction():
        from_nothing = context.get_starting_revision_argument() is None
        if from_nothing and not called_by_tool():
            context.execute(f"CREATE SCHEMA {VERSION_SCHEMA}")
        context.run_migrations()


def run_by_hand(change: str) -> None:
    """Connect to the given database and run everything in one transaction."""
    engine = create_engine(given_url(), poolclass=NullPool)
    with engine.begin() as connection:
        # A revision that waits for a lock makes everybody behind it wait; better to give up.
        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        if not only_reads():
            create_version_schema(connection)
        run_on(connection, change)


def run_on(connection: Connection, change: str) -> None:
    """Run inside the transaction the connection is in; whoever opened it commits it."""
    configure(change, connection=connection)
    with context.begin_transaction():
        context.run_migrations()


def configure(change: str, **target: Any) -> None:
    """Configure Alembic so that no step outside the change's branch can run."""
    asked_for: Steps = command_options()["fn"]

    def guarded(heads: Any, migration_context: Any) -> list[Any]:
        steps = list(asked_for(heads, migration_context) or ())
        refuse_other_changes(change, steps)
        return steps

    context.configure(version_table=VERSION_TABLE, version_table_schema=VERSION_SCHEMA, fn=guarded, **target)


def command_options() -> dict[str, Any]:
    """Return what the Alembic command asks for; its own function is under `fn`."""
    # Alembic hands these out only with a context, so a context without a database is made first.
    context.configure(dialect_name=DIALECT)
    return dict(context.get_context().opts)


def refuse_other_changes(change: str, steps: Iterable[Any]) -> None:
    """Raise when a step belongs to another change, before the first step has run."""
    revisions = {name for step in steps for name in step.info.up_revision_ids}
    foreign = sorted(name for name in revisions if change not in context.script.get_revision(name).branch_labels)
    if foreign:
        message = f"Revision {', '.join(foreign)} does not belong to change {change}."
        raise CommandError(f"{message} Name the target as {change}@head or {change}@base.")


def only_reads() -> bool:
    """Tell whether the command, like `alembic current`, must leave the database as it is."""
    return bool(command_options().get("dont_mutate", False))


def create_version_schema(connection: Connection) -> None:
    """Create the schema of the version table when it is missing."""
    known = text("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = :name")
    if connection.execute(known, {"name": VERSION_SCHEMA}).first() is None:
        connection.execute(text(f"CREATE SCHEMA {VERSION_SCHEMA}"))


def given_url() -> str:
    """Return the database to connect to, in the form that selects the psycopg driver."""
    x_arguments = context.get_x_argument(as_dictionary=True)
    url = x_arguments.get("url") or os.environ.get("DATABASE_URL")
    if not url:
        raise CommandError("No database is given. Set DATABASE_URL, or say -x url=postgresql://…")
    try:
        return for_sqlalchemy(url)
    except UsageError as error:
        raise CommandError(f"{error.what} {error.cure}") from error


run()
