"""What revisions will make, seen on a scratch server: a copy of the schema on which they ran, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from migrator.database import inventory, revisions
from migrator.database.connect import Database
from migrator.database.revisions import tables_made
from migrator.database.session import execute, rows
from migrator.database.shape import ShapeUnavailable, copy_schema
from migrator.model.errors import MigratorError, ServerError
from migrator.model.names import Relation, literal
from migrator.model.tables import Table
from migrator.servers import binaries
from migrator.servers.postgres import Postgres
from migrator.workflow.desk import Desk

_TABLES = (
    "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'migrator')"
    " AND n.nspname NOT LIKE 'pg\\_%'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The tables that revisions will make, by revision; `reason` says why they are not known."""

    by_revision: Mapping[str, tuple[Table, ...]] = field(default_factory=dict)
    reason: str = ""
    refused: MigratorError | None = None

    @property
    def shapes(self) -> dict[Relation, Table]:
        """The tables by name."""
        return {table.relation: table for tables in self.by_revision.values() for table in tables}


def declare(desk: Desk, applied: frozenset[str], major: int) -> Declared:
    """Run the revisions that are not applied over a copy of the schema, and look at what they make.

    The scratch server is of the database's major version where one is installed.

    Tables in the way are taken out of the copy first, so that they do not hide what is declared.
    """
    try:
        with _server(desk, major) as url:
            return _on(desk, url, applied, major)
    except ServerError as error:
        return Declared(reason=error.what)


@contextmanager
def _server(desk: Desk, major: int) -> Iterator[str]:
    if desk.scratch_url is not None:
        yield desk.scratch_url
        return
    with Postgres.start(binaries.find(major)) as server:
        yield server.url("postgres")


def _on(desk: Desk, url: str, applied: frozenset[str], major: int) -> Declared:
    copied = copy_schema(desk.database.url, url, binaries.find_dump(major))
    if isinstance(copied, ShapeUnavailable):
        return Declared(reason=copied.reason)
    scratch = Database(url=url, search_path=desk.database.search_path)
    chain = revisions.declared(desk.project.revisions, desk.change.name)
    made: dict[str, tuple[Table, ...]] = {}
    try:
        _stamp(scratch, [one.id for one in chain if one.id in applied])
        for info in chain:
            if info.id not in applied:
                made[info.id] = _made_by(desk, scratch, info.id)
    except MigratorError as error:
        return Declared(by_revision=made, reason=error.what, refused=error)
    return Declared(by_revision=made)


def _stamp(scratch: Database, applied: list[str]) -> None:
    """Tell the copy which revisions it has: the last one, as Alembic keeps it."""
    with scratch.connect() as conn:
        execute(conn, "CREATE SCHEMA IF NOT EXISTS migrator")
        if applied:
            execute(conn, "CREATE TABLE migrator.alembic_version (version_num varchar(32) PRIMARY KEY)")
            execute(conn, f"INSERT INTO migrator.alembic_version VALUES ({literal(applied[-1])})")


def _made_by(desk: Desk, scratch: Database, revision: str) -> tuple[Table, ...]:
    directory, change, given = desk.project.revisions, desk.change.name, desk.revision_parameters
    with scratch.connect() as conn:
        for relation in tables_made(revisions.offline_sql(directory, change, revision, given)):
            execute(conn, f"DROP TABLE IF EXISTS {relation.sql} CASCADE")
        before = {Relation(*row) for row in rows(conn, _TABLES)}
        revisions.upgrade(scratch, directory, change, revision, given)
        new = {Relation(*row) for row in rows(conn, _TABLES)} - before
        return tuple(inventory.tables(conn, sorted(new)).values())
