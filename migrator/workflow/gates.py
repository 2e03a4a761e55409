"""Gates: what must be so before an archive; all are looked at before anything is changed, and told together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from migrator.database import access, inventory, locks, renames
from migrator.database.connect import Connection
from migrator.database.session import rows
from migrator.engine import archived, watch
from migrator.engine.behind import count_behind
from migrator.engine.prepare import prepare
from migrator.engine.proofs import uncounted, written_to
from migrator.engine.reads import Reads
from migrator.ledger import consumers, install, quarantine
from migrator.model.commands import command
from migrator.model.errors import RefusedError
from migrator.model.names import Relation, literal
from migrator.model.step import Refusal, State
from migrator.phases import archive as archiving
from migrator.phases.archive import ArchiveTables
from migrator.workflow.desk import Desk
from migrator.workflow.facts import Facts

SHOWN: Final = 12  # consumers that are named


class GateError(RefusedError):
    """Refused by one gate or by several; the id is that of the first, all stand in `refusals`."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        """Say each with its id and its cure."""
        first, *others = refusals
        what = first.what
        cures = [first.cure]
        if others:
            what = "\n".join(
                [f"{len(refusals)} things stand in the way.", *(f"{one.id} {one.what}" for one in refusals)]
            )
            cures = [f"{one.id}: {one.cure}" for one in refusals]
        super().__init__(first.id, what, "\n".join(cures))
        self.refusals = tuple(refusals)


def closed(conn: Connection, desk: Desk, facts: Facts, step: ArchiveTables) -> tuple[Refusal, ...]:
    """Look at every gate of an archive, and give those that are closed; only reads."""
    relations = step.relations(conn)
    return (
        *_unproven(facts, desk),
        *_unfinished(conn, desk, facts),
        *_consumers(conn, desk),
        *_written(conn, desk, facts, relations),
        *_taken(conn, step, relations),
        *_others(conn, desk),
        *_prepared(conn, relations),
        *_unwatchable(conn, desk, step, relations),
        *_unrestorable(conn, relations),
    )


def _unproven(facts: Facts, desk: Desk) -> Iterator[Refusal]:
    if facts.state is State.VERIFIED or _held_for_its_run(facts):
        return
    name = desk.change.name
    why = "it was never verified"
    if facts.proof is not None:
        said = "is stale: sources, definitions or quarantine changed since" if facts.stale else "did not hold"
        why = f"its proof of {facts.proof.at:%Y-%m-%d %H:%M} UTC {said}"
    yield Refusal(
        id="M430", what=f"{name} is {facts.state}, not verified: {why}.", cure=f"First: {command('apply', name)}"
    )


def _held_for_its_run(facts: Facts) -> bool:
    """Say whether the newest proof held, but for its run alone: an archive makes one of its own, under the watch."""
    proof = facts.proof
    return facts.state is State.COPIED and proof is not None and proof.proven and bool(uncounted(proof))


def _unfinished(conn: Connection, desk: Desk, facts: Facts) -> Iterator[Refusal]:
    if facts.ledger is None:
        return
    name, path = desk.change.name, desk.database.search_path
    held = [(one, number) for one, _, status, number in quarantine.counts(conn, name) if status == "open"]
    if held:
        said = ", ".join(f"{number:,} of {one}" for one, number in held)
        yield Refusal(
            id="M431", what=f"Rows wait in quarantine: {said}.", cure=f"See: {command('quarantine list', name)}"
        )
    if facts.state is not State.COPIED:
        return
    prepared = [prepare(conn, desk.change, one, search_path=path) for one in desk.change.backfills]
    behind = {one.projection.backfill.name: count_behind(conn, one.writing()) for one in prepared if one.recorded}
    if said := ", ".join(f"{number:,} of {one}" for one, number in behind.items() if number):
        yield Refusal(id="M431", what=f"Rows are pending: {said}.", cure=f"First: {command('apply', name)}")


def _consumers(conn: Connection, desk: Desk) -> Iterator[Refusal]:
    behind = [one for one in consumers.of_change(conn, desk.change) if one.side != "new"]
    if not behind:
        return
    named = ", ".join(f"{one.name} ({one.side})" for one in behind[:SHOWN])
    more = f" and {len(behind) - SHOWN} more" if len(behind) > SHOWN else ""
    name = desk.change.name
    yield Refusal(
        id="M432",
        what=f"Not every consumer is on the new tables: {named}{more}.",
        cure=f"When they are: {command('consumers', name, 'NAME', '--on', 'new')}",
    )


def _written(conn: Connection, desk: Desk, facts: Facts, relations: Sequence[Relation]) -> Iterator[Refusal]:
    """Compare PostgreSQL's counters with those of the proof; they may lag, which is what the watch is for."""
    if facts.proof is None or not facts.proof.proven:
        return
    before = facts.proof.subject.get("writes", {})
    named = frozenset(one.relation for one in watch.members(conn, relations))
    now = written_to(conn, desk.change, desk.database.search_path, Reads(named))
    more = {str(one): _more(before.get(str(one), ""), now.get(str(one), "")) for one in sorted(named)}
    if any(more.values()):
        said = ", ".join(f"{one} {what}" for one, what in more.items() if what)
        yield Refusal(
            id="M433",
            what=f"By PostgreSQL's counters, written since the proof of {facts.proof.at:%Y-%m-%d %H:%M} UTC: {said}.",
            cure=f"Find out who writes there, move them to the new tables, then: {command('apply', desk.change.name)}",
        )


