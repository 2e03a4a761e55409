"""The planner: Facts in, Plan out. It does no I/O; what was read was read before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from migrator.engine.prepare import Prepared
from migrator.engine.reads import Reads
from migrator.ledger.run import Step
from migrator.model.backfill import Backfill
from migrator.model.change import Change
from migrator.model.moved_objects import is_wanted
from migrator.model.step import Hazard, Phase, Plan, PlannedStep, State
from migrator.model.verdict import Balance, SourceBalance
from migrator.workflow.facts import Facts

CAN_BE_UNDONE: Final = "every step can be undone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Foretold:
    """What was found out beforehand: Projections, where each row will go, what is dangerous, what is unknown."""

    prepared: tuple[Prepared, ...] = ()
    balances: tuple[Balance, ...] = ()
    sources: tuple[SourceBalance, ...] = ()
    reads: tuple[Reads, ...] = ()
    hazards: tuple[Hazard, ...] = ()
    notes: tuple[str, ...] = ()
    one_way: tuple[str, ...] = ()


def make_plan(
    change: Change, database: str, facts: Facts, steps: Sequence[Step], foretold: Foretold, *, dry_run: bool = False
) -> Plan:
    """Put the Steps in order, with what is known of each."""
    balances = {one.backfill: one for one in foretold.balances}
    planned = tuple(_planned(step, facts, balances) for step in steps)
    return Plan(
        change=change.name,
        title=change.title,
        guide=change.guide,
        database=database,
        server=f"PostgreSQL {facts.server.version.split()[0]}",
        state=facts.state,
        steps=planned,
        balances=foretold.balances,
        sources=foretold.sources,
        hazards=foretold.hazards,
        missing={one.name: {name: why.reason for name, why in one.missing().items()} for one in change.backfills},
        left_behind={one.name: dict(one.left_behind) for one in change.backfills if one.left_behind},
        unread=_unread(foretold.prepared),
        reads=_reads(foretold),
        moving={one.name: _moving(change, one) for one in change.backfills if one.moving},
        undo=(*foretold.one_way, "every other step can be undone") if foretold.one_way else (CAN_BE_UNDONE,),
        notes=(*foretold.notes, *facts.strangers),
        bytes_needed=_bytes_needed(foretold.prepared),
        dry_run=dry_run,
    )


def _planned(step: Step, facts: Facts, balances: Mapping[str, Balance]) -> PlannedStep:
    balance = balances.get(step.name) if step.phase is Phase.BACKFILL else None
    rows = None if balance is None else _still_to_come(balance)
    return PlannedStep(
        phase=step.phase,
        name=step.name,
        title=step.title,
        rows=rows,
        done=_is_done(step, facts, rows),
        preview=step.preview(),
    )


def _is_done(step: Step, facts: Facts, rows: int | None) -> bool:
    if facts.state is State.UNDOING:
        return False
    match step.phase:
        case Phase.EXPAND:
            return step.name in facts.applied
        case Phase.BACKFILL:
            return facts.done(Phase.BACKFILL, step.name) and not rows
        case Phase.ARCHIVE:
            return facts.state is State.ARCHIVED
        case _:
            return facts.state in {State.VERIFIED, State.ARCHIVED}


def _still_to_come(balance: Balance) -> int:
    """Count the rows a copy would take; before anything ran, all but the skipped ones."""
    if any(one.disposition == "pending" for one in balance.terms):
        return balance.rows("pending")
    foretold = balance.rows("moved") + balance.rows("merged") + balance.rows("quarantined")
    return 0 if balance.recorded else foretold


def _moving(change: Change, backfill: Backfill) -> dict[str, str]:
    """Say from where to where the objects of a backfill go, and of what its documents are made."""
    found = {}
    for name, one in zip((*backfill.objects, *backfill.documents), backfill.moving, strict=True):
        switch = None if is_wanted(one, change.arguments) else one.only_if
        found[name] = one.sentence + (f"; not wanted: {switch.name} is not true" if switch else "")
    return found


def _unread(prepared: Sequence[Prepared]) -> dict[str, tuple[str, ...]]:
    return {one.projection.backfill.name: one.projection.left_unread for one in prepared if one.projection.left_unread}


def _reads(foretold: Foretold) -> dict[str, tuple[str, ...]]:
    """Say by backfill what its Projection reads besides its source."""
    found = {}
    for one, reads in zip(foretold.prepared, foretold.reads, strict=False):
        projection = one.projection
        others = sorted(str(relation) for relation in reads.counted - {projection.source.relation})
        whole = (*others, *(f"{what} (nobody counts writes to it)" for what in reads.uncounted))
        if whole:
            found[projection.backfill.name] = whole
    return found


def _bytes_needed(prepared: Sequence[Prepared]) -> int | None:
    """Estimate the disk a copy needs: about as much as the sources hold, and a quarter for provenance."""
    sources = {one.projection.source.relation: one.projection.source.bytes for one in prepared}
    total = sum(sources.values())
    return int(total * 1.25) if total else None
