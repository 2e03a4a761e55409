"""What `[change.X.archive]` says, held against the definitions of the change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from migrator.model.backfill import Backfill
from migrator.model.change import Archive
from migrator.project.config import FILE, ArchiveTable
from migrator.project.faults import Fault, did_you_mean, key, raise_all, shown

LONGEST_NAME = 63  # bytes; PostgreSQL cuts longer ones off


def resolve(change: str, table: ArchiveTable, backfills: Sequence[Backfill]) -> Archive:
    """Give the archive of a change.

    Raises ConfigurationError (M102) for a table that is no source, and for a name that cannot be one.
    """
    raise_all("M102", FILE, _faults(change, table, list(dict.fromkeys(one.source for one in backfills))))
    return Archive(tables=dict(table.tables), keep=table.keep)


def _faults(change: str, table: ArchiveTable, sources: Sequence[str]) -> Iterator[Fault]:
    twice = {name for name, times in Counter(table.tables.values()).items() if times > 1}
    for source, name in table.tables.items():
        where = key("change", change, "archive", "tables", source)
        if source not in sources:
            what = f"{shown(source)} is no source of this change."
            yield Fault(where=where, what=what, cure=did_you_mean(source, sources))
        if not name or len(name.encode()) > LONGEST_NAME:
            what = f"{shown(name)} is no name of a table: 1 to {LONGEST_NAME} bytes."
            yield Fault(where=where, what=what, cure='Write for example "_archived_jobs".')
        if name == source.rpartition(".")[2]:
            yield Fault(where=where, what=f"{shown(name)} is the table's own name.", cure="Give it another one.")
        if name in twice:
            what = f"{shown(name)} is the name of two tables."
            yield Fault(where=where, what=what, cure="Give each a name of its own.")
