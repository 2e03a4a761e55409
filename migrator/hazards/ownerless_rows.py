"""H104: rows without an owner, under policies that show such rows to everybody (V-T3)."""

from __future__ import annotations

from migrator.engine.prepare import Prepared
from migrator.model.expressions import Missing
from migrator.model.step import Hazard


def find(prepared: Prepared) -> list[Hazard]:
    """Warn where a column is left NULL on which a policy says "or it is NULL"."""
    return [
        _hazard(prepared, name, why, policies)
        for name, why in prepared.projection.backfill.missing().items()
        if not _is_given(prepared, why) and (policies := _policies(prepared, name))
    ]


def _is_given(prepared: Prepared, why: Missing) -> bool:
    given = prepared.change.arguments
    name = None if why.unless is None else why.unless.parameter.name
    return name is not None and (name in given.files or given.scalars.get(name) is not None)


def _policies(prepared: Prepared, name: str) -> list[str]:
    policies = prepared.projection.target.policies
    return [one.name for one in policies if f"{name} is null" in one.definition.lower().replace('"', "")]


def _hazard(prepared: Prepared, name: str, why: Missing, policies: list[str]) -> Hazard:
    given = f"give --param {why.unless.parameter.name}=FILE, or " if why.unless else ""
    return Hazard(
        id="H104",
        what=f"{prepared.projection.target.relation}: rows with {name} NULL are visible to, and can be taken by,"
        f" every signed-in user ({', '.join(policies)})",
        cure=f'{given}drop the "or {name} is null" of these policies',
    )
