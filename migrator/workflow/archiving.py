"""The life after the proof: consumers, archive, drop. The way back is rollback, as for everything else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from migrator.database.connect import Connection
from migrator.database.failures import SqlError
from migrator.database.session import transaction, value
from migrator.ledger import consumers as registry
from migrator.ledger.run import Listen, Run
from migrator.model.commands import command
from migrator.model.errors import MigratorError, RefusedError, UsageError, WorldError
from migrator.model.step import Consumer, Event, Plan, Refusal, Report, State
from migrator.phases.archive import ArchiveTables
from migrator.phases.verify import CompareRows, Proof, record
from migrator.workflow.archive_step import archive_step, foreseen
from migrator.workflow.desk import Desk
from migrator.workflow.facts import Facts, facts_of, reading, refuse_undoing
from migrator.workflow.gates import GateError, closed
from migrator.workflow.housekeeping import ledgered
from migrator.workflow.planner import Foretold, make_plan
from migrator.workflow.reports import after_archive, proof_report
from migrator.workflow.runner import install_ledger, running, take

SIDES: Final = ("old", "both", "new")
TRIES_AFTER: Final = 2  # to take the watch off after a failure; what held the locks may hold them still


def consumers(desk: Desk) -> tuple[Consumer, ...]:
    """List who reads or writes the tables of a change, and on which side each is; only reads."""
    with desk.explained("reading the consumers"), desk.database.connect() as conn, reading(conn, desk):
        return registry.of_change(conn, desk.change)


def put_consumers(desk: Desk, names: Sequence[str], side: str, note: str | None = None) -> tuple[Consumer, ...]:
    """Record on which side consumers are now. Raises UsageError M444 for one that is not declared, or no side."""
    declared = desk.change.consumers
    if side not in SIDES:
        raise UsageError("M444", f"{side!r} is no side.", f"Choose one of {', '.join(SIDES)}.")
    if unknown := [one for one in names if one not in declared]:
        known = ", ".join(declared) or "none"
        raise UsageError(
            "M444",
            f"{desk.change.name} has no consumer {unknown[0]!r}. It has: {known}.",
            f"Declare it in [change.{desk.change.name}.consumers] of migrator.toml.",
        )
    with ledgered(desk):
        install_ledger(desk)
    with ledgered(desk) as conn, transaction(conn):
        for name in names:
            registry.put(conn, desk.change.name, name, side, note)
    return consumers(desk)


def foresee(desk: Desk) -> tuple[Plan, tuple[Refusal, ...]]:
    """Show what an archive would do, and which gates are closed; only reads."""
    _refuse_undeclared(desk)
    with desk.explained(f"planning the archive of {desk.change.name}"), desk.database.connect() as conn:
        facts = facts_of(conn, desk)
        with reading(conn, desk):
            step, found = foreseen(conn, desk, facts)
            shut = () if facts.state is State.ARCHIVED else closed(conn, desk, facts, step)
    notes = tuple(f"{one.id} {one.what} {one.cure}" for one in shut)
    foretold = Foretold(hazards=found, notes=notes)
    return make_plan(desk.change, desk.database.shown, facts, [step], foretold), shut


def archive(desk: Desk, *, listen: Listen) -> Report:
    """Archive the sources that `[change.X.archive]` names: rename them, and let nobody but their owner in.

    Every gate is looked at first. Then the tables are watched, the whole change is proven again, and all is done in one
    transaction, if nobody wrote meanwhile. Raises GateError (M430 to M447) where a gate is closed, M401 while another
    run holds the lease; WorldError M301 when the locks were not got. A proof that does not hold is in the Report.
    """
    _refuse_undeclared(desk)
    with desk.explained(f"archiving {desk.change.name}"):
        with desk.database.connect() as conn:
            facts = facts_of(conn, desk)
            refuse_undoing(desk, facts)
            if facts.state is State.ARCHIVED:
                return _already(desk, facts)
            _refuse_closed(conn, desk, facts)
        install_ledger(desk)
        with running(desk, "archive", listen) as (run, conn):
            facts = facts_of(conn, desk)
            refuse_undoing(desk, facts)
            if facts.state is State.ARCHIVED:
                return _already(desk, facts)
            _refuse_closed(conn, desk, facts)
            return _archived(desk, run, conn)


def drop(desk: Desk) -> Report:
    """Refuse: before the date until which an archive is kept, and afterwards too, saying what to do by hand.

    Raises RefusedError M442 where nothing is archived or it is to be kept, M443 afterwards. Changes nothing.
    """
    with desk.explained(f"looking at {desk.change.name}"), desk.database.connect() as conn:
        facts = facts_of(conn, desk)
        now = value(conn, "SELECT now()")
    name = desk.change.name
    if facts.archived is None:
        raise RefusedError(
            "M442",
            f"{name} is {facts.state}: nothing of it is archived, so nothing may be dropped.",
            f"First, and then wait: {command('archive', name)}",
        )
    until = f"{facts.archived.keep_until:%Y-%m-%d %H:%M} UTC"
    if now < facts.archived.keep_until:
        raise RefusedError(
            "M442",
            f"{facts.archived.names}; it is kept until {until}.",
            "Wait until then. The date was set by keep in migrator.toml when it was archived.",
        )
    tables = ", ".join(one.sql for one in facts.archived.later)
    options = " ".join(f"-t '{one.sql}'" for one in facts.archived.later)
    raise RefusedError(
        "M443",
        f"{facts.archived.names}; it was kept until {until}. This version never drops a table itself.",
        f"By hand, and with no way back: pg_dump {options} > archive.sql, try that it can be restored, then"
        f" DROP TABLE {tables} (without CASCADE).",
    )


def _archived(desk: Desk, run: Run, conn: Connection) -> Report:
    step = archive_step(desk)
    with _watched(step, run):
        proof = _proven(desk, run, conn)
        if not proof.proven:
            with suppress(MigratorError, SqlError):
                step.unwatch(run, tries=TRIES_AFTER)
            return proof_report(desk, "archive", facts_of(conn, desk, run=run.lease.run), [], proof, (NOT_ARCHIVED,))
        done = [take(step, run)]
    facts = facts_of(conn, desk)
    return proof_report(desk, "archive", facts, done, proof, _kept(facts))


NOT_ARCHIVED: Final = "nothing was archived: the change is not proven any more"


def _proven(desk: Desk, run: Run, conn: Connection) -> Proof:
    """Prove the whole change again while the watch stands, and record the proof."""
    proof = CompareRows(change=desk.change, search_path=desk.database.search_path).prove(conn, run.listen)
    with run.writing(conn):
        record(conn, run.lease, desk.change, proof)
    return proof


@contextmanager
def _watched(step: ArchiveTables, run: Run) -> Iterator[None]:
    """Have the tables watched during the block; whatever ends it, the watch is taken off where that can be."""
    run.listen(Event(kind="step", phase=step.phase, name=step.name, title=f"watch {step.title}"))
    try:
        step.watch(run)
        yield
    except BaseException as error:
        try:
            step.unwatch(run, tries=TRIES_AFTER)
        except (MigratorError, SqlError):
            raise _left(step, error) from error
        raise


def _left(step: ArchiveTables, error: BaseException) -> BaseException:
    """Say that the watch could not be taken off, beside what went wrong."""
    if not isinstance(error, WorldError):
        return error
    name = step.change.name
    more = f"The watch stays on the tables until then; it comes off with: {command('rollback', name, '--to', 'verify')}"
    return type(error)(error.id, error.what, f"{error.cure}\n{more}")


def _refuse_closed(conn: Connection, desk: Desk, facts: Facts) -> None:
    with reading(conn, desk):
        shut = closed(conn, desk, facts, archive_step(desk))
    if shut:
        raise GateError(shut)


def _refuse_undeclared(desk: Desk) -> None:
    if not desk.change.archive.tables:
        raise UsageError(
            "M437",
            f"{desk.change.name} archives nothing: no table is named in [change.{desk.change.name}.archive].",
            'Write for example tables = { old_jobs = "_archived_old_jobs" }.',
        )


def _already(desk: Desk, facts: Facts) -> Report:
    """Report that there is nothing to do; raises RefusedError M441 when other tables are named now."""
    assert facts.archived is not None  # that is what the state says
    done = {one.source: one.later.name for one in facts.archived.tables}
    name = desk.change.name
    if done != dict(desk.change.archive.tables):
        raise RefusedError(
            "M441",
            f"{name} was archived with other tables than migrator.toml names now: {facts.archived.names}.",
            f"Take it back, and archive anew: {command('rollback', name, '--to', 'verify')}",
        )
    return Report(
        change=name,
        verb="archive",
        database=desk.database.shown,
        state=facts.state,
        notes=_kept(facts),
        next=after_archive(name),
    )


def _kept(facts: Facts) -> tuple[str, ...]:
    if facts.archived is None:
        return ()
    found = facts.archived
    return (
        f"{found.names}; kept until {found.keep_until:%Y-%m-%d %H:%M} UTC",
        f"renamed with them: {_many(sum(len(one.renames) for one in found.tables), 'object')};"
        f" taken from others: {_many(len(found.access.grants), 'grant')},"
        f" {_many(len(found.access.policies), 'policy', 'policies')}; a rollback gives all of it back",
    )


def _many(number: int, one: str, several: str = "") -> str:
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"
