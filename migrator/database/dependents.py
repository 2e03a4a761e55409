"""Who depends on a table: by its number, or by its name in the text of a function."""

from __future__ import annotations

from migrator.database import catalog
from migrator.database.connect import Connection
from migrator.model.names import Relation, literal

_OID = "(SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {where})"

_FOLLOWING = """
SELECT DISTINCT CASE v.relkind WHEN 'm' THEN 'materialized view ' ELSE 'view ' END || v.oid::regclass::text
    FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = {oid}
      AND v.oid <> {oid}
UNION SELECT 'foreign key ' || quote_ident(o.conname) || ' of ' || o.conrelid::regclass::text FROM pg_constraint o
    WHERE o.contype = 'f' AND o.confrelid = {oid} AND o.conrelid <> {oid} AND o.conparentid = 0
UNION SELECT 'function ' || f.oid::regprocedure::text FROM pg_depend d JOIN pg_proc f ON f.oid = d.objid
    WHERE d.classid = 'pg_proc'::regclass AND d.refobjid IN ({oid}, (SELECT reltype FROM pg_class WHERE oid = {oid}))
UNION SELECT 'policy ' || quote_ident(p.polname) || ' on ' || p.polrelid::regclass::text FROM pg_depend d
    JOIN pg_policy p ON p.oid = d.objid WHERE d.classid = 'pg_policy'::regclass AND d.refobjid = {oid}
      AND p.polrelid <> {oid}
ORDER BY 1"""


def following(conn: Connection, relation: Relation) -> tuple[str, ...]:
    """List what knows the table by its number: views, foreign keys to it, functions with its type or parsed bodies."""
    found = catalog.ask_one(conn, _FOLLOWING.format(oid=_oid(relation)))
    return tuple(str(name).replace("public.", "") for (name,) in found)


def subscribed(conn: Connection, relation: Relation) -> tuple[str, ...]:
    """List the publications that send the table's changes."""
    found = catalog.ask_one(
        conn,
        "SELECT DISTINCT 'publication ' || quote_ident(p.pubname) FROM pg_publication_tables p"
        f" WHERE p.schemaname = {literal(relation.schema)} AND p.tablename = {literal(relation.name)} ORDER BY 1",
    )
    return tuple(str(name) for (name,) in found)


def bodies(conn: Connection, name: str) -> tuple[tuple[str, str], ...]:
    """List the functions whose text holds a name somewhere, with that text."""
    found = catalog.ask_one(
        conn,
        "SELECT 'function ' || f.oid::regprocedure::text, f.prosrc FROM pg_proc f JOIN pg_namespace n"
        f" ON n.oid = f.pronamespace WHERE {catalog.in_schemas(None, 'n.nspname')}"
        f" AND position({literal(name)} IN f.prosrc) > 0 ORDER BY 1",
    )
    return tuple((str(function).replace("public.", ""), str(body)) for function, body in found)


def _oid(relation: Relation) -> str:
    where = f"n.nspname = {literal(relation.schema)} AND c.relname = {literal(relation.name)}"
    return _OID.format(where=where)
