"""The story of `jobs_and_attempts`: one table of restorations becomes jobs with their attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.cli.demo.story import Planted, Story
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


def _fates(count: int | None, *, after: bool) -> Fates:
    found = legacy.fates(rows=count, in_use=after, expanded=after)
    held = "dismissed" if after else "quarantined"
    numbers = {(name, "moved"): one.moved for name, one in found.items()}
    numbers |= {(name, "merged"): one.merged for name, one in found.items()}
    return numbers | {(name, held): sum(one.quarantined.values()) for name, one in found.items() if one.quarantined}


def _before(count: int | None) -> Fates:
    return _fates(count, after=False)


def _after(count: int | None) -> Fates:
    return _fates(count, after=True)


STORY = Story(
    change="jobs_and_attempts",
    database="restorations",
    about="A page restores old photos, and keeps one picture for each; its users are subjects of logins.",
    params={"identity_map": str(legacy.identity_map()), "stale_after": "24 hours"},
    dismissed="nobody knows them any more",
    build=_build,
    application=_application,
    planted=_planted,
    before=_before,
    after=_after,
    digest=legacy.digest,
    tables=legacy.LEGACY_TABLES,
    outsider=OUTSIDER,
    outside="Whoever writes reports",
    look=(
        "backfills/_restoration.py                     whose a job is, and where its pictures are",
        "revisions/versions/0012_restore_attempts.py   two tables that point at each other",
    ),
)
