"""Differences: the columns in which a row that is altered or stale differs from what the Projection gives."""

from __future__ import annotations

from dataclasses import replace

from migrator.database.connect import Connection
from migrator.database.session import rows
from migrator.engine.projection.images import image
from migrator.engine.ranges import Keyset
from migrator.engine.statements import Writing
from migrator.model.names import EXACTLY, literal, quote
from migrator.model.tables import TableColumn
from migrator.model.verdict import ColumnDifference, RowVerdict


def with_columns(conn: Connection, writing: Writing, verdict: RowVerdict) -> RowVerdict:
    """Name the columns of a row that differ, inside the open transaction."""
    found = rows(conn, _sql(writing, verdict))
    differences = tuple(ColumnDifference(column=name, found=a, expected=b) for name, a, b in found)
    return replace(verdict, columns=differences)


def _sql(writing: Writing, verdict: RowVerdict) -> str:
    projection = writing.projection
    key = tuple(verdict.source_key.values())
    identity = " AND ".join(
        f"t.{quote(name)} = {literal(text)}::{_type(projection.identity, name)}"
        for name, text in verdict.target_key.items()
    )
    walked = Keyset.of_provenance(writing.recorded.provenance, projection.keys)
    merged = f"SELECT FROM {walked.relation} AS {walked.alias} WHERE {walked.at(key)} AND walked.kind = 'merged'"
    ours = {one.name for one in projection.recognised} | set(projection.backfill.fills)
    pairs = ", ".join(_pair(one, ours=one.name in ours) for one in projection.compared)
    return (
        f"SELECT c.name, c.found, c.expected FROM ({projection.select(writing.keyset.at(key))}) AS p"
        f" JOIN {projection.target.relation.sql} AS t ON {identity}"
        f" CROSS JOIN LATERAL (VALUES {pairs}) AS c(name, ours, their_image, found, our_image, expected)"
        f" WHERE c.their_image IS DISTINCT FROM c.our_image AND (c.ours OR NOT EXISTS ({merged}))"
    )


def _type(columns: tuple[TableColumn, ...], name: str) -> str:
    return next(one.type.name for one in columns if one.name == name)


def _pair(column: TableColumn, *, ours: bool) -> str:
    """Write one row of VALUES: name, whether a merge compares it, image and text of target and of Projection."""
    found, expected = f"t.{quote(column.name)}", f"p.{quote(column.name)}"
    sides = [f"({image(column, side)})::text {EXACTLY}, {side}::text" for side in (found, expected)]
    return f"({literal(column.name)}, {literal(ours)}, {', '.join(sides)})"
