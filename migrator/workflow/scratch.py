"""What revisions will make, seen on a scratch server: a copy of the schema on which they ran, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from migrator.database import inventory, revisions
from migrator.database.anatomy import anatomies, beside_tables, besides
from migrator.database.connect import Connection, Database
from migrator.database.ddl import beside_made, tables_made
from migrator.database.revision_files import declared
from migrator.database.session import execute, rows
from migrator.database.shape import ShapeUnavailable, copy_schema
from migrator.engine.prepare import target_relation
from migrator.model.anatomy import Anatomy, Beside, Declaration
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
    """The tables that revisions will make, by revision; `reason` says why they are not known.

    `whole` is everything that revisions declare whose tables are there already, wholly or in part; `altered` are the
    sources and targets that were there and get other columns, as they will be.
    """

    by_revision: Mapping[str, tuple[Table, ...]] = field(default_factory=dict)
    whole: Mapping[str, Declaration] = field(default_factory=dict)
    altered: Mapping[Relation, Table] = field(default_factory=dict)
    reason: str = ""
    refused: MigratorError | None = None

    @property
    def shapes(self) -> dict[Relation, Table]:
        """The tables by name."""
        made = {table.relation: table for tables in self.by_revision.values() for table in tables}
        return {**made, **self.altered}


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
    chain = declared(desk.project.revisions, desk.change.name)
    seen = _Seen()
    try:
        _stamp(scratch, [one.id for one in chain if one.id in applied])
        before = _tables_of(desk, scratch)
        for info in chain:
            if info.id not in applied:
                seen.by_revision[info.id] = _made_by(desk, scratch, info.id, seen)
        if seen.whole:
            with scratch.connect() as conn:
                final = anatomies(conn)
            seen.whole.update({name: _with_final(one, final) for name, one in seen.whole.items()})
        after = _tables_of(desk, scratch)
    except MigratorError as error:
        return Declared(by_revision=seen.by_revision, whole=seen.whole, reason=error.what, refused=error)
    altered = {name: one for name, one in after.items() if name in before and _columns(one) != _columns(before[name])}
    return Declared(by_revision=seen.by_revision, whole=seen.whole, altered=altered)


def _tables_of(desk: Desk, scratch: Database) -> dict[Relation, Table]:
    """Look at those sources and targets that are there."""
    path = scratch.search_path
    with scratch.connect() as conn:
        sources = {inventory.find(conn, one.source, path) for one in desk.change.backfills}
        targets = {target_relation(conn, one, path) for one in desk.change.backfills}
        return inventory.tables(conn, {one for one in sources | targets if one is not None})


def _columns(table: Table) -> list[tuple[str, str, tuple[str, ...], bool]]:
    return [(one.name, one.type.name, one.type.labels, one.not_null) for one in table.columns]


@dataclass(frozen=True, slots=True)
class _Seen:
    by_revision: dict[str, tuple[Table, ...]] = field(default_factory=dict)
    whole: dict[str, Declaration] = field(default_factory=dict)


def _stamp(scratch: Database, applied: list[str]) -> None:
    """Tell the copy which revisions it has: the last one, as Alembic keeps it."""
    with scratch.connect() as conn:
        execute(conn, "CREATE SCHEMA IF NOT EXISTS migrator")
        if applied:
            execute(conn, "CREATE TABLE migrator.alembic_version (version_num varchar(32) PRIMARY KEY)")
            execute(conn, f"INSERT INTO migrator.alembic_version VALUES ({literal(applied[-1])})")


def _made_by(desk: Desk, scratch: Database, revision: str, seen: _Seen) -> tuple[Table, ...]:
    """Run one revision; where its tables are there already, or it follows such a one, look at everything it does."""
    directory, change, given = desk.project.revisions, desk.change.name, desk.revision_parameters
    sql = revisions.offline_sql(directory, change, revision, given)
    with scratch.connect() as conn:
        there = inventory.tables(conn, tables_made(sql))
        for relation in there:
            execute(conn, f"DROP TABLE {relation.sql} CASCADE")
        if there or seen.whole:
            _drop_beside(conn, sql)
            before = _everything(conn)
        tables = {Relation(*row) for row in rows(conn, _TABLES)}
        revisions.upgrade(scratch, directory, change, revision, given)
        new = {Relation(*row) for row in rows(conn, _TABLES)} - tables
        if there or seen.whole:
            seen.whole[revision] = _declaration(before, _everything(conn))
        return tuple(inventory.tables(conn, sorted(new)).values())


@dataclass(frozen=True, slots=True)
class _Everything:
    tables: Mapping[Relation, Anatomy]
    beside: Mapping[str, Beside]
    objects: Mapping[str, str]


def _everything(conn: Connection) -> _Everything:
    return _Everything(anatomies(conn), besides(conn), beside_tables(conn))


def _drop_beside(conn: Connection, sql: str) -> None:
    """Take types and functions out of the copy that the revision will make."""
    for kind, relation in beside_made(sql):
        schema, name = literal(relation.schema), literal(relation.name)
        if kind == "type":
            execute(conn, f"DROP TYPE IF EXISTS {relation.sql} CASCADE")
            continue
        found = rows(
            conn,
            "SELECT f.oid::regprocedure::text FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_namespace n"
            f" ON n.oid = f.pronamespace WHERE n.nspname = {schema} AND f.proname = {name}",
        )
        for (signature,) in found:
            execute(conn, f"DROP {kind.upper()} {signature} CASCADE")


def _declaration(before: _Everything, after: _Everything) -> Declaration:
    """Find what is there now and was not, or was otherwise."""
    altered = {
        name: one
        for name, one in after.tables.items()
        if name in before.tables and one.listed != before.tables[name].listed
    }
    others = [
        Beside(kind="", name=name, content=content)
        for name, content in after.objects.items()
        if before.objects.get(name) != content
    ]
    return Declaration(
        made=tuple(one for name, one in after.tables.items() if name not in before.tables),
        altered=tuple(altered.values()),
        before=tuple(before.tables[name] for name in altered),
        beside=(*(one for name, one in after.beside.items() if before.beside.get(name) != one), *others),
    )


def _with_final(one: Declaration, final: Mapping[Relation, Anatomy]) -> Declaration:
    tables = (*one.made, *one.altered)
    return replace(one, final=tuple(final[table.relation] for table in tables if table.relation in final))
