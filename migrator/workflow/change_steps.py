"""The Steps of a change that are not those of expand, and what they are made of: tables, definitions, the Ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from migrator.database.connect import Connection
from migrator.engine import groups
from migrator.engine.prepare import Prepared, prepare, target_relation
from migrator.engine.projection.purity import words
from migrator.ledger.run import Step
from migrator.model.backfill import Backfill
from migrator.model.errors import ConfigurationError
from migrator.model.expressions import Sql
from migrator.model.moved_objects import is_wanted
from migrator.model.names import Relation
from migrator.model.step import Phase
from migrator.phases.backfill import CopyRows
from migrator.phases.expand import RunRevision
from migrator.phases.objects import CopyObjects
from migrator.phases.verify import CompareRows
from migrator.workflow.desk import Desk
from migrator.workflow.expanding import pending_steps
from migrator.workflow.facts import Facts
from migrator.workflow.scratch import Declared, declare

UNKNOWN: Final = frozenset({"M111", "M113", "M114", "M150"})  # a table, a column, a name in a fragment or a group


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

    One that reads what a revision has still to make, and cannot be judged without it, is left out.
    """
    path, pending = desk.database.search_path, pending_steps(desk, facts)
    filling = frozenset(
        target_relation(conn, one, path)
        for one in desk.change.backfills
        if not one.in_place and not facts.done(Phase.BACKFILL, one.name)
    )
    made: list[Prepared] = []
    for one in desk.change.backfills if only is None else only:
        try:
            prepared = prepare(
                conn,
                desk.change,
                one,
                search_path=path,
                shapes=declared.shapes,
                filling=filling,
                adopting=adopting | frozenset(declared.altered),
                blind=blind,
                coming=None if blind or only is not None else [earlier.counted.still_to_come for earlier in made],
            )
        except ConfigurationError as error:
            if error.id not in UNKNOWN or not touches(one, pending, declared):
                raise
            continue
        groups.look_at(conn, prepared.projection)
        made.append(prepared)
    return tuple(made)


def touches(backfill: Backfill, pending: Sequence[RunRevision], declared: Declared) -> bool:
    """Say whether a definition may read what pending revisions make or alter, or write what nobody knows yet."""
    if any(step.alters_types for step in pending):
        return True
    altered = {one.name for one in (*declared.altered, *(each for step in pending for each in step.alters))}
    made = {one.name for step in pending for one in step.makes}
    target = Relation.parse(backfill.target).name
    unknown = target in altered and target not in {one.name for one in declared.shapes}
    return unknown or not names_read(backfill).isdisjoint(made | altered)


def names_read(backfill: Backfill) -> set[str]:
    """List the names that a definition may mean a table by."""
    texts = [part.text for part in backfill.parts() if isinstance(part, Sql)]
    return {Relation.parse(backfill.source).name, *(word for text in texts for word in words(text))}


def copies(desk: Desk, prepared: Sequence[Prepared]) -> list[Step]:
    """List the Steps that copy."""
    known = {one.projection.backfill.name: one for one in prepared}
    path, made = desk.database.search_path, list[Step]()
    for one in desk.change.backfills:
        objects = object_copy(desk, one)
        made += [objects] if objects.is_wanted else []
        made.append(CopyRows(change=desk.change, backfill=one, search_path=path, prepared=known.get(one.name)))
    return made


def object_copy(desk: Desk, backfill: Backfill) -> CopyObjects:
    """Give the Step that copies the objects of a backfill, which may have none."""
    declared = backfill.objects
    return CopyObjects(
        change=desk.change,
        backfill=backfill,
        search_path=desk.database.search_path,
        storage=desk.project.storage,
        names=frozenset(declared),
        unwanted=frozenset(name for name, one in declared.items() if not is_wanted(one, desk.change.arguments)),
    )


def comparison(desk: Desk, show: int = 20) -> CompareRows:
    """Give the Step that proves; `show` is how many rows that differ are named."""
    return CompareRows(change=desk.change, search_path=desk.database.search_path, show=show)
