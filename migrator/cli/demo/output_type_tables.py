"""The story of `output_type_tables`: tables per page become one table per kind of output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.cli.demo.story import Planted, Story
from migrator.cli.render.words import rows
from migrator.demo import output_type_tables as legacy
from migrator.demo.output_type_tables import PlantedImages
from migrator.demo.scripts import make_role

if TYPE_CHECKING:
    from migrator.database.connect import Connection

Fates = dict[tuple[str, str], int]

# Hosting services let a role of this name do everything with every table.
OUTSIDER = "anon"


def _build(connection: Connection, count: int | None) -> None:
    legacy.build_legacy(connection, rows=count)
    make_role(connection, OUTSIDER)
    connection.execute(f"GRANT ALL ON multitalk_jobs, style_transfers, edited_images TO {OUTSIDER}".encode())


def _application(connection: Connection, count: int | None) -> str:
    legacy.build_new_application_rows(connection, dual_written=True)
    new = legacy.planted_new(rows=count)
    own = new.video_jobs_own + new.image_jobs_own
    return (
        f"The new application is in use already: it wrote {rows(new.video_jobs_shared)} for jobs that"
        f" multitalk_jobs has too, {rows(new.image_jobs_dual_written)} for edits that edited_images has, and"
        f" {rows(own)} of its own."
    )


def _planted(count: int | None) -> tuple[Planted, ...]:
    found, images = legacy.planted(rows=count), PlantedImages()
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
        Planted(images.style_transfers, "style transfers", "image jobs under the same id"),
        Planted(images.style_with_unknown_status, "with a status nobody knows", "kept back until somebody decides"),
        Planted(images.style_sharing_a_prompt_id, "with the same prompt id", "the first keeps it, and flagged"),
        Planted(images.style_with_blob_urls, "with URLs of a browser", "kept, and flagged"),
        Planted(images.edited_images, "edits", "image jobs under the same id"),
        Planted(images.edits_failed, "with an error as their model", "an error, and no model"),
        Planted(images.edits_dual_written, "that are in the new table too", "recognised, and left alone"),
        Planted(images.datasets, "datasets of pictures", "text jobs, for they were asked for"),
    )


def _fates(count: int | None, *, after: bool) -> Fates:
    found = legacy.fates(rows=count, in_use=after, dual_written=after)
    held = "dismissed" if after else "quarantined"
    numbers = {(name, "moved"): one.moved for name, one in found.items()}
    numbers |= {(name, "merged"): one.merged for name, one in found.items()}
    return numbers | {(name, held): sum(one.quarantined.values()) for name, one in found.items() if one.quarantined}


def _before(count: int | None) -> Fates:
    return _fates(count, after=False)


def _after(count: int | None) -> Fates:
    return _fates(count, after=True)


STORY = Story(
    change="output_type_tables",
    database="studio",
    about="A studio keeps a table for each page of its old application; multitalk_jobs holds the jobs of five pages.",
    params={"captions": "true"},
    dismissed="cancelled by whoever asked for it",
    build=_build,
    application=_application,
    planted=_planted,
    before=_before,
    after=_after,
    digest=legacy.digest,
    tables=legacy.LEGACY_TABLES,
    outsider=OUTSIDER,
    outside="Everybody on the web",
    look=(
        "backfills/video_jobs_from_multitalk_jobs.py   the mapping: facts, and no loop",
        "revisions/versions/0001_video_jobs.py         what expand makes",
        "migrator.toml                                 the contents page of the project, and its checks",
    ),
)
