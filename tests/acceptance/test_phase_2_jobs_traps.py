"""The traps of the documented photo library: each with the guide's or the repository's SQL, then ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from migrator.demo.phase_2_jobs import image_id, planted
from migrator.demo.phase_2_jobs.fates import (
    FAILED,
    IMAGES,
    JOBS,
    OFFLOAD_OPEN,
    PREVIEWS,
    REQUEUED,
    THUMBNAILS,
    UNKNOWN_WORD,
    fates,
)
from migrator.demo.phase_2_jobs.planted import DONE, FAILED_AFTER_MOVING, MALFORMED, NO_FILES, STUCK
from migrator.ledger.quarantine import Selection
from migrator.model.errors import ConfigurationError, MigratorError
from migrator.model.step import Phase, State
from migrator.model.verdict import Balance
from migrator.workflow import housekeeping, use_cases
from tests.support.guide_003 import ENQUEUE, ENQUEUE_HUNDRED, PUSH, REPOSITORY, SNIPPETS
from tests.support.guide_003 import run as by_guide
from tests.support.photos import CHANGE, FILES, OPEN, PAYLOADS, apply, desk_on, digest, old, worked
from tests.support.projects import back, execute, rows_of, run, terms

Copies = Callable[[], str]

EXPECTED = planted()
ORDERED = 'SELECT "imageId", type FROM "Job" WHERE id LIKE \'mg%\' ORDER BY 1, 2'
EVERYTHING = 'SELECT j::text FROM "Job" AS j UNION ALL SELECT i::text FROM "Image" AS i ORDER BY 1'
KEPT = "SELECT id, type, md5(payload), status FROM \"Job\" WHERE id NOT LIKE 'mg%' ORDER BY id"
ASSETS = ("PREVIEW_GENERATION", "THUMBNAIL_GENERATION")


def test_every_planted_row_is_where_it_belongs(photos_done: Copies) -> None:
    """Each class is accounted for under its own name, in the number that was planted; a second run does nothing."""
    url = photos_done()
    desk = desk_on(url, **FILES, repair_stored="true")
    expected = fates(in_use=True)
    balances = {one.backfill: one for one in use_cases.verify_counts(desk).balances}
    assert set(expected) == set(balances)
    for name, fate in expected.items():
        found = balances[name]
        assert (0, fate.source_rows, fate.moved) == (found.unaccounted, found.source_rows, found.rows("moved"))
        assert dict(fate.skipped) == by_reason(found, "skipped")
        assert sum(fate.quarantined.values()) == found.rows("dismissed")
        assert dict(fate.flags) == dict(found.flags)
    before = rows_of(url, EVERYTHING)
    assert True is apply(desk).proven
    assert before == rows_of(url, EVERYTHING)


def test_a_dry_run_foretells_all_of_it(database: str) -> None:
    """Before anything is there, the same rows are counted under the same names."""
    old(database)
    before = digest(database)
    plan = use_cases.plan(desk_on(database, **FILES, repair_stored="true"), dry_run=True)
    for balance in plan.balances:
        fate = fates(ordered=False)[balance.backfill]
        assert (0, fate.source_rows, fate.moved) == (balance.unaccounted, balance.source_rows, balance.rows("moved"))
        assert dict(fate.skipped) == by_reason(balance, "skipped")
        assert dict(fate.quarantined) == by_reason(balance, "quarantined")
    assert "H165" in {one.id for one in plan.hazards}
    assert digest(database) == before


def by_reason(balance: Balance, disposition: str) -> dict[str, int]:
    """Count the rows of a disposition by reason."""
    return {one.reason: one.rows for one in balance.terms if one.disposition == disposition and one.rows}


def test_p_t1_no_job_is_dropped_and_none_is_run_again(photos: Copies, photos_moved: Copies, database: str) -> None:
    """The repository's file drops every job, `db push` makes all of them PENDING; ours keeps each as it is."""
    old(database)
    execute(database, "UPDATE \"Job\" SET status = 'COMPLETED' WHERE id < 'c5'")
    completed = "SELECT count(*), count(*) FILTER (WHERE status = 'COMPLETED') FROM \"Job\""
    assert rows_of(database, completed)[0][1] > 0
    assert [None, None] == by_guide(database, PUSH)
    assert [(EXPECTED.jobs, 0)] == rows_of(database, completed)
    execute(database, 'DROP TYPE "JobStatus" CASCADE')
    assert [None] * len(REPOSITORY) == by_guide(database, REPOSITORY)
    assert 0 == scalar(database, 'SELECT count(*) FROM "Job"')

    before, after = rows_of(photos(), KEPT), rows_of(photos_moved(), KEPT)
    assert EXPECTED.jobs == len(before)
    assert before == [one for one in after if not one[0].startswith("odd ")]


