"""Asking the catalog: one message, and names that print the same under any setting."""

from __future__ import annotations

from typing import Any

from migrator.database.connect import Connection
from migrator.database.session import PINS, Row, pins, results
from migrator.model.names import literal

# Names which are printed stand in no schema but pg_catalog, so that every other one is qualified.
QUALIFIED = "pg_catalog"

SYSTEM_SCHEMAS = "('information_schema', 'migrator')"

# Compiling a query over the catalog takes longer than running it; a role's statement_timeout is for its own queries.
_OURS = {"jit": "off", "statement_timeout": "0"}
_PUT_BACK = ("search_path", *_OURS)
_KEEP = "SELECT " + ", ".join(
    f"set_config('migrator.outer_{name}', current_setting('{name}'), true)" for name in _PUT_BACK
)
_GIVE_BACK = "SELECT " + ", ".join(
    f"set_config('{name}', current_setting('migrator.outer_{name}'), true)" for name in _PUT_BACK
)


def ask(conn: Connection, *queries: str, search_path: str = QUALIFIED) -> list[list[Row]]:
    """Run queries in one message, under our settings, and give back the rows of each.

    Outside a transaction the message is one of its own, so nothing stays behind; inside one,
    what differs from our usual settings is put back afterwards.
    """
    settings = {name: value for name, value in PINS.items() if name != "row_security"}
    before = [_KEEP, pins({**settings, **_OURS, "search_path": search_path})]
    found = results(conn, ";\n".join([*before, *queries, _GIVE_BACK]))
    return found[len(before) : len(before) + len(queries)]


def ask_one(conn: Connection, query: str, *, search_path: str = QUALIFIED) -> list[Row]:
    """Run one query as `ask` does."""
    return ask(conn, query, search_path=search_path)[0]


def value(conn: Connection, query: str, *, search_path: str = QUALIFIED) -> Any:
    """Run one query as `ask` does, for the first value of its first row."""
    found = ask_one(conn, query, search_path=search_path)
    return found[0][0] if found else None


def in_schemas(schemas: tuple[str, ...] | None, column: str) -> str:
    """Write the condition that a schema is one of these, or neither the system's nor ours."""
    if schemas is not None:
        return f"{column} IN ({', '.join(map(literal, schemas)) or 'NULL'})"
    return f"{column} NOT LIKE 'pg\\_%' AND {column} NOT IN {SYSTEM_SCHEMAS}"
