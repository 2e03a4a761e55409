"""What must become of every row of every backfill: by fate, by the name of the rule, by what is remarked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from migrator.demo.phase_2_jobs import planted as kinds
from migrator.demo.phase_2_jobs.planted import MIX, planted

THUMBNAILS, PREVIEWS = "thumbnail_jobs_from_images", "preview_jobs_from_images"
JOBS, IMAGES, REQUEUED = "job_status_and_image", "images_stored", "jobs_requeued"

HAS: Final = {THUMBNAILS: "it has a thumbnail", PREVIEWS: "it has a preview"}
WORKED_ON: Final = "it is being worked on"
OFFLOAD_OPEN: Final = "a job that moves its file is open"
OWN_OPEN: Final = "such a job of it is open"
FAILED: Final = "such jobs of it failed"
GONE: Final = "source file gone"

UNKNOWN_WORD: Final = "status_new: unknown word"
ORPHANED: Final = "imageId discarded: the image is gone; the payload still names it"
UNREADABLE: Final = "imageId defaulted: the payload names no image"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fate:
    """The rows of one backfill's source, by what becomes of them; `flags` are of moved rows alone."""

    source_rows: int
    moved: int
    skipped: Mapping[str, int] = field(default_factory=dict)
    quarantined: Mapping[str, int] = field(default_factory=dict)
    flags: Mapping[str, int] = field(default_factory=dict)


def fates(
    *, scale: int = 1, images: int | None = None, in_use: bool = False, listed: int | None = None, ordered: bool = True
) -> dict[str, Fate]:
    """Say by backfill what must become of the rows that `build_legacy` with the same scale or images makes.

    `in_use`: the application of Phase 2 worked before. `listed`: of so many images, of all unless it is said, the disks
    were looked at. `ordered`: jobs were ordered before, and are jobs as the others.
    """
    total = MIX * scale if images is None else images
    mix = Counter((at % MIX, listed is None or at < listed) for at in range(total))
    found = {name: _enqueued(name, mix, in_use=in_use) for name in (THUMBNAILS, PREVIEWS)}
    number = planted(scale=scale, images=images)
    jobs = number.jobs + (number.new_jobs if in_use else 0)
    jobs += sum(one.moved for one in found.values()) if ordered else 0
    unknown = {UNKNOWN_WORD: number.unknown_words}
    found[JOBS] = Fate(
        source_rows=jobs,
        moved=jobs - number.unknown_words,
        quarantined=unknown,
        flags={ORPHANED: number.orphans, UNREADABLE: number.malformed},
    )
    stuck = number.stuck if in_use else 0
    all_images = total + (number.new_images if in_use else 0)
    found[IMAGES] = Fate(source_rows=all_images, moved=stuck, skipped={"it is not stuck": all_images - stuck})
    return found


def _enqueued(name: str, mix: Mapping[tuple[int, bool], int], *, in_use: bool) -> Fate:
    by = Counter[str]()
    for (position, looked_at), rows in mix.items():
        by[_of_image(name, position, in_use=in_use, files=looked_at)] += rows
    if in_use:
        by[OFFLOAD_OPEN] += 2
        by[WORKED_ON] += 1
    moved, gone = by.pop("", 0), by.pop(GONE, 0)
    return Fate(
        source_rows=moved + gone + sum(by.values()),
        moved=moved,
        skipped={reason: rows for reason, rows in by.items() if rows},
        quarantined={GONE: gone} if gone else {},
    )


def _of_image(name: str, position: int, *, in_use: bool, files: bool) -> str:
    """Name the rule that decides about an image; empty where a job is ordered."""
    made = {THUMBNAILS: {*kinds.STUCK, *kinds.THUMBNAIL_ONLY, *kinds.STORED}, PREVIEWS: {*kinds.STUCK, *kinds.STORED}}
    failed = {THUMBNAILS: {kinds.BOTH_FAILED}, PREVIEWS: set(kinds.PREVIEW_FAILED)}
    moved = {*range(11), *kinds.FAILED_AFTER_MOVING, *kinds.STORED} if in_use else set[int]()
    if in_use and position in made[name]:
        return HAS[name]
    if in_use and position in range(8, 11):
        return WORKED_ON
    if position < kinds.MALFORMED[0] and position not in moved:
        return OFFLOAD_OPEN
    if in_use and position in failed[name]:
        return FAILED
    return GONE if files and position in kinds.NO_FILES else ""