def _more(before: str, now: str) -> str:
    """Say by how many rows a count grew, or that the table was written anew; nothing where nothing was written."""
    if before == now:
        return ""
    first, last = (int(one.split()[0]) if one else 0 for one in (before, now))
    return f"{last - first:+,} rows" if first != last else "written anew"


def _taken(conn: Connection, step: ArchiveTables, relations: Sequence[Relation]) -> Iterator[Refusal]:
    found = {one: step.change.archive.tables[source] for source, one in _sources(conn, step).items()}
    missing = [one for one in step.change.archive.tables if one not in _sources(conn, step)]
    if missing:
        error = archiving.gone_by_hand(step.change.name, ", ".join(missing))
        yield Refusal(id=error.id, what=error.what, cure=error.cure)
    for relation in relations:
        later = Relation(relation.schema, found[relation])
        if who := renames.who_has(conn, later):
            yield Refusal(
                id="M434",
                what=f"The name {later} is taken: there is {who} of that name.",
                cure=f"Rename or drop it, or choose another name in [change.{step.change.name}.archive].",
            )


def _sources(conn: Connection, step: ArchiveTables) -> dict[str, Relation]:
    found = {one: inventory.find(conn, one, step.search_path) for one in step.change.archive.tables}
    return {source: one for source, one in found.items() if one is not None}


def _others(conn: Connection, desk: Desk) -> Iterator[Refusal]:
    path = desk.database.search_path
    going = {one: inventory.find(conn, one, path) for one in desk.change.archive.tables}
    beside = {name: set(sources) for name, sources in desk.project.sources_beside(desk.change).items()}
    if install.version(conn) is not None:
        for name, source in rows(conn, "SELECT change, source FROM migrator.backfill"):
            beside.setdefault(str(name), set()).add(str(source))
    for name, sources in beside.items():
        done = install.version(conn) is not None and archived.find(conn, name) is not None
        used = {inventory.find(conn, one, path) for one in sources} - {None}
        shared = [source for source, one in going.items() if one in used]
        if name != desk.change.name and shared and not done:
            yield Refusal(
                id="M435",
                what=f"{', '.join(shared)} is a source of {name} too, which is not archived.",
                cure=f"First bring {name} to its end, or leave the table out of [change.{desk.change.name}.archive].",
            )


def _prepared(conn: Connection, relations: Sequence[Relation]) -> Iterator[Refusal]:
    for relation in relations:
        held = [one for one in locks.blockers(conn, relation) if one.pid is None]
        if held:
            yield Refusal(
                id="M436",
                what=f"A prepared transaction holds {relation}: {'; '.join(map(str, held))}.",
                cure="COMMIT PREPARED or ROLLBACK PREPARED it, with the name above.",
            )


def _unwatchable(conn: Connection, desk: Desk, step: ArchiveTables, relations: Sequence[Relation]) -> Iterator[Refusal]:
    del desk
    for relation in relations:
        ((kind, inherits, subscribed),) = rows(
            conn,
            "SELECT c.relkind, EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid),"
            " EXISTS (SELECT FROM pg_catalog.pg_subscription_rel s WHERE s.srrelid = c.oid)"
            " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            f" WHERE n.nspname = {literal(relation.schema)} AND c.relname = {literal(relation.name)}",
        )
        why = (
            "is no table"
            if kind not in {"r", "p"}
            else "is a partition, or inherits from another table"
            if inherits
            else "is filled by a subscription, which fires no such trigger"
            if subscribed
            else ""
        )
        if why:
            yield Refusal(
                id="M445",
                what=f"{relation} {why}: writes to it could not be watched.",
                cure=f"Detach it, end the subscription, or leave it out of [change.{step.change.name}.archive].",
            )


def _unrestorable(conn: Connection, relations: Sequence[Relation]) -> Iterator[Refusal]:
    oids = [one.oid for one in watch.members(conn, relations)]
    if said := access.unable(conn, access.read(conn, oids)):
        yield Refusal(id="M440", what=archiving.unable(said), cure=archiving.CURE_UNABLE)
