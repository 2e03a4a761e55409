"""Expanding: which Steps there are, which of them find their tables there already, and how they leave them."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.database.connect import Connection
from migrator.engine import inventory
from migrator.engine.inventory import Inventory
from migrator.engine.prepare import Prepared
from migrator.ledger.run import Run
from migrator.model.names import Relation
from migrator.model.step import Phase
from migrator.phases.adopt import AdoptRevision
from migrator.phases.expand import RunRevision
from migrator.workflow.adoption import ExpandStep, adopting
from migrator.workflow.desk import Desk
from migrator.workflow.facts import Facts


def revision_steps(desk: Desk, facts: Facts) -> list[RunRevision]:
    """List the Steps that run the change's revisions, from base to head."""
    return [
        RunRevision(
            change=desk.change.name,
            info=info,
            directory=desk.project.revisions,
            parameters=desk.revision_parameters,
        )
        for info in facts.revisions
    ]


def expand_steps(desk: Desk, facts: Facts) -> list[ExpandStep]:
    """List the Steps of expand, from base to head: those that ran their revision, and those that adopted tables."""
    records = {one.name: one for one in facts.steps if one.phase is Phase.EXPAND and one.origin == "adopted"}
    return [
        adopting(step, records[step.name]) if step.name in records else step for step in revision_steps(desk, facts)
    ]


def pending_steps(desk: Desk, facts: Facts) -> list[RunRevision]:
    """List the Steps of revisions that are not applied."""
    return [one for one in revision_steps(desk, facts) if one.name not in facts.applied]


def applied_steps(desk: Desk, facts: Facts) -> list[ExpandStep]:
    """List the Steps of revisions that are applied."""
    return [one for one in expand_steps(desk, facts) if one.name in facts.applied]


def is_blocked(conn: Connection, facts: Facts, pending: Sequence[RunRevision]) -> bool:
    """Say whether something that pending revisions make is there already, or was begun to be adopted."""
    begun = any(one.phase is Phase.EXPAND and one.origin == "adopted" for one in facts.steps)
    return bool(pending) and (begun or any(one.in_the_way(conn) for one in pending))


def to_be_brought_over(steps: Sequence[ExpandStep]) -> frozenset[Relation]:
    """List the tables that will be brought over, so that they are judged as they will be."""
    return frozenset(one for step in steps if isinstance(step, AdoptRevision) and step.acts for one in step.found)


def not_looked_at(prepared: Sequence[Prepared], coming: frozenset[Relation]) -> tuple[str, ...]:
    """Say of which tables that will be brought over the rows cannot be looked at before."""
    targets = (one.projection.target.relation for one in prepared if not one.projection.target_exists)
    return tuple(
        f"rows that are in {one} already are not looked at while columns are missing: some may be merged with"
        for one in dict.fromkeys(targets)
        if one in coming
    )


def take_inventory(desk: Desk, run: Run, conn: Connection, facts: Facts, drifted: Inventory, *, expanded: bool) -> None:
    """Record how expand left the tables it made or altered, for verify; also where a run was killed before it could."""
    kept = any("inventory" in one.undo for one in facts.steps if one.phase is Phase.EXPAND)
    if not facts.revisions or (kept and not expanded):
        return
    tables = dict.fromkeys(one for step in revision_steps(desk, facts) for one in (*step.makes, *step.alters))
    with run.writing(conn):
        inventory.record(conn, run.change.name, facts.revisions[-1].id, tuple(tables), drifted)
