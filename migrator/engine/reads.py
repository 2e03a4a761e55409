"""What a Projection reads besides its source, and how often all of it was written to.

The server itself says it: preparing the SELECT locks every relation in it, also those that views bring in, and a
transaction that only reads may ask for its locks (docs/postgresql.md, finding 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from migrator.database.connect import Connection
from migrator.database.session import execute, results, rows, transaction
from migrator.engine.projection.projection import Projection
from migrator.engine.projection.purity import calls
from migrator.model.expressions import Sql
from migrator.model.names import Relation, literal, ours, text_array

# Tables, partitioned ones, materialised views (a REFRESH writes them anew) and views (by their definition).
COUNTED: Final = frozenset({"r", "p", "m", "v"})
_NAME: Final = ours("reads")
_SYSTEM: Final = frozenset({"pg_catalog", "information_schema"})
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
        # Not even planned; and all in one message, so that no pooler keeps a part of it.
        _, ((locked,),), _ = results(
            conn,
            f"PREPARE {_NAME} AS {_read(projection)};"
            " SELECT array_agg(DISTINCT relation::bigint) FROM pg_catalog.pg_locks WHERE locktype = 'relation'"
            " AND pid = pg_catalog.pg_backend_pid() AND relation <> 'pg_catalog.pg_locks'::pg_catalog.regclass;"
            f" DEALLOCATE {_NAME}",
        )
        found = rows(
            conn,
            "SELECT n.nspname, c.relname, c.relkind FROM pg_catalog.pg_class c"
            " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            f" WHERE c.oid = ANY (ARRAY[{', '.join(map(str, locked or ()))}]::oid[])"
            " AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname <> 'migrator' ORDER BY 1, 2",
        )
        functions = _functions(conn, projection, [int(one) for one in locked or ()])
    relations = [(Relation(str(schema), str(name)), str(kind)) for schema, name, kind in found]
    return Reads(
        frozenset(one for one, kind in relations if kind in COUNTED and one.schema not in _SYSTEM),
        (*(_named(one, kind) for one, kind in relations if kind == "f" or one.schema in _SYSTEM), *functions),
    )


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
