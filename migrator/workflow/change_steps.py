"""The Steps of a change that are not those of expand, and what they are made of: tables, definitions, the Ledger."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.database.connect import Connection
from migrator.engine.prepare import Prepared, prepare, target_relation
from migrator.ledger.run import Step
from migrator.model.backfill import Backfill
from migrator.model.names import Relation
from migrator.model.step import Phase
from migrator.phases.backfill import CopyRows
from migrator.phases.verify import CompareRows
from migrator.workflow.desk import Desk
from migrator.workflow.facts import Facts
from migrator.workflow.scratch import Declared, declare


def declared_for(desk: Desk, facts: Facts) -> Declared:
    """Look at what pending revisions will make; nothing is started where none is pending."""
    if len(facts.applied) == len(facts.revisions):
        return Declared()
    return declare(desk, facts.applied, facts.server.major)


def prepared_for(
    conn: Connection,
    desk: Desk,
    facts: Facts,
    declared: Declared,
    *,
    adopting: frozenset[Relation] = frozenset(),
    blind: bool = False,
    only: Sequence[Backfill] | None = None,
) -> tuple[Prepared, ...]:
    """Prepare the definitions of a change, or `only` some; targets in `adopting` are judged as they will be."""
    path = desk.database.search_path
    filling = frozenset(
        target_relation(conn, one, path) for one in desk.change.backfills if not facts.done(Phase.BACKFILL, one.name)
    )
    return tuple(
        prepare(
            conn,
            desk.change,
            one,
            search_path=path,
            shapes=declared.shapes,
            filling=filling,
            adopting=adopting,
            blind=blind,
        )
        for one in (desk.change.backfills if only is None else only)
    )


def copies(desk: Desk, prepared: Sequence[Prepared]) -> list[Step]:
    """List the Steps that copy."""
    path = desk.database.search_path
    return [
        CopyRows(change=desk.change, backfill=one.projection.backfill, search_path=path, prepared=one)
        for one in prepared
    ]


def comparison(desk: Desk, show: int = 20) -> CompareRows:
    """Give the Step that proves; `show` is how many rows that differ are named."""
    return CompareRows(change=desk.change, search_path=desk.database.search_path, show=show)
