"""The plan of a change: everything is looked up here, and put in order by the planner."""

from __future__ import annotations

from migrator import hazards
from migrator.engine.balance import balances_of
from migrator.engine.prepare import Prepared
from migrator.engine.reads import read_by
from migrator.ledger import install
from migrator.ledger.run import Step
from migrator.model.change import Change
from migrator.model.step import Plan, State
from migrator.phases.adopt import AdoptRevision
from migrator.phases.backfill import CopyRows
from migrator.phases.expand import RunRevision
from migrator.workflow.adoption import ExpandStep, fitted
from migrator.workflow.archive_step import archive_step, foreseen
from migrator.workflow.change_steps import comparison, copies, declared_for, prepared_for
from migrator.workflow.desk import Desk
from migrator.workflow.expanding import (
    applied_steps,
    expand_steps,
    not_looked_at,
    pending_steps,
    to_be_brought_over,
)
from migrator.workflow.facts import Facts, facts_of, reading
from migrator.workflow.planner import Foretold, make_plan

BLIND = "this role may not read the ledger (schema migrator): all is shown as if nothing had been done yet"
SPEAKING = ("M202", "M203")


def plan(desk: Desk, *, count: bool = True, dry_run: bool = False) -> Plan:
    """Plan a change; changes nothing. All reading happens in transactions that the server holds READ ONLY.

    Raises what loading, connecting and compiling raise; UsageError M308 when a definition tries to write.
    """
    with desk.explained(f"planning {desk.change.name}"), desk.database.connect() as conn:
        blind = install.is_hidden(conn)
        facts = facts_of(conn, desk, blind=blind)
        if facts.state is State.ARCHIVED:
            return _archived_plan(desk, facts, dry_run=dry_run)
        declared = declared_for(desk, facts)
        if declared.refused is not None and declared.refused.id in SPEAKING:
            raise declared.refused
        with reading(conn, desk):
            pending: list[ExpandStep] = [*pending_steps(desk, facts)]
            if not blind:  # to whom everything seems to be still to come, and may not look at what is there
                pending = fitted(conn, pending_steps(desk, facts), declared, facts.steps, facts.server.major)
            prepared = prepared_for(conn, desk, facts, declared, adopting=to_be_brought_over(pending), blind=blind)
            known = {one.projection.backfill.name for one in prepared}
            later = [one.name for one in desk.change.backfills if one.name not in known]
            putting_away = facts.state is State.VERIFIED and bool(desk.change.archive.tables)
            archive, following = foreseen(conn, desk, facts) if putting_away else (archive_step(desk), ())
        balances, sources = balances_of(conn, prepared, desk.database.search_path) if count else ((), ())
        with reading(conn, desk):
            of_values = hazards.of_values(conn, prepared) if count else ()
        going_back = hazards.of_going_back(conn, facts.revisions)
        reads = tuple(read_by(conn, one.projection, desk.database.search_path) for one in prepared)
    unchecked = declared.reason and not all(one.checked for one in prepared)
    adopted = [one for one in pending if isinstance(one, AdoptRevision)]
    runnable = [one for one in (*applied_steps(desk, facts), *pending) if isinstance(one, RunRevision)]
    run = {one.title: "\n".join(one.preview().sql) for one in pending if isinstance(one, RunRevision)}
    foretold = Foretold(
        prepared=prepared,
        balances=balances,
        sources=sources,
        reads=reads,
        hazards=(
            *(hazard for one in adopted for hazard in one.hazards),
            *hazards.find(facts.server, prepared, run, edited=facts.edited, balances=balances),
            *of_values,
            *following,
            *going_back,
        ),
        one_way=tuple(f"{one.title} cannot be undone: {one.no_way_back}" for one in runnable if one.no_way_back),
        notes=(
            *((f"types unchecked: {declared.reason}",) if unchecked else ()),
            *((BLIND,) if blind else ()),
            *(note for one in adopted for note in one.notes),
            *not_looked_at(prepared, to_be_brought_over(pending)),
            *(f"where the rows of {one} go is known after expand: it reads what a revision makes" for one in later),
            *_left_out(desk.change),
            *(note for one in prepared for note in _not_known_yet(one)),
        ),
    )
    made: list[Step] = [*applied_steps(desk, facts), *pending, *copies(desk, prepared), comparison(desk)]
    made += [archive] if putting_away else []
    return make_plan(desk.change, desk.database.shown, facts, made, foretold, dry_run=dry_run)


def _not_known_yet(prepared: Prepared) -> tuple[str, ...]:
    """Say which columns take what another backfill will have made, so that no fate of a row was told by them."""
    return tuple(
        f"{prepared.projection.backfill.name}: {name} is known once {', '.join(waited)} ran; until then it is NULL here"
        for name, waited in prepared.projection.not_known_yet.items()
    )


def _archived_plan(desk: Desk, facts: Facts, *, dry_run: bool) -> Plan:
    """Plan a change whose sources are archived: every Step is done, and nothing is left to be read."""
    path = desk.database.search_path
    copies = [CopyRows(change=desk.change, backfill=one, search_path=path) for one in desk.change.backfills]
    made: list[Step] = [*expand_steps(desk, facts), *copies, comparison(desk), archive_step(desk)]
    return make_plan(desk.change, desk.database.shown, facts, made, Foretold(), dry_run=dry_run)


def _left_out(change: Change) -> tuple[str, ...]:
    """Say which backfills a parameter leaves out."""
    return tuple(
        f"{one.name} is left out: give --param {one.only_if.name}=true to let it take part"
        for one in change.left_out
        if one.only_if is not None
    )
