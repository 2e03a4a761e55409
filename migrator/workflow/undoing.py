"""Rollback: the same Steps walked backwards, after counting what that would lose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from migrator.database.connect import Connection
from migrator.database.session import rows, value
from migrator.engine.letting_go import not_ours
from migrator.engine.prepare import target_relation
from migrator.ledger import cohorts, consumers, copies, parameters, steps
from migrator.ledger.run import Listen, Run
from migrator.model.commands import again, command
from migrator.model.errors import UsageError
from migrator.model.names import Relation
from migrator.model.step import Losses, Phase, Report, State, StepReport
from migrator.phases.backfill import CopyRows
from migrator.phases.verify import CompareRows
from migrator.workflow.adoption import acts_done, refuse_rows
from migrator.workflow.archive_step import archive_step
from migrator.workflow.change_steps import object_copy
from migrator.workflow.desk import Desk
from migrator.workflow.expanding import expand_steps, revision_steps
from migrator.workflow.facts import Facts, facts_of, reading
from migrator.workflow.losses import (
    SHOWN,
    Accepted,
    accepted_by,
    losses_of,
    others_of,
    refuse_losses,
    written_by,
)
from migrator.workflow.runner import install_ledger, running, take_back

BACK_TO = (None, Phase.EXPAND, Phase.BACKFILL, Phase.VERIFY)


def losses(desk: Desk, *, to: Phase | None = None, show: int = SHOWN) -> tuple[Losses, ...]:
    """Count what a rollback would lose, by target; only reads."""
    with desk.explained(f"counting what a rollback of {desk.change.name} would lose"):
        with desk.database.connect() as conn:
            return losses_of(conn, desk, facts_of(conn, desk), to, show)


def objects_made(desk: Desk, *, to: Phase | None = None) -> tuple[int, int]:
    """Count the objects, and their bytes, that a rollback would remove because copies of ours made them."""
    if to in {Phase.BACKFILL, Phase.VERIFY}:
        return 0, 0
    with desk.explained("counting objects"), desk.database.connect() as conn, reading(conn, desk):
        found = [
            copies.count_made(conn, desk.change.name, one) for one in copies.backfills_with(conn, desk.change.name)
        ]
    return sum(number for number, _ in found), sum(size for _, size in found)


def rollback(
    desk: Desk,
    *,
    to: Phase | None = None,
    keep_new: bool = False,
    lose: Sequence[str] = (),
    show: int = SHOWN,
    listen: Listen,
) -> Report:
    """Undo what was done: restore what is archived, forget the proof, delete by provenance, downgrade.

    `to` is the phase that stays done.

    Raises RefusedError M412 when rows of the application would be lost that were not accepted by name: `lose` holds
    sentences like "7 rows of video_jobs", `keep_new` leaves these rows and their tables. Killed, it goes on. Raises
    ConfigurationError M206, before anything is undone, where a revision that was applied has no way back.
    """
    if to not in BACK_TO:
        raise UsageError("M109", f"rollback cannot go back to {to}.", "Choose expand, backfill, verify, or nothing.")
    with desk.explained(f"rolling back {desk.change.name}"), desk.database.connect() as conn:
        facts = facts_of(conn, desk)
        if not facts.applied and not facts.steps and not facts.recorded:
            return _report(desk, facts, [])
        if facts.ledger is not None:
            install_ledger(desk)
        _refuse_unknown(conn, desk)
        found = losses_of(conn, desk, facts, to, show)
        accepted = accepted_by(found, facts, keep_new=keep_new, lose=lose)
        refuse_losses(desk, found, accepted)
        if to is None and not accepted.keep_new:
            _refuse_too_wide(conn, desk, facts)
        with running(desk, "rollback", listen) as (run, looking):
            done = _back(desk, run, facts_of(looking, desk), to, found, accepted)
            return replace(_report(desk, facts_of(looking, desk), done), notes=tuple(run.said))


def _back(
    desk: Desk, run: Run, facts: Facts, to: Phase | None, found: Sequence[Losses], accepted: Accepted
) -> list[StepReport]:
    last = -1 if to is None else to.place
    keep_tables = accepted.keep_new and any(one.rows or one.held for one in found)
    going = [one for one in (Phase.EXPAND, Phase.BACKFILL, Phase.VERIFY) if one.place > last]
    if keep_tables and Phase.EXPAND in going:
        going.remove(Phase.EXPAND)
    if Phase.EXPAND in going:
        for step in revision_steps(desk, facts):
            if step.name in facts.applied:
                step.refuse_no_way_back()
    done = _unarchive(desk, run, facts)
    if not going:
        return done
    _begin(run, going, accepted)
    if Phase.VERIFY in going:
        done += _unverify(desk, run, facts)
    if Phase.BACKFILL in going:
        done += _uncopy(desk, run, facts, accepted, found if Phase.EXPAND in going else None)
    if Phase.EXPAND in going:
        done += _unexpand(desk, run, facts, found)
    return done


def _unarchive(desk: Desk, run: Run, facts: Facts) -> list[StepReport]:
    """Take the archive back, or the watch of one that was only begun: one transaction, which nothing has to go on."""
    if not any(one.phase is Phase.ARCHIVE for one in facts.steps):
        return []
    return [take_back(archive_step(desk), run)]


def _begin(run: Run, going: list[Phase], accepted: Accepted) -> None:
    said = {"keep_new": accepted.keep_new, "lose": dict(accepted.lose or {})}
    with run.database.connect() as conn, run.writing(conn):
        steps.begin_undo(conn, run.lease, going, said)
        if Phase.BACKFILL in going:
            cohorts.leave(conn, run.change.name)


def _unverify(desk: Desk, run: Run, facts: Facts) -> list[StepReport]:
    step = CompareRows(change=desk.change, search_path=desk.database.search_path)
    known = any(one.phase is Phase.VERIFY for one in facts.steps)
    report = take_back(step, run)
    return [report] if known else []


def _uncopy(desk: Desk, run: Run, facts: Facts, accepted: Accepted, found: Sequence[Losses] | None) -> list[StepReport]:
    """Undo the copies, the last one first; `found` is what may be lost of tables that are dropped afterwards."""
    done, gone, path = [], Counter[Relation](), desk.database.search_path
    with run.database.connect() as conn:
        named = copies.backfills_with(conn, desk.change.name)
    for backfill in reversed(desk.change.backfills):
        # The objects of rows that are gone, or were taken back before this run was interrupted, go after them.
        theirs = [object_copy(desk, backfill)] if backfill.name in named else []
        if backfill.name not in facts.recorded:
            done += [take_back(one, run) for one in theirs]
            continue
        with run.database.connect() as conn, reading(conn, desk):
            others = others_of(conn, desk, facts, drops=found is not None, found=found or (), gone=gone)
            stays = target_relation(conn, backfill, path) not in others.dropped
        step = CopyRows(
            change=desk.change,
            backfill=backfill,
            search_path=path,
            lose_changed=not accepted.keep_new,
            keep_changed=accepted.keep_new,
            leave=backfill.handed_over and stays,
            others=others,
        )
        done += [take_back(step, run), *(take_back(one, run) for one in theirs)]
    with run.database.connect() as conn, run.writing(conn):
        cohorts.forget(conn, desk.change.name)
        parameters.forget(conn, desk.change.name)
        steps.forget(conn, desk.change.name, Phase.BACKFILL)
    return done


def _unexpand(desk: Desk, run: Run, facts: Facts, found: Sequence[Losses]) -> list[StepReport]:
    accepted = {one.target: one.foreign for one in found}
    begun = {one.name for one in facts.steps if one.phase is Phase.EXPAND}
    back = [one for one in reversed(expand_steps(desk, facts)) if one.name in facts.applied or one.name in begun]
    done = [take_back(replace(step, accepted=accepted), run) for step in back]
    with run.database.connect() as conn, run.writing(conn):
        steps.forget(conn, desk.change.name, Phase.EXPAND)
        consumers.forget(conn, desk.change.name)
    return done


def _refuse_too_wide(conn: Connection, desk: Desk, facts: Facts) -> None:
    """Refuse to go back to a narrower type while the application's rows hold values that it does not."""
    with reading(conn, desk):
        written = written_by(conn, desk, facts)
        also = {
            one.target.relation: not_ours([each for each in written if each.target.relation == one.target.relation])
            for one in written
        }
        refuse_rows(conn, [one for act in acts_done(facts.steps) for one in act.first_back], "M218", also)


