"""What compile asks of a database, asked of a real one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache

from migrator.database import failures, inventory
from migrator.database.connect import Connection
from migrator.database.explaining import as_error
from migrator.database.failures import Failure, SqlError
from migrator.database.session import INPUT_CHECK, LEDGER_TESTS_INPUT, execute, rows, value
from migrator.engine.projection.casts import CastContext
from migrator.engine.projection.catalog import Catalog
from migrator.model.names import text_array
from migrator.model.tables import TypeOf

_FIRST_WITH_INPUT_CHECK = 160_000


def catalog_of(conn: Connection) -> Catalog:
    """Bind the questions of compile to a connection, inside whatever transaction it is in."""

    @contextmanager
    def reading() -> Iterator[None]:
        try:
            with conn.transaction():
                yield
        except SqlError as error:
            # A missing right or a lost connection is no fault of the definition, and is explained further up.
            if failures.kind(error) not in {Failure.DEFINITION, Failure.ROW}:
                raise
            raise as_error(error, "reading the definition") from error

    def describe(sql: str) -> list[TypeOf]:
        with reading():
            return inventory.describe(conn, sql)

    def plan(sql: str) -> None:
        with reading():
            rows(conn, f"EXPLAIN {sql}")

    def by_index(sql: str) -> bool:
        with reading(), conn.transaction(force_rollback=True):
            execute(conn, "SELECT pg_catalog.set_config('enable_seqscan', 'off', true)")
            said = str(value(conn, f"EXPLAIN (FORMAT JSON, COSTS off) {sql}"))
        return "Index Cond" in said and "Seq Scan" not in said

    @cache
    def known(name: str) -> TypeOf | None:
        return inventory.type_named(conn, name)

    @cache
    def context(source: int, target: int) -> CastContext:
        return inventory.cast_context(conn, source, target)

    def context_of(source: TypeOf, target: TypeOf) -> CastContext:
        """Ask by the numbers this server gives: a target still to be made was looked at on another one."""
        here = target if target.builtin else known(target.name)
        return context(source.oid, here.oid) if here and source.oid and here.oid else None

    def exists(wanted: TypeOf) -> bool:
        """Say whether the type is known here by now, an enum with all its words."""
        here = wanted if wanted.builtin else known(wanted.name)
        return here is not None and set(wanted.labels) <= set(here.labels)

    def volatile(names: Collection[str]) -> set[str]:
        """List the names all of whose functions are volatile."""
        found = rows(
            conn,
            "SELECT proname FROM pg_catalog.pg_proc"
            f" WHERE proname = ANY ({text_array(sorted(names))}) GROUP BY proname HAVING bool_and(provolatile = 'v')",
        )
        return {str(name) for (name,) in found}

    return Catalog(
        describe=describe,
        plan=plan,
        by_index=by_index,
        cast_context=context_of,
        type_exists=exists,
        volatile=volatile,
        input_check=_input_check(conn),
    )


def _input_check(conn: Connection) -> str | None:
    """Name the function that tests a text for a type; before PostgreSQL 16 the Ledger's, or the transaction's own."""
    version = int(value(conn, "SELECT current_setting('server_version_num')"))
    if version >= _FIRST_WITH_INPUT_CHECK:
        return "pg_catalog.pg_input_is_valid"
    if value(conn, f"SELECT {LEDGER_TESTS_INPUT}"):
        return "migrator.is_valid_input"
    own = f"pg_catalog.to_regprocedure('{INPUT_CHECK}(text,text)')"
    return INPUT_CHECK if value(conn, f"SELECT {own} IS NOT NULL") else None