def scalar(url: str, query: str) -> object:
    """Fetch one value."""
    return rows_of(url, query)[0][0]


def test_p_t2_a_label_is_added_in_a_transaction_of_its_own(database: str) -> None:
    """A new label cannot be used where it was added, nor the file run twice; ours goes on where it stopped."""
    old(database)
    added = "ALTER TYPE \"ImageStatus\" ADD VALUE 'STORED'; UPDATE \"Image\" SET status = 'STORED'"
    assert ["55P04"] == by_guide(database, (f"BEGIN; {added}; COMMIT",))
    # Something of the same name stands in the way of the second revision: the first one is done, and stays so.
    execute(database, "CREATE TYPE \"JobStatus\" AS ENUM ('X')")
    desk = desk_on(database)
    with pytest.raises(MigratorError, match="M202"):
        run(desk, to=Phase.EXPAND)
    assert State.EXPANDING is use_cases.status_facts(desk).state
    execute(database, 'DROP TYPE "JobStatus"')
    run(desk, to=Phase.EXPAND)
    labels = 'SELECT enum_range(NULL::"ImageStatus")::text'
    assert "{UPLOADED,INGESTED,PROCESSING,STORED,FAILED}" == scalar(database, labels)
    back(desk)
    assert "{UPLOADED,INGESTED,FAILED}" == scalar(database, labels)
    # A label that somebody added by hand is compared, and never passed over.
    execute(database, "ALTER TYPE \"ImageStatus\" ADD VALUE 'STORED'")
    with pytest.raises(MigratorError, match=r"M203.*UPLOADED, INGESTED, FAILED, STORED; expected is"):
        run(desk, to=Phase.EXPAND)
    assert "42710" == by_guide(database, (*REPOSITORY, *REPOSITORY))[len(REPOSITORY)]
    assert 0 == scalar(database, 'SELECT count(*) FROM "Job"')


def test_p_t7_every_image_is_reached_once(photos: Copies) -> None:
    """Three batches of the guide order 600 jobs for the same hundred images; ours one of each kind for every image."""
    theirs, ours = photos(), photos()
    assert [None] * 3 == by_guide(theirs, (ENQUEUE_HUNDRED,) * 3)
    assert (600, 100) == rows_of(
        theirs, 'SELECT count(*), count(DISTINCT "imageId") FROM "Job" WHERE "imageId" IS NOT NULL'
    )[0]
    execute(ours, 'DELETE FROM "Job"')
    desk = desk_on(ours, open_jobs="1000")
    run(desk)
    assert run(desk).nothing_done
    images = [image for (image,) in rows_of(ours, 'SELECT id FROM "Image"')]
    assert sorted((image, kind) for image in images for kind in ASSETS) == sorted(rows_of(ours, ORDERED))


def test_p_t9_a_preview_alone_is_ordered_too(photos_in_use: Copies) -> None:
    """The guide looks for a missing thumbnail only, whatever the status; ours looks for each asset by itself."""
    theirs, ours = photos_in_use(), photos_in_use()
    lonely, failing = image_id(246), image_id(247)
    new = 'SELECT type FROM "Job" WHERE "imageId" = \'{}\' AND "createdAt" > \'2026-03-01\' ORDER BY 1'
    by_guide(theirs, (ENQUEUE,))
    assert [] == rows_of(theirs, new.format(lonely))
    assert 2 == len(rows_of(theirs, new.format(failing)))
    # A job whose payload nobody can read, and whose image the application knows.
    execute(
        ours,
        'INSERT INTO "Job" (id, type, payload, status, "imageId", "updatedAt") VALUES'
        f" ('x', 'THUMBNAIL_GENERATION', 'x', 'PENDING', '{image_id(MALFORMED[0])}', now())",
    )
    desk = desk_on(ours)
    run(desk)
    assert [("PREVIEW_GENERATION",)] == rows_of(ours, new.format(image_id(MALFORMED[0])) + " DESC OFFSET 1")
    assert [("PREVIEW_GENERATION",)] == rows_of(ours, new.format(lonely))
    assert [] == rows_of(ours, new.format(failing))
    assert 1 == terms(desk, THUMBNAILS)["skipped", FAILED]
    # What failed is tried again, and what was left in the middle is served, when somebody says so.
    desk = desk_on(ours, retry_failed="1", processing_before="2026-02-01")
    run(desk)
    assert [(one,) for one in ASSETS] == rows_of(ours, new.format(failing))
    assert [("PREVIEW_GENERATION",)] * 3 == [
        one for at in range(8, 11) for one in rows_of(ours, new.format(image_id(at)))
    ]


