"""Twins: source rows that share a value which is unique in the target. The first of them by source key holds it.

Only foretelling asks, at the price of reading them all; once rows are in the target, the target itself tells.
"""

from __future__ import annotations

from migrator.engine.projection.compiled import FAULT, RULE, Compiled, Contested
from migrator.engine.projection.layers import Part, cast
from migrator.engine.projection.moving import GATE
from migrator.model.names import ours, quote


def join(of: Compiled, contested: Contested, awaited: str, faults: list[str]) -> str:
    """Join the source row that comes first among those sharing a unique value and without a fault of their own.

    `faults` are the conditions that keep one from moving, and `awaited` the joins that these read.
    """
    alias, name = of.target_alias, _name(contested)
    by = ", ".join(f"{alias}.{quote(one)}" for one in contested.columns)
    keys = ", ".join(of.key_columns(alias))
    sound = [f"{alias}.{quote(one)} IS NULL" for one in (RULE, FAULT)]
    sound += [f"{alias}.{quote(GATE)} IS NULL"] if of.moving else []
    sound += [f"({one}) IS NOT TRUE" for one in faults]
    sound += [f"{alias}.{quote(one)} IS NOT NULL" for one in contested.columns]
    places = [(ours(f"by{n}"), f"{alias}.{quote(one)}") for n, one in enumerate(contested.columns, 1)]
    named = ", ".join(f"{value} AS {place}" for place, value in places)
    on = " AND ".join(f"{name}.{place} = {value}" for place, value in places)
    return (
        f"\n LEFT JOIN (SELECT DISTINCT ON ({by}) {named}, {keys} FROM ({cast(of, Part())}) AS {alias}{awaited}"
        f" WHERE {' AND '.join(sound)} ORDER BY {by}, {keys}) AS {name} ON {on}"
    )


def lost(of: Compiled, contested: Contested) -> str:
    """Write the code of a row whose value its twin holds; one whose objects are not there does not compete."""
    pairs = zip(of.key_columns(_name(contested)), of.key_columns(of.target_alias), strict=True)
    other = " OR ".join(f"{a} <> {b}" for a, b in pairs)
    if of.moving:
        other = f"{of.target_alias}.{quote(GATE)} IS NULL AND ({other})"
    return f"CASE WHEN {other} THEN {contested.code} END"


def _name(contested: Contested) -> str:
    return ours(f"twin{contested.code}")
