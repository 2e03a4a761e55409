"""Balances: the source at the left, the target at the right, and every row accounted for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from migrator.cli.render import fates
from migrator.cli.render.fates import ALWAYS, DISPOSITIONS
from migrator.cli.render.words import WIDTH, blocks, columns, duration, fold, number, rows
from migrator.model.commands import command, within
from migrator.model.verdict import Balance, SourceBalance, Unaccounted

MIDDLE = 6
EXAMPLES = 10
NAMES = 40
Line = tuple[str, str]


def balances(given: Sequence[Balance], *, flags: bool = True, width: int = WIDTH) -> list[str]:
    """Write the Balance of every backfill, side by side with what its target holds."""
    remarks = _flags(given, width) if flags else ()
    named = fates.names(given)
    return list(blocks(*(_one(one, named[one.backfill], width) for one in given), remarks))


def closed(given: Sequence[Balance], sources: Sequence[SourceBalance]) -> bool:
    """Say whether every row of every backfill and of every source is accounted for."""
    return all(one.closes for one in given) and all(one.closes for one in sources)


def settled(given: Sequence[Balance], sources: Sequence[SourceBalance]) -> bool:
    """Say whether nothing is left to do or to explain: every row is where it belongs."""
    left = sum(one.rows(name) for one in given for name in ("pending", "quarantined"))
    return closed(given, sources) and not left


def short(given: Sequence[Balance], *, width: int = WIDTH) -> list[str]:
    """Write settled Balances as a table, one line each."""
    if not given:
        return []
    shown = [name for name in DISPOSITIONS if name in ALWAYS or any(one.rows(name) for one in given)]
    table = [("", "source rows", *shown, "unaccounted")]
    named = fates.names(given)
    for one in given:
        terms = (number(one.rows(name)) for name in shown)
        table.append((named[one.backfill], number(one.source_rows), *terms, number(one.unaccounted)))
    return columns(table, right=range(1, len(table[0])), limits={0: NAMES}, width=width)


def _flags(given: Sequence[Balance], width: int) -> list[str]:
    table = list(fates.flags(given))
    return ["flagged", *columns(table, right=(1,), indent="  ", width=width)] if table else []


def _one(balance: Balance, name: str, width: int) -> Iterator[str]:
    """Write one Balance as two columns side by side, under its name where its tables do not tell which it is."""
    if name == balance.backfill:
        yield name
    room = (width - MIDDLE) // 2
    left, right = _left(balance), _right(balance)
    for one, other in zip_longest(_fitted(left, room), _fitted(right, room), fillvalue=""):
        yield f"{one:<{room}}{' ' * MIDDLE if other else ''}{other}".rstrip()
    yield from _examples(balance.examples, width)


def _left(balance: Balance) -> Iterator[Line]:
    yield f"source {balance.source}", number(balance.source_rows)
    for disposition in DISPOSITIONS:
        terms = [one for one in balance.terms if one.disposition == disposition and one.rows]
        if terms or disposition in (*ALWAYS, "pending"):
            yield f"  {disposition}", number(sum(one.rows for one in terms))
        for term in terms:
            place = f" → {term.elsewhere}" if term.elsewhere else ""
            if term.reason:
                yield f"    {term.reason}{place}", number(term.rows)
    yield "  unaccounted", number(balance.unaccounted)


def _right(balance: Balance) -> Iterator[Line]:
    moved, merged = balance.rows("moved"), balance.rows("merged")
    if balance.source == balance.target:
        yield f"target {balance.target}", number(balance.target_rows)
        yield "  written in place", number(moved)
        yield "  as they were", number(max(0, balance.target_rows - moved))
        return
    others = balance.target_rows - moved - merged - balance.foreign
    yield f"target {balance.target}", number(balance.target_rows)
    yield f"  from {balance.source}", number(moved)
    yield "  merged", number(merged)
    if others > 0 and balance.target_rows:
        yield "  from other backfills", number(others)
    yield "  foreign (the application's)", number(balance.foreign)


def _fitted(lines: Iterable[Line], room: int) -> Iterator[str]:
    """Put numbers at the right edge; a name that is too long goes over several lines."""
    for name, count in lines:
        indent = " " * (len(name) - len(name.lstrip()))
        *before, last = fold(name.strip(), room - len(count) - 2, first=indent)
        yield from before
        if len(last) + len(count) < room:
            yield f"{last:<{room - len(count)}}{count}"
        else:
            yield last if len(last) <= room else f"{last[: room - 1]}…"
            yield f"{count:>{room}}"


def misplaced(sources: Sequence[SourceBalance], *, width: int = WIDTH) -> Iterator[str]:
    """Name the rows that no backfill takes, though none left them behind."""
    for one in sources:
        if not one.closes:
            yield f"✗ {rows(one.unaccounted)} of {one.source} unaccounted over all backfills"
            yield from _examples(one.examples, width)


def _examples(found: Sequence[Unaccounted], width: int) -> Iterator[str]:
    for one in found[:EXAMPLES]:
        yield from fold(f"{', '.join(one.key)}: {one.why}", width, first="    ✗ ")
    if len(found) > EXAMPLES:
        yield f"    … and {number(len(found) - EXAMPLES)} more"


def sentence(given: Sequence[Balance], sources: Sequence[SourceBalance], change: str) -> Iterator[str]:
    """Say what the Balances mean, and what is left to do."""
    recorded = [one for one in given if one.recorded]
    took = duration(sum(one.seconds for one in given))
    wrong = sum(one.unaccounted for one in given) + sum(one.unaccounted for one in sources)
    if not closed(given, sources):
        yield f"✗ {rows(wrong)} unaccounted, in one snapshot ({took})"
    elif given and len(recorded) == len(given):
        yield f"✓ every row is accounted for, in one snapshot ({took})"
    if pending := sum(one.rows("pending") for one in recorded):
        yield f"! {rows(pending)} pending: {within('apply', change)}"
    if waiting := sum(one.rows("quarantined") for one in recorded):
        verb = "waits" if waiting == 1 else "wait"
        yield f"! {rows(waiting)} {verb} in quarantine: {command('quarantine list', change)}"