def test_p_t13_times_are_utc_whatever_the_session_says(photos: Copies) -> None:
    """In a zone of its own, now() is written as local time and taken for UTC; ours is UTC to the millisecond."""
    url = photos()
    name = url.rpartition("/")[2].partition("?")[0]
    execute(url, f"ALTER DATABASE \"{name}\" SET timezone = 'Asia/Kolkata'")
    apart = "SELECT bool_and(abs(extract(epoch FROM {} - timezone('UTC', now()))) < 3600) FROM \"Job\" WHERE {}"
    by_guide(url, (ENQUEUE,))
    assert False is scalar(url, apart.format('"createdAt"', '"imageId" IS NOT NULL'))
    execute(url, 'DELETE FROM "Job" WHERE "imageId" IS NOT NULL')
    desk = desk_on(url)
    run(desk)
    for column in ("createdAt", "updatedAt"):
        assert True is scalar(url, apart.format(f'"{column}"', "id LIKE 'mg%'"))
    without = """INSERT INTO "Job" (id, type, payload, status) VALUES ('x', 'x', '{}', 'PENDING')"""
    assert ["23502"] == by_guide(url, (without,))


def test_p_t15_the_names_are_those_of_the_tables(photos: Copies) -> None:
    """None of the snippets' names exists; ours are compiled against the tables before anything is done."""
    url = photos()
    assert {"42P01", "42703"} == set(by_guide(url, SNIPPETS))
    assert [] == [one for one in use_cases.plan(desk_on(url)).hazards if one.id == "H101"]


def test_p_t16_which_status_is_final_is_said(photos_in_use: Copies) -> None:
    """By one contract STORED is the end, by another PROCESSED: what is final, and what a repair gives, is said.

    A word that is no label of the enum is refused with those there are, before anything is changed.
    """
    url = photos_in_use()
    for verb in (use_cases.plan, run):
        with pytest.raises(
            ConfigurationError, match=r"terminal: 'PROCESSED', 'DONE' are no labels of Image\.status"
        ) as no:
            verb(desk_on(url, terminal="PROCESSED, INGESTED,DONE", repair_stored="true"))
        assert "M106" == no.value.id
        assert "UPLOADED" in no.value.cure
    assert [] == rows_of(url, ORDERED)
    execute(url, """ALTER TYPE "ImageStatus" ADD VALUE 'PROCESSED'""")
    desk = desk_on(url, terminal="PROCESSED, INGESTED", repair_stored="true")
    run(desk)
    assert [] == rows_of(url, ORDERED)
    assert terms(desk, PREVIEWS)["skipped", "it is done with"] > 200
    assert terms(desk, IMAGES)["moved", ""] == len(STUCK)
    assert len(STUCK) == scalar(url, """SELECT count(*) FROM "Image" WHERE status = 'PROCESSED'""")


def test_dead_workers_jobs_are_given_back_only_if_asked(photos_in_use: Copies) -> None:
    """RUNNING jobs older than what is said are PENDING once more; undo takes back those that nobody took since."""
    url = photos_in_use()
    running = "SELECT count(*) FROM \"Job\" WHERE status = 'RUNNING'"
    desk = desk_on(url, requeue_stale="true", locked_before="2026-02-01 00:00")
    run(desk)
    assert EXPECTED.dead_workers == terms(desk, REQUEUED)["moved", ""]
    assert 1 == scalar(url, running)
    given = 'SELECT "lockedBy" IS NULL, status_new::text FROM "Job" WHERE "lastError" IS NULL AND attempts = 1'
    assert (True, "PENDING") in rows_of(url, given)
    taken = worked(url, 1, only="attempts = 1")
    assert [f"left with the application: 1 row of Job ({taken[0]})"] == list(back(desk, to=Phase.EXPAND).notes)
    assert 1 + EXPECTED.dead_workers - 1 == scalar(url, running)


