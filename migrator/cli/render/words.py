"""Numbers with their units, and lines that fit the width."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Final

WIDTH: Final = 100
NARROW: Final = 60
KILO: Final = 1000
FEW: Final = 10  # below this a number is written with one decimal
MINUTE: Final = 60
MOMENT: Final = 0.05  # seconds that nobody notices
GAP: Final = "  "
_FAST: Final = "\N{NO-BREAK SPACE}"
# A command of ours: its verb, what it is about, and its options with their values.
_COMMAND: Final = re.compile(
    r"""\bmigrator\ [a-z][\w-]*(?:\ \w[\w-]*(?=\ |$)){0,2}
    (?:\ (?:--?[a-z][\w-]*(?:[ =](?:"[^"]*"|'[^']*'(?:"'"'[^']*')*|(?!-)[^\s"'`]+))?|…|NAME))*""",
    re.VERBOSE,
)
_SIZES: Final = ("kB", "MB", "GB", "TB")


def number(value: int) -> str:
    """Write a number with thousands separators."""
    return f"{value:,}"


def rows(value: int, noun: str = "row") -> str:
    """Write a number of rows, or of other things that take an s."""
    return f"{value:,} {noun}{'' if value == 1 else 's'}"


def duration(seconds: float) -> str:
    """Write how long something took or takes."""
    if seconds < MOMENT:
        return "< 0.1 s"
    if seconds < FEW:
        return f"{seconds:.1f} s"
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s"
    minutes = round(seconds / MINUTE)
    if minutes < 2 * MINUTE:
        return f"{minutes} min"
    return f"{minutes // MINUTE} h {minutes % MINUTE:02} min"


def rate(count: int, seconds: float, noun: str = "row") -> str:
    """Write a speed in rows, or other things that take an s, per second; empty where it means nothing."""
    if count <= 0 or seconds < MOMENT:
        return ""
    speed = count / seconds
    return f"{speed:,.0f} {noun}s/s" if speed < FEW * KILO else f"{speed / KILO:,.0f}k {noun}s/s"


def size(count: int) -> str:
    """Write a number of bytes."""
    if count < KILO:
        return f"{count} bytes"
    value, unit = count / KILO, _SIZES[0]
    for bigger in _SIZES[1:]:
        if value < KILO:
            break
        value, unit = value / KILO, bigger
    return f"{value:.1f} {unit}" if value < FEW else f"{value:,.0f} {unit}"


def percent(part: int, whole: int) -> str:
    """Write a share; 100 % only when nothing is left."""
    if whole <= 0:
        return "100 %"
    share = 100 * part // whole
    return f"{min(share, 100)} %"


def fold(text: str, width: int, *, first: str = "", rest: str | None = None) -> list[str]:
    """Break a text into lines of at most `width`, a command of ours never; what a line begins with is given."""
    rest = " " * len(first) if rest is None else rest
    lines: list[str] = []
    for paragraph in text.splitlines() or [""]:
        lines += textwrap.wrap(
            _COMMAND.sub(lambda found: found[0].replace(" ", _FAST), paragraph),
            width=max(width, len(first) + 1, len(rest) + 1),
            initial_indent=first if not lines else rest,
            subsequent_indent=rest,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [first.rstrip() if not lines else ""]
    return [line.replace(_FAST, " ") for line in lines]


def parts(given: Iterable[str], width: int) -> list[str]:
    """Write parts side by side, and break lines between them only."""
    whole = (part.replace(" ", _FAST) for part in given if part)
    return [line.replace(_FAST, " ") for line in fold(f"{_FAST}· ".join(whole), width, rest="  ")]


def place(address: str) -> str:
    """Write the address of a database as `studio on db.example:5432`; what is no URL stays."""
    found = re.fullmatch(r"\w+://(?:.*@)?([^/?@]*)/([^?]+)(?:\?.*)?", address)
    return f"{found[2]} on {found[1]}" if found and found[1] else found[2] if found else address


def named(name: str, text: str, width: int, *, column: int = 18) -> list[str]:
    """Write a name at the left and a text beside it."""
    return fold(text, width, first=f"{name:<{column}}", rest=" " * column)


def columns(
    lines: Iterable[Sequence[str]],
    *,
    right: Sequence[int] = (),
    limits: Mapping[int, int] | None = None,
    indent: str = "",
    width: int = WIDTH,
) -> list[str]:
    """Align cells in columns, those in `right` at their right.

    A cell wider than the limit of its column goes over several lines; so does the last one where
    the line would be wider than `width`.
    """
    cells = [list(line) for line in lines]
    if not cells:
        return []
    last = len(cells[0]) - 1
    widths = [max(_breadth(line[at]) for line in cells) for at in range(last + 1)]
    for at, limit in (limits or {}).items():
        widths[at] = min(widths[at], limit)
    left = width - len(indent) - sum(one + len(GAP) for one in widths[:-1])
    widths[last] = min(widths[last], max(left, NARROW // 3))
    return [made for line in cells for made in _line(line, widths, right, indent)]


def _breadth(cell: str) -> int:
    return max((len(one) for one in cell.splitlines()), default=0)


def _line(line: Sequence[str], widths: Sequence[int], right: Sequence[int], indent: str) -> Iterator[str]:
    """Write one line of a table, over as many lines as its longest cell needs."""
    folded = [fold(cell, one) for cell, one in zip(line, widths, strict=True)]
    for parts in zip_longest(*folded, fillvalue=""):
        padded = (
            part.rjust(one) if at in right else part.ljust(one)
            for at, (part, one) in enumerate(zip(parts, widths, strict=True))
        )
        yield f"{indent}{GAP.join(padded)}".rstrip()


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
