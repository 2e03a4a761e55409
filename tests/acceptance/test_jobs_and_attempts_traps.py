"""The traps of guide 000, each by its id: the guide's own SQL falls into it, ours does not.

Both start from copies of one template, so from the same legacy database. R-T16 is in the file of the adoption; R-T15,
and what others have of objects in S3, is not touched by this version.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest

from migrator.demo.jobs_and_attempts import digest as digest_of
from migrator.demo.jobs_and_attempts import fates, planted
from migrator.demo.jobs_and_attempts.fates import ATTEMPTS, JOBS, SELECTED
from migrator.demo.jobs_and_attempts.mix import LIVE, RUNNING_WITH_PICTURE
from migrator.ledger.quarantine import Selection
from migrator.model.errors import RefusedError
from migrator.model.step import Phase, State
from migrator.workflow import housekeeping, use_cases
from tests.support.guide_000 import JOBS as GUIDE_JOBS
from tests.support.guide_000 import run_migration, run_rollback
from tests.support.projects import back, check, execute, rows_of, silent, terms
from tests.support.restoration import (
    CHANGE,
    NOTE,
    counted,
    desk_on,
    expanded,
    id_of,
    moved,
    scalar,
    settle,
    with_application,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Copies = Callable[[str, Callable[[str], object]], str]

EXPECTED = planted()
NAMED = "processed_image_url <> ''"
OLD = "lower(old.status::text)"


@pytest.fixture
def legacy(database_from: Copies) -> Callable[[], str]:
    """Give copies of the legacy database with empty new tables."""
    return lambda: database_from("jobs_and_attempts expanded", expanded)


@pytest.fixture
def guided(database_from: Copies) -> Callable[[], str]:
    """Give copies of the database after the guide's own SQL."""

    def build(url: str) -> None:
        expanded(url)
        run_migration(url)

    return lambda: database_from("jobs_and_attempts by the guide", build)


@pytest.fixture
def done(database_from: Copies) -> Callable[[], str]:
    """Give copies of the database after the whole change, proven there, with rows of the application from before."""

    def build(url: str) -> None:
        with_application(url)
        settle(desk_on(url))

    return lambda: database_from("jobs_and_attempts done", build)


def digest(url: str, *tables: str) -> str:
    """Digest the rows of tables, the old one unless others are named."""
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        return digest_of(conn, *tables)


def test_r_t1_a_second_run_changes_nothing(guided: Callable[[], str], done: Callable[[], str]) -> None:
    """The guide's second run stops at the first INSERT, and the second one doubles every attempt; ours does nothing."""
    theirs, ours = guided(), done()
    made = scalar(theirs, "SELECT count(*) FROM restore_attempts")
    assert {"jobs": "23505", "restore_attempts": made} == run_migration(theirs)
    assert made * 2 == scalar(theirs, "SELECT count(*) FROM restore_attempts")

    tables = ("jobs", "restore_attempts", "animation_attempts", "restoration_jobs")
    before = digest(ours, *tables)
    use_cases.apply(desk_on(ours), listen=silent)  # a copy of a database is proven anew
    assert use_cases.apply(desk_on(ours), listen=silent).nothing_done
    assert before == digest(ours, *tables)


def test_r_t2_r_t3_a_job_belongs_to_an_address_and_one_address_is_one_owner(
    guided: Callable[[], str], done: Callable[[], str]
) -> None:
    """The guide makes a login's subject the owner, so nobody finds his jobs; ours are found under one address."""
    theirs, ours = guided(), done()
    assert EXPECTED.rows == scalar(theirs, "SELECT count(*) FROM jobs WHERE email !~ '@'")
    owned = "SELECT count(*) FROM jobs JOIN restoration_jobs AS old USING (id) WHERE email = 'bruno.silva@example.org'"
    his = "SELECT count(*) FROM restoration_jobs WHERE user_id IN ('auth0|68d1f00d0000000000000b02',"
    his += " 'google-oauth2|104300000000000000002')"
    assert 0 == scalar(theirs, owned)

    assert 0 == scalar(ours, "SELECT count(*) FROM jobs WHERE email !~ '@' OR email <> lower(btrim(email))")
    no_date = scalar(ours, f"{his} AND coalesce(created_at, updated_at) IS NULL")
    assert scalar(ours, his) - no_date == scalar(ours, owned)
    whose = (
        "SELECT count(*) FROM jobs JOIN restoration_jobs USING (id) WHERE user_id = 'auth0|68d1f00d0000000000000e05'"
    )
    assert 0 == scalar(ours, whose)
    with_one = desk_on(ours, placeholder_email="Nobody@Example.org")
    execute(ours, "DELETE FROM migrator.quarantine")
    use_cases.apply(with_one, listen=silent)
    assert EXPECTED.of_nobody == scalar(ours, f"{whose} AND email = 'nobody@example.org'")


