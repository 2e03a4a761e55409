"""H104: rows without an owner, under policies that show such rows to everybody (V-T3)."""

from __future__ import annotations

from migrator.engine.prepare import Prepared
from migrator.model.expressions import Missing
from migrator.model.step import Hazard


def find(prepared: Prepared) -> list[Hazard]:
    """Warn where a column may be left NULL on which a policy says "or it is NULL"."""
    return [
        _hazard(prepared, name, why, policies)
        for name, why in prepared.projection.backfill.missing().items()
        if (policies := _policies(prepared, name))
    ]


def _given(prepared: Prepared, why: Missing) -> list[str]:
    """Name the parameters that are given and can fill the column."""
    given = prepared.change.arguments
    names = [one.parameter.name for one in why.unless]
    return [name for name in names if name in given.files or given.scalars.get(name) is not None]


def _policies(prepared: Prepared, name: str) -> list[str]:
    policies = prepared.projection.target.policies
    return [one.name for one in policies if f"{name} is null" in one.definition.lower().replace('"', "")]


def _hazard(prepared: Prepared, name: str, why: Missing, policies: list[str]) -> Hazard:
    given = _given(prepared, why)
    whom = f"rows that {' and '.join(given)} does not name, with {name} NULL," if given else f"rows with {name} NULL"
    ways = " or ".join(f"--param {one.parameter.name}=FILE" for one in why.unless)
    cure = f"name every row in {' or '.join(given)}, or " if given else f"give {ways}, or " if ways else ""
    return Hazard(
        id="H104",
        what=f"{prepared.projection.target.relation}: {whom} are visible to, and can be taken by,"
        f" every signed-in user ({', '.join(policies)})",
        cure=f'{cure}drop the "or {name} is null" of these policies',
    )
