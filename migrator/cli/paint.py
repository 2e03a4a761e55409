"""Colour for lines that are complete without it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rich.console import Console
from rich.text import Text

_STYLES: Final = (
    (r"(?m)^\s*✓", "green"),
    (r"(?m)^\s*✗.*$", "red"),
    (r"(?m)^! .*$", "yellow"),
    (r"(?m)^M\d{3} ", "bold red"),
    (r"(?m)^(Hazard)\s+H\d+", "yellow"),
    (r"(?m)^ *#? *(phase|change|rows|id) {2,}\S.*$", "bold"),
    (r"(?m)^(source|target) \S+", "bold"),
    (r"(?m)^Where the .* (?:will go|are)$", "bold"),
    (r"unaccounted\s+0\b", "green"),
    (r"unaccounted\s+[1-9][\d,]*", "bold red"),
    (r"\bmigrator [a-z-]+(?: [\w-]+)*", "cyan"),
    (r"(?m)^\$ .*$", "bold cyan"),
    (r"(?m)^(── .* ─+)$", "bold"),
)


def paint(lines: Iterable[str], *, stderr: bool = False) -> None:
    """Print lines in colour, exactly as they are but for that."""
    text = Text("\n".join(lines), no_wrap=True, overflow="ignore")
    for pattern, style in _STYLES:
        text.highlight_regex(pattern, style)
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    console.print(text, soft_wrap=True)
