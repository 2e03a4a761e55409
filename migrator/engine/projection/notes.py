"""Notes: what a plan tells of a definition besides the fates of rows: columns nobody reads, and those not known yet."""

from __future__ import annotations

from typing import Any

from migrator.engine.projection import purity
from migrator.engine.projection.translate import Translator
from migrator.model import expressions as ex
from migrator.model.backfill import Backfill
from migrator.model.tables import Table


def left_unread(backfill: Backfill, source: Table, translator: Translator) -> tuple[str, ...]:
    """Name the source columns that nobody reads and nobody leaves behind by name."""
    if backfill.in_place:  # what is not written stays where it is
        return ()
    read = set(backfill.keys) | set(backfill.left_behind)
    fields = {column for one in backfill.moving for column in one.template.columns}
    read |= fields - set(backfill.columns)
    merging = {part for one in backfill.folds.values() for part in ex.walk(one)}
    for part in (one for one in backfill.parts() if one not in merging):
        if isinstance(part, ex.Column):
            read.add(part.name)
        elif isinstance(part, ex.Sql):
            read |= purity.words(translator.bare(part))
    if source.relation.name in read:
        return ()
    return tuple(name for name in source.names if name not in read)


def not_known_yet(backfill: Backfill, translator: Translator) -> dict[str, tuple[str, ...]]:
    """Name the columns and rules that take what other backfills will have made which never ran, with these."""
    ran = {name for name, one in translator.moved.items() if one.provenance is not None}
    made: dict[str, Any] = dict(backfill.expressions)
    made |= {f"object {name}": ex.Array(one.parts()) for name, one in backfill.objects.items()}
    made |= {f"rule {name}": one for name, one in {**backfill.skip, **backfill.quarantine}.items()}
    found = {}
    for name, expression in made.items():
        waited = [one.backfill for one in ex.walk(expression) if isinstance(one, ex.MovedTo)]
        found[name] = tuple(one for one in dict.fromkeys(waited) if one not in ran)
    return {name: one for name, one in found.items() if one}
