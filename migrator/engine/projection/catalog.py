"""Catalog: the questions that compiling asks of a database; bind.py asks them of a real one."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from migrator.engine.projection.casts import CastContext
from migrator.model.tables import TypeOf


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """What compile asks a database: the types a SELECT gives, how types cast, which functions are volatile.

    `plan` looks further than `describe`: the server computes what is constant, so a parameter's value is judged too.
    `by_index` says whether a SELECT could be answered by an index that finds the rows, and not by reading all of them.
    """

    describe: Callable[[str], list[TypeOf]]
    plan: Callable[[str], None]
    by_index: Callable[[str], bool]
    cast_context: Callable[[TypeOf, TypeOf], CastContext]
    type_exists: Callable[[TypeOf], bool]
    volatile: Callable[[Collection[str]], set[str]]
    input_check: str | None
