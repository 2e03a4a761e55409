"""What the legacy databases of all documented changes are built with: scripts with values, and a digest of all rows."""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from typing import TYPE_CHECKING

from migrator.model.names import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from migrator.database.connect import Connection


def run_script(connection: Connection, package: str, name: str, values: Mapping[str, object] | None = None) -> None:
    """Run the statements of a file of a package, with values where it names some."""
    script = files(package).joinpath(name).read_text(encoding="utf-8")
    if values is None:
        connection.execute(script.encode())
        return
    # Only a single statement can carry values; none of ours has a semicolon within it.
    for statement in re.split(r";\n", script):
        if statement.strip():
            connection.execute(statement.encode(), values)


def make_role(connection: Connection, name: str) -> None:
    """Make a role, unless the server has it from another database."""
    known = connection.execute(b"SELECT FROM pg_catalog.pg_roles WHERE rolname = %s", (name,)).fetchone()
    if known is None:
        connection.execute(f"CREATE ROLE {quote(name)}".encode())


def digest(connection: Connection, *tables: str, rows: Mapping[str, str] | None = None) -> str:
    """Return one digest of all rows of the tables; `rows` says of some what is digested of a row `t`, if not all."""
    with connection.transaction():
        connection.execute("SET LOCAL TimeZone = 'UTC'")
        sums = [_digest_of(connection, table, (rows or {}).get(table, "t")) for table in tables]
    return hashlib.sha256(repr(sums).encode()).hexdigest()


def _digest_of(connection: Connection, table: str, row: str) -> tuple[object, ...]:
    query = f'SELECT count(*), sum(hashtextextended(({row})::text, 0)) FROM public."{table}" AS t'
    found: tuple[object, ...] = connection.execute(query.encode()).fetchone() or ()
    return (table, *map(str, found))