def test_r_t4_no_date_is_lost_or_made_up(guided: Callable[[], str], done: Callable[[], str]) -> None:
    """The guide writes NULL over the default; ours takes the other time, flagged, or keeps the row back."""
    nulls = "SELECT (SELECT count(*) FROM jobs WHERE created_at IS NULL),"
    nulls += " (SELECT count(*) FROM restore_attempts WHERE created_at IS NULL)"
    theirs, ours = guided(), done()
    assert [(EXPECTED.without_created, EXPECTED.completed_without_updated)] == rows_of(theirs, nulls)
    assert [(0, 0)] == rows_of(ours, nulls)
    others = "SELECT count(*) FROM jobs JOIN restoration_jobs AS old USING (id) WHERE old.created_at IS NULL"
    assert EXPECTED.without_created - EXPECTED.without_date == scalar(
        ours, f"{others} AND jobs.created_at = updated_at"
    )


def test_r_t5_a_finished_job_shows_its_own_picture(guided: Callable[[], str], done: Callable[[], str]) -> None:
    """The guide leaves every pointer empty, and its tables take a wrong one; ours points at the job's own attempt."""
    theirs, ours = guided(), done()
    selected = "SELECT count(*) FROM jobs WHERE selected_restore_id IS NOT NULL"
    another = (
        "UPDATE jobs SET selected_restore_id = (SELECT id FROM restore_attempts WHERE job_id <> jobs.id LIMIT 1)"
        f" WHERE id = '{id_of(LIVE)}'"
    )
    assert 0 == scalar(theirs, selected)
    execute(theirs, another)

    pointing = " AND EXISTS (SELECT FROM restore_attempts AS one JOIN restoration_jobs AS old ON old.id = one.job_id"
    pointing += f" WHERE one.id = selected_restore_id AND one.job_id = jobs.id AND {OLD} = 'completed')"
    assert fates()[SELECTED].moved == scalar(ours, selected + pointing)
    execute(ours, another)
    assert ["check: no pointer leads to another job"] == [
        one.claim for one in check(desk_on(ours)).verdicts if not one.proven
    ]


def test_r_t6_ids_of_attempts_follow_from_the_old_key(
    guided: Callable[[], str], legacy: Callable[[], str], done: Callable[[], str]
) -> None:
    """The guide gives attempts random ids that nothing links; ours are the same everywhere, and known."""
    theirs, again, ours = guided(), legacy(), done()
    run_migration(again)
    ids = "SELECT id::text FROM restore_attempts WHERE job_id IN (SELECT id FROM restoration_jobs) ORDER BY 1"
    assert not set(rows_of(theirs, ids)) & set(rows_of(again, ids))
    execute(again, "DELETE FROM jobs")
    moved(again)
    assert rows_of(again, ids) == rows_of(ours, ids)
    assert rows_of(ours, ids) == rows_of(ours, "SELECT t1::text FROM migrator.provenance_2 ORDER BY 1")


def test_r_t7_r_t8_a_key_is_a_key(
    guided: Callable[[], str], legacy: Callable[[], str], done: Callable[[], str]
) -> None:
    """The guide stores URLs, signatures, escapes and nothing at all as keys, and aborts where the column is short."""
    url = "SELECT count(*) FROM restore_attempts WHERE s3_key {}"
    theirs, short, ours = guided(), legacy(), done()
    assert scalar(theirs, url.format("LIKE '%://%'")) > EXPECTED.status["completed"] / 2
    assert EXPECTED.presigned == scalar(theirs, url.format("LIKE '%Signature=%'"))
    assert EXPECTED.completed_without_picture == scalar(theirs, url.format("= ''"))
    execute(short, "ALTER TABLE restore_attempts ALTER s3_key TYPE varchar(500)")
    assert "22001" == run_migration(short)["restore_attempts"]

    assert 0 == scalar(ours, url.format("~ '://|[?]|^/|%[0-9A-Fa-f]{2}' OR (s3_key = '' AND model <> 'comfyui_v2')"))
    flags = next(one.flags for one in use_cases.verify_counts(desk_on(ours)).balances if one.backfill == ATTEMPTS)
    assert (EXPECTED.encoded, EXPECTED.encoded_twice) == (
        flags["s3_key was percent-encoded"],
        flags["s3_key was percent-encoded twice"],
    )


