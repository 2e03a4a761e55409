"""Numbers with their units, and lines that fit the width."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

WIDTH: Final = 100
NARROW: Final = 60
GAP: Final = "   "
_SIZES: Final = ("kB", "MB", "GB", "TB")


def number(value: int) -> str:
    """Write a number with thousands separators."""
    return f"{value:,}"


def rows(value: int, noun: str = "row") -> str:
    """Write a number of rows, or of other things that take an s."""
    return f"{value:,} {noun}{'' if value == 1 else 's'}"


def duration(seconds: float) -> str:
    """Write how long something took or takes."""
    if seconds < 0.05:
        return "< 0.1 s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02} min"


def rate(count: int, seconds: float) -> str:
    """Write a speed in rows per second; empty where it means nothing."""
    if count <= 0 or seconds < 0.05:
        return ""
    speed = count / seconds
    return f"{speed / 1000:,.0f}k rows/s" if speed >= 10_000 else f"{speed:,.0f} rows/s"


def size(count: int) -> str:
    """Write a number of bytes."""
    if count < 1000:
        return f"{count} bytes"
    value = float(count)
    for unit in _SIZES:
        value /= 1000
        if value < 999.5 or unit == _SIZES[-1]:
            break
    return f"{value:.1f} {unit}" if value < 10 else f"{value:,.0f} {unit}"


def percent(part: int, whole: int) -> str:
    """Write a share; 100 % only when nothing is left."""
    if whole <= 0:
        return "100 %"
    share = 100 * part // whole
    return f"{min(share, 100)} %"


def fold(text: str, width: int, *, first: str = "", rest: str | None = None) -> list[str]:
    """Break a text into lines of at most `width`; what stands at a line's beginning is given."""
    rest = " " * len(first) if rest is None else rest
    lines: list[str] = []
    for paragraph in text.splitlines() or [""]:
        lines += textwrap.wrap(
            paragraph,
            width=max(width, NARROW // 2),
            initial_indent=first if not lines else rest,
            subsequent_indent=rest,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [first.rstrip() if not lines else ""]
    return lines


def named(name: str, text: str, width: int, *, column: int = 18) -> list[str]:
    """Write a name at the left and a text beside it."""
    return fold(text, width, first=f"{name:<{column}}", rest=" " * column)


def columns(
    lines: Iterable[Sequence[str]],
    *,
    right: Sequence[int] = (),
    indent: str = "",
    width: int = WIDTH,
    gap: str = GAP,
) -> list[str]:
    """Align cells in columns, those in `right` at their right; the last one is folded to the width."""
    cells = [list(line) for line in lines]
    if not cells:
        return []
    widths = [max(len(line[at]) for line in cells) for at in range(len(cells[0]))]
    made: list[str] = []
    for line in cells:
        padded = (
            cell.rjust(widths[at]) if at in right else cell.ljust(widths[at])
            for at, cell in enumerate(line[:-1])
        )
        start = indent + "".join(f"{cell}{gap}" for cell in padded)
        last = line[-1].rjust(widths[-1]) if len(line) - 1 in right else line[-1]
        made += [one.rstrip() for one in _last(start, last, width)]
    return made


def _last(start: str, cell: str, width: int) -> list[str]:
    if len(start) + len(cell) <= width or width - len(start) < NARROW // 3:
        return [start + cell]
    return fold(cell, width, first=start)


def blocks(*given: Iterable[str]) -> Iterator[str]:
    """Put an empty line between blocks that are not empty."""
    first = True
    for block in given:
        lines = list(block)
        if not lines:
            continue
        if not first:
            yield ""
        first = False
        yield from lines
