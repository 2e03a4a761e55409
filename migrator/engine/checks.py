"""Checks of a change: a second, independent formulation of what is true, written in SQL by whoever knows the tables.

A check is a query that must return no row. An index check is a query that the server must be able to answer without
reading a whole table of the change; it is only explained, never run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from migrator.database import failures
from migrator.database.connect import Connection
from migrator.database.failures import Failure, SqlError
from migrator.database.session import execute, rows, transaction, value
from migrator.model.change import Change
from migrator.model.errors import ConfigurationError
from migrator.model.names import Relation, quote
from migrator.model.verdict import Verdict

SHOWN: Final = 5
WORK_MEM: Final = "128MB"
LONGEST: Final = 60
# What is wrong with a query and not with the world; a query that writes is one of them.
_WRONG: Final = frozenset({Failure.DEFINITION, Failure.ROW, Failure.READ_ONLY})


def run_checks(conn: Connection, change: Change, targets: Mapping[Relation, str], search_path: str) -> list[Verdict]:
    """Run every check of a change in one snapshot that the server holds READ ONLY.

    `targets` are the tables that no index check may read whole, with the names people know them by.
    Raises ConfigurationError M131 for a check whose SQL is wrong.
    """
    if not change.checks and not change.index_checks:
        return []
    with transaction(
        conn, read_only=True, isolation="repeatable read", search_path=search_path, work_mem=WORK_MEM
    ) as reading:
        found = [_check(reading, change, name, sql) for name, sql in change.checks.items()]
        execute(reading, "SELECT pg_catalog.set_config('enable_seqscan', 'off', true)")
        return found + [_index_check(reading, change, name, sql, targets) for name, sql in change.index_checks.items()]


def _check(conn: Connection, change: Change, name: str, sql: str) -> Verdict:
    """Count the rows of a query, and name the first of them by its first column."""
    query = f"SELECT count(*) OVER (), failing.* FROM (\n{sql}\n) AS failing LIMIT {SHOWN}"
    try:
        with conn.transaction():
            found = rows(conn, query)
    except SqlError as error:
        if failures.kind(error) not in _WRONG:
            raise
        raise _wrong(change, "checks", name, error) from error
    return Verdict(claim=f"check: {name}", proven=not found, evidence=_rows_said(found))


def _rows_said(found: list[tuple[Any, ...]]) -> str:
    if not found:
        return "no row fails it"
    number = int(found[0][0])
    firsts = ", ".join(_short(row[1]) for row in found if len(row) > 1)
    more = ", …" if number > len(found) else ""
    return f"{number:,} row{'' if number == 1 else 's'}{f': {firsts}{more}' if firsts else ''}"


def _short(found: object) -> str:
    text = "NULL" if found is None else str(found)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _index_check(conn: Connection, change: Change, name: str, sql: str, targets: Mapping[Relation, str]) -> Verdict:
    """Ask how the server would answer a query if it could help it not to read whole tables."""
    try:
        with conn.transaction():
            plan = value(conn, f"EXPLAIN (VERBOSE, FORMAT JSON) SELECT * FROM (\n{sql}\n) AS asked")
    except SqlError as error:
        if failures.kind(error) not in _WRONG:
            raise
        raise _wrong(change, "index_checks", name, error) from error
    scanned = (_scanned(node) for node in _nodes(plan[0]["Plan"]))
    read = dict.fromkeys(targets[one] for one in scanned if one in targets)
    evidence = f"reads all of {', '.join(read)}: no index serves it" if read else "an index serves it"
    return Verdict(claim=f"index check: {name}", proven=not read, evidence=evidence)


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for inner in node.get("Plans", ()):
        yield from _nodes(inner)


def _scanned(node: Mapping[str, Any]) -> Relation:
    """Say which table a node of a plan reads from one end to the other; any other node gives a name nothing has."""
    if "Seq Scan" not in str(node.get("Node Type")):
        return Relation("", "")
    return Relation(str(node.get("Schema")), str(node.get("Relation Name")))


def _wrong(change: Change, kind: str, name: str, error: SqlError) -> ConfigurationError:
    return ConfigurationError(
        "M131",
        f"the check {quote(name)} of {change.name} cannot be run: {failures.message(error)}.",
        f"Mend its SQL in migrator.toml, under [change.{change.name}.{kind}].",
    )
