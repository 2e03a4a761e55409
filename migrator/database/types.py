"""Types: as the catalog describes them, as a query results in them, and how one becomes another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import psycopg

from migrator.database import catalog
from migrator.database.connect import Connection
from migrator.database.session import text, value
from migrator.model.names import literal
from migrator.model.tables import TypeOf

Cast = Literal["i", "a", "e", "io"]

# The innermost type of a domain, through domains over domains, and whether any of them forbids
# NULL.
_BASE = """(WITH RECURSIVE d(oid, base, forbids, depth) AS (
    SELECT p.oid, p.typbasetype, p.typnotnull, 0 FROM pg_type p WHERE p.oid = {oid}
    UNION ALL SELECT p.oid, p.typbasetype, p.typnotnull, d.depth + 1 FROM d JOIN pg_type p ON p.oid
        = d.base)
    SELECT {what} FROM d)"""

_INNERMOST = "(array_agg(oid ORDER BY depth DESC))[1]"


def base_of(oid: str) -> str:
    """Write the SQL that gives the innermost type of a domain, or the type itself."""
    return _BASE.format(oid=oid, what=_INNERMOST)


def forbids_null(oid: str) -> str:
    """Write the SQL that says whether a type is a domain that is NOT NULL."""
    return _BASE.format(oid=oid, what="bool_or(forbids)")


_MOMENTS = "('date'::regtype, 'time'::regtype, 'timetz'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)"


def _moments(oid: str) -> str:
    """Write the SQL that says whether a date or a time is part of a type, however deep."""
    return f"""EXISTS (WITH RECURSIVE part(of) AS (SELECT {oid} UNION
        SELECT x.of FROM part JOIN pg_type y ON y.oid = part.of, LATERAL (
            SELECT y.typbasetype WHERE y.typtype = 'd'
            UNION ALL SELECT y.typelem WHERE y.typcategory = 'A'
            UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE y.oid IN (r.rngtypid, r.rngmultitypid)
            UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = y.typrelid AND y.typtype = 'c'
                AND a.attnum > 0 AND NOT a.attisdropped) x(of))
        SELECT FROM part WHERE part.of IN {_MOMENTS})"""


def type_json(oid: str, modifier: str) -> str:
    """Write the SQL that describes a type as JSON, for `type_from`."""
    return f"""(SELECT json_build_object(
        'oid', t.oid::int8, 'name', format_type(t.oid, {modifier}), 'base', t.typname, 'schema',
            n.nspname,
        'kind', t.typtype, 'modifier', {modifier},
        'element', (SELECT e.typname FROM pg_type e WHERE t.typcategory = 'A' AND e.oid =
            t.typelem),
        'labels', (SELECT json_agg(l.enumlabel ORDER BY l.enumsortorder) FROM pg_enum l
                   WHERE t.typtype IN ('e', 'd') AND l.enumtypid = {base_of("t.oid")}),
        'under', CASE t.typtype WHEN 'd' THEN (SELECT u.typname FROM pg_type u WHERE u.oid = {base_of("t.oid")}) END,
        'moments', CASE WHEN t.typtype IN ('b', 'e', 'p') AND t.typelem = 0 THEN t.oid IN {_MOMENTS}
            ELSE {_moments("t.oid")} END)
        FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = {oid})"""


def type_from(said: Mapping[str, Any]) -> TypeOf:
    """Make a TypeOf of what `type_json` gave."""
    return TypeOf(**{**said, "labels": tuple(said["labels"] or ())})


def types(conn: Connection, wanted: Iterable[tuple[int, int]]) -> list[TypeOf]:
    """Describe types by oid and modifier, in the order given."""
    pairs = list(wanted)
    if not pairs:
        return []
    listed = ", ".join(f"({at}, {oid}::oid, {modifier})" for at, (oid, modifier) in enumerate(pairs))
    query = f"SELECT {type_json('w.oid', 'w.modifier')} FROM (VALUES {listed}) w(at, oid, modifier) ORDER BY w.at"
    return [type_from(one[0]) for one in catalog.ask_one(conn, query)]


def describe(conn: Connection, sql: str) -> list[TypeOf]:
    """Give the result types of a SELECT: it is planned and begun, and not one row is asked for.

    A domain shows as the type under it: that is what clients are told, too.
    """
    return [one for _, one in describe_columns(conn, sql)]


def describe_columns(conn: Connection, sql: str) -> list[tuple[str, TypeOf]]:
    """Give the names and types of the result columns of a SELECT, without asking for a row."""
    found = _result_types(conn, sql)
    described = types(conn, [(oid, modifier) for _, oid, modifier in found])
    return [(name, one) for (name, _, _), one in zip(found, described, strict=True)]


def _result_types(conn: Connection, sql: str) -> list[tuple[str, int, int]]:
    inner = sql.strip().rstrip(";")
    cursor = conn.execute(text(f"SELECT * FROM (\n{inner}\n) AS described LIMIT 0"))
    result = cursor.pgresult
    if result is None:
        return []
    names = [one.name for one in cursor.description or ()]
    return [(name, result.ftype(at), result.fmod(at)) for at, name in enumerate(names)]


def type_named(conn: Connection, name: str) -> TypeOf | None:
    """Find a type by the text that names it in SQL, modifiers included; None where none is."""
    absent = (
        psycopg.errors.UndefinedObject,
        psycopg.errors.UndefinedTable,
        psycopg.errors.InvalidSchemaName,
        psycopg.errors.SyntaxError,
        psycopg.errors.DataError,
    )
    try:
        with conn.transaction():  # a savepoint where a transaction is open, for it must outlive the error
            oid = value(conn, f"SELECT pg_catalog.to_regtype({literal(name)})::oid::int8")
            if oid is None:
                return None
            # Only a result says the modifier; a domain, which shows there as the type under it,
            # has none.
            _, shown, modifier = _result_types(conn, f"SELECT CAST(NULL AS {name}) AS x WHERE false")[0]
    except absent:
        return None
    return types(conn, [(oid, modifier if shown == oid else -1)])[0]


def cast_context(conn: Connection, from_oid: int, to_oid: int) -> Cast | None:
    """Say how a value of one type becomes one of another.

    'i' implicitly, 'a' by assignment, 'e' by an explicit cast, 'io' through its text, None never.
    """
    if from_oid == to_oid:
        return "i"
    found: Cast | None = catalog.value(conn, _cast_query(f"{int(from_oid)}::oid", f"{int(to_oid)}::oid"))
    return found


def _cast_query(one: str, other: str) -> str:
    return f"""
    WITH ends AS (SELECT {base_of(one)} AS f, {base_of(other)} AS t),
    pair AS (
        -- between arrays the elements are cast
        SELECT CASE WHEN arrays THEN {base_of("a.typelem")} ELSE ends.f END AS f,
               CASE WHEN arrays THEN {base_of("b.typelem")} ELSE ends.t END AS t
        FROM ends JOIN pg_type a ON a.oid = ends.f JOIN pg_type b ON b.oid = ends.t,
             LATERAL (SELECT a.typcategory = 'A' AND b.typcategory = 'A' AND a.typelem <> 0 AND
                 b.typelem <> 0) x(arrays))
    SELECT CASE
        WHEN pair.f = pair.t OR a.oid = 'unknown'::regtype THEN 'i'
        WHEN c.castcontext IS NOT NULL AND c.castmethod <> 'i' THEN c.castcontext::text
        WHEN c.castcontext IS NOT NULL THEN 'io'
        WHEN (a.typcategory = 'S') <> (b.typcategory = 'S') AND a.typtype <> 'p' AND b.typtype <>
            'p' THEN 'io'
        WHEN a.typcategory = 'S' AND b.typcategory = 'S' THEN 'io' END
    FROM pair JOIN pg_type a ON a.oid = pair.f JOIN pg_type b ON b.oid = pair.t
    LEFT JOIN pg_cast c ON c.castsource = pair.f AND c.casttarget = pair.t"""
