"""The story of `output_type_tables`: one table per page becomes one table per kind of output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.cli.demo.story import Planted, Story
from migrator.cli.render.words import rows
from migrator.demo import output_type_tables as legacy

if TYPE_CHECKING:
    from migrator.database.connect import Connection

Fates = dict[tuple[str, str], int]


def _build(connection: Connection, count: int | None) -> None:
    legacy.build_legacy(connection, rows=count)


def _application(connection: Connection, count: int | None) -> str:
    legacy.build_new_application_rows(connection)
    new = legacy.planted_new(rows=count)
    own = new.video_jobs_own + new.image_jobs_own
    return (
        f"The new application is in use already: it wrote {rows(new.video_jobs_shared)} for jobs that"
        f" multitalk_jobs has too, and {rows(own)} of its own."
    )


def _planted(count: int | None) -> tuple[Planted, ...]:
    found = legacy.planted(rows=count)
    unnamed = sum(found.filename_null.values()) + found.filename_empty
    implausible = found.negative_durations + found.durations_over_a_day
    return (
        Planted(found.rows, "jobs of five pages in one table", "one row each, in the right table"),
        Planted(found.image_jobs.rows, "of them make images", "rows of image_jobs"),
        Planted(unnamed, "without a file name", "the workflow is told by other columns, or …"),
        Planted(found.rule["fallback"], "that no rule tells", "… defaulted, and flagged"),
        Planted(found.status["submitted"], "with the old word 'submitted'", "pending"),
        Planted(found.comma_list, "with several files in one text", "an array"),
        Planted(found.comma_in_name, "with a comma in a file's name", "one file still"),
        Planted(found.masks_literal, "with a word instead of a file", "no file, and flagged"),
        Planted(found.video_url_empty, "with an empty URL", "NULL, never an array of nothing"),
        Planted(found.signed_urls, "with a signed URL that has expired", "kept, and flagged"),
        Planted(found.short_job_ids, "with a number as job_id", "the same id on every run"),
        Planted(implausible, "that took less than nothing, or days", "no duration, and flagged"),
    )


def _before(count: int | None) -> Fates:
    found = legacy.planted(rows=count)
    return {
        ("video_jobs", "moved"): found.video_jobs.rows,
        ("video_jobs", "merged"): 0,
        ("image_jobs", "moved"): found.image_jobs.rows,
        ("image_jobs", "merged"): 0,
    }


def _after(count: int | None) -> Fates:
    found = legacy.planted(rows=count)
    return {
        ("video_jobs", "moved"): found.video_jobs.moved,
        ("video_jobs", "merged"): found.video_jobs.merged,
        ("image_jobs", "moved"): found.image_jobs.moved,
        ("image_jobs", "merged"): found.image_jobs.merged,
    }


STORY = Story(
    change="output_type_tables",
    about="A studio keeps the jobs of five pages in one table, multitalk_jobs.",
    build=_build,
    application=_application,
    planted=_planted,
    before=_before,
    after=_after,
    digest=legacy.digest,
    tables=legacy.LEGACY_TABLES,
    look=(
        "backfills/video_jobs_from_multitalk_jobs.py   the mapping: facts, and no loop",
        "revisions/versions/0001_video_jobs.py         what expand makes",
        "migrator.toml                                 the contents page of the project",
    ),
)
