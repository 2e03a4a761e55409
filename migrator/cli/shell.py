"""How every part of the command line is made: plain help, no pretty tracebacks, lines up to 100."""

from __future__ import annotations

from typing import Any

import typer


def application(**more: Any) -> typer.Typer:
    """Make the small application that holds one verb, or a group of them."""
    return typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        **more,
    )
