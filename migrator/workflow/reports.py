"""What a verb did, as a Report, with the commands that come next."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.model.commands import command, is_part, within
from migrator.model.step import Report, State, StepReport
from migrator.model.verdict import Balance, Comparison, ObjectBalance, SourceBalance, Verdict
from migrator.phases.verify import Proof
from migrator.workflow.desk import Desk
from migrator.workflow.facts import Facts


def report_of(
    desk: Desk,
    verb: str,
    facts: Facts,
    done: Sequence[StepReport],
    *,
    balances: Sequence[Balance] = (),
    sources: Sequence[SourceBalance] = (),
    objects: Sequence[ObjectBalance] = (),
    verdicts: Sequence[Verdict] = (),
) -> Report:
    """Report what was done."""
    return Report(
        change=desk.change.name,
        verb=verb,
        database=desk.database.shown,
        state=facts.state,
        steps=tuple(done),
        balances=tuple(balances),
        sources=tuple(sources),
        objects=tuple(objects),
        verdicts=tuple(verdicts),
        next=_next(desk, facts.state, balances),
    )


def proof_report(
    desk: Desk, verb: str, facts: Facts, done: Sequence[StepReport], proof: Proof, notes: tuple[str, ...]
) -> Report:
    """Report what was done together with a proof."""
    return Report(
        change=desk.change.name,
        verb=verb,
        database=desk.database.shown,
        state=facts.state,
        steps=tuple(done),
        balances=proof.balances,
        sources=proof.sources,
        objects=proof.objects,
        comparisons=proof.comparisons,
        verdicts=proof.verdicts,
        notes=notes,
        next=_next(desk, facts.state, proof.balances, proof.comparisons, proof.objects),
    )


def after_archive(change: str) -> tuple[str, str]:
    """Name what follows an archive: what is asked when its time is over, and what takes it back until then."""
    return command("drop", change), command("rollback", change, "--to", "verify")


def _next(
    desk: Desk,
    state: State,
    balances: Sequence[Balance],
    comparisons: Sequence[Comparison] = (),
    objects: Sequence[ObjectBalance] = (),
) -> tuple[str, ...]:
    """Name the commands that come next."""
    name = desk.change.name
    kinds = {kind for one in comparisons for kind in one.counts}
    if kinds & {"altered", "stale", "lost", "extra", "doubled"}:
        # Rows that are as we wrote them go and come again; what the application changed is counted first.
        # Cohorts are taken back alone, and a phase is no part of that.
        back = within("rollback", name) if is_part() else command("rollback", name, "--to", "expand")
        return (back, within("apply", name))
    if any(one.recorded and one.rows("pending") for one in balances) or any(one.unaccounted for one in objects):
        return (within("apply", name),)
    if any(one.recorded and one.rows("quarantined") for one in balances):
        return (command("quarantine list", name),)
    match state:
        case State.NEW | State.EXPANDING | State.EXPANDED | State.COPYING:
            return (command("apply", name),)
        case State.COPIED:
            return (command("verify", name),)
        case State.UNDOING:
            return (command("rollback", name),)
        case State.ARCHIVED:
            return after_archive(name)
        case _:
            return ()
