"""Objects that were planned, looked at again, or written, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Astray:
    """An object that is not as it should be: of which row, and why."""

    row: tuple[str, ...]
    object: str
    why: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedObjects:
    """The objects of one name that are at their targets, looked at again. `faults` counts those that are not well."""

    backfill: str
    name: str
    looked_at: int
    bytes: int
    faults: Mapping[str, int] = field(default_factory=dict)
    examples: tuple[Astray, ...] = ()

    @property
    def proven(self) -> bool:
        """Whether every one is there, and is what was proven."""
        return not self.faults


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedObjects:
    """What would become of the objects of one name: counted by what `objects plan` found.

    `foretold` counts them, with their bytes, by what a copy would find; `copied` are those that are copied already.
    `unwanted` is the parameter that would have to be true, where it is not.
    """

    backfill: str
    name: str
    sentence: str
    unwanted: str | None = None
    objects: int = 0
    copied: int = 0
    foretold: Mapping[str, int] = field(default_factory=dict)
    bytes: Mapping[str, int] = field(default_factory=dict)
    examples: tuple[Astray, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenDocuments:
    """What became of the documents of one name: how many rows have one, and what was found or done, by its word.

    `well` counts those that are where they should be.
    """

    backfill: str
    name: str
    documents: int
    bytes: int
    outcomes: Mapping[str, int] = field(default_factory=dict)
    well: int = 0
    examples: tuple[Astray, ...] = ()

    @property
    def proven(self) -> bool:
        """Whether each is where it should be."""
        return self.well == self.documents
