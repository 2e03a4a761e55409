"""Forward: every Step that is not done, as far as the proof."""

from __future__ import annotations

from dataclasses import replace

from migrator.database.connect import Connection
from migrator.engine import inventory
from migrator.ledger.run import Listen, Run
from migrator.model.backfill import Backfill
from migrator.model.cohorts import Asked
from migrator.model.errors import UsageError
from migrator.model.step import Hazard, Phase, Report, State, StepReport
from migrator.phases.backfill import CopyRows
from migrator.phases.catchup import CatchUpRows
from migrator.phases.verify import Proof, record
from migrator.workflow import cohorts
from migrator.workflow.adoption import fitted
from migrator.workflow.change_steps import comparison, declared_for, names_read, object_copy, prepared_for
from migrator.workflow.desk import Desk
from migrator.workflow.expanding import (
    is_blocked,
    pending_steps,
    take_inventory,
    to_be_brought_over,
)
from migrator.workflow.facts import Facts, facts_of, reading, refuse_undoing
from migrator.workflow.reports import proof_report, report_of
from migrator.workflow.runner import install_ledger, running, take
from migrator.workflow.scratch import Declared

FORWARD = (Phase.EXPAND, Phase.BACKFILL, Phase.VERIFY)


def apply(
    desk: Desk,
    *,
    to: Phase = Phase.VERIFY,
    only: str | None = None,
    foresee: bool = False,
    asked: Asked | None = None,
    listen: Listen,
) -> Report:
    """Take every Step that is not done, forward to a phase; whatever stops it, the same call goes on from there.

    A wrong definition and a table in the way are refused before anything is written; `foresee` also judges definitions
    by tables that are still to be made, on a scratch server, as `plan` does. Where cohorts are `asked` for, only their
    rows are copied by backfills that have a cohort, and the rest stays pending.
    Raises RefusedError M401 while another run holds the lease, M405 while a rollback is half done.
    """
    if to not in FORWARD:
        raise UsageError("M109", f"apply cannot go to {to}.", f"Choose one of {', '.join(FORWARD)}.")
    if only is not None and desk.change.backfill(only) is None:
        known = ", ".join(one.name for one in desk.change.backfills)
        raise UsageError("M103", f"{desk.change.name} has no backfill {only!r}.", f"It has: {known}.")
    if asked is not None:
        cohorts.check(desk, asked)
    with desk.explained(f"applying {desk.change.name}"):
        declared = _foresee(desk, to, scratch=foresee)
        install_ledger(desk)
        with running(desk, f"apply --to {to}", listen) as (run, conn):
            facts = facts_of(conn, desk)
            refuse_undoing(desk, facts)
            if facts.state is State.ARCHIVED:
                return report_of(desk, "apply", facts, [])
            drifted, found = inventory.drift(conn, desk.change.name), list[Hazard]()
            done = _expand(desk, run, facts, declared)
            take_inventory(desk, run, conn, facts, drifted, expanded=bool(done))
            if to is not Phase.EXPAND:
                done += _backfill(desk, run, conn, facts, only, found, asked)
            if asked is not None and to is Phase.VERIFY and not run.waiting:
                report = _part_verified(desk, run, conn, done, asked)
            elif to is not Phase.VERIFY or only is not None or run.waiting:
                report = report_of(desk, "apply", facts_of(conn, desk), done)
            elif not done and facts.state is State.VERIFIED:
                report = report_of(desk, "apply", facts, [])
            else:
                report = _verified(desk, run, conn, done, facts)
            return replace(
                report,
                hazards=tuple(found),
                waiting=tuple(run.waiting),
                notes=(*report.notes, *(f"{one.sentence}; run again when they are done" for one in run.waiting)),
            )


def _foresee(desk: Desk, to: Phase, *, scratch: bool) -> Declared:
    """Raise what is known to fail, while nothing is written yet; give what the pending revisions declare."""
    with desk.database.connect() as conn:
        facts = facts_of(conn, desk)
        if facts.undoing or facts.state is State.ARCHIVED:
            return Declared()
        pending = pending_steps(desk, facts)
        blocked = is_blocked(conn, facts, pending)
        declared = declared_for(desk, facts) if scratch or blocked else Declared()
        with reading(conn, desk):
            fit = fitted(conn, pending, declared, facts.steps, facts.server.major)
        if to is Phase.EXPAND:
            return declared
        made = {relation.name for step in pending for relation in step.makes}
        judged = tuple(one for one in desk.change.backfills if names_read(one).isdisjoint(made))
        with reading(conn, desk):
            prepared_for(conn, desk, facts, declared, adopting=to_be_brought_over(fit), only=judged)
    return declared


