"""Cohorts: a part of the rows that goes ahead of the others, is proven by itself, and can be taken back by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from migrator.database.connect import Connection
from migrator.database.failures import SqlError
from migrator.database.session import transaction, value
from migrator.engine import cohorts as engine
from migrator.engine.cohorts import Cohort
from migrator.engine.isolate import is_row_fault
from migrator.engine.letting_go import Others
from migrator.engine.prepare import Prepared, prepare
from migrator.ledger import cohorts as ledger
from migrator.ledger import steps
from migrator.ledger.run import Listen, Run
from migrator.model.cohorts import BUCKETS, Asked
from migrator.model.commands import command
from migrator.model.errors import RefusedError
from migrator.model.names import literal
from migrator.model.step import Losses, Phase, Report, State, StepReport
from migrator.phases.backfill import CopyRows
from migrator.phases.verify import Proof, part_of
from migrator.workflow.change_steps import comparison
from migrator.workflow.desk import Desk
from migrator.workflow.facts import Facts, facts_of, reading, refuse_archived_now, refuse_undoing
from migrator.workflow.losses import SHOWN, accepted_by, losses_among, others_of, refuse_losses
from migrator.workflow.reports import proof_report, report_of
from migrator.workflow.runner import install_ledger, running, take_back


def check(desk: Desk, asked: Asked) -> None:
    """Refuse, before anything is touched, what cannot be: M158 without a cohort, M159 for a file that is none."""
    engine.refuse_none(desk.change)
    if asked.file is not None:
        engine.read_through(asked.file)


def ask(desk: Desk, run: Run, asked: Asked, *, leaving: bool = False) -> None:
    """Note in the Ledger which cohorts are to be moved, or taken back, before the first row of them is."""
    with run.database.connect() as conn:
        cohorts = list(_cohorts(conn, desk).values())
        try:
            if asked.file is not None:
                engine.stage(conn, cohorts, asked.file)
            with run.writing(conn):
                every = engine.every_member(cohorts)
                ledger.count(conn, desk.change.name, int(value(conn, f"SELECT count(*) FROM ({every}) AS every")))
                known = f"SELECT member FROM {ledger.TABLE} WHERE change = {literal(desk.change.name)}"
                members = f"{every} UNION {known}" if leaving else every
                chosen = engine.chosen(members, asked)
                ledger.ask(conn, desk.change.name, run.lease.run, chosen, leaving=leaving)
        except SqlError as error:
            if is_row_fault(error):
                engine.speaking(conn, cohorts)
            raise


def settle(desk: Desk, run: Run, asked: Asked) -> None:
    """Note the cohorts as moved of which no row is pending or waits in quarantine; none while a backfill never ran."""
    name, waiting = desk.change.name, list[str]()
    with run.database.connect() as conn:
        with transaction(conn, read_only=True, search_path=desk.database.search_path):
            prepared = _prepared(conn, desk)
        if any(one.recorded is None for one in prepared):
            return
        for one in prepared:
            cohort = Cohort.of(desk.change, one.projection)
            part = one.projection.without(cohort.known(name, asked.upto or 0))
            waiting += cohort.waiting(replace(one, projection=part).writing())
        with run.writing(conn):
            ledger.settle(conn, name, waiting)


def known(desk: Desk, conn: Connection) -> bool:
    """Tell whether the change was ever moved by cohorts, and still has some."""
    return any(one.cohort is not None for one in desk.change.backfills) and ledger.are_known(conn, desk.change.name)


def prove(desk: Desk, conn: Connection, asked: Asked, listen: Listen, show: int = 20) -> Proof:
    """Compare and balance the rows of the cohorts asked for; only reads."""
    return comparison(desk, show).prove_part(conn, _narrowed(conn, desk, asked), listen)


def verify(desk: Desk, asked: Asked, *, show: int = 20, listen: Listen) -> Report:
    """Prove a part of a change, which is no proof of the change and is not recorded.

    Raises RefusedError M406 before expand, M438 when archived.
    """
    check(desk, asked)
    with desk.explained(f"verifying {desk.change.name}"), desk.database.connect() as conn:
        facts = facts_of(conn, desk)
        refuse_archived_now(desk, facts)
        refuse_before_expand(desk, facts)
        proof = prove(desk, conn, asked, listen, show)
    return proof_report(desk, "verify", facts, [], proof, (only(asked),))


def verify_counts(desk: Desk, asked: Asked) -> Report:
    """Balance the rows of the cohorts asked for; only reads."""
    check(desk, asked)
    with desk.explained(f"balancing {desk.change.name}"), desk.database.connect() as conn:
        facts = facts_of(conn, desk)
        refuse_archived_now(desk, facts)
        refuse_before_expand(desk, facts)
        part = part_of(conn, _narrowed(conn, desk, asked), desk.database.search_path)
    made = report_of(
        desk, "verify-counts", facts, [], balances=part.balances, sources=part.sources, verdicts=part.verdicts
    )
    return replace(made, notes=(only(asked),))


def only(asked: Asked) -> str:
    """Say of what a part is a proof."""
    return (
        f"these are the rows {asked.said} of all cohorts: no proof of the change"
        if asked.file is None
        else (f"these are the rows of the cohorts in {asked.file}: no proof of the change")
    )


def refuse_before_expand(desk: Desk, facts: Facts) -> None:
    """Raise RefusedError M406 while there is nothing to compare with."""
    if facts.state in {State.NEW, State.EXPANDING}:
        raise RefusedError(
            "M406",
            f"{desk.change.name} is {facts.state}: there is nothing to compare yet.",
            f"First: {command('apply', desk.change.name)}",
        )


def losses(desk: Desk, asked: Asked, *, show: int = SHOWN) -> tuple[Losses, ...]:
    """Count what taking the cohorts back would lose, by target; only reads."""
    check(desk, asked)
    with desk.explained(f"counting what a rollback of {desk.change.name} would lose"):
        with desk.database.connect() as conn:
            facts = facts_of(conn, desk)
            return _losses(conn, desk, facts, asked, show) if facts.recorded else ()


def rollback(
    desk: Desk,
    asked: Asked,
    *,
    keep_new: bool = False,
    lose: Sequence[str] = (),
    show: int = SHOWN,
    listen: Listen,
) -> Report:
    """Take the rows of cohorts back, and leave the others; the application is told first. Killed, it goes on.

    Raises RefusedError M412 and M460 as the rollback of the whole does, M405 while that is half done.
    """
    check(desk, asked)
    with desk.explained(f"rolling back {desk.change.name}"), desk.database.connect() as conn:
        facts = facts_of(conn, desk)
        refuse_archived_now(desk, facts)
        refuse_undoing(desk, facts)
        if not facts.recorded:
            return replace(report_of(desk, "rollback", facts, []), notes=(f"nothing of {desk.change.name} was moved",))
        install_ledger(desk)
        found = _losses(conn, desk, facts, asked, show)
        accepted = accepted_by(found, facts, keep_new=keep_new, lose=lose)
        refuse_losses(desk, found, accepted)
        with running(desk, "rollback", listen) as (run, looking):
            ask(desk, run, asked, leaving=True)
            done = _take_back(desk, run, facts, asked, keep_new=accepted.keep_new)
            with run.writing(looking):
                ledger.forget(looking, desk.change.name, leaving=True)
            after = facts_of(looking, desk)
            notes = (*run.said, f"taken back: the rows {asked.said}; the others stay")
            return replace(report_of(desk, "rollback", after, done), notes=notes)


def _take_back(desk: Desk, run: Run, facts: Facts, asked: Asked, *, keep_new: bool) -> list[StepReport]:
    """Undo the part of every backfill, the last one first."""
    done, upto = [], asked.upto or 0
    with run.database.connect() as conn, run.writing(conn):
        steps.forget_proofs(conn, desk.change.name)
        steps.forget(conn, desk.change.name, Phase.VERIFY)
        by_name = {name: one.leaving(desk.change.name, upto) for name, one in _cohorts(conn, desk).items()}
        others = _others(conn, desk, facts, by_name)
    for backfill in reversed(desk.change.backfills):
        if backfill.name in facts.recorded and backfill.cohort is not None:
            step = CopyRows(
                change=desk.change,
                backfill=backfill,
                search_path=desk.database.search_path,
                lose_changed=not keep_new,
                keep_changed=keep_new,
                leave=backfill.handed_over,
                others=others,
                part=upto,
            )
            done.append(take_back(step, run))
    return done


def _losses(conn: Connection, desk: Desk, facts: Facts, asked: Asked, show: int) -> tuple[Losses, ...]:
    with reading(conn, desk):
        cohorts = _cohorts(conn, desk)
    if asked.file is not None:
        engine.stage(conn, list(cohorts.values()), asked.file)
    with reading(conn, desk):
        within = {name: one.within(asked) for name, one in cohorts.items()}
        return losses_among(conn, _others(conn, desk, facts, within), show)


def _others(conn: Connection, desk: Desk, facts: Facts, conditions: dict[str, str]) -> Others:
    """Give what is taken back: of each backfill the rows under a condition, and nothing of those without a cohort."""
    cohorts, whole = _cohorts(conn, desk), others_of(conn, desk, facts, drops=False)
    written = [
        replace(one, recorded=cohorts[one.name].known_of(one.recorded, conditions[one.name]))
        for one in whole.written
        if one.name in cohorts
    ]
    return replace(whole, written=written)


def _narrowed(conn: Connection, desk: Desk, asked: Asked) -> list[Prepared]:
    """Prepare the backfills that have a cohort, over the rows asked for."""
    with reading(conn, desk):
        prepared = _prepared(conn, desk)
        cohorts = engine.cohorts_of(prepared)
    if asked.file is not None:
        engine.stage(conn, list(cohorts.values()), asked.file)
    return [
        cohort.narrowed(one, cohort.within(asked))
        for one in prepared
        for cohort in [cohorts[one.projection.backfill.name]]
    ]


def _cohorts(conn: Connection, desk: Desk) -> dict[str, Cohort]:
    return engine.cohorts_of(_prepared(conn, desk))


def _prepared(conn: Connection, desk: Desk) -> list[Prepared]:
    path = desk.database.search_path
    return [
        prepare(conn, desk.change, one, search_path=path) for one in desk.change.backfills if one.cohort is not None
    ]


EVERY = Asked(upto=BUCKETS)
