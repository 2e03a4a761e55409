"""Facts: what database and Ledger look like now, and the state that follows. Everything here only reads."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from migrator.database import inventory, revisions
from migrator.database.connect import Connection
from migrator.database.revision_files import RevisionInfo, declared
from migrator.database.server import ServerFacts
from migrator.database.session import transaction
from migrator.engine import archived
from migrator.engine.archived import Archived
from migrator.engine.proofs import is_fresh, uncounted
from migrator.ledger import backfills, install, lease, steps
from migrator.ledger.steps import Proof, StepRecord
from migrator.model.change import Change
from migrator.model.commands import command
from migrator.model.errors import RefusedError
from migrator.model.step import Phase, State
from migrator.workflow.desk import Desk


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What there is. `recorded` are the backfills that ever ran; `proof` is the newest, whatever it says.

    `astray` are archived tables that are not there under their later names.
    """

    server: ServerFacts
    ledger: int | None
    revisions: tuple[RevisionInfo, ...]
    applied: frozenset[str]
    steps: tuple[StepRecord, ...] = ()
    recorded: frozenset[str] = frozenset()
    verified: bool = False
    refuted: bool = False
    stale: bool = False
    proof: Proof | None = None
    archived: Archived | None = None
    astray: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()  # what the newest proof read whose writes nobody counts
    holder: tuple[str, str] | None = None
    strangers: tuple[str, ...] = ()
    change: Change | None = field(default=None, repr=False)

    @property
    def undoing(self) -> bool:
        """Whether a rollback was begun and did not end."""
        return any(one.status == "undoing" for one in self.steps)

    @property
    def archiving(self) -> bool:
        """Whether an archive was begun and did not end, so that its watch may still stand on the tables."""
        return any(one.phase is Phase.ARCHIVE and one.status == "started" for one in self.steps)

    @property
    def edited(self) -> tuple[str, ...]:
        """The applied revisions whose file is another one now than it was when it was applied."""
        ran_by = {one.name: one.undo.get("revision") for one in self.steps if one.phase is Phase.EXPAND}
        return tuple(one.id for one in self.revisions if ran_by.get(one.id) not in {None, one.digest})

    def done(self, phase: Phase, name: str) -> bool:
        """Whether a Step is recorded as done."""
        return any(one.phase is phase and one.name == name and one.status == "done" for one in self.steps)

    @property
    def state(self) -> State:
        """The state of the change, derived."""
        if self.undoing:
            return State.UNDOING
        if self.archived is not None:
            return State.ARCHIVED
        begun = any(one.phase is Phase.EXPAND for one in self.steps)
        if not self.applied and self.revisions and not begun:
            return State.NEW
        if len(self.applied) < len(self.revisions):
            return State.EXPANDING
        names = () if self.change is None else tuple(one.name for one in self.change.backfills)
        if not any(name in self.recorded for name in names):
            return State.EXPANDED
        if not all(self.done(Phase.BACKFILL, name) for name in names):
            return State.COPYING
        return State.VERIFIED if self.verified else State.COPIED


def gather(conn: Connection, desk: Desk, *, blind: bool = False, run: int | None = None) -> Facts:
    """Gather the facts, as a run sees them; works without a Ledger, and `blind` to one that the role may not read."""
    change, path = desk.change, desk.database.search_path
    chain = tuple(declared(desk.project.revisions, change.name))
    ledger = None if blind else install.version(conn)
    facts = Facts(
        server=inventory.server(conn),
        ledger=ledger,
        revisions=chain,
        applied=frozenset() if blind else revisions.applied(conn, chain),
        strangers=tuple(inventory.foreign_version_tables(conn)),
        change=change,
    )
    return facts if ledger is None else _with_ledger(conn, facts, change, path, run)


def _with_ledger(conn: Connection, facts: Facts, change: Change, search_path: str, run: int | None) -> Facts:
    proof = steps.newest_proof(conn, change.name)
    away = archived.find(conn, change.name)
    there = {} if away is None else inventory.tables(conn, away.later)
    fresh = proof is not None and is_fresh(conn, change, proof, search_path, run)
    return Facts(
        server=facts.server,
        ledger=facts.ledger,
        revisions=facts.revisions,
        applied=facts.applied,
        steps=tuple(steps.all_of(conn, change.name)),
        recorded=frozenset(
            one.name for one in change.backfills if backfills.find(conn, change.name, one.name) is not None
        ),
        verified=fresh,
        refuted=proof is not None and not proof.proven,
        stale=proof is not None and proof.proven and not fresh,
        proof=proof,
        archived=away,
        astray=() if away is None else tuple(str(one) for one in away.later if one not in there),
        uncounted=() if proof is None or not proof.proven else uncounted(proof),
        holder=lease.holder(conn, change.name),
        strangers=facts.strangers,
        change=change,
    )


def facts_of(conn: Connection, desk: Desk, *, blind: bool = False, run: int | None = None) -> Facts:
    """Gather the facts in a transaction that only reads."""
    with reading(conn, desk):
        return gather(conn, desk, blind=blind, run=run)


def status_facts(desk: Desk) -> Facts:
    """Gather the facts of one change, for status."""
    with desk.explained("reading the status"), desk.database.connect() as conn:
        return facts_of(conn, desk)


def reading(conn: Connection, desk: Desk) -> AbstractContextManager[Connection]:
    """Open a transaction that the server holds READ ONLY, with one snapshot."""
    return transaction(conn, read_only=True, isolation="repeatable read", search_path=desk.database.search_path)


def refuse_undoing(desk: Desk, facts: Facts) -> None:
    """Raise RefusedError M405 while a rollback is half done."""
    if facts.undoing:
        raise RefusedError(
            "M405",
            f"A rollback of {desk.change.name} was begun and did not end.",
            f"Let it end: {command('rollback', desk.change.name)}",
        )


def refuse_archived(desk: Desk) -> None:
    """Raise RefusedError M438 when the sources are archived: there is nothing to copy from and nothing to compare."""
    with desk.explained("reading the status"), desk.database.connect() as conn:
        refuse_archived_now(desk, facts_of(conn, desk, blind=install.is_hidden(conn)))


def refuse_archived_now(desk: Desk, facts: Facts) -> None:
    """Raise RefusedError M438 where these facts say that the sources are archived."""
    if facts.archived is None:
        return
    proof = "there is no proof" if facts.proof is None else f"the proof of {facts.proof.at:%Y-%m-%d %H:%M} UTC"
    stands = "" if facts.proof is None else " stands" if facts.verified else " is stale"
    raise RefusedError(
        "M438",
        f"{desk.change.name} is archived: {facts.archived.names}; {proof}{stands}.",
        f"Take the archive back first: {command('rollback', desk.change.name, '--to', 'verify')}",
    )
