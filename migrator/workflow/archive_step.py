"""The Step of the archive, with its SQL and its hazards as far as they can be looked up."""

from __future__ import annotations

from dataclasses import replace

from migrator import hazards
from migrator.database.connect import Connection
from migrator.model.step import Hazard, State
from migrator.phases.archive import ArchiveTables
from migrator.workflow.desk import Desk
from migrator.workflow.facts import Facts


def archive_step(desk: Desk) -> ArchiveTables:
    """Give the Step of the archive."""
    return ArchiveTables(change=desk.change, search_path=desk.database.search_path)


def foreseen(conn: Connection, desk: Desk, facts: Facts) -> tuple[ArchiveTables, tuple[Hazard, ...]]:
    """Give the Step of the archive with what it would change, and what that means to others; only reads."""
    step = archive_step(desk)
    relations = step.relations(conn)
    if facts.state is State.ARCHIVED or len(relations) < len(desk.change.archive.tables):
        return step, ()
    return replace(step, statements=step.sql(conn)), hazards.of_archive(conn, relations)
