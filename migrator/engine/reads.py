"""What a Projection reads besides its source, and how often all of it was written to.

The server itself says it: preparing the SELECT locks every relation in it, also those that views bring in, and a
transaction that only reads may ask for its locks (docs/postgresql.md, finding 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from migrator.database import failures
from migrator.database.connect import Connection
from migrator.database.failures import Failure, SqlError
from migrator.database.session import execute, results, rows, transaction
from migrator.engine.projection.projection import Projection
from migrator.engine.projection.purity import calls
from migrator.model.expressions import Sql
from migrator.model.names import Relation, literal, ours, text_array

# Tables, partitioned ones, materialised views (a REFRESH writes them anew) and views (by their definition).
COUNTED: Final = frozenset({"r", "p", "m", "v"})
_NAME: Final = ours("reads")
_SYSTEM: Final = frozenset({"pg_catalog", "information_schema"})
# One version of one row has its place and its transaction for itself.
_VERSION: Final = "pg_catalog.hashtextextended(pg_catalog.concat_ws(' ', t.tableoid, t.ctid, t.xmin), 0)"
# Of what a SELECT is made beside tables: functions, views, constraints of domains, words of enums.
_MADE_OF: Final = tuple(
    (f"pg_catalog.{name}", "t.oid >= 16384") for name in ("pg_proc", "pg_rewrite", "pg_constraint", "pg_enum")
)
_FIRST_WITH_SHARED_COUNTERS: Final = 15_00_00
_COLLECTING: Final = 0.75  # seconds: what a collector hands out is at most half a second old, and a session must end


@dataclass(frozen=True, slots=True)
class Reads:
    """The relations behind a Projection whose writes are counted, and in words what cannot be counted."""

    counted: frozenset[Relation] = frozenset()
    uncounted: tuple[str, ...] = ()

    def __or__(self, other: Reads) -> Reads:
        """Put together what several Projections read."""
        return Reads(self.counted | other.counted, tuple(dict.fromkeys(self.uncounted + other.uncounted)))


def read_by(conn: Connection, projection: Projection, search_path: str) -> Reads:
    """Find what a Projection reads: nothing is executed, in a transaction of its own that only reads."""
    with transaction(conn, read_only=True, search_path=search_path):
        locked = _locked(conn, _read(projection))
        relations = [(one, kind) for one, kind in _relations(conn, locked) if one.schema != "migrator"]
        functions = _functions(conn, projection, locked)
    return Reads(
        frozenset(one for one, kind in relations if kind in COUNTED and one.schema not in _SYSTEM),
        (*(_named(one, kind) for one, kind in relations if kind == "f" or one.schema in _SYSTEM), *functions),
    )


def versions(conn: Connection, projection: Projection, select: str, search_path: str) -> str | None:
    """Give a digest of the versions of all rows that a SELECT of a Projection reads, and of what it is made of.

    It is the same again only if nothing that is read was written to since; unlike counters of writes it never lags, and
    costs a scan of each table. None where nobody can say what is read.
    """
    with transaction(conn, read_only=True, isolation="repeatable read", search_path=search_path):
        locked = _locked(conn, select)
        relations = _relations(conn, locked)
        if _functions(conn, projection, locked) or any(kind == "f" or one.schema in _SYSTEM for one, kind in relations):
            return None
        sources = [(one.sql, "true") for one, kind in relations if kind != "v"]
        sources.append(("pg_catalog.pg_attribute", f"t.attrelid = ANY (ARRAY[{', '.join(map(str, locked))}]::oid[])"))
        asked = [
            f"SELECT {literal(name)}, count(*), bit_xor({_VERSION}) FROM {name} AS t WHERE {where}"
            for name, where in (*sources, *_MADE_OF)
        ]
        try:
            with conn.transaction():
                found = sorted(tuple(map(str, row)) for row in rows(conn, " UNION ALL ".join(asked)))
        except SqlError as error:
            if failures.kind(error) in {Failure.LOST, Failure.RETRY}:
                raise
            return None  # no right to ask for versions, or rows that have none
    return sha256(repr([select, found]).encode()).hexdigest()


def _locked(conn: Connection, select: str) -> list[int]:
    """List what a SELECT locks: not even planned; and all in one message, so that no pooler keeps a part of it."""
    _, ((locked,),), _ = results(
        conn,
        f"PREPARE {_NAME} AS {select};"
        " SELECT array_agg(DISTINCT relation::bigint) FROM pg_catalog.pg_locks WHERE locktype = 'relation'"
        " AND pid = pg_catalog.pg_backend_pid() AND relation <> 'pg_catalog.pg_locks'::pg_catalog.regclass;"
        f" DEALLOCATE {_NAME}",
    )
    return [int(one) for one in locked or ()]


def _relations(conn: Connection, locked: list[int]) -> list[tuple[Relation, str]]:
    """Name the tables and views among what was locked, each with its kind."""
    found = rows(
        conn,
        "SELECT n.nspname, c.relname, c.relkind FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE c.oid = ANY (ARRAY[{', '.join(map(str, locked))}]::oid[])"
        " AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1, 2",
    )
    return [(Relation(str(schema), str(name)), str(kind)) for schema, name, kind in found]


def _read(projection: Projection) -> str:
    """Write a SELECT that reads what the Projection reads, also where its groups stand in the Ledger."""
    if projection.grouping is None:
        return projection.raw()
    return f"SELECT FROM ({projection.raw()}) AS raw, ({projection.grouping.pairs()}) AS pairs"


def _named(relation: Relation, kind: str) -> str:
    return f"the foreign table {relation}" if kind == "f" else f"the system's {relation}"


def _functions(conn: Connection, projection: Projection, locked: list[int]) -> tuple[str, ...]:
    """Name the functions that may read tables nobody sees: called by the definition, or by a view it reads."""
    called = {name for part in projection.backfill.parts() if isinstance(part, Sql) for name in calls(part.text)}
    found = rows(
        conn,
        "SELECT DISTINCT p.proname FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace"
        " WHERE p.provolatile <> 'i' AND n.nspname <> 'pg_catalog' AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e"
        " WHERE e.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND e.objid = p.oid AND e.deptype = 'e')"
        f" AND (p.proname = ANY ({text_array(sorted(called))}) OR EXISTS (SELECT FROM pg_catalog.pg_rewrite r"
        " JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid"
        f" WHERE r.ev_class = ANY (ARRAY[{', '.join(map(str, locked))}]::oid[])"
        " AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.refobjid = p.oid)) ORDER BY 1",
    )
    return tuple(f"what the function {name}() reads" for (name,) in found)


def settle(conn: Connection) -> None:
    """Wait until the counters know what was written before; 14 has a process that collects them, and lags.

    Without it a proof made right after a load would be stale once: the load's last writes are counted after it.
    """
    if conn.info.server_version < _FIRST_WITH_SHARED_COUNTERS:
        execute(conn, f"SELECT pg_catalog.pg_sleep({_COLLECTING})")


def writes(conn: Connection, relations: Iterable[Relation]) -> Mapping[str, str]:
    """Count the writes to relations and to all that hold their rows: partitions, and tables that inherit.

    The counters are PostgreSQL's statistics; the file of a table tells of TRUNCATE and REFRESH, and its definition of
    a view. They may lag by seconds, and a reset makes a proof stale, never fresh.
    """
    named = ", ".join(f"({literal(one.schema)}, {literal(one.name)})" for one in sorted(relations))
    if not named:
        return {}
    found = rows(
        conn,
        "WITH RECURSIVE tree(oid) AS (SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
        f" ON n.oid = c.relnamespace WHERE (n.nspname, c.relname) IN ({named}) UNION SELECT i.inhrelid"
        " FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid)"
        " SELECT n.nspname, c.relname, pg_catalog.concat_ws(' ', pg_catalog.pg_stat_get_tuples_inserted(c.oid)"
        " + pg_catalog.pg_stat_get_tuples_updated(c.oid) + pg_catalog.pg_stat_get_tuples_deleted(c.oid),"
        " 'file ' || pg_catalog.pg_relation_filenode(c.oid), CASE WHEN c.relkind = 'v'"
        " THEN pg_catalog.md5(pg_catalog.pg_get_viewdef(c.oid)) END) FROM tree"
        " JOIN pg_catalog.pg_class c ON c.oid = tree.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace",
    )
    return {str(Relation(str(schema), str(name))): str(said) for schema, name, said in found}
