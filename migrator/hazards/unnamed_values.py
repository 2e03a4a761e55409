"""H162: values that a file of a Parameter is asked for, and has no line for; how many, and of how many rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from migrator.database.connect import Connection
from migrator.database.session import one
from migrator.engine.prepare import Prepared
from migrator.model.expressions import Column, Given
from migrator.model.names import EXACTLY, Relation, quote
from migrator.model.step import Hazard

Asked = tuple[Relation, str, str]  # a source, its column, a parameter


def find(conn: Connection, prepared: Iterable[Prepared]) -> list[Hazard]:
    """Warn, once for each column, where values are looked up in a file that does not name them all."""
    asked = {key: each for each in prepared for key in _lookups(each)}
    return [hazard for key, each in asked.items() if (hazard := _hazard(conn, each, *key)) is not None]


def _lookups(prepared: Prepared) -> Iterator[Asked]:
    source, files = prepared.projection.source, prepared.change.arguments.files
    for part in prepared.projection.backfill.parts():
        if not isinstance(part, Given) or not isinstance(part.by, Column) or part.parameter.name not in files:
            continue
        if source.column(part.by.name) is not None:
            yield source.relation, part.by.name, part.parameter.name


def _hazard(conn: Connection, prepared: Prepared, source: Relation, column: str, parameter: str) -> Hazard | None:
    lines = [key for key, _ in prepared.change.arguments.files[parameter].rows]
    value = f"s.{quote(column)}::text {EXACTLY}"
    found = one(
        conn,
        f"SELECT count(DISTINCT {value}) FILTER (WHERE known.key IS NULL), count(DISTINCT {value}),"
        f" count(*) FILTER (WHERE known.key IS NULL) FROM {source.sql} AS s"
        f" LEFT JOIN unnest(%s::text[]) AS known(key) ON known.key = {value} WHERE s.{quote(column)} IS NOT NULL",
        (lines,),
    )
    assert found is not None  # an aggregate
    unnamed, values, rows = (int(number) for number in found)
    if not unnamed:
        return None
    return Hazard(
        id="H162",
        what=f"{parameter} has no line for {unnamed:,} of {values:,} values of {source}.{column}: {rows:,} rows",
        cure=f"add a line for each to {prepared.change.arguments.files[parameter].path.name}, or see in the plan what"
        " becomes of these rows",
    )
