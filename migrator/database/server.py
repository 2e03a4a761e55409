"""What is known about the server: its version, who we are on it, and who else keeps books there."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.database import catalog
from migrator.database.connect import Connection
from migrator.model.names import Relation, literal


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """A server as it presents itself to us."""

    version_num: int
    version: str
    database: str
    system_identifier: str | None  # None where we may not read it
    user: str
    is_superuser: bool
    bypassrls: bool
    in_recovery: bool
    read_only: bool  # by default, for this role and database
    encoding: str
    isolation: str  # the default of this role and database

    @property
    def major(self) -> int:
        """The major version."""
        return self.version_num // 10_000


_FACTS = """SELECT current_setting('server_version_num')::int AS version_num,
    current_setting('server_version') AS version, current_database()::text AS database,
        current_user::text AS user,
    r.rolsuper AS is_superuser, r.rolbypassrls OR r.rolsuper AS bypassrls, pg_is_in_recovery() AS
        in_recovery,
    current_setting('default_transaction_read_only')::bool AS read_only,
    current_setting('server_encoding') AS encoding,
        current_setting('default_transaction_isolation') AS isolation,
    has_function_privilege('pg_control_system()', 'EXECUTE') AS may_ask
    FROM pg_roles r WHERE r.rolname = current_user"""


def server(conn: Connection) -> ServerFacts:
    """Ask the server about itself; needs no special right."""
    found = catalog.value(conn, f"SELECT to_json(f) FROM ({_FACTS}) f")
    identifier = None
    if found.pop("may_ask"):
        identifier = catalog.value(conn, "SELECT system_identifier::text FROM pg_control_system()")
    return ServerFacts(**found, system_identifier=identifier)


_RIGHTS = ("select", "insert", "update", "delete", "truncate", "references", "trigger")


def rights(conn: Connection, relation: Relation) -> frozenset[str]:
    """List what our role may do with a relation: select, insert, update, delete…, and owner."""
    each = ", ".join(f"has_table_privilege(c.oid, '{one}')" for one in _RIGHTS)
    found = catalog.ask_one(
        conn,
        f"SELECT has_schema_privilege(n.oid, 'USAGE'), pg_has_role(c.relowner, 'USAGE'), {each}"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE n.nspname = {literal(relation.schema)} AND c.relname = {literal(relation.name)}",
    )
    if not found:
        return frozenset()
    usage, owner, *allowed = found[0]
    held = {one for one, may in zip(_RIGHTS, allowed, strict=True) if may and usage}
    return frozenset(held | ({"owner"} if owner else set()))


_KEEPERS = {
    "alembic_version": "Alembic",
    "schema_version": "Flyway or Evolve",
    "flyway_schema_history": "Flyway",
    "databasechangelog": "Liquibase",
    "_prisma_migrations": "Prisma",
    "schema_migrations": "Supabase, Rails, dbmate or golang-migrate",
    "django_migrations": "Django",
    "knex_migrations": "Knex",
    "__drizzle_migrations": "Drizzle",
    "pgmigrations": "node-pg-migrate",
}


def foreign_version_tables(conn: Connection) -> list[str]:
    """Say, in a sentence each, which other tools keep books here; they are never touched."""
    found = catalog.ask_one(
        conn,
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE c.relkind IN ('r', 'p') AND c.relname IN ({', '.join(map(literal, _KEEPERS))})"
        f" AND {catalog.in_schemas(None, 'n.nspname')} ORDER BY 1, 2",
    )
    return [
        f"{schema}.{name} belongs to {_KEEPERS[name]}: that tool also changes this schema;"
        " migrator does not touch"
        " its table, and does not tell it what it did."
        for schema, name in found
    ]
