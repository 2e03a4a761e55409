"""H104: rows without an owner, under policies that show such rows to everybody (V-T3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from migrator.engine.prepare import Prepared
from migrator.model.expressions import Missing
from migrator.model.names import Relation
from migrator.model.step import Hazard

Left = tuple[Prepared, Missing]


def find(prepared: Iterable[Prepared]) -> list[Hazard]:
    """Warn, once for each target, where a column may be left NULL on which a policy says "or it is NULL"."""
    found: dict[tuple[Relation, str], list[Left]] = {}
    for one in prepared:
        for name, why in one.projection.backfill.missing().items():
            if _policies(one, name):
                found.setdefault((one.projection.target.relation, name), []).append((one, why))
    return [_hazard(target, name, left) for (target, name), left in found.items()]


def _given(prepared: Prepared, why: Missing) -> list[str]:
    """Name the parameters that are given and can fill the column."""
    given = prepared.change.arguments
    return [name for name in _names(why) if name in given.files or given.scalars.get(name) is not None]


def _names(why: Missing) -> list[str]:
    return [one.parameter.name for one in why.unless]


def _policies(prepared: Prepared, name: str) -> list[str]:
    policies = prepared.projection.target.policies
    return [one.name for one in policies if f"{name} is null" in one.definition.lower().replace('"', "")]


def _hazard(target: Relation, name: str, left: Sequence[Left]) -> Hazard:
    policies = _policies(left[0][0], name)
    given = list(dict.fromkeys(one for prepared, why in left for one in _given(prepared, why)))
    could = dict.fromkeys(one for _, why in left for one in _names(why))
    every = all(_given(prepared, why) for prepared, why in left)
    whom = f"rows that {' and '.join(given)} does not name, with {name} NULL," if every else f"rows with {name} NULL"
    ways = " or ".join(f"--param {one}=FILE" for one in could if one not in given)
    cure = f"name every row in {' or '.join(given)}, or " if given else ""
    cure += f"give {ways}, or " if ways and not every else ""
    return Hazard(
        id="H104",
        what=f"{target}: {whom} are visible to, and can be taken by, every signed-in user ({', '.join(policies)})",
        cure=f'{cure}drop the "or {name} is null" of these policies',
    )