def test_p_t3_an_odd_word_waits_for_people(photos_moved: Copies, tmp_path: Path) -> None:
    """A cast in place stops at the first odd word; ours knows `pending`, and holds back DONE and nothing by name."""
    url = photos_moved()
    cast = 'ALTER TABLE "Job" ALTER COLUMN status TYPE "JobStatus" USING status::"JobStatus"'
    assert ["22P02"] == by_guide(url, (cast,))
    assert EXPECTED.unknown_words == terms(desk_on(url), JOBS)["quarantined", UNKNOWN_WORD]
    words = "SELECT status, status_new::text FROM \"Job\" WHERE status NOT IN ('PENDING') ORDER BY 1"
    assert [(" ", None), ("DONE", None), ("pending", "PENDING")] == rows_of(url, words)
    # While nobody knows whether the job is over, none is ordered beside it.
    image = image_id(DONE)
    assert not [one for one in rows_of(url, ORDERED) if one[0] == image]

    decided = tmp_path / "words.csv"
    decided.write_text("word,status\nDONE,COMPLETED\nBLANK,PENDING\n", encoding="utf-8")
    desk = desk_on(url, status_words=str(decided))
    housekeeping.quarantine_retry(desk, Selection(change=CHANGE))
    run(desk)
    assert [(" ", "PENDING"), ("DONE", "COMPLETED"), ("pending", "PENDING")] == rows_of(url, words)
    assert True is apply(desk).proven
    assert list(ASSETS) == [kind for at, kind in rows_of(url, ORDERED) if at == image]


@pytest.mark.every_server
def test_p_t4_no_payload_stops_anything(photos_moved: Copies) -> None:
    """Casting every payload fails at the first odd one; ours reads what can be read, and orders with sound ones."""
    url = photos_moved()
    assert ["22P02"] == by_guide(url, ('SELECT payload::jsonb FROM "Job" ORDER BY id',))
    balance = next(one for one in use_cases.verify_counts(desk_on(url)).balances if one.backfill == JOBS)
    unread = balance.flags["imageId defaulted: the payload names no image"]
    assert (0, EXPECTED.malformed + len(PAYLOADS)) == (balance.unaccounted, unread)
    hostile = "SELECT count(*) FROM \"Job\" WHERE id LIKE 'odd %' AND status_new = 'PENDING' AND \"imageId\" IS NULL"
    assert len(PAYLOADS) == scalar(url, hostile)
    found = rows_of(
        url,
        'SELECT j.type, j.payload, i.id, i."tempPath" FROM "Job" AS j JOIN "Image" AS i ON i.id = j."imageId"'
        " WHERE j.id LIKE 'mg%'",
    )
    # A job whose payload names nobody runs for nobody: its image is served.
    assert {image_id(at) for at in MALFORMED} <= {image for _, _, image, _ in found}
    for kind, payload, image, path in found:
        said = {"type": kind, "imageId": image, "originalPath": path}
        said |= {"sizes": [64, 128, 256, 512]} if kind == "THUMBNAIL_GENERATION" else {}
        assert said == json.loads(payload)


def test_p_t5_an_image_that_is_gone_leaves_no_id(photos: Copies, photos_moved: Copies) -> None:
    """What the payloads say violates the foreign key; ours takes ids of images that are there, and flags the others."""
    naive = """UPDATE "Job" SET "imageId" = payload::jsonb ->> 'imageId' WHERE payload LIKE '%}'"""
    assert ["23503"] == by_guide(photos(), (naive,))
    url = photos_moved()
    pointing = scalar(url, 'SELECT count(*) FROM "Job" WHERE id NOT LIKE \'mg%\' AND "imageId" IS NOT NULL')
    assert EXPECTED.jobs - EXPECTED.orphans - EXPECTED.malformed - EXPECTED.unknown_words == pointing
    flags = next(one.flags for one in use_cases.verify_counts(desk_on(url)).balances if one.backfill == JOBS)
    assert EXPECTED.orphans == flags["imageId discarded: the image is gone; the payload still names it"]


