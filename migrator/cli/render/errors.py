"""An error: its id, what is wrong, and the way on."""

from __future__ import annotations

import textwrap
from typing import Final

from migrator.cli.render.words import WIDTH

INDENT: Final = " " * 5


def error(id: str, what: str, cure: str = "", *, width: int = WIDTH) -> list[str]:
    """Write an error; commands within it are never broken over lines."""
    return [*_lines(what, first=f"{id} ", width=width), *_lines(cure, first=INDENT, width=width)]


def _lines(text: str, *, first: str, width: int) -> list[str]:
    made: list[str] = []
    for line in text.splitlines():
        start = INDENT if made else first
        if _is_command(line):
            made.append(f"{start}{line.rstrip()}")
            continue
        made += textwrap.wrap(
            line,
            width=width,
            initial_indent=start,
            subsequent_indent=INDENT,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return made


def _is_command(line: str) -> bool:
    """Tell a line that is to be copied: a command after a wide gap, or alone."""
    return line.lstrip().startswith("migrator ") or "  migrator " in line
