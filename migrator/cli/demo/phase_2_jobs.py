"""The story of `phase_2_jobs`: a queue that nothing ran gets a runner, and every image its thumbnail and preview."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from migrator.cli.demo.story import Planted, Story
from migrator.cli.render.words import rows
from migrator.demo import phase_2_jobs as legacy

if TYPE_CHECKING:
    from migrator.database.connect import Connection

Fates = dict[tuple[str, str], int]


def _build(connection: Connection, count: int | None) -> None:
    legacy.build_legacy(connection, images=count)


def _application(connection: Connection, count: int | None) -> str:
    legacy.build_new_application_rows(connection)
    found = legacy.planted(images=count)
    return (
        f"The runner was up for a while: {rows(found.stored)} of Image are STORED, {rows(found.stuck)} wait for ever"
        f" although both assets are there, a dead worker holds {rows(found.dead_workers)} of Job, and"
        f" {rows(found.new_images)} are new."
    )


def _planted(count: int | None) -> tuple[Planted, ...]:
    found = legacy.planted(images=count)
    listed = legacy.planted(images=min(legacy.MIX, found.images))  # the files tell of the first repeat
    return (
        Planted(found.images, "images that were ingested, and never processed", "a thumbnail and a preview, or …"),
        Planted(found.pending_offloads, "jobs that nothing ever ran", "… left alone: their job orders both itself"),
        Planted(found.orphans, "jobs of images that are gone", "kept without an image, and flagged"),
        Planted(found.malformed, "payloads that are no JSON", "kept as they are, and flagged"),
        Planted(found.odd_words, "statuses such as DONE, pending and blank", "pending is PENDING; the others wait"),
        Planted(listed.no_files, "images whose file is gone", "no job is ordered that could only fail"),
        Planted(listed.moved_files, "files that a job which crashed moved", "ordered by where the file is now"),
        Planted(found.stuck, "will wait although both assets are there", "finished, for it was asked for"),
    )


def _numbers(count: int | None, *, after: bool) -> Fates:
    found = legacy.fates(images=count, in_use=after, listed=legacy.MIX, ordered=after)
    held = "dismissed" if after else "quarantined"
    numbers = {(name, "moved"): one.moved for name, one in found.items()}
    return numbers | {(name, held): sum(one.quarantined.values()) for name, one in found.items() if one.quarantined}


def _before(count: int | None) -> Fates:
    return _numbers(count, after=False)


def _after(count: int | None) -> Fates:
    return _numbers(count, after=True)


def _digest(connection: Connection) -> str:
    return legacy.digest(connection, lasting=True)


def _file(name: str) -> str:
    return str(files(legacy).joinpath(name))


STORY = Story(
    change="phase_2_jobs",
    database="library",
    about="A photo library has a queue of jobs, and nothing that runs them. Phase 2 brings a runner and two assets.",
    params={
        "repair_stored": "true",
        "open_jobs": "1000000",
        "missing_files": _file("missing_files.csv"),
        "moved_files": _file("moved_files.csv"),
    },
    dismissed="files that are gone, and words for people to decide",
    build=_build,
    application=_application,
    planted=_planted,
    before=_before,
    after=_after,
    digest=_digest,
    tables=("Image", "Job", "Collection"),
    look=(
        "backfills/_photos.py                            which images a job is ordered for, and which not",
        "revisions/versions/0021_image_status_values.py  labels in a transaction of their own, and the way back",
    ),
)
