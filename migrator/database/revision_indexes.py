"""Indexes that a revision wants built CONCURRENTLY: their statements, read without Alembic."""

from __future__ import annotations

import re
from typing import Final

from migrator.model.errors import ConfigurationError

_INDEX: Final = re.compile(r'CREATE (?:UNIQUE )?INDEX ("(?:[^"]|"")+"|\w+) ON ("(?:[^"]|"")+"|\w+)\.')


def index_name(statement: str) -> str:
    """Give the name of the index that a statement builds, with its schema, as in SQL.

    Raises ConfigurationError M207 for a statement that is not written as the server writes it.
    """
    found = _INDEX.match(statement)
    if found is None:
        raise ConfigurationError(
            "M207",
            f"A revision wants this built CONCURRENTLY, and it cannot be read: {statement}.",
            "Write it as the server does: CREATE INDEX name ON schema.table USING btree (column).",
        )
    return f"{found[2]}.{found[1]}"


def building(statement: str) -> str:
    """Write the statement that builds the index without stopping writers."""
    index_name(statement)
    return statement.replace("INDEX ", "INDEX CONCURRENTLY ", 1)
