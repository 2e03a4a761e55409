"""Where rows will go: the Balances of a source, foretold, by what becomes of its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from migrator.cli.render.words import columns, number, rows
from migrator.model.verdict import Balance, SourceBalance, Term

DISPOSITIONS = ("moved", "merged", "skipped", "quarantined", "dismissed", "pending")
ALWAYS = ("moved", "merged", "skipped", "quarantined")


def by_source(balances: Iterable[Balance]) -> list[list[Balance]]:
    """Put the Balances of the same source together, in their order."""
    groups: dict[str, list[Balance]] = {}
    for one in balances:
        groups.setdefault(one.source, []).append(one)
    return list(groups.values())


def names(balances: Sequence[Balance]) -> dict[str, str]:
    """Name each backfill by its tables, and by its own name where another one goes the same way."""
    ways = Counter((one.source, one.target) for one in balances)
    told = {
        one.backfill: f"{one.target} in place" if one.source == one.target else f"{one.target} ← {one.source}"
        for one in balances
    }
    return {one.backfill: one.backfill if ways[one.source, one.target] > 1 else told[one.backfill] for one in balances}


def going(group: Sequence[Balance], sources: Iterable[SourceBalance], width: int) -> Iterator[str]:
    """Write what will become of the rows of one source."""
    source = group[0].source
    when = "are" if all(one.recorded for one in group) else "will go"
    yield f"Where the {rows(group[0].source_rows)} of {source} {when}"
    table = []
    for disposition in DISPOSITIONS:
        total = sum(term.rows for one in group for term in _own(one, disposition))
        if total or disposition in ALWAYS:
            table.append((disposition, number(total), _why(group, disposition)))
    unaccounted = sum(one.unaccounted for one in group)
    unaccounted += sum(one.unaccounted for one in sources if one.source == source)
    table.append(("unaccounted", number(unaccounted), ""))
    yield from columns(table, right=(1,), indent="  ", width=width)


def _own(balance: Balance, disposition: str) -> list[Term]:
    """Give the terms of a disposition; a row that another backfill takes is no row left behind."""
    return [one for one in balance.terms if one.disposition == disposition and one.elsewhere is None]


def _why(group: Sequence[Balance], disposition: str) -> str:
    said = []
    for one in group:
        found = [term for term in _own(one, disposition) if term.rows]
        reasons = [term for term in found if term.reason]
        if reasons:
            said += [f"{term.reason} ({number(term.rows)})" for term in reasons]
        elif found:
            alone = [other.target for other in group].count(one.target) == 1
            said.append(f"{one.target if alone else one.backfill} {number(sum(term.rows for term in found))}")
    return " · ".join(said)


def flags(balances: Iterable[Balance]) -> Iterator[tuple[str, str, str]]:
    """Say which remarks were made on how many rows, by target."""
    found: dict[str, Counter[str]] = {}
    for one in balances:
        found.setdefault(one.target, Counter()).update(one.flags)
    for target, counts in found.items():
        for position, (flag, count) in enumerate(counts.items()):
            yield "" if position else target, number(count), flag
