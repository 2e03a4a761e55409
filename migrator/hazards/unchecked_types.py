"""H101: the shape of a target is not known before expand, so that casts and constraints cannot be foretold."""

from __future__ import annotations

from migrator.engine.prepare import Prepared
from migrator.model.step import Hazard


def find(prepared: Prepared) -> list[Hazard]:
    """Warn where the target stands in as text; the plan's notes say why."""
    if prepared.checked:
        return []
    return [
        Hazard(
            id="H101",
            what=f"types unchecked: the shape of {prepared.projection.target.relation} is not known before expand",
            cure="give an empty scratch database (scratch_url in migrator.toml), or install pg-migrator[demo]",
        )
    ]
