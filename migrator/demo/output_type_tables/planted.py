"""How many rows of every kind were planted, known from how they are made and not from counting."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from migrator.demo.output_type_tables.mix import DAY, INFINITE_TALK, MASKS, MIX, WORKFLOWS, Job

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

STATUSES = ("submitted", "processing", "completed", "error")
NEW_STATUS = {"submitted": "pending", "error": "failed"}
RULES = (
    "filename prefix",
    "audio of several persons",
    "input is a video",
    "512x512 without audio",
    "fallback",
)
VIDEO_WORKFLOWS = WORKFLOWS[:4]
IMAGE_WORKFLOWS = WORKFLOWS[4:]

Key = TypeVar("Key")


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What the mapping must make of the multitalk rows that belong into one new table.

    Every number is over all rows, those that are merged included.
    """

    rows: int
    #: Rows the new application has already, found by `comfy_job_id`; the others are moved.
    merged: int
    workflow: Mapping[str, int]
    status: Mapping[str, int]
    rule: Mapping[str, int]
    #: Durations below zero or above a day, which become NULL and are flagged.
    processing_time_flagged: int
    #: All rows without a duration: flagged ones, and those that never ended.
    processing_time_null: int
    input_image_urls_null: int
    input_audio_urls_null: int
    input_video_urls_null: int
    #: Rows without an uploaded output: NULL or an empty string in the old table.
    output_urls_null: int
    #: Rows of the several persons' page with a comma list, which becomes an array.
    audio_lists: int
    temp_output_type: int

    @property
    def moved(self) -> int:
        """Rows that are inserted, not found."""
        return self.rows - self.merged


@dataclass(frozen=True, kw_only=True, slots=True)
class Planted:
    """The multitalk rows by everything planted in them, and what must become of them."""

    rows: int
    #: By the workflow that truly made the row.
    workflow: Mapping[str, int]
    status: Mapping[str, int]
    filename_null: Mapping[str, int]
    filename_empty: int
    filename_windows: int
    infinite_talk: int
    video_url_null: int
    video_url_null_though_completed: int
    video_url_empty: int
    signed_urls: int
    image_filename_null: int
    image_filename_empty: int
    audio_filename_null: int
    audio_filename_empty: int
    masks_literal: int
    comma_list: int
    #: A comma in the name of one file, which is no list.
    comma_in_name: int
    short_job_ids: int
    skewed: int
    negative_durations: int
    durations_over_a_day: int
    half_second_durations: int
    #: What is wrong by whole hours, as a clock is that shows local time and says UTC: begin, end, and either.
    submitted_skewed: int
    completed_skewed: int
    #: Durations that would be implausible even by the right clocks.
    truly_long_durations: int
    #: By the first rule, in the mapping's order, that tells the workflow.
    rule: Mapping[str, int]
    #: By the workflow the rules tell.
    recovered: Mapping[str, int]
    recovered_wrongly: int
    video_jobs: Target
    image_jobs: Target


@dataclass(frozen=True, kw_only=True, slots=True)
class PlantedImages:
    """The rows of the other legacy tables; their number never changes."""

    style_transfers: int = 18
    style_with_blob_urls: int = 3
    style_sharing_a_prompt_id: int = 2
    style_with_empty_prompt_id: int = 2
    style_without_prompt_id: int = 1
    style_with_unknown_status: int = 1
    style_completed: int = 15
    style_failed: int = 1
    style_unfinished: int = 1
    style_without_result: int = 3
    #: All of them completed.
    style_without_updated_at: int = 2
    edited_images: int = 15
    edits_completed: int = 9
    edits_failed: int = 4
    edits_unfinished: int = 2
    #: All of them completed.
    edits_dual_written: int = 5
    datasets: int = 4
    datasets_with_a_failed_caption: int = 3
    datasets_without_a_usable_caption: int = 1
    data: int = 40
    data_without_url: int = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class PlantedNew:
    """The rows the new application wrote itself."""

    video_jobs_shared: int
    video_jobs_own: int = 4
    image_jobs_own: int = 2
    #: Only when they are asked for; each has its twin in `edited_images`.
    image_jobs_dual_written: int = 5


def row_count(*, scale: int = 1, rows: int | None = None) -> int:
    """Return the number of multitalk rows: so many repeats of the mix, or exactly so many rows."""
    wanted = scale * len(MIX) if rows is None else rows
    if wanted < 0:
        message = f"The legacy table cannot have {wanted} rows."
        raise ValueError(message)
    return wanted


