"""Counts of source rows by what became of them."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.database.session import Row


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of the source by what became of them."""

    read: int = 0
    moved: int = 0
    merged: int = 0
    skipped: int = 0
    quarantined: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Add up."""
        return Counts(
            self.read + other.read,
            self.moved + other.moved,
            self.merged + other.merged,
            self.skipped + other.skipped,
            self.quarantined + other.quarantined,
        )


def counted(found: Row | None) -> tuple[Counts, int]:
    """Read the counts of a data statement: what it meant to do, and how many rows the insert returned."""
    assert found is not None  # the statement is an aggregate
    read, moved, merged, skipped, quarantined, inserted = (int(number) for number in found)
    return Counts(read, moved, merged, skipped, quarantined), inserted
