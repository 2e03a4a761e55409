"""Proofs: what a proof is of, and whether it still holds: nothing it speaks of was written to since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from typing import Any

from migrator.database.connect import Connection
from migrator.engine import archived, inventory
from migrator.engine.prepare import Prepared, source_relation
from migrator.engine.reads import Reads, read_by, writes
from migrator.ledger import quarantine, steps
from migrator.model.change import Change
from migrator.model.names import Relation


def all_reads(conn: Connection, prepared: Sequence[Prepared], search_path: str) -> Reads:
    """Find all that the Projections of a change read, their sources among it."""
    return reduce(or_, (read_by(conn, one.projection, search_path) for one in prepared), Reads())


def is_fresh(conn: Connection, change: Change, proof: steps.Proof, search_path: str, run: int | None = None) -> bool:
    """Say whether a proof holds: nothing it speaks of was written to since.

    Where writes cannot be counted, it holds only for the `run` that made it.
    """
    if not proof.proven or (uncounted(proof) and proof.run != run):
        return False
    named = frozenset(Relation(schema, name) for schema, name in proof.subject.get("reads", ()))
    reads = Reads(named, uncounted(proof))
    return proof.subject == subject(conn, change, reads, written_to(conn, change, search_path, reads))


def uncounted(proof: steps.Proof) -> tuple[str, ...]:
    """Say what a proof's Projections read whose writes nobody counts."""
    return tuple(proof.subject.get("uncounted", ()))


def written_to(conn: Connection, change: Change, search_path: str, reads: Reads) -> Mapping[str, str]:
    """Count the writes to all that is read, and to what the names of the sources mean now.

    An archived table is counted under its later name, and said by the name it had.
    """
    made = archived.find(conn, change.name)
    tables = () if made is None else made.tables
    away = {one.before: one.later for one in tables}
    put_away = {one.source for one in tables}
    sources = {source_relation(conn, one, search_path) for one in change.backfills if one.source not in put_away}
    found = writes(conn, {away.get(one, one) for one in reads.counted | sources | set(away)})
    names = {str(later): str(before) for before, later in away.items()}
    return {names.get(name, name): said for name, said in found.items()}


def subject(conn: Connection, change: Change, reads: Reads, written: Mapping[str, str]) -> Mapping[str, Any]:
    """Say what a proof is of: the definitions, the checks, what is read, how often was written to it, the objects."""
    tables = inventory.digest(conn, change.name)
    return {
        **({} if tables is None else {"tables": tables}),
        "definitions": {one.name: change.definition_digest(one) for one in change.backfills},
        "checks": change.checks_digest(),
        "reads": [[one.schema, one.name] for one in sorted(reads.counted)],
        "uncounted": list(reads.uncounted),
        "writes": dict(written),
        "quarantine": [list(one) for one in quarantine.counts(conn, change.name)],
    }