def planted(scale: int = 1, *, rows: int | None = None) -> Planted:
    """Return what `build_legacy` with the same scale or rows plants in `multitalk_jobs`."""
    jobs = _Jobs(row_count(scale=scale, rows=rows))
    return Planted(
        rows=jobs.rows,
        workflow=jobs.by(lambda job: job.workflow, WORKFLOWS),
        status=jobs.by(lambda job: job.status, STATUSES),
        filename_null=jobs.where(lambda job: job.filename is None).by(lambda job: job.workflow, WORKFLOWS),
        filename_empty=jobs.count(lambda job: job.filename == ""),
        filename_windows=jobs.count(lambda job: "\\" in (job.filename or "")),
        infinite_talk=jobs.count(lambda job: (job.output_name or "").startswith(INFINITE_TALK)),
        video_url_null=jobs.count(lambda job: job.video is None),
        video_url_null_though_completed=jobs.count(lambda job: job.video is None and job.status == "completed"),
        video_url_empty=jobs.count(lambda job: job.video == ""),
        signed_urls=jobs.count(lambda job: job.video == "signed"),
        image_filename_null=jobs.count(lambda job: job.image_filename is None),
        image_filename_empty=jobs.count(lambda job: job.image_filename == ""),
        audio_filename_null=jobs.count(lambda job: job.audio_filename is None),
        audio_filename_empty=jobs.count(lambda job: job.audio_filename == ""),
        masks_literal=jobs.count(lambda job: job.audio_filename == MASKS),
        comma_list=jobs.count(_has_list),
        comma_in_name=jobs.count(lambda job: _has_comma(job) and not _has_list(job)),
        short_job_ids=jobs.count(lambda job: job.short_id),
        skewed=jobs.count(lambda job: job.skewed),
        negative_durations=jobs.count(lambda job: (job.seen_duration_ms or 0) < 0),
        durations_over_a_day=jobs.count(lambda job: job.implausible and (job.seen_duration_ms or 0) > 0),
        half_second_durations=jobs.count(_ends_in_half_a_second),
        submitted_skewed=jobs.count(lambda job: bool(job.submitted_skew)),
        completed_skewed=jobs.count(lambda job: bool(job.completed_skew)),
        truly_long_durations=jobs.count(lambda job: (job.duration_ms or 0) > DAY),
        rule=jobs.by(lambda job: job.recovered[1], RULES),
        recovered=jobs.by(lambda job: job.recovered[0], WORKFLOWS),
        recovered_wrongly=jobs.count(lambda job: job.recovered[0] != job.workflow),
        video_jobs=_target(jobs, VIDEO_WORKFLOWS),
        image_jobs=_target(jobs, IMAGE_WORKFLOWS),
    )


def planted_new(scale: int = 1, *, rows: int | None = None) -> PlantedNew:
    """Return what `build_new_application_rows` adds to a legacy table of that size."""
    return PlantedNew(video_jobs_shared=_shared(row_count(scale=scale, rows=rows)))


def shared_positions() -> tuple[int, ...]:
    """Return the rows, counted from 0, for which the new application has a row too."""
    return tuple(position for position, job in enumerate(MIX) if job.shared)


class _Jobs:
    """The jobs of the mix with the number of rows each of them became."""

    def __init__(self, rows: int, kept: Callable[[Job], bool] = lambda _job: True) -> None:
        whole, rest = divmod(rows, len(MIX))
        self.times = [(job, whole + (position < rest)) for position, job in enumerate(MIX) if kept(job)]
        self.total = rows

    @property
    def rows(self) -> int:
        return sum(times for _job, times in self.times)

    def where(self, kept: Callable[[Job], bool]) -> _Jobs:
        chosen = _Jobs(self.total)
        chosen.times = [(job, times) for job, times in self.times if kept(job)]
        return chosen

    def count(self, true_of: Callable[[Job], bool]) -> int:
        return self.where(true_of).rows

    def by(self, key_of: Callable[[Job], Key], keys: tuple[Key, ...]) -> dict[Key, int]:
        found: Counter[Key] = Counter()
        for job, times in self.times:
            found[key_of(job)] += times
        return {key: found[key] for key in keys}


def _target(all_jobs: _Jobs, workflows: tuple[str, ...]) -> Target:
    jobs = all_jobs.where(lambda job: job.recovered[0] in workflows)
    video_input = "video-lipsync"
    return Target(
        rows=jobs.rows,
        merged=_shared(all_jobs.total) if workflows == VIDEO_WORKFLOWS else 0,
        workflow=jobs.by(lambda job: job.recovered[0], workflows),
        status=jobs.by(
            lambda job: NEW_STATUS.get(job.status, job.status),
            ("pending", "processing", "completed", "failed"),
        ),
        rule=jobs.by(lambda job: job.recovered[1], RULES),
        processing_time_flagged=jobs.count(lambda job: job.implausible),
        processing_time_null=jobs.count(lambda job: job.implausible or job.duration_ms is None),
        input_image_urls_null=jobs.count(lambda job: not job.image_filename or job.recovered[0] == video_input),
        input_audio_urls_null=jobs.count(lambda job: job.audio_filename in {None, "", MASKS}),
        input_video_urls_null=jobs.count(lambda job: not job.image_filename or job.recovered[0] != video_input),
        output_urls_null=jobs.count(lambda job: not job.video),
        audio_lists=jobs.count(_has_list),
        temp_output_type=jobs.count(lambda job: job.temporary),
    )


def _shared(rows: int) -> int:
    return sum(position < rows for position in shared_positions())


def _ends_in_half_a_second(job: Job) -> bool:
    return (job.seen_duration_ms or 0) % 1000 == 1000 // 2


def _has_comma(job: Job) -> bool:
    return "," in (job.audio_filename or "")


def _has_list(job: Job) -> bool:
    return _has_comma(job) and job.recovered[0] == "lipsync-multi"
