"""How many rows of every kind were planted, known from how they are made and not from counting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from migrator.demo.jobs_and_attempts.mix import (
    EMPTY,
    FAILED_WITH_PICTURE,
    MIX,
    NO_CREATED,
    NO_DATE,
    NO_UPDATED,
    PRESIGNED,
    RUNNING_WITH_PICTURE,
    STALE,
    STATUSES,
    Restoration,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, kw_only=True, slots=True)
class Planted:
    """The rows of the old table by everything planted in them."""

    rows: int
    status: Mapping[str, int]
    of_nobody: int
    without_created: int
    without_date: int
    completed_without_updated: int
    completed_without_picture: int
    presigned: int
    encoded: int
    encoded_twice: int
    failed_with_picture: int
    running_with_picture: int
    stale: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PlantedNew:
    """The rows the new application wrote itself: what was copied by hand, and what is its own."""

    live: int = 1
    jobs: int = 3
    restore_attempts: int = 4
    animation_attempts: int = 1


PLANTED_NEW: Final = PlantedNew()


def row_count(*, scale: int = 1, rows: int | None = None) -> int:
    """Return the number of rows: so many repeats of the mix, or exactly so many rows."""
    wanted = scale * len(MIX) if rows is None else rows
    if wanted < 0:
        message = f"The legacy table cannot have {wanted} rows."
        raise ValueError(message)
    return wanted


def count(rows: int, true_of: Callable[[Restoration], bool]) -> int:
    """Count the rows of a kind among so many."""
    whole, rest = divmod(rows, len(MIX))
    return sum(whole + (place < rest) for place, one in enumerate(MIX) if true_of(one))


def is_encoded(one: Restoration) -> bool:
    """Tell whether the URL of a finished picture has percent escapes."""
    return one.status == "completed" and "%" in (one.processed_image_url or "").partition("?")[0]


def is_encoded_twice(one: Restoration) -> bool:
    """Tell whether the percent escapes of a finished picture's URL were escaped again."""
    return is_encoded(one) and "%25" in (one.processed_image_url or "")


def planted(scale: int = 1, *, rows: int | None = None) -> Planted:
    """Return what `build_legacy` with the same scale or rows plants."""
    number = row_count(scale=scale, rows=rows)

    def among(numbers: frozenset[int]) -> int:
        return count(number, lambda one: one.number in numbers)

    return Planted(
        rows=number,
        status={word: count(number, lambda one, word=word: one.status == word) for word in STATUSES},  # type: ignore[misc]
        of_nobody=count(number, lambda one: one.address is None),
        without_created=among(NO_CREATED),
        without_date=among(frozenset({NO_DATE})),
        completed_without_updated=among(NO_UPDATED),
        completed_without_picture=among(EMPTY),
        presigned=among(PRESIGNED),
        encoded=count(number, is_encoded),
        encoded_twice=count(number, is_encoded_twice),
        failed_with_picture=among(FAILED_WITH_PICTURE),
        running_with_picture=among(RUNNING_WITH_PICTURE),
        stale=among(STALE),
    )
