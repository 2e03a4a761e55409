"""H105: triggers of the application that fire for every row moved (mail, queues, counters)."""

from __future__ import annotations

from typing import Final

from migrator.engine.prepare import Prepared
from migrator.model.backfill import Backfill
from migrator.model.step import Hazard
from migrator.model.tables import Trigger

GUARD: Final = "migrator.applying"


def _fires_in_place(trigger: Trigger, backfill: Backfill) -> bool:
    named = trigger.update_of
    return trigger.on_update and (not named or not set(named).isdisjoint(backfill.columns))


def find(prepared: Prepared) -> list[Hazard]:
    """Warn of triggers on the target that fire for our writes: for inserts, in place for updates of what is written."""
    target, backfill = prepared.projection.target, prepared.projection.backfill
    triggers = [
        one.name
        for one in target.triggers
        if (_fires_in_place(one, backfill) if backfill.in_place else one.on_insert) and GUARD not in one.definition
    ]
    if not triggers:
        return []
    writing = "writing" if backfill.in_place else "inserting into"
    return [
        Hazard(
            id="H105",
            what=f"{writing} {target.relation} fires {', '.join(triggers)} for every row moved",
            cure=f"look what they do, and guard them: WHEN (coalesce(current_setting('{GUARD}', true), '') = '')",
        )
    ]
