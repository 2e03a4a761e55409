"""H165: going back rewrites a table under a lock that stops everybody, because the type of a column is made anew."""

from __future__ import annotations

from collections.abc import Iterable

from migrator.database import inventory
from migrator.database.connect import Connection
from migrator.database.revision_files import RevisionInfo
from migrator.model.step import Hazard

_MEGABYTE = 1 << 20


def find(conn: Connection, revisions: Iterable[RevisionInfo]) -> list[Hazard]:
    """Warn of tables that a downgrade will rewrite, with how large they are now."""
    return [
        Hazard(
            id="H165",
            what=f"going back before revision {info.id} rewrites {one.relation} ({_size(conn, info, at)}):"
            f" nobody reads or writes it meanwhile, and {one.column} {' or '.join(one.values)} becomes {one.becomes}",
            cure="go back when few use it; how many rows that are now, rollback says before it does anything",
        )
        for info in revisions
        for at, one in enumerate(info.narrows)
    ]


def _size(conn: Connection, info: RevisionInfo, at: int) -> str:
    table = inventory.table(conn, info.narrows[at].relation)
    return "not there yet" if table is None else f"{max(1, table.bytes // _MEGABYTE):,} MB"
