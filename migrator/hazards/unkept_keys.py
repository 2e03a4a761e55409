"""H140: sources whose key is unique today, and nothing keeps it so (views, foreign tables, inheritance)."""

from __future__ import annotations

from migrator.engine.prepare import Prepared
from migrator.model.step import Hazard


def find(prepared: Prepared) -> list[Hazard]:
    """Warn where keys were counted, because no unique index speaks for all rows of the source."""
    source, keys = prepared.projection.source, prepared.projection.backfill.keys
    if source.vouches:
        return []
    return [
        Hazard(
            id="H140",
            what=f"nothing keeps the key ({', '.join(keys)}) of {source.relation} unique: it was counted",
            cure="name the table behind it as source, where one table has all its rows",
        )
    ]
