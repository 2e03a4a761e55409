"""Quarantine as people see it: how many rows by reason, which ones, and one of them in full."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from migrator.cli.render.words import WIDTH, blocks, columns, fold, named, number, rows
from migrator.model.commands import command

if TYPE_CHECKING:
    from migrator.ledger.quarantine import Entry

Counts = Sequence[tuple[str, str, str, int]]


def overview(change: str, counts: Counts, entries: Sequence[Entry], *, width: int = WIDTH) -> list[str]:
    """Write the rows in quarantine by backfill, reason and status, then the first of them."""
    if not counts:
        return ["Nothing is in quarantine."]
    more = sum(count for *_, count in counts) - len(entries)
    rest = [f"… and {number(more)} more: --limit N names more of them"] if more > 0 and entries else []
    return list(blocks(_counted(counts, width), [*_listed(entries, width), *rest], _ways(change, counts, entries)))


def _counted(counts: Counts, width: int) -> list[str]:
    table = [("rows", "status", "backfill", "reason")]
    table += [(number(count), status, name, reason) for name, reason, status, count in counts]
    return columns(table, right=(0,), width=width)


def _listed(entries: Sequence[Entry], width: int) -> list[str]:
    if not entries:
        return []
    table = [("id", "status", "source", "key", "why")]
    table += [(str(one.id), one.status, one.source, ", ".join(one.key), _why(one)) for one in entries]
    return columns(table, right=(0,), width=width)


def _why(one: Entry) -> str:
    """Say what the server said; of a fault that we found, the reason with the value that is at fault."""
    if one.sqlstate and one.message:
        return one.message
    return f"{one.reason}: {one.message}" if one.message else one.reason


def _ways(change: str, counts: Counts, entries: Sequence[Entry]) -> Iterator[str]:
    if entries:
        yield f"See one:       {command('quarantine show', change, '--id', str(entries[0].id))}"
    if any(status == "open" for _, _, status, _ in counts):
        yield f"Try again:     {command('quarantine retry', change, '--all')} && {command('apply', change)}"
        yield f"Leave behind:  {command('quarantine dismiss', change, '--id', '…', '--note', 'why this may stay')}"


def entry(one: Entry, *, width: int = WIDTH) -> list[str]:
    """Write one quarantined row with all its values."""
    why = " · ".join(part for part in (one.reason, one.sqlstate, one.constraint) if part)
    facts = [
        ("id", str(one.id)),
        ("backfill", one.backfill),
        ("source", f"{one.source} {', '.join(one.key)}"),
        ("status", one.status + (f" ({one.note})" if one.note else "")),
        ("since", f"{one.at:%Y-%m-%d %H:%M:%S %Z}".strip()),
        ("why", why),
        ("message", one.message or ""),
    ]
    made = [line for name, text in facts if text for line in named(name, text, width, column=12)]
    values = [(name, "NULL" if value is None else str(value)) for name, value in one.row.items()]
    return [*made, "", "the row", *columns(values, indent="  ", width=width)]


def changed(count: int, done: str, next_one: str = "", *, width: int = WIDTH) -> list[str]:
    """Write what was done to how many rows."""
    if not count:
        return ["No row fits; nothing was changed."]
    return [*fold(f"✓ {rows(count)} {done}.", width), *([f"Next: {next_one}"] if next_one else [])]
