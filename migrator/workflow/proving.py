"""The proof and the Balance, asked for by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from migrator.database.connect import Connection
from migrator.database.failures import SqlError
from migrator.database.session import transaction
from migrator.engine import inventory
from migrator.engine.balance import balances_of
from migrator.engine.object_balance import balance_objects
from migrator.ledger import lease
from migrator.ledger.run import Listen
from migrator.model.checked_objects import CheckedObjects
from migrator.model.commands import command
from migrator.model.errors import MigratorError, RefusedError
from migrator.model.step import Report, State
from migrator.model.verdict import Verdict
from migrator.phases.verify import Proof, record, verdicts_of
from migrator.workflow import objects
from migrator.workflow.change_steps import comparison, declared_for, prepared_for
from migrator.workflow.desk import Desk
from migrator.workflow.facts import Facts, facts_of, reading, refuse_archived_now
from migrator.workflow.reports import proof_report, report_of

NAMED: Final = 20  # objects


def verify_counts(desk: Desk) -> Report:
    """Balance every backfill and every source in one snapshot; only reads. Raises RefusedError M438 when archived."""
    with desk.explained(f"balancing {desk.change.name}"), desk.database.connect() as conn:
        facts = facts_of(conn, desk)
        refuse_archived_now(desk, facts)
        declared = declared_for(desk, facts)
        with reading(conn, desk):
            prepared = prepared_for(conn, desk, facts, declared)
        balances, sources = balances_of(conn, prepared, desk.database.search_path)
        named = balance_objects(conn, [one for one in prepared if one.recorded], desk.database.search_path)
    never = tuple(
        Verdict(claim=f"{one.backfill} ran", proven=False, evidence="it never ran; these are the rows it would take")
        for one in balances
        if not one.recorded
    )
    verdicts = (*never, *verdicts_of(balances, sources, named))
    return report_of(
        desk, "verify-counts", facts, [], balances=balances, sources=sources, objects=named, verdicts=verdicts
    )


def verify(
    desk: Desk, *, show: int = 20, accept: Sequence[str] = (), check_objects: bool = False, listen: Listen
) -> Report:
    """Prove a change row by row, and record the proof where there is a Ledger we may write to.

    `accept` names objects of the tables that differ from what expand left, and are as they should be. With
    `check_objects` every object of S3 that was copied is looked at too.
    Raises RefusedError M406 before expand: there is nothing to compare with yet; M438 when archived; UsageError M215
    for a name in `accept` of nothing that differs; M287 where there are no objects to be checked.
    """
    with desk.explained(f"verifying {desk.change.name}"), desk.database.connect() as conn:
        facts = facts_of(conn, desk)
        refuse_archived_now(desk, facts)
        if facts.state in {State.NEW, State.EXPANDING}:
            raise RefusedError(
                "M406",
                f"{desk.change.name} is {facts.state}: there is nothing to compare yet.",
                f"First: {command('apply', desk.change.name)}",
            )
        if accept:
            with lease.hold(desk.database, desk.change.name, "verify") as held, transaction(conn):
                lease.check(conn, held)
                inventory.accept(conn, desk.change.name, accept)
        checked = tuple(_checked(one) for one in objects.verify(desk, listen=listen)) if check_objects else ()
        proof = comparison(desk, show).prove(conn, listen)
        proof = replace(proof, verdicts=(*proof.verdicts, *checked))
        made_by, notes = _record_proof(conn, desk, facts, proof)
        notes += _still_waiting(desk, proof)
        state = facts_of(conn, desk, run=made_by)
    return proof_report(desk, "verify", state, [], proof, notes)


def _checked(found: CheckedObjects) -> Verdict:
    """Judge the objects of one name by what was found when each was looked at."""
    faults = [f"{number:,} {why}" for why, number in found.faults.items()]
    named = ", ".join(one.object for one in found.examples[:NAMED])
    return Verdict(
        claim=f"every object that {found.backfill} has as {found.name} is at its key, as it was proven",
        proven=found.proven,
        evidence=f"{', '.join(faults)}: {named}" if faults else f"{found.looked_at:,} looked at",
    )


def _still_waiting(desk: Desk, proof: Proof) -> tuple[str, ...]:
    """Say of which backfills rows wait until there is room for them: they are proven when all were handed over."""
    paced = {one.name for one in desk.change.backfills if one.pace is not None}
    return tuple(
        f"{one.backfill}: {one.rows('pending'):,} rows wait until there is room for them, and are proven after that"
        for one in proof.balances
        if one.backfill in paced and one.rows("pending")
    )


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
