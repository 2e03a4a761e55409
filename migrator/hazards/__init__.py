"""Hazards: what is dangerous in a definition or around it; one rule per file, with its cure in the user's names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from migrator.database.connect import Connection
from migrator.database.revision_files import RevisionInfo
from migrator.database.server import ServerFacts
from migrator.engine.prepare import Prepared
from migrator.hazards import (
    archived_tables,
    edited_revisions,
    firing_triggers,
    isolation,
    nothing_moves,
    ownerless_rows,
    rewriting_downgrades,
    risky_ddl,
    unchecked_types,
    unkept_keys,
    unnamed_values,
)
from migrator.model.names import Relation
from migrator.model.step import Hazard
from migrator.model.verdict import Balance


def find(
    server: ServerFacts,
    prepared: Sequence[Prepared],
    revisions: Mapping[str, str] | None = None,
    *,
    edited: Iterable[str] = (),
    balances: Iterable[Balance] = (),
) -> tuple[Hazard, ...]:
    """Ask every rule; what is said twice is kept once.

    `revisions` is the SQL of those still to run, by name; `edited` are those edited after they ran; `balances` foretell
    where rows go.
    """
    skips = (skip for one in prepared for skip in one.projection.backfill.skips)
    elsewhere = frozenset(one.name for one in skips if one.elsewhere)
    found: Iterable[Hazard] = (
        *isolation.find(server),
        *edited_revisions.find(edited),
        *risky_ddl.find(revisions or {}, server.major),
        *nothing_moves.find(balances, elsewhere),
        *(hazard for one in prepared for hazard in unchecked_types.find(one)),
        *(hazard for one in prepared for hazard in unkept_keys.find(one)),
        *ownerless_rows.find(prepared),
        *(hazard for one in prepared for hazard in firing_triggers.find(one)),
    )
    return tuple(dict.fromkeys(found))


def of_values(conn: Connection, prepared: Sequence[Prepared]) -> tuple[Hazard, ...]:
    """Ask what the rows themselves say against it."""
    return tuple(unnamed_values.find(conn, prepared))


def of_going_back(conn: Connection, revisions: Iterable[RevisionInfo]) -> tuple[Hazard, ...]:
    """Ask what going back before these revisions means to others."""
    return tuple(rewriting_downgrades.find(conn, revisions))


def of_archive(conn: Connection, relations: Sequence[Relation]) -> tuple[Hazard, ...]:
    """Ask what archiving these tables means to others."""
    return tuple(archived_tables.find(conn, relations))