def _expand(desk: Desk, run: Run, facts: Facts, declared: Declared) -> list[StepReport]:
    """Run or adopt each pending revision, judged by what is there when its turn has come."""
    done = []
    for step in pending_steps(desk, facts):
        with desk.database.connect() as conn:
            if not declared.whole and is_blocked(conn, facts, [step]):
                declared = declared_for(desk, facts)
            (fit,) = fitted(conn, [step], declared, facts.steps, facts.server.major)
        done.append(take(fit, run))
    return done


def _backfill(
    desk: Desk,
    run: Run,
    conn: Connection,
    facts: Facts,
    only: str | None,
    found: list[Hazard],
    asked: Asked | None,
) -> list[StepReport]:
    """Take the copies; what the smoke test of a target finds is added to `found` before its first row moves.

    Cohorts are noted before, and noted as moved afterwards; once there are some, a run of the whole notes all of them.
    """
    noted = asked or (cohorts.EVERY if cohorts.known(desk, conn) else None)
    if noted is not None:
        cohorts.ask(desk, run, noted)
    done = _copied(desk, run, facts, only, found, asked)
    if noted is not None:
        cohorts.settle(desk, run, noted)
    return done


def _copied(
    desk: Desk, run: Run, facts: Facts, only: str | None, found: list[Hazard], asked: Asked | None
) -> list[StepReport]:
    done = []
    for backfill in desk.change.backfills:
        if only is not None and backfill.name != only:
            continue
        part = None if asked is None or backfill.cohort is None else asked.upto or 0
        step = CopyRows(change=desk.change, backfill=backfill, search_path=desk.database.search_path, part=part)
        found += step.smoke(run)
        done += _objects_copied(desk, run, backfill)
        report = take(step, run)
        if report.detail or not facts.done(Phase.BACKFILL, backfill.name):
            done.append(report)
    return done


def _objects_copied(desk: Desk, run: Run, backfill: Backfill) -> list[StepReport]:
    """Copy the objects that rows of a backfill name, before the rows."""
    step = object_copy(desk, backfill)
    if not step.is_wanted:
        step.apply(run)  # rows may wait for what nobody wants any more
        return []
    report = take(step, run)
    return [report] if report.detail else []


def _verified(desk: Desk, run: Run, conn: Connection, done: list[StepReport], before: Facts) -> Report:
    step = comparison(desk)
    proof = step.prove(conn, run.listen)
    caught_up = _catch_up(desk, run, proof)
    if caught_up:
        done = [*done, *caught_up]
        proof = step.prove(conn, run.listen)
        if any(one.counts.get("pending") for one in proof.comparisons):  # they read what was just brought up to date
            done += _copied(desk, run, facts_of(conn, desk, run=run.lease.run), None, [], None)
            proof = step.prove(conn, run.listen)
    with run.writing(conn):
        record(conn, run.lease, desk.change, proof)
    facts = facts_of(conn, desk, run=run.lease.run)
    if before.state is not State.VERIFIED or not proof.proven:
        compared = sum(one.compared for one in proof.comparisons)
        seconds = sum(one.seconds for one in proof.comparisons)
        done = [*done, StepReport(phase=step.phase, name=step.name, title=step.title, rows=compared, seconds=seconds)]
    return proof_report(desk, "apply", facts, done, proof, ())


def _part_verified(desk: Desk, run: Run, conn: Connection, done: list[StepReport], asked: Asked) -> Report:
    """Prove the rows asked for, bringing those up to date that changed since; the proof is not recorded."""
    proof = cohorts.prove(desk, conn, asked, run.listen)
    if caught_up := _catch_up(desk, run, proof):
        done = [*done, *caught_up]
        proof = cohorts.prove(desk, conn, asked, run.listen)
    return proof_report(desk, "apply", facts_of(conn, desk), done, proof, (cohorts.only(asked),))


def _catch_up(desk: Desk, run: Run, proof: Proof) -> list[StepReport]:
    """Bring rows up to date whose source rows changed since they were moved, where a comparison found some."""
    stale = [desk.change.backfill(one.backfill) for one in proof.comparisons if one.counts.get("stale")]
    path = desk.database.search_path
    reports = [
        take(CatchUpRows(change=desk.change, backfill=one, search_path=path), run) for one in stale if one is not None
    ]
    return [one for one in reports if one.detail]
