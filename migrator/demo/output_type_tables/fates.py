"""What must become of every row of every old table: by source and target, by fate, remark, workflow and status."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from migrator.demo.output_type_tables.mix import MIX
from migrator.demo.output_type_tables.planted import Planted, PlantedImages, Target, planted, row_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from migrator.demo.output_type_tables.mix import Job

VIDEOS, PICTURES = "video_jobs_from_multitalk_jobs", "image_jobs_from_multitalk_jobs"
STYLES, EDITS = "image_jobs_from_style_transfers", "image_jobs_from_edited_images"
CAPTIONS = "text_jobs_from_datasets"

CLOCKS = "processing_time_seconds discarded: negative or over a day: the two times come from different clocks"
SIGNED = "a signed URL, which stopped working seven days after it was made"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fate:
    """The rows of one source that belong into one target. `workflow` and `status` are of all but the quarantined.

    `flags` are of moved rows alone, and hold what was remarked, not which rule decided.
    """

    source: str
    target: str
    source_rows: int
    moved: int
    merged: int = 0
    skipped: int = 0
    quarantined: Mapping[str, int] = field(default_factory=dict)
    flags: Mapping[str, int] = field(default_factory=dict)
    workflow: Mapping[str, int] = field(default_factory=dict)
    status: Mapping[str, int] = field(default_factory=dict)


def fates(
    *, scale: int = 1, rows: int | None = None, in_use: bool = False, dual_written: bool = False
) -> dict[str, Fate]:
    """Say by backfill what must become of the rows that `build_legacy` with the same scale or rows makes.

    `in_use`: the new application wrote its rows first; `dual_written`: those of the last edits as well.
    """
    found = planted(scale, rows=rows)
    total = row_count(scale=scale, rows=rows)
    images = PlantedImages()
    return {
        VIDEOS: _multitalk("video_jobs", found, found.video_jobs, total, in_use=in_use),
        PICTURES: _multitalk("image_jobs", found, found.image_jobs, total, in_use=in_use),
        STYLES: _styles(images),
        EDITS: _edits(images, images.edits_dual_written if dual_written else 0),
        CAPTIONS: _captions(images),
    }


def _multitalk(table: str, found: Planted, target: Target, rows: int, *, in_use: bool) -> Fate:
    merged = target.merged if in_use else 0
    urls = "output_video_urls" if table == "video_jobs" else "output_image_urls"
    return Fate(
        source="multitalk_jobs",
        target=table,
        source_rows=found.rows,
        moved=target.rows - merged,
        merged=merged,
        skipped=found.rows - target.rows,
        flags=_remarks(target, urls, rows, in_use=in_use),
        workflow=_given(target.workflow),
        status=_given(target.status),
    )


def _remarks(target: Target, urls: str, rows: int, *, in_use: bool) -> dict[str, int]:
    """Count the remarks of moved rows from the mix itself; what is merged is left as it is, and without a remark."""
    whole, rest = divmod(rows, len(MIX))
    flags: Counter[str] = Counter()
    for place, job in enumerate(MIX):
        if job.recovered[0] in target.workflow:
            times = whole + (place < rest) - (1 if in_use and job.shared and place < rows else 0)
            flags.update(dict.fromkeys(_remarks_of(job, urls), times))
    return _given(flags)


def _remarks_of(job: Job, urls: str) -> list[str]:
    made = {
        "workflow_name defaulted: nothing else fits": job.recovered[1] == "fallback",
        "created_at half an hour or more off the server's clock": bool(job.submitted_skew),
        CLOCKS: job.implausible,
        f"{urls} {SIGNED}": job.video == "signed",
    }
    return [text for text, holds in made.items() if holds]


def _styles(images: PlantedImages) -> Fate:
    kept_back = images.style_with_unknown_status
    ended = images.style_completed + images.style_failed
    return Fate(
        source="style_transfers",
        target="image_jobs",
        source_rows=images.style_transfers,
        moved=images.style_transfers - kept_back,
        quarantined={"status: unknown word": kept_back},
        flags={
            "completed_at estimated: the last change of the row, for the end of the work was never recorded": ended
            - images.style_without_updated_at,
            "input_image_urls a blob: URL, which only the browser that made it could open": images.style_with_blob_urls,
            "output_image_urls a link to the ComfyUI server or a browser, which do not keep files": (
                images.style_with_blob_urls
            ),
            "comfy_job_id discarded: an earlier style transfer has this prompt id": images.style_sharing_a_prompt_id
            - 1,
        },
        workflow={"style-transfer": images.style_transfers - kept_back},
        status={
            "completed": images.style_completed,
            "failed": images.style_failed,
            "processing": images.style_unfinished,
        },
    )


def _edits(images: PlantedImages, merged: int) -> Fate:
    return Fate(
        source="edited_images",
        target="image_jobs",
        source_rows=images.edited_images,
        moved=images.edited_images - merged,
        merged=merged,
        flags={
            "completed_at estimated: the beginning and the time it took": images.edits_completed - merged,
            "error_message the error stood where the model belongs": images.edits_failed,
        },
        workflow={"image-edit": images.edited_images},
        status={
            "completed": images.edits_completed,
            "failed": images.edits_failed,
            "processing": images.edits_unfinished - 1,
            "pending": 1,
        },
    )


def _captions(images: PlantedImages) -> Fate:
    failed = images.datasets_with_a_failed_caption
    return Fate(
        source="datasets",
        target="text_jobs",
        source_rows=images.datasets,
        moved=images.datasets,
        flags={
            "status estimated: told by the captions, for a status was never recorded": images.datasets,
            "input_image_urls of some pictures the upload never came": images.data_without_url,
        },
        workflow={"character-caption": images.datasets},
        status={"completed": images.datasets - failed, "failed": failed},
    )


def _given(numbers: Mapping[str, int]) -> dict[str, int]:
    return {name: number for name, number in numbers.items() if number}


def stale(hours: int) -> dict[str, int]:
    """Count by backfill the unfinished jobs submitted more than so many hours before the newest of their table.

    One repeat of the mix; a minute of a job's own, which differs from repeat to repeat, is not looked at.
    """
    images = PlantedImages()
    moments = [_submitted(place, job) for place, job in enumerate(MIX)]
    old = [
        job.recovered[0] == "img2img"
        for job, moment in zip(MIX, moments, strict=True)
        if job.status in {"submitted", "processing"} and moment < max(moments) - hours * 3600
    ]
    return {
        VIDEOS: old.count(False),
        PICTURES: old.count(True),
        STYLES: images.style_unfinished,
        EDITS: images.edits_unfinished,
    }


def _submitted(place: int, job: Job) -> int:
    """Give the second after the first day of the table at which a job was submitted, by its clock."""
    return (job.day or 0) * 86_400 + place * 7919 % 86_400 + job.submitted_skew * 3600
