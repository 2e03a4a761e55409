"""H162: values that a file of a Parameter is asked for, and has no line for; how many, and of how many rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from migrator.database.connect import Connection
from migrator.database.session import Parameters, one
from migrator.engine.prepare import Prepared
from migrator.model.expressions import Column, Given
from migrator.model.names import EXACTLY, Relation, quote
from migrator.model.step import Hazard

AT_ONCE: Final = 100_000
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
    value = f"s.{quote(column)}::text {EXACTLY}"
    counted = f"SELECT count(DISTINCT {value}), count({value}) FROM {source.sql} AS s"
    asked = f"{counted} WHERE {value}".replace("%", "%%")
    values, without = _counts(conn, counted)
    unnamed = values
    for keys in _batches(key for key, _ in prepared.change.arguments.files[parameter].rows):
        known_values, known_rows = _counts(conn, f"{asked} = ANY (%s::text[])", (keys,))
        unnamed, without = unnamed - known_values, without - known_rows
    if not unnamed:
        return None
    return Hazard(
        id="H162",
        what=f"{parameter} has no line for {unnamed:,} of {values:,} values of {source}.{column}: {without:,} rows",
        cure=f"add a line for each to {prepared.change.arguments.files[parameter].path.name}, or see in the plan what"
        " becomes of these rows",
    )


def _counts(conn: Connection, sql: str, params: Parameters = None) -> tuple[int, int]:
    found = one(conn, sql, params)
    assert found is not None  # aggregates
    return int(found[0]), int(found[1])


def _batches(keys: Iterable[str]) -> Iterator[list[str]]:
    """Cut many keys into lists: a file may have a million."""
    left = iter(keys)
    while batch := list(islice(left, AT_ONCE)):
        yield batch
