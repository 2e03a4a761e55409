"""The stories that the demo can tell, the first of them unless another is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from migrator.cli.demo.story import Story
from migrator.cli.exits import COMMAND_LINE
from migrator.model.errors import UsageError


def _output_type_tables() -> Story:
    from migrator.cli.demo import output_type_tables

    return output_type_tables.STORY


STORIES: Final[dict[str, Callable[[], Story]]] = {"output_type_tables": _output_type_tables}


def find(change: str | None) -> Story:
    """Find a story by its change."""
    name = change or next(iter(STORIES))
    if name not in STORIES:
        what = f"The demo has no change {name!r}."
        raise UsageError(COMMAND_LINE, what, f"It has: {', '.join(STORIES)}.")
    return STORIES[name]()
