"""The Steps of a change that are not those of expand, and what they are made of: tables, definitions, the Ledger."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.database.connect import Connection
from migrator.database.inventory import find
from migrator.engine.prepare import Prepared, prepare, target_relation
from migrator.ledger.run import Step
from migrator.model.backfill import Backfill
from migrator.model.names import Relation, first_schema
from migrator.model.step import Phase
from migrator.phases.backfill import CopyRows
from migrator.phases.verify import CompareRows
from migrator.workflow.desk import Desk
from migrator.workflow.expanding import pending_steps
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
    """Prepare the definitions of a change, or `only` some; targets in `adopting` are judged as they will be.

    One whose source is still to be made is left out.
    """
    path, later = desk.database.search_path, sources_to_be_made(conn, desk, facts)
    filling = frozenset(
        target_relation(conn, one, path)
        for one in desk.change.backfills
        if not one.in_place and not facts.done(Phase.BACKFILL, one.name)
    )
    made: list[Prepared] = []
    for one in desk.change.backfills if only is None else only:
        if one in later:
            continue
        prepared = prepare(
            conn,
            desk.change,
            one,
            search_path=path,
            shapes=declared.shapes,
            filling=filling,
            adopting=adopting | frozenset(declared.altered),
            blind=blind,
            expanding=len(facts.applied) < len(facts.revisions),
            coming=None if blind or only is not None else [earlier.counted.still_to_come for earlier in made],
        )
        made.append(prepared)
    return tuple(made)


def sources_to_be_made(conn: Connection, desk: Desk, facts: Facts) -> tuple[Backfill, ...]:
    """List the backfills whose source is a table that a revision has still to make."""
    made = {relation for step in pending_steps(desk, facts) for relation in step.makes}
    path = desk.database.search_path
    return tuple(
        one
        for one in desk.change.backfills
        if Relation.parse(one.source, default_schema=first_schema(path)) in made
        and find(conn, one.source, path) is None
    )


def copies(desk: Desk, prepared: Sequence[Prepared]) -> list[Step]:
    """List the Steps that copy."""
    known = {one.projection.backfill.name: one for one in prepared}
    path = desk.database.search_path
    return [
        CopyRows(change=desk.change, backfill=one, search_path=path, prepared=known.get(one.name))
        for one in desk.change.backfills
    ]


def comparison(desk: Desk, show: int = 20) -> CompareRows:
    """Give the Step that proves; `show` is how many rows that differ are named."""
    return CompareRows(change=desk.change, search_path=desk.database.search_path, show=show)
