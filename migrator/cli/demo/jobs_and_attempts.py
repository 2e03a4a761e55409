"""The story of `jobs_and_attempts`: one table of restorations becomes jobs with their attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.cli.demo.story import Bucket, Planted, Story
from migrator.cli.render.words import rows
from migrator.demo import jobs_and_attempts as legacy
from migrator.demo.scripts import make_role

if TYPE_CHECKING:
    from migrator.database.connect import Connection

Fates = dict[tuple[str, str], int]

OUTSIDER = "reporting"


def _build(connection: Connection, count: int | None) -> None:
    legacy.build_legacy(connection, rows=count)
    make_role(connection, OUTSIDER)
    connection.execute(f"GRANT ALL ON restoration_jobs TO {OUTSIDER}".encode())


def _application(connection: Connection, _count: int | None) -> str:
    legacy.build_new_application_rows(connection)
    new = legacy.PLANTED_NEW
    return (
        f"The new application is in use already: {rows(new.jobs)} of jobs of its own, with"
        f" {rows(new.restore_attempts)} of restore_attempts and {rows(new.animation_attempts)} of animation_attempts;"
        f" and {rows(new.live)} of jobs that somebody copied by hand."
    )


def _planted(count: int | None) -> tuple[Planted, ...]:
    found = legacy.planted(rows=count)
    return (
        Planted(found.rows, "restorations in one table", "one job, and one attempt of it"),
        Planted(found.rows, "with the subject of a login", "the e-mail address that a map has for it"),
        Planted(found.of_nobody, "of a user whom no map names", "kept back, never guessed"),
        Planted(found.status["completed"], "that are completed", "the key of the picture, in whatever form it was"),
        Planted(found.encoded, "with a percent-encoded URL", "decoded, and flagged …"),
        Planted(found.encoded_twice, "of which encoded twice", "… as what they are"),
        Planted(found.presigned, "with a presigned URL", "the key, and no signature"),
        Planted(found.completed_without_picture, "completed without a picture", "a job; the attempt is kept back"),
        Planted(found.status["failed"], "that failed", "an attempt that says so, and why"),
        Planted(found.status["pending"], "that never began", "an attempt that waits, by name"),
        Planted(found.stale, "still running after days", "an attempt that has failed: stale_after was given"),
        Planted(found.without_created, "without the time of their making", "the last change, and flagged"),
        Planted(found.without_date, "without any time", "kept back"),
    )


def _planted_objects(count: int | None) -> tuple[Planted, ...]:
    found = legacy.planted_media(rows=count)
    return (
        Planted(found.objects, "objects, with | in most of their keys", "beside each that a moved row needs, a copy"),
        Planted(found.named_by_hand, "with blanks, %, + and letters of all kinds", "copied like any other"),
        Planted(found.ending_belies, "are not what their ending says", "an ending that says what they are"),
        Planted(found.untold, "of which nobody said what they are", "the ending that they had"),
        Planted(found.without_picture, "finished pictures are gone", "the attempt is kept back, and says so"),
        Planted(found.without_original, "originals never came", "the attempt is kept back, and says so"),
        Planted(found.taken, "another object where the copy must go", "not overwritten; the attempt is kept back"),
        Planted(found.there_already, "copied by hand already", "found, and left on the way back"),
        Planted(found.broken_off, "without content", "copied as it is"),
    )


def _fates(count: int | None, *, after: bool, objects: bool = False) -> Fates:
    found = legacy.fates(rows=count, in_use=after, expanded=after, objects=objects)
    held = "dismissed" if after else "quarantined"
    numbers = {(name, "moved"): one.moved for name, one in found.items()}
    numbers |= {(name, "merged"): one.merged for name, one in found.items()}
    return numbers | {(name, held): sum(one.quarantined.values()) for name, one in found.items() if one.quarantined}


def _before(count: int | None) -> Fates:
    return _fates(count, after=False)


def _after(count: int | None) -> Fates:
    return _fates(count, after=True)


def _after_with_objects(count: int | None) -> Fates:
    return _fates(count, after=True, objects=True)


STORY = Story(
    change="jobs_and_attempts",
    database="restorations",
    about="A page restores old photos, and keeps one picture for each; its users are subjects of logins.",
    params={"identity_map": str(legacy.identity_map()), "stale_after": "24 hours"},
    dismissed="nobody knows them, or their pictures, any more",
    build=_build,
    application=_application,
    planted=_planted,
    before=_before,
    after=_after,
    digest=legacy.digest,
    tables=legacy.LEGACY_TABLES,
    outsider=OUTSIDER,
    outside="Whoever writes reports",
    bucket=Bucket(
        name=legacy.BUCKET,
        objects=lambda count: legacy.media(rows=count),
        planted=_planted_objects,
        params={"copy_objects": "true"},
        after=_after_with_objects,
        keys="""
            SELECT s3_key FROM restore_attempts JOIN restoration_jobs AS old ON old.id = job_id
            WHERE s3_key NOT IN ('failed', 'pending')""",
        inputs="""
            SELECT array_agg('processed/' || job_id || '.' || ending ORDER BY n) FROM restore_attempts
            JOIN restoration_jobs AS old ON old.id = job_id
            CROSS JOIN unnest(ARRAY['jpg', 'png', 'webp', 'heic']) WITH ORDINALITY AS endings (ending, n)
            GROUP BY job_id""",
    ),
    look=(
        "backfills/_restoration.py                     whose a job is, and where its pictures are",
        "backfills/restore_attempts_from_restoration_jobs.py   rows whose pictures move with them",
        "revisions/versions/0012_restore_attempts.py   two tables that point at each other",
    ),
)