def test_r_t9_r_t10_nothing_of_the_old_row_is_lost(guided: Callable[[], str], done: Callable[[], str]) -> None:
    """The guide drops status, denoise, errors and the original picture; ours has them, word for word."""
    theirs, ours = guided(), done()
    assert 0 == scalar(theirs, "SELECT count(*) FROM restore_attempts WHERE model IS NOT NULL OR params IS NOT NULL")
    lost = f"""SELECT count(*) FROM restoration_jobs AS old JOIN restore_attempts AS new ON new.job_id = old.id
        JOIN migrator.provenance_2 AS v ON v.t1 = new.id
        WHERE new.model <> 'comfyui_legacy' OR (new.params ->> 'denoise')::float8 IS DISTINCT FROM old.denoise
        OR new.params ->> 'error' IS DISTINCT FROM old.error_message OR new.params ->> 'legacy_status' <> {OLD}
        OR new.params ->> 'original_image_url' IS DISTINCT FROM old.original_image_url
        OR new.params ->> 'processed_image_url' IS DISTINCT FROM NULLIF(old.processed_image_url, '')
        OR new.params ->> 'original_s3_key' !~ '^(restorations/.*/)?original/[^/?%]*$'
        OR new.params -> 'megapixels' <> '1.0'"""
    assert 0 == scalar(ours, lost)
    assert fates()[ATTEMPTS].moved == scalar(ours, "SELECT count(*) FROM migrator.provenance_2")
    failed = scalar(ours, "SELECT count(*) FROM restore_attempts WHERE s3_key = 'failed' AND params ->> 'error' <> ''")
    assert fates()[ATTEMPTS].keys["failed"] == failed


def test_r_t11_each_fate_has_a_name(guided: Callable[[], str], legacy: Callable[[], str]) -> None:
    """The guide makes untouched uploads of what runs, waits or failed, and a success of what runs; ours tells them."""
    theirs, ours = guided(), legacy()
    bare = "SELECT count(*) FROM jobs WHERE NOT EXISTS (SELECT FROM restore_attempts AS one WHERE one.job_id = jobs.id)"
    wrong = "SELECT count(*) FROM restore_attempts AS one JOIN restoration_jobs AS old ON old.id = one.job_id"
    wrong += f" WHERE {OLD} = 'processing' AND s3_key <> 'pending'"
    unfinished = EXPECTED.rows - EXPECTED.status["completed"]
    assert unfinished - len(RUNNING_WITH_PICTURE) - EXPECTED.failed_with_picture == scalar(theirs, bare)
    assert len(RUNNING_WITH_PICTURE) == scalar(theirs, wrong)

    moved(ours)
    words = "SELECT CASE WHEN s3_key IN ('failed', 'pending') THEN s3_key ELSE 'picture' END, count(*)"
    words += " FROM restore_attempts GROUP BY 1"
    assert fates()[ATTEMPTS].keys == counted(ours, words)
    assert (0, 3) == (scalar(ours, wrong), scalar(ours, bare))  # completed, and no picture is named
    # Decided late, and taken back: with stale_after what ran for days has failed, and says so.
    use_cases.apply(desk_on(ours, stale_after="24 hours"), listen=silent)
    assert fates(stale_after=True)[ATTEMPTS].keys == counted(ours, words)
    said = "SELECT DISTINCT params ->> 'error' FROM restore_attempts WHERE params ->> 'legacy_status' = 'processing'"
    assert [("still processing more than 24 hours before the newest job",)] == rows_of(
        ours, f"{said} AND s3_key = 'failed'"
    )
    use_cases.apply(desk_on(ours), listen=silent)
    assert fates()[ATTEMPTS].keys == counted(ours, words)


def test_r_t12_a_half_that_was_done_by_hand_is_noticed(legacy: Callable[[], str]) -> None:
    """The guide's script has the first half alone, with owners nobody is; ours leaves and names each of its jobs."""
    ours = legacy()
    assert {"jobs": EXPECTED.rows} == run_migration(ours, GUIDE_JOBS)
    desk = desk_on(ours)
    before = digest(ours, "jobs")
    report = use_cases.apply(desk, listen=silent)
    assert (State.COPIED, False) == (report.state, report.proven)
    there = EXPECTED.rows - EXPECTED.of_nobody - EXPECTED.without_date
    assert there == terms(desk, JOBS)["merged", ""]
    (differing,) = [one.counts for one in report.comparisons if one.backfill == JOBS]
    assert {"altered": there} == differing
    back(desk, to=Phase.EXPAND)
    assert before == digest(ours, "jobs")
    # Its rows gone, everything is moved.
    execute(ours, "DELETE FROM jobs")
    use_cases.apply(desk, listen=silent)
    assert fates()[JOBS].moved == terms(desk, JOBS)["moved", ""]


