"""What is there: tables with everything the engine asks about them, in one query."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from migrator.database import catalog
from migrator.database.connect import Connection
from migrator.database.objects import objects
from migrator.database.server import ServerFacts, foreign_version_tables, rights, server
from migrator.database.session import rows
from migrator.database.types import (
    cast_context,
    describe,
    describe_columns,
    forbids_null,
    type_from,
    type_json,
    type_named,
)
from migrator.model.names import Relation, literal, text_array
from migrator.model.tables import Check, ForeignKey, Policy, Table, TableColumn, Trigger, Unique

__all__ = [
    "ServerFacts",
    "cast_context",
    "closed",
    "describe",
    "describe_columns",
    "find",
    "foreign_version_tables",
    "objects",
    "present",
    "rights",
    "server",
    "similar",
    "table",
    "tables",
    "type_named",
]

RELATIONS = "('r', 'p', 'v', 'm', 'f')"

_COLUMNS = f"""(SELECT json_agg(json_build_object(
    'name', a.attname, 'type', {type_json("a.atttypid", "a.atttypmod")},
    'not_null', a.attnotnull OR {forbids_null("a.atttypid")},
    'default', CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
    'identity', a.attidentity, 'generated', a.attgenerated,
    'deterministic', coalesce(k.collisdeterministic, true),
    'collation', CASE WHEN a.attcollation NOT IN (0, t.typcollation)
                 THEN quote_ident(kn.nspname) || '.' || quote_ident(k.collname) END,
    'collates', CASE WHEN a.attcollation <> 0 THEN quote_ident(kn.nspname) || '.' || quote_ident(k.collname) END,
    'comment', col_description(c.oid, a.attnum)) ORDER BY a.attnum)
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_collation k ON k.oid = a.attcollation
    LEFT JOIN pg_namespace kn ON kn.oid = k.collnamespace
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)"""

_KEY = "(i.indkey::int2[])[0:i.indnkeyatts - 1]"

# indnullsnotdistinct came with 15 and conenforced with 18: read through JSON, where older servers
# have none.
_UNIQUES = f"""(SELECT json_agg(json_build_object(
    'name', x.relname, 'primary', i.indisprimary, 'partial', i.indpred IS NOT NULL,
    'deferrable', NOT i.indimmediate,
    'nulls_not_distinct', coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false),
    'columns', (SELECT json_agg(a.attname ORDER BY u.at) FROM unnest({_KEY}) WITH ORDINALITY u(num,
        at)
                JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.num))
    ORDER BY i.indisprimary DESC, x.relname)
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
    WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND NOT i.indisexclusion
      AND NOT 0 = ANY ({_KEY}))"""


def _names(key: str, of: str) -> str:
    return (
        f"(SELECT json_agg(a.attname ORDER BY u.at) FROM unnest({key}) WITH ORDINALITY u(num, at)"
        f" JOIN pg_attribute a ON a.attrelid = {of} AND a.attnum = u.num)"
    )


_ENFORCED = "coalesce((to_jsonb(o) ->> 'conenforced')::bool, true)"

_CHECKS = f"""(SELECT json_agg(json_build_object('name', o.conname,
    'expression', pg_get_expr(o.conbin, o.conrelid),
    -- one that looks at the row as a whole names no columns
    'columns', CASE WHEN 0 < ALL (o.conkey) THEN {_names("o.conkey", "o.conrelid")} END)
        ORDER BY o.conname)
    FROM pg_constraint o WHERE o.conrelid = c.oid AND o.contype = 'c' AND {_ENFORCED})"""

# What no partition takes is refused as by a CHECK: the bounds of all leaves, each with those of its parents. Nothing is
# said of hashes, of keys that are worked out, and of so many leaves that asking each would take long.
_BOUNDS = """(SELECT CASE WHEN bool_and(bound <> '' AND bound NOT LIKE '%satisfies_hash_partition%') AND count(*) <= 100
    THEN json_build_object('name', 'the partitions of ' || c.relname, 'expression', string_agg(bound, ' OR '),
        'columns', (SELECT json_agg(DISTINCT a.attname) FROM pg_partition_tree(c.oid) t
            JOIN pg_partitioned_table k ON k.partrelid = t.relid JOIN pg_attribute a ON a.attrelid = k.partrelid
                AND a.attnum = ANY (k.partattrs::int2[])
            HAVING bool_and(k.partexprs IS NULL))) END
    FROM (SELECT coalesce('(' || pg_get_partition_constraintdef(t.relid) || ')', '') AS bound
        FROM pg_partition_tree(c.oid) t WHERE t.isleaf AND t.relid <> c.oid) AS leaves WHERE c.relkind = 'p')"""


# Of what is pointed at, where it is another one than that of the column which points.
_COLLATIONS = """(SELECT json_agg(CASE WHEN a.attcollation <> b.attcollation AND b.attcollation <> 0
    THEN quote_ident(kn.nspname) || '.' || quote_ident(k.collname) END ORDER BY u.at)
    FROM unnest(o.conkey, o.confkey) WITH ORDINALITY u(here, there, at)
    JOIN pg_attribute a ON a.attrelid = o.conrelid AND a.attnum = u.here
    JOIN pg_attribute b ON b.attrelid = o.confrelid AND b.attnum = u.there
    LEFT JOIN pg_collation k ON k.oid = b.attcollation LEFT JOIN pg_namespace kn ON kn.oid = k.collnamespace)"""


def _foreign_keys(mine: str, theirs: str) -> str:
    # Partitions repeat the constraint of their parent, on either end; what repeats is left out.
    return f"""(SELECT json_agg(json_build_object('name', o.conname,
    'schema', n.nspname, 'table', r.relname, 'columns', {_names("o.conkey", "o.conrelid")},
    'referenced_columns', {_names("o.confkey", "o.confrelid")},
    'collations', {_COLLATIONS},
    'on_delete', o.confdeltype, 'deferred', o.condeferred) ORDER BY n.nspname, r.relname, o.conname)
    FROM pg_constraint o JOIN pg_class r ON r.oid = o.{theirs} JOIN pg_namespace n ON n.oid =
        r.relnamespace
    WHERE o.{mine} = c.oid AND o.contype = 'f' AND {_ENFORCED}
      AND NOT EXISTS (SELECT FROM pg_constraint p WHERE p.oid = o.conparentid AND p.{mine} =
          o.{mine}))"""


_TRIGGERS = """(SELECT json_agg(json_build_object('name', g.tgname, 'definition',
    pg_get_triggerdef(g.oid),
    'on_insert', (g.tgtype & 4) <> 0, 'on_update', (g.tgtype & 16) <> 0, 'before', (g.tgtype & 2) <> 0,
    'update_of', (SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
                  WHERE a.attrelid = c.oid AND a.attnum = ANY (g.tgattr::int2[]))) ORDER BY g.tgname)
    FROM pg_trigger g JOIN pg_proc f ON f.oid = g.tgfoid
    WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D'
      AND f.pronamespace IS DISTINCT FROM to_regnamespace('migrator'))"""

_INDEXES = """(SELECT json_agg(pg_get_indexdef(i.indexrelid) ORDER BY pg_get_indexdef(i.indexrelid))
    FROM pg_index i WHERE i.indrelid = c.oid)"""

_POLICIES = """(SELECT json_agg(json_build_object('name', p.policyname, 'definition', concat_ws(' ',
    'AS ' || p.permissive, 'FOR ' || p.cmd, 'TO ' || array_to_string(p.roles, ', '),
    'USING (' || p.qual || ')', 'WITH CHECK (' || p.with_check || ')')) ORDER BY p.policyname)
    FROM pg_policies p WHERE p.schemaname = n.nspname AND p.tablename = c.relname)"""

_RULES = """(SELECT json_agg(w.rulename ORDER BY w.rulename) FROM pg_rewrite w
    WHERE w.ev_class = c.oid AND w.ev_type <> '1' AND w.ev_enabled <> 'D')"""

_HEIRS = """(SELECT json_agg(h.inhrelid::regclass::text ORDER BY h.inhrelid::regclass::text) FROM pg_inherits h
    WHERE h.inhparent = c.oid AND c.relkind = 'r')"""

# As the planner does: the rows of a page when last counted, times the pages there are now.
_LEAVES = """(SELECT sum(CASE WHEN l.reltuples < 0 THEN pg_relation_size(l.oid) / 100
            WHEN l.relpages > 0 THEN l.reltuples / l.relpages
                * (pg_relation_size(l.oid) / current_setting('block_size')::int8)
            ELSE l.reltuples END)::int8 AS estimated, sum(pg_total_relation_size(l.oid))::int8 AS
                size
        FROM pg_class l WHERE l.relkind IN ('r', 'm') AND (l.oid = c.oid OR c.relkind = 'p' AND
            l.oid IN
            (SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf)))"""

_QUERY = f"""SELECT json_build_object('oid', c.oid::int8, 'schema', n.nspname, 'name', c.relname,
    'kind', c.relkind,
    'row_security', c.relrowsecurity, 'comment', obj_description(c.oid, 'pg_class'),
    'estimated_rows', coalesce(s.estimated, 0), 'bytes', coalesce(s.size, 0),
    'columns', {_COLUMNS}, 'uniques', {_UNIQUES}, 'checks', {_CHECKS}, 'bounds', {_BOUNDS},
    'foreign_keys', {_foreign_keys("conrelid", "confrelid")},
    'referenced_by', {_foreign_keys("confrelid", "conrelid")},
    'triggers', {_TRIGGERS}, 'indexes', {_INDEXES}, 'rules', {_RULES}, 'heirs', {_HEIRS}, 'policies', {_POLICIES})
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, LATERAL {_LEAVES} s
    WHERE c.relkind IN {RELATIONS} AND (n.nspname, c.relname) IN"""


def table(conn: Connection, relation: Relation) -> Table | None:
    """Read a table, partitioned, foreign or a view; None where there is none of that name."""
    return tables(conn, [relation]).get(relation)


def tables(conn: Connection, relations: Iterable[Relation]) -> dict[Relation, Table]:
    """Read several relations by one query; those that do not exist are left out."""
    listed = ", ".join(f"({literal(one.schema)}::name, {literal(one.name)}::name)" for one in relations)
    if not listed:
        return {}
    found = [_table(one[0]) for one in catalog.ask_one(conn, f"{_QUERY} (VALUES {listed})")]
    return {one.relation: one for one in found}


def present(conn: Connection, relations: Iterable[Relation]) -> frozenset[Relation]:
    """Say which of these are there, whatever they look like: reading a table takes the server ten times as long."""
    listed = ", ".join(f"({literal(one.schema)}::name, {literal(one.name)}::name)" for one in relations)
    if not listed:
        return frozenset()
    query = (
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE c.relkind IN {RELATIONS} AND (n.nspname, c.relname) IN (VALUES {listed})"
    )
    return frozenset(Relation(str(schema), str(name)) for schema, name in catalog.ask_one(conn, query))


def parents(conn: Connection, relations: Iterable[Relation]) -> dict[Relation, tuple[Relation, ...]]:
    """Name the partitioned tables that each partition among these belongs to, the nearest one first."""
    listed = ", ".join(f"({literal(one.schema)}::name, {literal(one.name)}::name)" for one in relations)
    if not listed:
        return {}
    found: dict[Relation, tuple[Relation, ...]] = {}
    for schema, name, above, parent in rows(
        conn,
        "SELECT n.nspname, c.relname, pn.nspname, p.relname FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,"
        " LATERAL pg_catalog.pg_partition_ancestors(c.oid) WITH ORDINALITY a(oid, at)"
        " JOIN pg_catalog.pg_class p ON p.oid = a.oid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace"
        f" WHERE c.relispartition AND a.at > 1 AND (n.nspname, c.relname) IN (VALUES {listed}) ORDER BY c.oid, a.at",
    ):
        one = Relation(str(schema), str(name))
        found[one] = (*found.get(one, ()), Relation(str(above), str(parent)))
    return found


def _table(said: dict[str, Any]) -> Table:
    return Table(
        relation=Relation(said["schema"], said["name"]),
        columns=tuple(TableColumn(**{**one, "type": type_from(one["type"])}) for one in said["columns"] or ()),
        uniques=tuple(Unique(**_with_tuples(one)) for one in said["uniques"] or ()),
        checks=tuple(Check(**_with_tuples(one)) for one in _checks(said)),
        foreign_keys=tuple(_foreign_key(one) for one in said["foreign_keys"] or ()),
        referenced_by=tuple(_foreign_key(one) for one in said["referenced_by"] or ()),
        triggers=tuple(
            Trigger(**{**one, "update_of": tuple(one["update_of"] or ())}) for one in said["triggers"] or ()
        ),
        indexes=tuple(said["indexes"] or ()),
        rules=tuple(said["rules"] or ()),
        heirs=tuple(said["heirs"] or ()),
        policies=tuple(Policy(**one) for one in said["policies"] or ()),
        **{name: said[name] for name in ("oid", "kind", "row_security", "comment", "estimated_rows", "bytes")},
    )


def _checks(said: dict[str, Any]) -> list[dict[str, Any]]:
    bounds = said["bounds"]
    return [*(said["checks"] or ()), *([bounds] if bounds and bounds["columns"] else ())]


def _with_tuples(said: dict[str, Any]) -> dict[str, Any]:
    return {**said, "columns": tuple(said["columns"] or ())}


def _foreign_key(said: dict[str, Any]) -> ForeignKey:
    plain = {name: said[name] for name in ("name", "on_delete", "deferred")}
    return ForeignKey(
        columns=tuple(said["columns"]),
        references=Relation(said["schema"], said["table"]),
        referenced_columns=tuple(said["referenced_columns"]),
        collations=tuple(said["collations"] or ()) if any(said["collations"] or ()) else (),
        **plain,
    )


def find(conn: Connection, name: str, search_path: str = "public") -> Relation | None:
    """Find what a name means: in its schema, or in the first of the search_path that has it."""
    given = Relation.parse(name, default_schema="")
    where = f"= {literal(given.schema)}" if given.schema else "= ANY (current_schemas(false))"
    found = catalog.ask_one(
        conn,
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE c.relkind IN {RELATIONS} AND c.relname = {literal(given.name)} AND n.nspname"
        f" {where}"
        " ORDER BY array_position(current_schemas(false), n.nspname) LIMIT 1",
        search_path=search_path,
    )
    return Relation(*found[0]) if found else None


def closed(conn: Connection, search_path: str) -> list[str]:
    """List the schemas of a search_path that this role may not look into: what is there is not found."""
    names = text_array(one.strip().strip('"') for one in search_path.split(","))
    found = catalog.ask_one(
        conn,
        f"SELECT nspname FROM pg_namespace WHERE nspname = ANY ({names}) AND NOT has_schema_privilege(oid, 'USAGE')",
    )
    return [str(name) for (name,) in found]


def similar(conn: Connection, name: str, *, limit: int = 3) -> list[str]:
    """List the relations whose names come nearest to one that was not found."""
    found = catalog.ask_one(
        conn,
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE c.relkind IN {RELATIONS} AND {catalog.in_schemas(None, 'n.nspname')} ORDER BY 1,"
        " 2",
    )
    wanted = Relation.parse(name).name.lower()
    by_name: dict[str, list[str]] = {}
    for schema, one in found:
        by_name.setdefault(one.lower(), []).append(str(Relation(schema, one)))
    near = difflib.get_close_matches(wanted, by_name, n=limit, cutoff=0.6)
    return [one for key in near for one in by_name[key]][:limit]
