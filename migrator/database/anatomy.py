"""Reading the anatomy of tables from the catalog, and what stands beside them: functions and types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from migrator.database import catalog
from migrator.database.connect import Connection
from migrator.database.objects import objects
from migrator.database.session import value
from migrator.model.anatomy import Anatomy, Beside, Column, Kind, Part, Use
from migrator.model.names import Relation, literal, quote

_COLUMNS = """(SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
    'not_null', a.attnotnull, 'default', pg_get_expr(d.adbin, d.adrelid), 'identity', a.attidentity,
    'generated', a.attgenerated,
    'collation', (SELECT quote_ident(kn.nspname) || '.' || quote_ident(k.collname) FROM pg_collation k
        JOIN pg_namespace kn ON kn.oid = k.collnamespace
        WHERE k.oid = a.attcollation AND a.attcollation <> t.typcollation),
    'used_by', (SELECT json_agg(DISTINCT pg_describe_object(u.classid, u.objid, 0)) FROM pg_depend u
        WHERE u.refclassid = 'pg_class'::regclass AND u.refobjid = c.oid AND u.refobjsubid = a.attnum
          AND (u.classid IN ('pg_rewrite'::regclass, 'pg_policy'::regclass, 'pg_trigger'::regclass)
               AND NOT EXISTS (SELECT FROM pg_trigger g WHERE g.oid = u.objid AND g.tgisinternal)
            OR u.classid = 'pg_attrdef'::regclass
               AND NOT EXISTS (SELECT FROM pg_attrdef f WHERE f.oid = u.objid AND f.adnum = a.attnum))))
    ORDER BY a.attnum)
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)"""


def _names(key: str, of: str) -> str:
    return (
        f"(SELECT json_agg(a.attname ORDER BY u.at) FROM unnest({key}) WITH ORDINALITY u(num, at)"
        f" JOIN pg_attribute a ON a.attrelid = {of} AND a.attnum = u.num)"
    )


_CONSTRAINTS = f"""(SELECT json_agg(json_build_object('kind', o.contype, 'name', o.conname,
    'definition', pg_get_constraintdef(o.oid), 'valid', o.convalidated,
    'columns', {_names("o.conkey", "o.conrelid")}, 'referenced', {_names("o.confkey", "o.confrelid")},
    'schema', n2.nspname, 'table', r.relname) ORDER BY o.conname)
    FROM pg_constraint o LEFT JOIN pg_class r ON r.oid = o.confrelid
    LEFT JOIN pg_namespace n2 ON n2.oid = r.relnamespace
    WHERE o.conrelid = c.oid AND o.contype IN ('p', 'u', 'f', 'c', 'x')
      AND NOT EXISTS (SELECT FROM pg_constraint p WHERE p.oid = o.conparentid AND p.conrelid = o.conrelid))"""

_INDEXES = f"""(SELECT json_agg(json_build_object('name', x.relname, 'quoted', quote_ident(x.relname),
    'definition', pg_get_indexdef(i.indexrelid),
    'valid', i.indisvalid, 'unique', i.indisunique, 'columns', {_names("(i.indkey::int2[])", "i.indrelid")})
    ORDER BY x.relname)
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid AND NOT EXISTS
      (SELECT FROM pg_constraint o WHERE o.conindid = i.indexrelid AND o.conrelid = c.oid AND o.contype <> 'f'))"""

_TRIGGERS = """(SELECT json_agg(json_build_object('name', g.tgname, 'quoted', quote_ident(g.tgname),
    'definition', pg_get_triggerdef(g.oid),
    'state', CASE g.tgenabled WHEN 'D' THEN 'DISABLED' WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END,
    'body', md5(f.prosrc)) ORDER BY g.tgname)
    FROM pg_trigger g JOIN pg_proc f ON f.oid = g.tgfoid JOIN pg_namespace fn ON fn.oid = f.pronamespace
    WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND fn.nspname <> 'migrator')"""

_RULES = """(SELECT json_agg(json_build_object('name', r.rulename, 'quoted', quote_ident(r.rulename),
    'definition', pg_get_ruledef(r.oid))
    ORDER BY r.rulename) FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN')"""

_POLICIES = """(SELECT json_agg(json_build_object('name', p.policyname, 'definition', concat_ws(' ',
    'AS ' || p.permissive, 'FOR ' || p.cmd,
    'TO ' || (SELECT string_agg(CASE one WHEN 'public' THEN 'PUBLIC' ELSE quote_ident(one) END, ', ' ORDER BY one)
        FROM unnest(p.roles) one),
    'USING (' || p.qual || ')', 'WITH CHECK (' || p.with_check || ')')) ORDER BY p.policyname)
    FROM pg_policies p WHERE p.schemaname = n.nspname AND p.tablename = c.relname)"""

_COMMENTS = """(SELECT json_agg(json_build_object('name', coalesce(a.attname, ''), 'definition', d.description)
    ORDER BY d.objsubid) FROM pg_description d
    LEFT JOIN pg_attribute a ON a.attrelid = d.objoid AND a.attnum = d.objsubid AND d.objsubid > 0
    WHERE d.classoid = 'pg_class'::regclass AND d.objoid = c.oid)"""

_GRANTS = """(SELECT json_agg(to_json(g) ORDER BY g.name) FROM (SELECT
    CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END AS name,
    string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type) AS definition
    FROM aclexplode(c.relacl) x WHERE x.grantee <> c.relowner GROUP BY 1) g)"""

# Whoever builds an index holds this lock on the table; so does whoever vacuums it, who is no client.
_BUILDERS = """(SELECT json_agg(DISTINCT l.pid) FROM pg_locks l JOIN pg_stat_activity s ON s.pid = l.pid
    WHERE l.locktype = 'relation' AND l.relation = c.oid AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted
      AND s.backend_type = 'client backend' AND l.pid <> pg_backend_pid()
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))"""

_QUERY = f"""SELECT json_build_object('schema', n.nspname, 'name', c.relname, 'kind', c.relkind,
    'row_security', c.relrowsecurity, 'forced', c.relforcerowsecurity, 'owner', c.relowner::regrole::text,
    'bytes', pg_table_size(c.oid), 'columns', {_COLUMNS}, 'constraints', {_CONSTRAINTS}, 'indexes', {_INDEXES},
    'triggers', {_TRIGGERS}, 'rules', {_RULES}, 'policies', {_POLICIES}, 'comments', {_COMMENTS}, 'grants', {_GRANTS},
    'builders', {_BUILDERS})
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND """

_KINDS: dict[str, Kind] = {"p": "primary key", "u": "unique", "f": "foreign key", "c": "check", "x": "exclusion"}


def anatomies(
    conn: Connection, relations: Iterable[Relation] | None = None, *, rows: bool = False
) -> dict[Relation, Anatomy]:
    """Read the anatomy of these tables, or of all but the system's and ours; `rows` asks also whether there are any."""
    where = catalog.in_schemas(None, "n.nspname")
    if relations is not None:
        listed = ", ".join(f"({literal(one.schema)}::name, {literal(one.name)}::name)" for one in relations)
        if not listed:
            return {}
        where = f"(n.nspname, c.relname) IN (VALUES {listed})"
    found = [_anatomy(conn, one, rows=rows) for (one,) in catalog.ask_one(conn, _QUERY + where)]
    return {one.relation: one for one in found}


def _anatomy(conn: Connection, said: dict[str, Any], *, rows: bool) -> Anatomy:
    relation = Relation(said["schema"], said["name"])
    filled = rows and bool(value(conn, f"SELECT EXISTS (SELECT FROM {relation.sql})"))
    return Anatomy(
        relation=relation,
        columns=tuple(_column(one) for one in said["columns"] or ()),
        parts=tuple(_parts(relation, said)),
        has_rows=filled,
        builders=tuple(said["builders"] or ()),
        **{name: said[name] for name in ("kind", "row_security", "forced", "owner", "bytes")},
    )


def _column(said: dict[str, Any]) -> Column:
    return Column(**{**said, "used_by": tuple(said["used_by"] or ())})


def _parts(relation: Relation, said: dict[str, Any]) -> Iterator[Part]:
    for one in said["constraints"] or ():
        yield _constraint(relation, one)
    for one in said["indexes"] or ():
        yield _index(one)
    for one in said["triggers"] or ():
        content = one["definition"].replace(f"TRIGGER {one['quoted']} ", "TRIGGER ", 1)
        create = one["definition"]
        yield Part(
            kind="trigger", name=one["name"], content=content, create=create, state=one["state"], body=one["body"]
        )
    for one in said["rules"] or ():
        content = one["definition"].replace(f"RULE {one['quoted']} AS", "RULE AS", 1)
        yield Part(kind="rule", name=one["name"], content=content)
    for one in said["policies"] or ():
        create = f"CREATE POLICY {quote(one['name'])} ON {relation.sql} {one['definition']}"
        yield Part(kind="policy", name=one["name"], content=one["definition"], create=create)
    for one in said["comments"] or ():
        on = f"COLUMN {relation.sql}.{quote(one['name'])}" if one["name"] else f"TABLE {relation.sql}"
        create = f"COMMENT ON {on} IS {literal(one['definition'])}"
        yield Part(kind="comment", name=one["name"], content=one["definition"], create=create)
    for one in said["grants"] or ():
        create = f"GRANT {one['definition']} ON {relation.sql} TO {one['name']}"
        yield Part(kind="grant", name=one["name"], content=one["definition"], create=create)


def _constraint(relation: Relation, said: dict[str, Any]) -> Part:
    content = said["definition"].removesuffix(" NOT VALID")
    references = Relation(said["schema"], said["table"]) if said["table"] else None
    return Part(
        kind=_KINDS[said["kind"]],
        name=said["name"],
        content=content,
        create=f"ALTER TABLE {relation.sql} ADD CONSTRAINT {quote(said['name'])} {content}",
        columns=tuple(said["columns"] or ()),
        references=references,
        referenced=tuple(said["referenced"] or ()),
        valid=said["valid"],
    )


def _index(said: dict[str, Any]) -> Part:
    content = said["definition"].replace(f"INDEX {said['quoted']} ON ", "INDEX ON ", 1)
    return Part(
        kind="index",
        name=said["name"],
        content=content.replace("INDEX ON ONLY ", "INDEX ON ", 1),
        create=said["definition"],
        columns=tuple(said["columns"] or ()),
        valid=said["valid"],
        unique=said["unique"],
    )


_FUNCTIONS = """SELECT jsonb_build_object('kind', CASE f.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END,
    'name', format('%I.%I(%s)', n.nspname, f.proname, pg_get_function_identity_arguments(f.oid)),
    'definition', pg_get_functiondef(f.oid))
    FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace WHERE f.prokind IN ('f', 'p') AND """

_TYPES = """SELECT jsonb_build_object('kind', 'type', 'name', format('%I.%I', n.nspname, t.typname), 'definition',
    'ENUM (' || (SELECT string_agg(quote_literal(l.enumlabel), ', ' ORDER BY l.enumsortorder)
        FROM pg_enum l WHERE l.enumtypid = t.oid) || ')',
    'labels', (SELECT json_agg(l.enumlabel ORDER BY l.enumsortorder) FROM pg_enum l WHERE l.enumtypid = t.oid),
    'uses', (SELECT json_agg(json_build_object('schema', cn.nspname, 'table', c.relname, 'column', a.attname,
        'default', pg_get_expr(d.adbin, d.adrelid), 'bytes', pg_table_size(c.oid))
        ORDER BY cn.nspname, c.relname, a.attname)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.atttypid = t.oid AND NOT a.attisdropped AND c.relkind = 'r'),
    'bound', (SELECT json_agg(DISTINCT said) FROM (
        SELECT pg_describe_object(u.classid, u.objid, u.objsubid) FROM pg_depend u
        LEFT JOIN pg_class c ON u.classid = 'pg_class'::regclass AND c.oid = u.objid
        WHERE u.refclassid = 'pg_type'::regclass AND u.refobjid IN (t.oid, t.typarray) AND u.deptype = 'n'
          AND NOT (c.relkind = 'r' AND u.objsubid > 0 AND u.refobjid = t.oid
            AND NOT EXISTS (SELECT FROM pg_inherits h WHERE c.oid IN (h.inhrelid, h.inhparent)))
          AND NOT (u.classid = 'pg_attrdef'::regclass AND EXISTS (SELECT FROM pg_attrdef d JOIN pg_attribute a
            ON a.attrelid = d.adrelid AND a.attnum = d.adnum
            WHERE d.oid = u.objid AND a.atttypid = t.oid AND a.attgenerated = ''))
        UNION ALL SELECT pg_describe_object(u.classid, u.objid, 0) FROM pg_attribute a JOIN pg_depend u
          ON u.refclassid = 'pg_class'::regclass AND u.refobjid = a.attrelid AND u.refobjsubid = a.attnum
        WHERE a.atttypid = t.oid AND u.classid IN ('pg_rewrite'::regclass, 'pg_policy'::regclass,
          'pg_trigger'::regclass, 'pg_constraint'::regclass) AND (u.classid <> 'pg_constraint'::regclass OR EXISTS
          (SELECT FROM pg_constraint o WHERE o.oid = u.objid AND o.contype IN ('c', 'f', 'x')))
        UNION ALL SELECT 'its owner, ' || t.typowner::regrole WHERE t.typowner <> current_user::regrole
        UNION ALL SELECT 'its rights' WHERE t.typacl IS NOT NULL
        UNION ALL SELECT 'its comment' FROM pg_description WHERE classoid = 'pg_type'::regclass AND objoid = t.oid
        ) AS b(said)))
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype = 'e' AND """

_NOT_OF_EXTENSIONS = " AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = {}.oid AND e.deptype = 'e')"


def besides(conn: Connection) -> dict[str, Beside]:
    """Read the functions and enumerations of all schemas but the system's and ours, by kind and name."""
    here = catalog.in_schemas(None, "n.nspname")
    functions = _FUNCTIONS + here + _NOT_OF_EXTENSIONS.format("f")
    types = _TYPES + here + _NOT_OF_EXTENSIONS.format("t")
    found = catalog.ask_one(conn, f"{functions} UNION ALL {types}")
    return {f"{one['kind']} {one['name']}": _beside(one) for (one,) in found}


def _beside(said: dict[str, Any]) -> Beside:
    kind, name, definition = said["kind"], said["name"], said["definition"]
    create = f"CREATE TYPE {name} AS {definition}" if kind == "type" else definition
    uses = (
        Use(
            relation=Relation(one["schema"], one["table"]),
            column=one["column"],
            default=one["default"],
            bytes=one["bytes"],
        )
        for one in said.get("uses") or ()
    )
    return Beside(
        kind=kind,
        name=name,
        content=definition,
        create=create,
        drop=f"DROP {kind.upper()} {name}",
        labels=tuple(said.get("labels") or ()),
        uses=tuple(uses),
        bound=tuple(said.get("bound") or ()),
    )


_NAMED = ("view ", "materialized view ", "foreign table ", "schema ", "extension ", "statistics ", "aggregate ")


def beside_tables(conn: Connection) -> dict[str, str]:
    """Read what else stands beside tables, and is compared but never brought over: views, schemas, extensions."""
    return {name: said for name, said in objects(conn).items() if name.startswith(_NAMED)}
