"""Scratch databases beside the one of the test, instead of a server for each look at what a revision declares."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from migrator.workflow import scratch
from migrator.workflow.desk import Desk
from migrator.workflow.scratch import Declared
from tests.support.databases import Databases


def beside(
    databases: Databases, stack: ExitStack, *, once: bool = False
) -> Callable[[Desk, frozenset[str], int], Declared]:
    """Give a `declare` that uses an empty database of the test server, or looks but `once`."""
    seen: list[Declared] = []

    def declare(desk: Desk, applied: frozenset[str], major: int) -> Declared:
        if not (once and seen):
            url = stack.enter_context(databases.fresh())
            seen.append(scratch.declare(replace(desk, scratch_url=url), applied, major))
        return seen[-1]

    return declare
