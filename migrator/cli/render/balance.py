"""Balances: the source at the left, the target at the right, and every row accounted for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from migrator.cli.render.fates import ALWAYS, DISPOSITIONS
from migrator.cli.render.words import WIDTH, blocks, duration, fold, number, rows
from migrator.model.verdict import Balance, SourceBalance, Unaccounted

MIDDLE = 6
EXAMPLES = 10
Line = tuple[str, str]


def balances(
    given: Sequence[Balance],
    sources: Sequence[SourceBalance] = (),
    *,
    change: str = "",
    width: int = WIDTH,
) -> list[str]:
    """Write the Balance of every backfill, then that of every source, then what it means."""
    return list(
        blocks(
            *(_one(one, width) for one in given),
            (line for one in sources for line in _source(one, width)),
            _sentence(given, sources, change),
        )
    )


def _one(balance: Balance, width: int) -> Iterator[str]:
    """Write one Balance as two columns side by side."""
    room = (width - MIDDLE) // 2
    left, right = _left(balance), _right(balance)
    for one, other in zip_longest(_fitted(left, room), _fitted(right, room), fillvalue=""):
        yield f"{one:<{room}}{' ' * MIDDLE if other else ''}{other}".rstrip()
    for flag, count in balance.flags.items():
        yield from fold(f"{flag}: {rows(count)}", width, first="  flagged  ")
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
        yield f"{last:<{room - len(count)}}{count}"


def _source(one: SourceBalance, width: int) -> list[str]:
    sign = "✓" if one.closes else "✗"
    said = (
        f"{sign} every row of {one.source} together: {rows(one.source_rows)} = {number(one.taken)}"
        f" taken + {number(one.left_behind)} left behind, unaccounted {number(one.unaccounted)}"
    )
    return [*fold(said, width, rest="  "), *_examples(one.examples, width)]


def _examples(found: Sequence[Unaccounted], width: int) -> Iterator[str]:
    for one in found[:EXAMPLES]:
        yield from fold(f"{', '.join(one.key)}: {one.why}", width, first="    ✗ ")
    if len(found) > EXAMPLES:
        yield f"    … and {number(len(found) - EXAMPLES)} more"


def _sentence(given: Sequence[Balance], sources: Sequence[SourceBalance], change: str) -> Iterator[str]:
    if not given:
        return
    took = duration(sum(one.seconds for one in given))
    if all(one.closes for one in given) and all(one.closes for one in sources):
        yield f"✓ every row is accounted for, in one snapshot ({took})"
    else:
        number_of = sum(one.unaccounted for one in (*given, *sources))
        yield f"✗ {rows(number_of)} unaccounted, in one snapshot ({took})"
    if pending := sum(one.rows("pending") for one in given):
        yield f"! {rows(pending)} pending: migrator apply {change}".rstrip()
    if waiting := sum(one.rows("quarantined") for one in given):
        verb = "waits" if waiting == 1 else "wait"
        command = f"migrator quarantine list {change}".rstrip()
        yield f"! {rows(waiting)} {verb} in quarantine: {command}"
