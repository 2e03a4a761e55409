"""An error: its id, what is wrong, and the way on."""

from __future__ import annotations

import re
from typing import Final

from migrator.cli.render.words import WIDTH, fold

INDENT: Final = " " * 5
# A line that is to be copied: a command alone, or after a wide gap.
_COMMAND: Final = re.compile(r"(?:^|\s{2,})(?P<command>migrator .+)$")


def error(id: str, what: str, cure: str = "", *, width: int = WIDTH) -> list[str]:
    """Write an error; commands within it are never broken over lines."""
    return [*_lines(what, first=f"{id} ", width=width), *_lines(cure, first=INDENT, width=width)]


def _lines(text: str, *, first: str, width: int) -> list[str]:
    made: list[str] = []
    for line in text.splitlines():
        start = INDENT if made else first
        if _COMMAND.search(line):
            made += _command(start, line.strip(), width)
            continue
        made += fold(line.strip(), width, first=start, rest=INDENT)
    return made


def _command(start: str, line: str, width: int) -> list[str]:
    """Keep a command in one piece; where it does not fit beside its label, it stands below."""
    label, command = line[: _start(line)].rstrip(), line[_start(line) :]
    if not label or len(start) + len(line) <= width:
        return [f"{start}{line}"]
    return [f"{start}{label}", f"{INDENT}  {command}"]


def _start(line: str) -> int:
    found = _COMMAND.search(line)
    return found.start("command") if found else 0
