"""Balances of objects: what rows name, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.cli.render.words import WIDTH, columns, number, size
from migrator.model.verdict import ObjectBalance


def objects(given: Sequence[ObjectBalance], *, width: int = WIDTH) -> list[str]:
    """Write Balances of objects as a table, one line each; faults stand below, each under its name."""
    if not given:
        return []
    table: list[tuple[str, ...]] = [
        ("", "objects", "copied", "there already", "faults", "pending", "unaccounted", "bytes")
    ]
    for one in given:
        figures = (one.listed, one.copied, one.there, sum(one.faults.values()), one.pending, one.unaccounted)
        named = one.name if _is_alone(one, given) else f"{one.backfill}: {one.name}"
        table.append((named, *map(number, figures), size(one.bytes)))
    made = columns(table, right=range(1, len(table[0])), width=width)
    faults = [(f"{one.name}: {what}", number(count)) for one in given for what, count in one.faults.items()]
    return [*made, *columns(faults, right=(1,), indent="  ", width=width)]


def _is_alone(one: ObjectBalance, given: Sequence[ObjectBalance]) -> bool:
    return [each.name for each in given].count(one.name) == 1
