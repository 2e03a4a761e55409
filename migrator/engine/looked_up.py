"""Long files of Parameters, before the Ledger has their lines: only the lines that a source asks for are sent along.

Without it a file of a million lines would stand in every statement of a plan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from migrator.database.connect import Connection
from migrator.database.session import rows
from migrator.model.backfill import Backfill
from migrator.model.expressions import Column, Given
from migrator.model.names import EXACTLY, quote
from migrator.model.parameters import Arguments, Mapping
from migrator.model.tables import Table

AT_ONCE: Final = 50_000
Line = tuple[str, str]


def asked_for(conn: Connection, backfill: Backfill, source: Table, arguments: Arguments) -> Arguments:
    """Give the arguments with those lines alone that rows of the source look up by a column, where files are long."""
    if backfill.in_place:  # what is looked up may be what stood there before
        return arguments
    files = {
        name: _narrowed(conn, one, _columns(backfill, source, name), source) for name, one in arguments.files.items()
    }
    return replace(arguments, files=files)


def _columns(backfill: Backfill, source: Table, name: str) -> Sequence[str]:
    """Name the columns by which a file is looked up; none where only an expression tells."""
    found = []
    for part in backfill.parts():
        if isinstance(part, Given) and part.parameter.name == name:
            column = part.by.name if isinstance(part.by, Column) else backfill.keys[0] if part.by is None else ""
            if source.column(column) is None:
                return ()
            found.append(column)
    return found


def _narrowed(conn: Connection, content: Mapping, columns: Sequence[str], source: Table) -> Mapping:
    batches = _batches(iter(content.rows))
    first = next(batches, [])
    if not columns or len(first) < AT_ONCE:
        return content
    values = (f"SELECT s.{quote(one)}::text {EXACTLY} FROM {source.relation.sql} AS s" for one in columns)
    asked = (
        "SELECT lines.key, lines.value FROM unnest(%s::text[], %s::text[]) AS lines(key, value)"
        f" WHERE lines.key IN ({' UNION '.join(values).replace('%', '%%')})"
    )
    found: list[Line] = []
    batch = first
    while batch:
        keys, said = zip(*batch, strict=True)
        found += [(str(key), str(value)) for key, value in rows(conn, asked, (list(keys), list(said)))]
        batch = next(batches, [])
    # The lines are known by what they are: another source asks for others of the same file.
    digest = hashlib.sha256(repr(found).encode()).hexdigest()
    return Mapping(path=content.path, rows=tuple(found), digest=digest)


def _batches(lines: Iterator[Line]) -> Iterator[list[Line]]:
    while batch := list(islice(lines, AT_ONCE)):
        yield batch
