"""Steps in the Ledger: which were taken and which are being undone; and the proofs of verify."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from migrator.database.connect import Connection
from migrator.database.session import execute, one, rows
from migrator.ledger.lease import Lease
from migrator.model.names import literal
from migrator.model.step import Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """A Step as recorded."""

    phase: Phase
    name: str
    status: str
    origin: str
    undo: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The newest verdict of verify, and what it was a verdict of."""

    proven: bool
    subject: Mapping[str, Any]
    at: datetime
    run: int


def all_of(conn: Connection, change: str) -> list[StepRecord]:
    """List the Steps of a change that were begun, in the order of phases and time."""
    found = rows(
        conn, "SELECT phase, name, status, origin, undo, at FROM migrator.step WHERE change = %s ORDER BY at", (change,)
    )
    return [
        StepRecord(phase=Phase(phase), name=name, status=status, origin=origin, undo=undo, at=at)
        for phase, name, status, origin, undo, at in found
    ]


def begin(conn: Connection, lease: Lease, phase: Phase, name: str) -> None:
    """Record that a Step was begun; one that is done stays done."""
    execute(
        conn,
        "INSERT INTO migrator.step (change, phase, name, status, run) VALUES (%s, %s, %s, 'started', %s)"
        " ON CONFLICT (change, phase, name) DO NOTHING",
        (lease.change, phase.value, name, lease.run),
    )


def reopen(conn: Connection, lease: Lease, phase: Phase, name: str) -> None:
    """Record that a Step which was done has more to do."""
    execute(
        conn,
        "UPDATE migrator.step SET status = 'started', run = %s"
        " WHERE change = %s AND phase = %s AND name = %s AND status = 'done'",
        (lease.run, lease.change, phase.value, name),
    )


def finish(
    conn: Connection,
    lease: Lease,
    phase: Phase,
    name: str,
    *,
    origin: str = "created",
    undo: Mapping[str, Any] | None = None,
) -> None:
    """Record that a Step is done, whether it made its objects or found them, and what its undo will have to know."""
    execute(
        conn,
        "INSERT INTO migrator.step (change, phase, name, status, origin, undo, run)"
        " VALUES (%s, %s, %s, 'done', %s, %s::jsonb, %s)"
        " ON CONFLICT (change, phase, name) DO UPDATE SET status = 'done', undo = step.undo || excluded.undo,"
        " run = excluded.run, at = now() WHERE step.status <> 'done'",
        (lease.change, phase.value, name, origin, json.dumps(dict(undo or {})), lease.run),
    )


def begin_sql(lease: Lease, phase: Phase, name: str, undo: Mapping[str, Any]) -> str:
    """Write the statement that records that a Step was begun, anew where it was."""
    given = ", ".join(literal(one) for one in (lease.change, phase.value, name))
    return (
        "INSERT INTO migrator.step (change, phase, name, status, undo, run)"
        f" VALUES ({given}, 'started', {literal(json.dumps(dict(undo)))}::jsonb, {lease.run})"
        " ON CONFLICT (change, phase, name) DO UPDATE SET undo = excluded.undo, run = excluded.run, at = now()"
    )


def done_sql(lease: Lease, phase: Phase, name: str, undo: Mapping[str, Any]) -> str:
    """Write the statement that records a Step as done together with all that its undo needs."""
    given = ", ".join(literal(one) for one in (lease.change, phase.value, name))
    return (
        "INSERT INTO migrator.step (change, phase, name, status, undo, run)"
        f" VALUES ({given}, 'done', {literal(json.dumps(dict(undo)))}::jsonb, {lease.run})"
        " ON CONFLICT (change, phase, name) DO UPDATE SET status = 'done', undo = excluded.undo, run = excluded.run,"
        " at = now()"
    )


def forget_sql(change: str, phase: Phase, name: str) -> str:
    """Write the statement that forgets a Step."""
    return (
        f"DELETE FROM migrator.step WHERE change = {literal(change)} AND phase = {literal(phase.value)}"
        f" AND name = {literal(name)}"
    )


def adopt(conn: Connection, lease: Lease, phase: Phase, name: str, undo: Mapping[str, Any]) -> None:
    """Record that a Step was begun which brings over what is there already, and how each of its acts is undone."""
    execute(
        conn,
        "INSERT INTO migrator.step (change, phase, name, status, origin, undo, run)"
        " VALUES (%s, %s, %s, 'started', 'adopted', %s::jsonb, %s)"
        " ON CONFLICT (change, phase, name) DO UPDATE SET undo = excluded.undo, run = excluded.run",
        (lease.change, phase.value, name, json.dumps(undo), lease.run),
    )


def keep(conn: Connection, change: str, phase: Phase, name: str, what: Mapping[str, Any]) -> None:
    """Keep something with a Step that is recorded, beside what is kept with it already."""
    execute(
        conn,
        "UPDATE migrator.step SET undo = undo || %s::jsonb WHERE change = %s AND phase = %s AND name = %s",
        (json.dumps(what), change, phase.value, name),
    )


def mark_act(conn: Connection, change: str, phase: Phase, name: str, at: int, state: str) -> None:
    """Mark one act of a Step as begun, done or undone."""
    execute(
        conn,
        f"UPDATE migrator.step SET undo = jsonb_set(undo, '{{acts,{int(at)},state}}', to_jsonb(%s::text))"
        " WHERE change = %s AND phase = %s AND name = %s",
        (state, change, phase.value, name),
    )


def one_of(conn: Connection, change: str, phase: Phase, name: str) -> StepRecord | None:
    """Find a Step of a change."""
    return next((one for one in all_of(conn, change) if (one.phase, one.name) == (phase, name)), None)


def begin_undo(conn: Connection, lease: Lease, phases: list[Phase], accepted: Mapping[str, Any]) -> None:
    """Record that the Steps of these phases are being undone, and what was accepted by name."""
    execute(
        conn,
        "UPDATE migrator.step SET status = 'undoing', undo = undo || %s::jsonb, run = %s"
        " WHERE change = %s AND phase = ANY (%s)",
        (json.dumps(dict(accepted)), lease.run, lease.change, [one.value for one in phases]),
    )


def forget(conn: Connection, change: str, phase: Phase, name: str | None = None) -> None:
    """Forget a Step that was undone, or all of a phase."""
    only = "" if name is None else " AND name = %s"
    given = (change, phase.value) if name is None else (change, phase.value, name)
    execute(conn, f"DELETE FROM migrator.step WHERE change = %s AND phase = %s{only}", given)


def prove(
    conn: Connection, run: int, change: str, *, proven: bool, subject: Mapping[str, Any], evidence: object
) -> None:
    """Record a verdict of verify."""
    execute(
        conn,
        "INSERT INTO migrator.proof (change, proven, subject, evidence, run) VALUES (%s, %s, %s, %s::jsonb, %s)",
        (change, proven, json.dumps(dict(subject), sort_keys=True), json.dumps(evidence), run),
    )


def newest_proof(conn: Connection, change: str) -> Proof | None:
    """Find the newest verdict of verify."""
    newest = "SELECT proven, subject, at, run FROM migrator.proof WHERE change = %s ORDER BY id DESC LIMIT 1"
    row = one(conn, newest, (change,))
    return None if row is None else Proof(proven=bool(row[0]), subject=json.loads(row[1]), at=row[2], run=int(row[3]))


def forget_proofs(conn: Connection, change: str) -> None:
    """Forget the verdicts of a change that is being undone."""
    execute(conn, "DELETE FROM migrator.proof WHERE change = %s", (change,))
