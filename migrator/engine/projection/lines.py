"""Lines of a Parameter that is a file or a table, as rows of keys and values that a source row is looked up in."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from migrator.model.names import EXACTLY, Relation, literal, ours
from migrator.model.parameters import Mapping

VALUE = ours("value")


def join(alias: str, lines: str, looked_up: str) -> str:
    """Write the join that finds the line whose key is a value's text."""
    return (
        f"LEFT JOIN {lines} AS {alias}({ours('key')}, {VALUE}) ON {alias}.{ours('key')} = ({looked_up})::text {EXACTLY}"
    )


def stored(change: str, parameter: str) -> str:
    """Read the lines of a file where the Ledger keeps them."""
    where = f"change = {literal(change)} AND parameter = {literal(parameter)}"
    return f"(SELECT key, value FROM migrator.parameter_line WHERE {where})"


@lru_cache(maxsize=2)  # asked for many times while a definition is compiled, and long
def inline(content: Mapping) -> str:
    """Write the lines of a file as rows, each column as one constant: a million of them is no expression to parse."""
    columns = [_array_of(row[place] for row in content.rows) for place in (0, 1)]
    return f"(SELECT * FROM unnest({', '.join(columns)}) AS lines(key, value))"


def _array_of(texts: Iterable[str]) -> str:
    quoted = (one.replace("\\", "\\\\").replace('"', '\\"') for one in texts)
    elements = ", ".join(f'"{one}"' for one in quoted)
    return f"{literal('{' + elements + '}')}::text[]"


def of_table(table: str) -> str:
    """Read keys and values of a table, by its first two columns; a key that stands for two values has none."""
    exact = f"lines.key::text {EXACTLY}"
    return (
        f"(SELECT {exact}, CASE WHEN min(lines.value::text {EXACTLY}) = max(lines.value::text {EXACTLY})"
        f" THEN min(lines.value::text) END FROM {Relation.parse(table).sql} AS lines(key, value) GROUP BY {exact})"
    )