def _refuse_unknown(conn: Connection, desk: Desk) -> None:
    """Refuse while the Ledger knows a backfill of this change whose definition is gone, or is left out."""
    if value(conn, "SELECT pg_catalog.to_regclass('migrator.backfill') IS NULL"):
        return
    known = {one.name for one in desk.change.backfills}
    recorded = rows(conn, "SELECT name FROM migrator.backfill WHERE change = %s", (desk.change.name,))
    there = dict.fromkeys([*(str(name) for (name,) in recorded), *copies.backfills_with(conn, desk.change.name)])
    gone = [name for name in there if name not in known]
    switches = {one.name: one.only_if.name for one in desk.change.left_out if one.only_if is not None}
    if off := [name for name in gone if name in switches]:
        wanted = dict.fromkeys(switches[one] for one in off)
        switched_on = [word for name in wanted for word in ("--param", f"{name}=true")]
        raise UsageError(
            "M130",
            f"{', '.join(off)} moved rows, and is left out now: parameter {switches[off[0]]} is not true.",
            f"Let it take part, so that it can be undone:    {again('rollback', desk.change.name, *switched_on)}",
        )
    if gone:
        raise UsageError(
            "M408",
            f"{', '.join(gone)} moved rows, and {desk.change.name} no longer names it.",
            "Put its definition back into migrator.toml and backfills/, so that it can be undone.",
        )


def _report(desk: Desk, facts: Facts, done: Sequence[StepReport]) -> Report:
    name = desk.change.name
    return Report(
        change=name,
        verb="rollback",
        database=desk.database.shown,
        state=facts.state,
        steps=tuple(done),
        next=(command("apply", name),) if facts.state in {State.NEW, State.EXPANDED} else (),
    )
