"""One function for each verb that reads or goes forward. Nothing prints here; `rollback` has a file of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from migrator import hazards
from migrator.database.connect import Connection
from migrator.database.failures import SqlError
from migrator.database.session import transaction
from migrator.engine import inventory
from migrator.engine.prepare import Prepared, prepare, target_relation
from migrator.engine.projection.purity import words
from migrator.engine.reads import read_by
from migrator.ledger import install, lease
from migrator.ledger.run import Listen, Run, Step
from migrator.model.backfill import Backfill
from migrator.model.change import Change
from migrator.model.errors import MigratorError, RefusedError, UsageError
from migrator.model.expressions import Sql
from migrator.model.names import Relation
from migrator.model.step import Event, Hazard, Phase, Plan, Report, State, StepReport
from migrator.model.verdict import Balance, Comparison, SourceBalance, Verdict
from migrator.phases.adopt import AdoptRevision
from migrator.phases.backfill import CopyRows
from migrator.phases.catchup import CatchUpRows
from migrator.phases.expand import RunRevision
from migrator.phases.verify import CompareRows, Proof, balances_of, record, verdicts_of
from migrator.workflow.adoption import ExpandStep, fitted
from migrator.workflow.archive_step import archive_step, foreseen
from migrator.workflow.desk import Desk
from migrator.workflow.expanding import (
    applied_steps,
    expand_steps,
    is_blocked,
    not_looked_at,
    pending_steps,
    take_inventory,
    to_be_brought_over,
)
from migrator.workflow.facts import Facts, gather
from migrator.workflow.planner import Foretold, make_plan
from migrator.workflow.runner import take
from migrator.workflow.scratch import Declared, declare

BLIND = "this role may not read the ledger (schema migrator): all is shown as if nothing had been done yet"
# What a revision said on the scratch server holds for the database as well; other failures may be the copy's own.
SPEAKING = ("M202", "M203")
FORWARD = (Phase.EXPAND, Phase.BACKFILL, Phase.VERIFY)


def plan(desk: Desk, *, count: bool = True, dry_run: bool = False) -> Plan:
    """Plan a change; changes nothing. All reading happens in transactions that the server holds READ ONLY.

    Raises what loading, connecting and compiling raise; UsageError M308 when a definition tries to write.
    """
    with desk.explained(f"planning {desk.change.name}"), desk.database.connect() as conn:
        blind = install.is_hidden(conn)
        facts = facts_of(conn, desk, blind=blind)
        if facts.state is State.ARCHIVED:
            return _archived_plan(desk, facts, dry_run=dry_run)
        declared = _declared(desk, facts)
        if declared.refused is not None and declared.refused.id in SPEAKING:
            raise declared.refused
        with reading(conn, desk):
            pending: list[ExpandStep] = [*pending_steps(desk, facts)]
            if not blind:  # to whom everything seems to be still to come, and may not look at what is there
                pending = fitted(conn, pending_steps(desk, facts), declared, facts.steps, facts.server.major)
            prepared = _prepare(conn, desk, facts, declared, adopting=to_be_brought_over(pending), blind=blind)
            putting_away = facts.state is State.VERIFIED and bool(desk.change.archive.tables)
            archive, following = foreseen(conn, desk, facts) if putting_away else (archive_step(desk), ())
        balances, sources = balances_of(conn, prepared, desk.database.search_path) if count else ((), ())
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
            *following,
        ),
        one_way=tuple(f"{one.title} cannot be undone: {one.no_way_back}" for one in runnable if one.no_way_back),
        notes=(
            *((f"types unchecked: {declared.reason}",) if unchecked else ()),
            *((BLIND,) if blind else ()),
            *(note for one in adopted for note in one.notes),
            *not_looked_at(prepared, to_be_brought_over(pending)),
            *_left_out(desk.change),
        ),
    )
    made: list[Step] = [*applied_steps(desk, facts), *pending, *_copies(desk, prepared), _comparison(desk)]
    made += [archive] if putting_away else []
    return make_plan(desk.change, desk.database.shown, facts, made, foretold, dry_run=dry_run)


def _archived_plan(desk: Desk, facts: Facts, *, dry_run: bool) -> Plan:
    """Plan a change whose sources are archived: every Step is done, and nothing is left to be read."""
    path = desk.database.search_path
    copies = [CopyRows(change=desk.change, backfill=one, search_path=path) for one in desk.change.backfills]
    made: list[Step] = [*expand_steps(desk, facts), *copies, _comparison(desk), archive_step(desk)]
    return make_plan(desk.change, desk.database.shown, facts, made, Foretold(), dry_run=dry_run)


def apply(
    desk: Desk, *, to: Phase = Phase.VERIFY, only: str | None = None, foresee: bool = False, listen: Listen
) -> Report:
    """Take every Step that is not done, forward to a phase; whatever stops it, the same call goes on from there.

    A wrong definition and a table in the way are refused before anything is written; `foresee` also judges definitions
    by tables that are still to be made, on a scratch server, as `plan` does.
    Raises RefusedError M401 while another run holds the lease, M405 while a rollback is half done.
    """
    if to not in FORWARD:
        raise UsageError("M109", f"apply cannot go to {to}.", f"Choose one of {', '.join(FORWARD)}.")
    if only is not None and desk.change.backfill(only) is None:
        known = ", ".join(one.name for one in desk.change.backfills)
        raise UsageError("M103", f"{desk.change.name} has no backfill {only!r}.", f"It has: {known}.")
    with desk.explained(f"applying {desk.change.name}"):
        declared = _foresee(desk, to, scratch=foresee)
        install_ledger(desk)
        with running(desk, f"apply --to {to}", listen) as (run, conn):
            facts = facts_of(conn, desk)
            refuse_undoing(desk, facts)
            if facts.state is State.ARCHIVED:
                return _report(desk, "apply", facts, [])
            drifted, found = inventory.drift(conn, desk.change.name), list[Hazard]()
            done = _expand(desk, run, facts, declared)
            take_inventory(desk, run, conn, facts, drifted, expanded=bool(done))
            if to is not Phase.EXPAND:
                done += _backfill(desk, run, facts, only, found)
            if to is not Phase.VERIFY or only is not None:
                report = _report(desk, "apply", facts_of(conn, desk), done)
            elif not done and facts.state is State.VERIFIED:
                report = _report(desk, "apply", facts, [])
            else:
                report = _verified(desk, run, conn, done, facts)
            return replace(report, hazards=tuple(found))


def refuse_undoing(desk: Desk, facts: Facts) -> None:
    """Raise RefusedError M405 while a rollback is half done."""
    if facts.undoing:
        raise RefusedError(
            "M405",
            f"A rollback of {desk.change.name} was begun and did not end.",
            f"Let it end: migrator rollback {desk.change.name}",
        )


def refuse_archived(desk: Desk) -> None:
    """Raise RefusedError M438 when the sources are archived: there is nothing to copy from and nothing to compare."""
    with desk.explained("reading the status"), desk.database.connect() as conn:
        _refuse_archived(desk, facts_of(conn, desk, blind=install.is_hidden(conn)))


def _refuse_archived(desk: Desk, facts: Facts) -> None:
    if facts.archived is None:
        return
    proof = "there is no proof" if facts.proof is None else f"the proof of {facts.proof.at:%Y-%m-%d %H:%M} UTC"
    stands = "" if facts.proof is None else " stands" if facts.verified else " is stale"
    raise RefusedError(
        "M438",
        f"{desk.change.name} is archived: {facts.archived.names}; {proof}{stands}.",
        f"Take the archive back first: migrator rollback {desk.change.name} --to verify",
    )


def _foresee(desk: Desk, to: Phase, *, scratch: bool) -> Declared:
    """Raise what is known to fail, while nothing is written yet; give what the pending revisions declare."""
    with desk.database.connect() as conn:
        facts = facts_of(conn, desk)
        if facts.undoing or facts.state is State.ARCHIVED:
            return Declared()
        pending = pending_steps(desk, facts)
        blocked = is_blocked(conn, facts, pending)
        declared = _declared(desk, facts) if scratch or blocked else Declared()
        with reading(conn, desk):
            fit = fitted(conn, pending, declared, facts.steps, facts.server.major)
        if to is Phase.EXPAND:
            return declared
        made = {relation.name for step in pending for relation in step.makes}
        judged = tuple(one for one in desk.change.backfills if not _reads(one, made))
        with reading(conn, desk):
            _prepare(conn, desk, facts, declared, adopting=to_be_brought_over(fit), only=judged)
    return declared


def _left_out(change: Change) -> tuple[str, ...]:
    """Say which backfills a parameter leaves out."""
    return tuple(
        f"{one.name} is left out: give --param {one.only_if.name}=true to let it take part"
        for one in change.left_out
        if one.only_if is not None
    )


def _reads(backfill: Backfill, tables: Collection[str]) -> bool:
    """Say whether a definition may read one of these tables, so that it cannot be judged before they are there."""
    texts = [part.text for part in backfill.parts() if isinstance(part, Sql)]
    return not {backfill.source, *(word for text in texts for word in words(text))}.isdisjoint(tables)


def verify_counts(desk: Desk) -> Report:
    """Balance every backfill and every source in one snapshot; only reads. Raises RefusedError M438 when archived."""
    with desk.explained(f"balancing {desk.change.name}"), desk.database.connect() as conn:
        facts = facts_of(conn, desk)
        _refuse_archived(desk, facts)
        declared = _declared(desk, facts)
        with reading(conn, desk):
            prepared = _prepare(conn, desk, facts, declared)
        balances, sources = balances_of(conn, prepared, desk.database.search_path)
    never = tuple(
        Verdict(claim=f"{one.backfill} ran", proven=False, evidence="it never ran; these are the rows it would take")
        for one in balances
        if not one.recorded
    )
    verdicts = (*never, *verdicts_of(balances, sources))
    return _report(desk, "verify-counts", facts, [], balances=balances, sources=sources, verdicts=verdicts)


def verify(desk: Desk, *, show: int = 20, accept: Sequence[str] = (), listen: Listen) -> Report:
    """Prove a change row by row, and record the proof where there is a Ledger we may write to.

    `accept` names objects of the tables that differ from what expand left, and are as they should be.
    Raises RefusedError M406 before expand: there is nothing to compare with yet; M438 when archived; UsageError M215
    for a name in `accept` of nothing that differs.
    """
    with desk.explained(f"verifying {desk.change.name}"), desk.database.connect() as conn:
        facts = facts_of(conn, desk)
        _refuse_archived(desk, facts)
        if facts.state in {State.NEW, State.EXPANDING}:
            raise RefusedError(
                "M406",
                f"{desk.change.name} is {facts.state}: there is nothing to compare yet.",
                f"First: migrator apply {desk.change.name}",
            )
        if accept:
            with lease.hold(desk.database, desk.change.name, "verify") as held, transaction(conn):
                lease.check(conn, held)
                inventory.accept(conn, desk.change.name, accept)
        proof = _comparison(desk, show).prove(conn, listen)
        made_by, notes = _record_proof(conn, desk, facts, proof)
        state = facts_of(conn, desk, run=made_by)
    return proof_report(desk, "verify", state, [], proof, notes)


def facts_of(conn: Connection, desk: Desk, *, blind: bool = False, run: int | None = None) -> Facts:
    """Gather the facts in a transaction that only reads."""
    with reading(conn, desk):
        return gather(conn, desk, blind=blind, run=run)


def status_facts(desk: Desk) -> Facts:
    """Gather the facts of one change, for status."""
    with desk.explained("reading the status"), desk.database.connect() as conn:
        return facts_of(conn, desk)


def install_ledger(desk: Desk) -> None:
    """Install the Ledger where there is none, or bring it to the newest version."""
    with desk.explained("installing the ledger"), desk.database.connect() as conn:
        if install.version(conn) != install.VERSION:
            with transaction(conn, lock_timeout_ms=10_000):
                install.install(conn)


@contextmanager
def running(desk: Desk, verb: str, listen: Listen) -> Iterator[tuple[Run, Connection]]:
    """Hold the lease of the change, with a connection to look around."""

    def waiting(said: str) -> None:
        listen(Event(kind="note", phase=Phase.EXPAND, name="lease", title=said))

    with (
        lease.hold(desk.database, desk.change.name, verb, waiting=waiting) as held,
        desk.database.connect() as conn,
    ):
        yield Run(change=desk.change, database=desk.database, lease=held, listen=listen), conn


def reading(conn: Connection, desk: Desk) -> AbstractContextManager[Connection]:
    """Open a transaction that the server holds READ ONLY, with one snapshot."""
    return transaction(conn, read_only=True, isolation="repeatable read", search_path=desk.database.search_path)


def _declared(desk: Desk, facts: Facts) -> Declared:
    """Look at what pending revisions will make; nothing is started where none is pending."""
    if len(facts.applied) == len(facts.revisions):
        return Declared()
    return declare(desk, facts.applied, facts.server.major)


def _prepare(
    conn: Connection,
    desk: Desk,
    facts: Facts,
    declared: Declared,
    *,
    adopting: frozenset[Relation] = frozenset(),
    blind: bool = False,
    only: Sequence[Backfill] | None = None,
) -> tuple[Prepared, ...]:
    path = desk.database.search_path
    filling = frozenset(
        target_relation(conn, one, path) for one in desk.change.backfills if not facts.done(Phase.BACKFILL, one.name)
    )
    return tuple(
        prepare(
            conn,
            desk.change,
            one,
            search_path=path,
            shapes=declared.shapes,
            filling=filling,
            adopting=adopting,
            blind=blind,
        )
        for one in (desk.change.backfills if only is None else only)
    )


def _copies(desk: Desk, prepared: Sequence[Prepared]) -> list[Step]:
    path = desk.database.search_path
    return [
        CopyRows(change=desk.change, backfill=one.projection.backfill, search_path=path, prepared=one)
        for one in prepared
    ]


def _comparison(desk: Desk, show: int = 20) -> CompareRows:
    return CompareRows(change=desk.change, search_path=desk.database.search_path, show=show)


def _expand(desk: Desk, run: Run, facts: Facts, declared: Declared) -> list[StepReport]:
    """Run or adopt each pending revision, judged by what is there when its turn has come."""
    done = []
    for step in pending_steps(desk, facts):
        with desk.database.connect() as conn:
            if not declared.whole and is_blocked(conn, facts, [step]):
                declared = declare(desk, facts.applied, facts.server.major)
            (fit,) = fitted(conn, [step], declared, facts.steps, facts.server.major)
        done.append(take(fit, run))
    return done


def _backfill(desk: Desk, run: Run, facts: Facts, only: str | None, found: list[Hazard]) -> list[StepReport]:
    """Take the copies; what the smoke test of a target finds is added to `found` before its first row moves."""
    done = []
    for backfill in desk.change.backfills:
        if only is not None and backfill.name != only:
            continue
        step = CopyRows(change=desk.change, backfill=backfill, search_path=desk.database.search_path)
        found += step.smoke(run)
        report = take(step, run)
        if report.detail or not facts.done(Phase.BACKFILL, backfill.name):
            done.append(report)
    return done


def _verified(desk: Desk, run: Run, conn: Connection, done: list[StepReport], before: Facts) -> Report:
    step = _comparison(desk)
    proof = step.prove(conn, run.listen)
    caught_up = _catch_up(desk, run, proof)
    if caught_up:
        done = [*done, *caught_up]
        proof = step.prove(conn, run.listen)
    with run.writing(conn):
        record(conn, run.lease, desk.change, proof)
    facts = facts_of(conn, desk, run=run.lease.run)
    if before.state is not State.VERIFIED or not proof.proven:
        compared = sum(one.compared for one in proof.comparisons)
        seconds = sum(one.seconds for one in proof.comparisons)
        done = [*done, StepReport(phase=step.phase, name=step.name, title=step.title, rows=compared, seconds=seconds)]
    return proof_report(desk, "apply", facts, done, proof, ())


def _catch_up(desk: Desk, run: Run, proof: Proof) -> list[StepReport]:
    """Bring rows up to date whose source rows changed since they were moved, where a comparison found some."""
    stale = [desk.change.backfill(one.backfill) for one in proof.comparisons if one.counts.get("stale")]
    path = desk.database.search_path
    reports = [
        take(CatchUpRows(change=desk.change, backfill=one, search_path=path), run) for one in stale if one is not None
    ]
    return [one for one in reports if one.detail]


def _record_proof(conn: Connection, desk: Desk, facts: Facts, proof: Proof) -> tuple[int | None, tuple[str, ...]]:
    """Record a proof by a run of its own; one that may not write says so instead."""
    if facts.ledger is None:
        return None, ("no ledger here: the proof is not recorded",)
    try:
        with lease.hold(desk.database, desk.change.name, "verify") as held, transaction(conn):
            lease.check(conn, held)
            record(conn, held, desk.change, proof)
    except (MigratorError, SqlError) as error:
        return None, (f"the proof is not recorded: {error}",)
    return held.run, ()


def _report(
    desk: Desk,
    verb: str,
    facts: Facts,
    done: Sequence[StepReport],
    *,
    balances: Sequence[Balance] = (),
    sources: Sequence[SourceBalance] = (),
    verdicts: Sequence[Verdict] = (),
) -> Report:
    return Report(
        change=desk.change.name,
        verb=verb,
        database=desk.database.shown,
        state=facts.state,
        steps=tuple(done),
        balances=tuple(balances),
        sources=tuple(sources),
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
        comparisons=proof.comparisons,
        verdicts=proof.verdicts,
        notes=notes,
        next=_next(desk, facts.state, proof.balances, proof.comparisons),
    )


def _next(
    desk: Desk, state: State, balances: Sequence[Balance], comparisons: Sequence[Comparison] = ()
) -> tuple[str, ...]:
    """Name the commands that come next."""
    name = desk.change.name
    kinds = {kind for one in comparisons for kind in one.counts}
    if kinds & {"altered", "stale", "lost", "extra", "doubled"}:
        # Rows that are as we wrote them go and come again; what the application changed is counted first.
        return (f"migrator rollback {name} --to expand", f"migrator apply {name}")
    if any(one.recorded and one.rows("pending") for one in balances):
        return (f"migrator apply {name}",)
    if any(one.recorded and one.rows("quarantined") for one in balances):
        return (f"migrator quarantine list {name}",)
    match state:
        case State.NEW | State.EXPANDING | State.EXPANDED | State.COPYING:
            return (f"migrator apply {name}",)
        case State.COPIED:
            return (f"migrator verify {name}",)
        case State.UNDOING:
            return (f"migrator rollback {name}",)
        case _:
            return ()