def test_p_t8_nothing_is_ordered_while_the_file_is_about_to_move(photos: Copies, photos_moved: Copies) -> None:
    """The guide orders two jobs for each of 240 images whose file will be gone by then; ours none."""
    waiting = """SELECT count(*) FROM "Job" AS o JOIN "Job" AS j ON j."imageId" = o.payload::jsonb ->> 'imageId'
        WHERE o.type = 'OFFLOAD_ORIGINAL' AND o.status = 'PENDING' AND o.payload LIKE '%"}' AND j.type <> o.type"""
    theirs, ours = photos(), photos_moved()
    by_guide(theirs, (ENQUEUE,))
    assert 2 * EXPECTED.pending_offloads == scalar(theirs, waiting)
    assert 0 == scalar(ours, waiting.replace("'%\"}'", "'%\"}' AND o.id NOT LIKE 'odd %'"))
    assert EXPECTED.images - 7 == terms(desk_on(ours), THUMBNAILS)["skipped", OFFLOAD_OPEN]


def test_p_t10_a_file_that_is_gone_is_no_order(photos_done: Copies) -> None:
    """The guide orders for images whose file is nowhere; ours holds them back, and follows a file that was moved."""
    url = photos_done()
    assert not {image_id(at) for at in NO_FILES} & {image for image, _ in rows_of(url, ORDERED)}
    held = "SELECT count(*), count(DISTINCT source_key) FROM migrator.quarantine WHERE reason = 'source file gone'"
    assert [(4, 2)] == rows_of(url, held)
    moved = ",".join(f"'{image_id(at)}'" for at in FAILED_AFTER_MOVING)
    paths = f"SELECT payload::json ->> 'originalPath' FROM \"Job\" WHERE id LIKE 'mg%' AND \"imageId\" IN ({moved})"
    found = [path for (path,) in rows_of(url, paths)]
    assert 2 * len(FAILED_AFTER_MOVING) == len(found)
    assert all(path.startswith("/tmp/storage/originals/") for path in found)  # noqa: S108 -- a path in a row


def test_p_t11_what_waits_for_ever_is_named_and_finished_if_asked(photos_in_use: Copies, photos_done: Copies) -> None:
    """With both assets an image may stay PROCESSING for ever; verify names it, and the repair finishes it."""
    report = apply(desk_on(photos_in_use()))
    claim = "check: no image waits although both assets are there"
    assert f"{EXPECTED.stuck} rows" in next(one.evidence for one in report.verdicts if one.claim == claim)
    url = photos_done()
    stuck = ",".join(f"'{image_id(at)}'" for at in STUCK)
    statuses = f'SELECT DISTINCT status::text FROM "Image" WHERE id IN ({stuck})'
    assert [("STORED",)] == rows_of(url, statuses)
    back(desk_on(url, **FILES, repair_stored="true"), to=Phase.EXPAND)
    assert [("PROCESSING",)] == rows_of(url, statuses)


def test_p_t12_orders_trickle_and_uploads_come_first(photos: Copies) -> None:
    """Never more than `open_jobs` of ours are open, and all are younger than what waited before."""
    url = photos()
    execute(url, "DELETE FROM \"Job\" WHERE id > 'c2'")
    waiting = scalar(url, 'SELECT max("createdAt") FROM "Job" WHERE status = \'PENDING\'')
    desk = desk_on(url, open_jobs="300")
    seen = []
    while run(desk).waiting:
        seen.append(scalar(url, OPEN))
        worked(url, 300, only="id LIKE 'mg%'")
    assert [300] == seen
    assert waiting < scalar(url, 'SELECT min("createdAt") FROM "Job" WHERE id LIKE \'mg%\'')
    assert len(rows_of(url, ORDERED)) == len(set(rows_of(url, ORDERED))) > 300


def test_p_t17_an_image_that_goes_leaves_its_jobs(photos_done: Copies) -> None:
    """ON DELETE SET NULL hides whose job it was; the payload still says it, and nothing is called lost."""
    url = photos_done()
    image = image_id(30)
    ((job,),) = rows_of(url, f'SELECT id FROM "Job" WHERE "imageId" = \'{image}\'')
    execute(url, f"DELETE FROM \"Image\" WHERE id = '{image}'")
    still = f"SELECT \"imageId\", strpos(payload, '{image}') > 0 FROM \"Job\" WHERE id = '{job}'"
    assert [(None, True)] == rows_of(url, still)
    assert True is apply(desk_on(url, **FILES, repair_stored="true")).proven
