"""Status: one line for each change of the project, from a few quick queries."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from migrator.database import inventory
from migrator.database.connect import Connection
from migrator.database.session import one
from migrator.ledger import cohorts, objects
from migrator.ledger.cohorts import Cohorts
from migrator.model.commands import command
from migrator.model.objects import Outcome
from migrator.model.step import ChangeStatus, State
from migrator.project import Project
from migrator.workflow.desk import Desk, open_desk
from migrator.workflow.facts import Facts, gather, reading

_NEXT = {
    State.NEW: "plan",
    State.EXPANDING: "apply",
    State.EXPANDED: "apply",
    State.COPYING: "apply",
    State.COPIED: "verify",
    State.VERIFIED: "",
    State.ARCHIVED: "",
    State.UNDOING: "rollback",
}


def status(
    project: Project,
    *,
    change: str | None = None,
    url: str | None = None,
    config: str | None = None,
    params: Mapping[str, str] | None = None,
) -> tuple[ChangeStatus, ...]:
    """Say of every change, or of one, where it stands; without a name each gets the parameters that it declares.

    Raises what opening a change and connecting raises.
    """
    names = (change,) if change is not None else project.names()
    root, own = config or str(project.root), {name: dict(params or {}) for name in names}
    if len(names) > 1:
        own = {name: _known(given, project.parameters(name)) for name, given in own.items()}
    return tuple(_status(open_desk(name, config=root, url=url, params=own[name])) for name in names)


def _known(given: Mapping[str, str], declared: Collection[str]) -> dict[str, str]:
    return {name: value for name, value in given.items() if name in declared}


def _status(desk: Desk) -> ChangeStatus:
    with desk.explained("reading the status"), desk.database.connect() as conn, reading(conn, desk):
        facts = gather(conn, desk)
        moved = cohorts.summary(conn, desk.change.name) if facts.ledger is not None else None
        copied, total, held, since = _counts(conn, desk) if facts.ledger is not None else (0, None, 0, None)
        named = objects.outcomes(conn, desk.change.name) if facts.ledger is not None else {}
    return ChangeStatus(
        change=desk.change.name,
        state=facts.state,
        since=since,
        rows=copied,
        total=total,
        quarantined=held,
        holder=f"{facts.holder[0]}: {facts.holder[1]}" if facts.holder else None,
        reasons=(*_reasons(facts, held), *_cohorts(moved), *_objects(named)),
        next=command(verb, desk.change.name) if (verb := _NEXT[facts.state]) else "",
    )


def _cohorts(found: Cohorts | None) -> tuple[str, ...]:
    """Say how many cohorts are moved."""
    if found is None or not found.known:
        return ()
    share = f" ({found.moved / found.total:.2%} of {found.total:,})" if found.total else ""
    under_way = f", {found.known - found.moved:,} under way" if found.known > found.moved else ""
    return (f"cohorts: {found.moved:,} moved{share}{under_way}",)


def _objects(named: Mapping[str | None, tuple[int, int]]) -> tuple[str, ...]:
    """Say how many objects are copied."""
    if not named:
        return ()
    good = [named.get(one.value, (0, 0)) for one in Outcome if one.good]
    at_fault = sum(number for word, (number, _) in named.items() if word is not None and not Outcome(word).good)
    total, there = sum(number for number, _ in named.values()), sum(number for number, _ in good)
    faults = f", {at_fault:,} at fault" if at_fault else ""
    return (f"objects: {there:,} of {total:,} at their keys, {sum(size for _, size in good):,} bytes{faults}",)


def _counts(conn: Connection, desk: Desk) -> tuple[int, int | None, int, str | None]:
    """Read how far the copies are: rows read, rows to read (as estimated when the Ranges were planned), quarantined."""
    path = desk.database.search_path
    sources = [relation.sql for b in desk.change.backfills if (relation := inventory.find(conn, b.source, path))]
    found = one(
        conn,
        "SELECT coalesce(sum(r.read), 0)::bigint,"
        " (SELECT sum(greatest(c.reltuples, 0))::bigint FROM unnest(%(sources)s::text[]) AS source(name),"
        "   LATERAL (SELECT pg_catalog.to_regclass(source.name) AS oid) AS named JOIN pg_catalog.pg_class c"
        "   ON c.oid = named.oid AND c.relkind <> 'p'"
        "     OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(named.oid) WHERE isleaf)),"
        " (SELECT count(*) FROM migrator.quarantine q JOIN migrator.backfill b ON b.id = q.backfill"
        "   WHERE b.change = %(change)s AND q.status = 'open'),"
        " (SELECT to_char(max(at), 'YYYY-MM-DD HH24:MI') FROM migrator.step WHERE change = %(change)s)"
        " FROM migrator.range r JOIN migrator.backfill b ON b.id = r.backfill WHERE b.change = %(change)s",
        {"change": desk.change.name, "sources": sources},
    )
    assert found is not None  # an aggregate
    return int(found[0]), None if found[1] is None else int(found[1]), int(found[2]), found[3]


def _reasons(facts: Facts, held: int) -> tuple[str, ...]:
    found = []
    if facts.refuted:
        found.append("the last verify was not proven")
    if facts.stale and facts.uncounted:
        found.append(f"the proof held for its run alone: nobody counts writes to {', '.join(facts.uncounted)}")
    elif facts.stale:
        found.append("the proof is stale: sources, definitions or parameters changed since")
    if facts.archived is not None:
        found.append(f"{facts.archived.names}, kept until {facts.archived.keep_until:%Y-%m-%d %H:%M} UTC")
    found += [f"{one} is not there any more: renamed or dropped by hand" for one in facts.astray]
    if facts.archiving:
        name = "" if facts.change is None else facts.change.name
        found.append(
            "an archive was begun and did not end, and a watch is on its tables:"
            f" {command('archive', name)} goes on, {command('rollback', name, '--to', 'verify')} takes it off"
        )
    if held:
        found.append(f"{held:,} rows wait in quarantine")
    found += [f"revision {one} was edited after it was applied (H130)" for one in facts.edited]
    found += facts.strangers
    return tuple(found)
