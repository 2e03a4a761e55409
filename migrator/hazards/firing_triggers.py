"""H105: triggers of the application that fire for every row moved (mail, queues, counters)."""

from __future__ import annotations

from typing import Final

from migrator.engine.prepare import Prepared
from migrator.model.step import Hazard

GUARD: Final = "migrator.applying"


def find(prepared: Prepared) -> list[Hazard]:
    """Warn of insert triggers on the target that are not guarded against our writes."""
    target = prepared.projection.target
    triggers = [one.name for one in target.triggers if one.on_insert and GUARD not in one.definition]
    if not triggers:
        return []
    return [
        Hazard(
            id="H105",
            what=f"inserting into {target.relation} fires {', '.join(triggers)} for every row moved",
            cure=f"look what they do, and guard them: WHEN (coalesce(current_setting('{GUARD}', true), '') = '')",
        )
    ]