NEW_ROWS = """
INSERT INTO jobs (id, email) VALUES ('00000000-0000-4000-8000-00000000000a', 'late@example.org');
INSERT INTO restore_attempts (id, job_id, s3_key, model) VALUES
    ('00000000-0000-4000-8000-00000000000b', '{moved}', 'restored/again.jpg', 'comfyui_v2');
INSERT INTO animation_attempts (id, job_id, restore_id, preview_s3_key) SELECT
    '00000000-0000-4000-8000-00000000000c', job_id, id, 'animated/it.mp4'
    FROM restore_attempts WHERE job_id = '{animated}';
UPDATE jobs SET latest_animation_id = '00000000-0000-4000-8000-00000000000c' WHERE id = '{animated}'
"""


def test_r_t13_rows_of_the_application_are_counted_and_kept(
    guided: Callable[[], str], legacy: Callable[[], str]
) -> None:
    """The guide's rollback drops them unseen, and its tables forbid the careful order; ours names and keeps them."""
    theirs, ours, lost = guided(), legacy(), legacy()
    ids = {"moved": id_of(1), "animated": id_of(2)}
    execute(theirs, NEW_ROWS.format(**ids))
    execute(theirs, "UPDATE jobs SET selected_restore_id = (SELECT max(id::text)::uuid FROM restore_attempts AS one"
            " WHERE one.job_id = jobs.id)")  # fmt: skip
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        execute(theirs, "DELETE FROM restore_attempts")
    run_rollback(theirs)
    assert [(None,)] == rows_of(theirs, "SELECT to_regclass('jobs')")

    for url in (ours, lost):
        before = digest(url)
        desk = moved(url)
        execute(url, NEW_ROWS.format(**ids))
        with pytest.raises(RefusedError, match="M412") as refused:
            back(desk)
        lose = ["1 row of jobs", "1 row of restore_attempts", "1 row of animation_attempts"]
        for sentence, key in zip(lose, "abc", strict=True):
            said = f"{sentence}: 1 written by the application (00000000-0000-4000-8000-00000000000{key})"
            assert said in refused.value.what
        back(desk, **({"keep_new": True} if url == ours else {"lose": lose}))
        assert before == digest(url)
    assert [(None,)] == rows_of(lost, "SELECT to_regclass('jobs')")
    kept = "SELECT id::text FROM {} ORDER BY 1"
    late = "00000000-0000-4000-8000-00000000000{}"
    assert sorted([late.format("a"), id_of(1), id_of(2)]) == [one for (one,) in rows_of(ours, kept.format("jobs"))]
    assert late.format("b") in [one for (one,) in rows_of(ours, kept.format("restore_attempts"))]
    assert [(late.format("c"), id_of(2))] == rows_of(ours, "SELECT id::text, job_id::text FROM animation_attempts")


def test_r_t14_the_old_application_goes_on_at_every_point(legacy: Callable[[], str]) -> None:
    """What the old worker writes, at any time, is taken by the next run; the old table is never touched."""
    ours = legacy()
    new = "INSERT INTO restoration_jobs (id, user_id, status, original_image_url, denoise) VALUES"
    new += " ('00000000-0000-4000-8000-0000000000{}', 'user1', 'PENDING', 'https://x.cloudfront.net/o/{}.jpg', 0.5)"
    begins = "UPDATE restoration_jobs SET status = 'PROCESSING', updated_at = now() WHERE id::text ~ '{}$'"
    ends = (
        "UPDATE restoration_jobs SET status = 'COMPLETED', processed_image_url = 'https://x.cloudfront.net/p/{0}.jpg',"
    )
    ends += " updated_at = now() WHERE id::text ~ '{0}$'"
    execute(ours, new.format("e1", "e1"))
    desk = moved_with_more(ours)
    key = "SELECT s3_key FROM restore_attempts WHERE job_id::text ~ 'e1$'"
    assert "pending" == scalar(ours, key)
    execute(ours, begins.format("e1"))
    execute(ours, new.format("e2", "e2"))
    use_cases.apply(desk, listen=silent)
    execute(ours, ends.format("e1"))
    before = digest(ours)
    report = use_cases.apply(desk, listen=silent)
    assert [] == [one for one in report.verdicts if not one.proven]
    assert "p/e1.jpg" == scalar(ours, key)
    assert 1 == scalar(ours, "SELECT count(*) FROM jobs JOIN restore_attempts AS one ON one.id = selected_restore_id"
                       " WHERE one.s3_key = 'p/e1.jpg'")  # fmt: skip
    assert before == digest(ours)
    back(desk)
    assert before == digest(ours)
    execute(ours, begins.format("e2"))
    execute(ours, ends.format("e2"))


def moved_with_more(url: str):
    """Move everything, also what is not planted; what waits is dismissed."""
    desk = desk_on(url)
    use_cases.apply(desk, to=Phase.VERIFY, listen=silent)
    housekeeping.quarantine_dismiss(desk, Selection(change=CHANGE), NOTE)
    return desk
