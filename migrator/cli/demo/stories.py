"""The stories that the demo can tell, in the order in which it tells them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from migrator.cli.demo.story import Story
from migrator.cli.exits import COMMAND_LINE
from migrator.model.errors import UsageError


def _output_type_tables() -> Story:
    from migrator.cli.demo import output_type_tables

    return output_type_tables.STORY


def _jobs_and_attempts() -> Story:
    from migrator.cli.demo import jobs_and_attempts

    return jobs_and_attempts.STORY


def _phase_2_jobs() -> Story:
    from migrator.cli.demo import phase_2_jobs

    return phase_2_jobs.STORY


def _artworks_v2() -> Story:
    from migrator.cli.demo import artworks_v2

    return artworks_v2.STORY


STORIES: Final[dict[str, Callable[[], Story]]] = {
    "output_type_tables": _output_type_tables,
    "jobs_and_attempts": _jobs_and_attempts,
    "phase_2_jobs": _phase_2_jobs,
    "artworks_v2": _artworks_v2,
}


def find(change: str | None) -> tuple[Story, ...]:
    """Find the story of a change, or all of them where none is named."""
    if change is None:
        return tuple(make() for make in STORIES.values())
    if change not in STORIES:
        what = f"The demo has no change {change!r}."
        raise UsageError(COMMAND_LINE, what, f"It has: {', '.join(STORIES)}.")
    return (STORIES[change](),)
