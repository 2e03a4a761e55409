"""What must become of every row of the old table: by backfill, by fate and by remark."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from migrator.demo.jobs_and_attempts.media import TAKEN, WITHOUT_ORIGINAL, WITHOUT_PICTURE
from migrator.demo.jobs_and_attempts.mix import LIVE, MIX, STALE
from migrator.demo.jobs_and_attempts.planted import is_encoded, is_encoded_twice, row_count

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from migrator.demo.jobs_and_attempts.mix import Restoration

JOBS, ATTEMPTS = "jobs_from_restoration_jobs", "restore_attempts_from_restoration_jobs"
SELECTED = "jobs_selected_restores"

NOBODY = "no identity map names its user"
NO_DATE = "nobody recorded when it was made"
NO_PICTURE = "completed, and no picture is named"

# Of a row whose objects are copied.
NO_OBJECT = "picture: object missing"
NO_UPLOAD = "original: object missing"
IS_TAKEN = "original: another object holds this key"

MADE = "created_at is its last change, for the beginning was never recorded"
ENDED = "created_at is its beginning, for the end was never recorded"
ENCODED = "s3_key was percent-encoded"
ENCODED_TWICE = "s3_key was percent-encoded twice"
UNUSED = "s3_key a picture is named, though the work did not end well: kept in params"
GIVEN_UP = "given up: no end was recorded within stale_after of the newest job"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fate:
    """The rows of the old table in one backfill.

    `flags` are of moved rows alone, and hold what was remarked, not which rule decided; `keys` are the moved attempts
    by their key, where that is a word of the application, and by `picture` where it is one.
    """

    moved: int
    merged: int = 0
    quarantined: Mapping[str, int] = field(default_factory=dict)
    flags: Mapping[str, int] = field(default_factory=dict)
    keys: Mapping[str, int] = field(default_factory=dict)


def fates(
    *,
    scale: int = 1,
    rows: int | None = None,
    in_use: bool = False,
    stale_after: bool = False,
    expanded: bool = True,
    objects: bool = False,
) -> dict[str, Fate]:
    """Say by backfill what must become of the rows that `build_legacy` with the same scale or rows makes.

    `in_use`: the new application has written already. `stale_after`: a day was given. Before the tables are `expanded`
    nothing is said of rows that are written in place. `objects` were copied, of the bucket that `media` fills.
    """
    number = row_count(scale=scale, rows=rows)
    live = 1 if in_use and number else 0
    jobs = _times(number, _job_held)
    attempts = _times(number, lambda one: _held(one, objects=objects))
    keys = _times(number, lambda one: _key(one, stale_after=stale_after, objects=objects))
    return {
        **({SELECTED: Fate(moved=keys["picture"])} if expanded else {}),
        JOBS: Fate(
            moved=number - jobs.total() - live,
            merged=live,
            quarantined=dict(jobs),
            flags=dict(_times(number, _remark_of_job)),
        ),
        ATTEMPTS: Fate(
            moved=number - attempts.total(),
            quarantined=dict(attempts),
            flags=_flags(number, objects=objects),
            keys=dict(keys),
        ),
    }


def _times(rows: int, said: Callable[[Restoration], str | None]) -> Counter[str]:
    """Count the rows by what is said of their kind, those of which nothing is said aside."""
    whole, rest = divmod(rows, len(MIX))
    found: Counter[str] = Counter()
    for place, one in enumerate(MIX):
        if (word := said(one)) is not None and (times := whole + (place < rest)):
            found[word] += times
    return found


def _job_held(one: Restoration) -> str | None:
    if one.address is None:
        return NOBODY
    return None if one.dated else NO_DATE


def _held(one: Restoration, *, objects: bool) -> str | None:
    if (why := _job_held(one)) is not None:
        return why
    if one.status == "completed" and not one.processed_image_url:
        return NO_PICTURE
    return _object_at_fault(one) if objects else None


def _object_at_fault(one: Restoration) -> str | None:
    if one.number in WITHOUT_PICTURE:
        return NO_OBJECT
    if one.number in WITHOUT_ORIGINAL:
        return NO_UPLOAD
    return IS_TAKEN if one.number in TAKEN else None


def _remark_of_job(one: Restoration) -> str | None:
    kept = _job_held(one) is None and one.number != LIVE
    return MADE if kept and one.created is None else None


def _flags(rows: int, *, objects: bool) -> dict[str, int]:
    remarks: dict[str, Callable[[Restoration], bool]] = {
        ENCODED: is_encoded,
        ENCODED_TWICE: is_encoded_twice,
        UNUSED: lambda one: one.status != "completed" and bool(one.processed_image_url),
        ENDED: lambda one: one.status in {"completed", "failed"} and one.updated is None,
    }
    found: dict[str, int] = {}
    for text, holds in remarks.items():

        def said(one: Restoration, text: str = text, holds: Callable[[Restoration], bool] = holds) -> str | None:
            return text if holds(one) and _held(one, objects=objects) is None else None

        found |= _times(rows, said)
    return found


def _key(one: Restoration, *, stale_after: bool, objects: bool) -> str | None:
    if _held(one, objects=objects) is not None:
        return None
    if one.status == "completed":
        return "picture"
    return "failed" if one.status == "failed" or (stale_after and one.number in STALE) else "pending"
