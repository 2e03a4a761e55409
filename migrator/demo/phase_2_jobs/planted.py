"""How many rows of every kind the legacy database has, counted without asking it: by the number of the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MIX: Final = 250  # images of one repeat

STUCK: Final = range(8)
THUMBNAIL_ONLY: Final = (*range(8, 11), 245, 246)
DEAD_WORKERS: Final = range(13, 17)
FAILED_AFTER_MOVING: Final = range(17, 23)
STORED: Final = range(23, 28)
MOVED_FILES: Final = (*DEAD_WORKERS, *FAILED_AFTER_MOVING)
NO_FILES: Final = (*range(28, 46), 248, 249)
ORPHANS: Final = range(6)
DONE, PENDING_IN_SMALL, BLANK = 240, 241, 242
MALFORMED: Final = (243, 244)
WITH_JOB: Final = range(245)
BOTH_FAILED: Final = 247
PREVIEW_FAILED: Final = (245, BOTH_FAILED)

NEW_UPLOADS: Final = 3
JOBS_OF_UPLOADS: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Planted:
    """How many rows of each kind are there; `after` the application of Phase 2 worked, some only then."""

    images: int
    jobs: int
    pending_offloads: int
    orphans: int
    malformed: int
    odd_words: int  # of which one is known once trimmed and in capitals
    unknown_words: int
    no_files: int
    moved_files: int
    stuck: int
    thumbnail_only: int
    dead_workers: int
    stored: int
    new_images: int
    new_jobs: int


def positions(of: range | tuple[int, ...], *, scale: int = 1, images: int | None = None) -> list[int]:
    """List the numbers of the images of a kind, in all repeats."""
    total = MIX * scale if images is None else images
    if total < 0:
        raise ValueError(f"{total} images")
    wanted = set(of)
    return [at for at in range(total) if at % MIX in wanted]


def planted(*, scale: int = 1, images: int | None = None) -> Planted:
    """Count the kinds of what `build_legacy` makes with the same scale or number of images."""
    total = MIX * scale if images is None else images

    def number(*of: int) -> int:
        return len(positions(of, scale=scale, images=images))

    made = {"THUMBNAIL_GENERATION": (*STUCK, *THUMBNAIL_ONLY, *STORED, BOTH_FAILED)}
    made["PREVIEW_GENERATION"] = (*STUCK, *STORED, *PREVIEW_FAILED)
    return Planted(
        images=total,
        jobs=number(*WITH_JOB) + number(*ORPHANS),
        pending_offloads=number(*range(240)),
        orphans=number(*ORPHANS),
        malformed=number(*MALFORMED),
        odd_words=number(DONE, PENDING_IN_SMALL, BLANK),
        unknown_words=number(DONE, BLANK),
        no_files=number(*NO_FILES),
        moved_files=number(*MOVED_FILES),
        stuck=number(*STUCK),
        thumbnail_only=number(*THUMBNAIL_ONLY),
        dead_workers=number(*DEAD_WORKERS),
        stored=number(*STORED),
        new_images=NEW_UPLOADS,
        new_jobs=JOBS_OF_UPLOADS + sum(number(*of) for of in made.values()),
    )
