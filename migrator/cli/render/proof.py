"""The proof row by row: what differs, by kind, with the keys and the columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from migrator.cli.render.words import WIDTH, blocks, columns, duration, fold, number, rows
from migrator.model.verdict import Comparison, RowVerdict, Verdict

LONGEST = 40


def proof(comparisons: Sequence[Comparison], *, width: int = WIDTH) -> list[str]:
    """Write Comparisons: what is proven in one line, what is not in full."""
    return list(blocks(*(_comparison(one, width) for one in comparisons)))


def claims(verdicts: Sequence[Verdict], width: int = WIDTH) -> list[str]:
    """Write each claim with its evidence."""
    made: list[str] = []
    for one in verdicts:
        text = f"{'✓' if one.proven else '✗'} {one.claim}"
        if one.evidence:
            text += f": {one.evidence}"
        made += fold(text, width, rest="  ")
    return made


def _comparison(one: Comparison, width: int) -> Iterator[str]:
    own = f" · {rows(one.foreign)} of the application's own" if one.foreign else ""
    if one.proven:
        yield from fold(
            f"✓ {one.target}: {rows(one.compared)} of {one.source} compared in both directions,"
            f" all as declared ({duration(one.seconds)}){own}",
            width,
            rest="  ",
        )
        return
    differing = sum(one.counts.values())
    kinds = " · ".join(f"{kind} {number(count)}" for kind, count in one.counts.items() if count)
    verb = "differs" if differing == 1 else "differ"
    yield from fold(f"✗ {one.target}: {rows(differing)} {verb} from {one.source} ({kinds}){own}", width, rest="  ")
    for row in one.rows:
        yield from _row(row, width)
    if differing > len(one.rows):
        yield f"    … and {number(differing - len(one.rows))} more"


def _row(row: RowVerdict, width: int) -> Iterator[str]:
    key = keys(row.source_key or row.target_key)
    if row.kind == "doubled" and row.source_key and row.target_key:
        key = f"{keys(row.source_key)} → {keys(row.target_key)}"
    start = f"    {row.kind:<10}{key}"
    if row.note:
        yield from fold(row.note, width, first=f"{start}   ", rest=" " * 14)
    else:
        yield start
    table = [(one.column, f"is {_short(one.found)}", f"should be {_short(one.expected)}") for one in row.columns]
    yield from columns(table, indent=" " * 8, width=width)


def keys(given: Mapping[str, str]) -> str:
    """Write a key with the names of its columns."""
    return ", ".join(f"{name} {value}" for name, value in given.items())


def _short(value: str | None) -> str:
    """Write a value in one line; what is too long loses its middle."""
    if value is None:
        return "NULL"
    plain = value.replace("\n", "\\n") if value else "''"
    half = LONGEST // 2
    return plain if len(plain) <= LONGEST else f"{plain[: half - 1]}…{plain[-half:]}"
