"""The traps of guide 001 around multitalk_jobs, each by its id: the guide's own SQL falls into it, ours does not.

Both start from copies of one template, so from the same legacy database. Those of the other old tables are beside this
file, in `test_output_type_tables_images_traps.py`.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest

from migrator.demo.output_type_tables import build_legacy, planted, planted_new
from migrator.demo.output_type_tables import digest as digest_of
from migrator.demo.output_type_tables.fates import PICTURES as IMAGES
from migrator.demo.output_type_tables.fates import VIDEOS
from migrator.model.errors import RefusedError
from migrator.model.step import Phase, State
from migrator.report.masking import Masker
from migrator.workflow import use_cases
from tests.support.guide_001 import MULTITALK, five_counts, run_step_2, run_step_7
from tests.support.projects import back, check, execute, rows_of, silent
from tests.support.studio import balance_of, counted, desk_on, moved, reasons, scalar, settle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EXPECTED = planted()


def test_v_t1_ids_follow_from_the_old_key(legacy: Callable[[], str]) -> None:
    """The guide gives every row a random id that nothing links to its source; ours is a function of the old key."""
    ids = "SELECT comfy_job_id, id::text FROM video_jobs ORDER BY 1"
    first, second = legacy(), legacy()
    run_step_2(first)
    run_step_2(second)
    by_guide, by_guide_again = rows_of(first, ids), rows_of(second, ids)
    assert [key for key, _ in by_guide] == [key for key, _ in by_guide_again]
    assert set() == set(by_guide) & set(by_guide_again)

    ours, ours_again = legacy(), legacy()
    desk = moved(ours)
    moved(ours_again)
    by_us = rows_of(ours, ids)
    assert EXPECTED.video_jobs.rows == len(by_us)
    assert by_us == rows_of(ours_again, ids)
    assert by_us == rows_of(ours, "SELECT s1, t1::text FROM migrator.provenance_1 ORDER BY 1")
    back(desk, to=Phase.EXPAND)
    assert [] == rows_of(ours, ids)
    moved(ours)
    assert by_us == rows_of(ours, ids)


def test_v_t2_every_row_gets_its_own_workflow(legacy: Callable[[], str]) -> None:
    """The guide calls every row lipsync-one, pictures included; ours tells the workflow by named rules."""
    workflows = "SELECT workflow_name, count(*) FROM {} GROUP BY 1"
    pictures = "SELECT count(*) FROM video_jobs WHERE comfyui_output_filename ~ '[.]png$'"
    theirs, ours = legacy(), legacy()
    run_step_2(theirs)
    assert {"lipsync-one": EXPECTED.rows} == counted(theirs, workflows.format("video_jobs"))
    assert scalar(theirs, pictures) > 0

    desk = moved(ours)
    assert dict(EXPECTED.video_jobs.workflow) == counted(ours, workflows.format("video_jobs"))
    assert EXPECTED.image_jobs.rows == counted(ours, workflows.format("image_jobs"))["img2img"]
    assert 0 == scalar(ours, pictures)
    flags = balance_of(desk, VIDEOS).flags
    assert EXPECTED.video_jobs.rule["fallback"] == flags["workflow_name defaulted: nothing else fits"]
    by_rule = sum(number for name, number in flags.items() if name.startswith("workflow: "))
    assert EXPECTED.video_jobs.rows - EXPECTED.video_jobs.rule["fallback"] == by_rule


def test_v_t4_an_unknown_status_is_never_guessed(legacy: Callable[[], str]) -> None:
    """The guide turns cancelled, empty and NULL into pending, which shows as running for ever; ours keeps them back."""
    theirs, ours = legacy(), legacy()
    for url in (theirs, ours):
        execute(
            url,
            "ALTER TABLE multitalk_jobs DROP CONSTRAINT multitalk_jobs_status_check, ALTER status DROP NOT NULL;"
            "INSERT INTO multitalk_jobs (job_id, status, filename, width, height, comfy_url) VALUES"
            " ('odd-1', 'cancelled', 'lipsync1person_1.mp4', 1, 1, ''),"
            " ('odd-2', '', 'lipsync1person_2.mp4', 1, 1, ''), ('odd-3', NULL, 'img2img_3.png', 1, 1, '')",
        )
    run_step_2(theirs)
    assert [("odd-1", "pending"), ("odd-2", "pending"), ("odd-3", "pending")] == rows_of(
        theirs, "SELECT comfy_job_id, status FROM video_jobs WHERE comfy_job_id ~ '^odd' ORDER BY 1"
    )

    desk = desk_on(ours)
    assert False is use_cases.apply(desk, listen=silent).proven
    assert {"status: unknown word": 2} == reasons(desk, VIDEOS)
    assert {"status: NULL is not allowed": 1} == reasons(desk, IMAGES)
    assert 0 == scalar(ours, "SELECT count(*) FROM video_jobs WHERE comfy_job_id ~ '^odd'")
    assert [("odd-1", "cancelled"), ("odd-2", "")] == rows_of(
        ours, "SELECT source_key[1], message FROM migrator.quarantine WHERE backfill = 1 ORDER BY 1"
    )


def test_v_t5_no_duration_is_negative_or_made_up(legacy: Callable[[], str]) -> None:
    """The guide stores what two different clocks subtract to; ours stores no such number, and says how many."""
    wrong = "SELECT count(*) FROM {} WHERE processing_time_seconds NOT BETWEEN 0 AND 86400"
    theirs, ours = legacy(), legacy()
    run_step_2(theirs)
    assert EXPECTED.negative_durations + EXPECTED.durations_over_a_day == scalar(theirs, wrong.format("video_jobs"))
    assert scalar(theirs, "SELECT min(processing_time_seconds) FROM video_jobs") < -10_000

    desk = moved(ours)
    assert (0, 0) == (scalar(ours, wrong.format("video_jobs")), scalar(ours, wrong.format("image_jobs")))
    said = "processing_time_seconds discarded: negative or over a day: the two times come from different clocks"
    assert EXPECTED.video_jobs.processing_time_flagged == balance_of(desk, VIDEOS).flags[said]
    assert EXPECTED.image_jobs.processing_time_flagged == balance_of(desk, IMAGES).flags[said]
    # A plausible duration is what the guide would have stored, half seconds rounded away from zero as there.
    halves = (
        "SELECT count(*) FROM multitalk_jobs AS old JOIN video_jobs AS new ON new.comfy_job_id = old.job_id"
        " WHERE processing_time_seconds <> extract(epoch FROM timestamp_completed - timestamp_submitted)::integer"
    )
    assert 0 == scalar(ours, halves)
    assert EXPECTED.half_second_durations > 0


def test_v_t6_no_array_holds_null_or_nothing(legacy: Callable[[], str]) -> None:
    """The guide makes `{NULL}` of an absent file, one of which empties the whole feed; ours makes NULL."""
    hollow = "count(*) FILTER (WHERE array_position({0}, NULL) IS NOT NULL OR '' = ANY ({0}) OR {0} = '{{}}')"
    arrays = ("input_image_urls", "input_audio_urls", "output_video_urls")
    asked = f"SELECT {', '.join(hollow.format(one) for one in arrays)} FROM video_jobs"
    theirs, ours = legacy(), legacy()
    run_step_2(theirs)
    assert (
        EXPECTED.image_filename_null + EXPECTED.image_filename_empty,
        EXPECTED.audio_filename_null + EXPECTED.audio_filename_empty,
        EXPECTED.video_url_null + EXPECTED.video_url_empty,
    ) == rows_of(theirs, asked)[0]

    moved(ours)
    every = (*arrays, "input_video_urls")
    asked = f"SELECT {', '.join(hollow.format(one) for one in every)} FROM video_jobs"
    assert (0, 0, 0, 0) == rows_of(ours, asked)[0]
    nulls = ", ".join(f"count(*) FILTER (WHERE {one} IS NULL)" for one in every)
    target = EXPECTED.video_jobs
    assert (
        target.input_image_urls_null,
        target.input_audio_urls_null,
        target.output_urls_null,
        target.input_video_urls_null,
    ) == rows_of(ours, f"SELECT {nulls} FROM video_jobs")[0]
    assert (0, EXPECTED.image_jobs.output_urls_null) == rows_of(
        ours,
        f"SELECT {hollow.format('output_image_urls')}, count(*) FILTER (WHERE output_image_urls IS NULL)"
        " FROM image_jobs WHERE workflow_name = 'img2img'",
    )[0]


def test_v_t7_markers_lists_and_input_videos_go_where_they_belong(legacy: Callable[[], str]) -> None:
    """The guide stores a marker, a comma list and an input video as URLs of sounds and pictures; ours reads them."""
    markers = "SELECT count(*) FROM video_jobs WHERE 'multiple_masks_audio' = ANY (input_audio_urls)"
    lists = (
        "SELECT count(*) FROM video_jobs WHERE workflow_name = 'lipsync-multi' AND cardinality(input_audio_urls) = 1"
        " AND input_audio_urls[1] ~ ','"
    )
    videos = r"SELECT count(*) FROM video_jobs WHERE input_image_urls[1] ~* '\.(mp4|mov|webm)$'"
    theirs, ours = legacy(), legacy()
    run_step_2(theirs)
    assert EXPECTED.masks_literal == scalar(theirs, markers)
    assert EXPECTED.comma_list == scalar(theirs, lists.replace("workflow_name = 'lipsync-multi' AND", "")) - (
        EXPECTED.comma_in_name
    )
    assert EXPECTED.video_jobs.rows - EXPECTED.video_jobs.input_video_urls_null == scalar(theirs, videos)

    moved(ours)
    assert (0, 0, 0) == (scalar(ours, markers), scalar(ours, lists), scalar(ours, videos))
    assert EXPECTED.masks_literal == scalar(
        ours, "SELECT count(*) FROM video_jobs WHERE parameters -> 'masks' = 'true' AND input_audio_urls IS NULL"
    )
    assert EXPECTED.comma_in_name == scalar(
        ours, "SELECT count(*) FROM video_jobs WHERE cardinality(input_audio_urls) = 1 AND input_audio_urls[1] ~ ','"
    )
    several = "SELECT count(*) FROM video_jobs WHERE cardinality(input_audio_urls) > 1"
    lone = scalar(ours, "SELECT count(*) FROM multitalk_jobs WHERE audio_filename ~ ', $'")
    assert EXPECTED.comma_list - lone == scalar(ours, several)


def test_v_t8_a_signed_url_is_kept_and_reported(legacy: Callable[[], str]) -> None:
    """The guide copies dead links with their tokens, and nothing says so; ours keeps the value and flags every one."""
    signed = "SELECT count(*) FROM video_jobs WHERE output_video_urls[1] ~ '/object/sign/.*[?]token='"
    theirs, ours = legacy(), legacy()
    run_step_2(theirs)
    assert EXPECTED.signed_urls == scalar(theirs, signed)

    desk = moved(ours)
    altered = (
        "SELECT count(*) FROM multitalk_jobs AS old JOIN {0} AS new ON new.comfy_job_id = old.job_id"
        " WHERE {1} IS DISTINCT FROM CASE WHEN video_url <> '' THEN ARRAY[video_url] END"
    )
    assert 0 == scalar(ours, altered.format("video_jobs", "output_video_urls"))
    assert 0 == scalar(ours, altered.format("image_jobs", "output_image_urls"))
    url = str(scalar(ours, "SELECT video_url FROM multitalk_jobs WHERE video_url ~ 'token=' LIMIT 1"))
    assert "token=demo" not in Masker().text(url)
    flags = {**balance_of(desk, VIDEOS).flags}
    for name, number in balance_of(desk, IMAGES).flags.items():
        flags[name] = flags.get(name, 0) + number
    assert EXPECTED.signed_urls == sum(number for name, number in flags.items() if "signed" in name)


def test_v_t9_a_row_of_the_new_application_is_recognised(in_use: Callable[[], str]) -> None:
    """One row that is there already aborts the INSERT of the guide; ours merges it and moves the rest."""
    theirs, ours = in_use(), in_use()
    new = planted_new()
    there = scalar(theirs, "SELECT count(*) FROM video_jobs")
    outcome = run_step_2(theirs)
    assert "video_jobs_comfy_job_id_key" == outcome.failed["multitalk_jobs"].diag.constraint_name
    assert there == scalar(theirs, "SELECT count(*) FROM video_jobs")
    # A prompt id used twice stops the second INSERT, and the third runs all the same.
    assert "image_jobs_comfy_job_id_key" == outcome.failed["style_transfers"].diag.constraint_name
    assert {"edited_images": 15} == outcome.made

    shared = "SELECT v::text FROM video_jobs AS v WHERE id IN (SELECT id FROM video_jobs_before) ORDER BY id"
    execute(ours, "CREATE TABLE video_jobs_before AS SELECT id FROM video_jobs")
    before = rows_of(ours, shared)
    desk = moved(ours)
    balance = balance_of(desk, VIDEOS)
    assert new.video_jobs_shared == balance.rows("merged")
    assert EXPECTED.video_jobs.rows - new.video_jobs_shared == balance.rows("moved")
    assert (True, new.video_jobs_own) == (balance.closes, balance.foreign)
    assert before == rows_of(ours, shared)


def test_v_t10_temporary_files_stay_temporary(legacy: Callable[[], str]) -> None:
    """The guide calls every output kept; ours knows which workflows write temporary files."""
    types = "SELECT comfyui_output_type, count(*) FROM video_jobs GROUP BY 1"
    theirs, ours = legacy(), legacy()
    run_step_2(theirs)
    assert {"output": EXPECTED.rows} == counted(theirs, types)

    moved(ours)
    target = EXPECTED.video_jobs
    assert {"temp": target.temp_output_type, "output": target.rows - target.temp_output_type} == counted(ours, types)


def test_v_t11_a_database_without_video_url_is_moved_too(legacy: Callable[[], str]) -> None:
    """The guide's SELECT fails on a database built from the file; ours takes the absent column for NULL and says so."""
    theirs, ours = legacy(), legacy()
    for url in (theirs, ours):
        execute(url, "ALTER TABLE multitalk_jobs DROP COLUMN video_url")
    with closing(psycopg.connect(theirs)) as conn, pytest.raises(psycopg.errors.UndefinedColumn, match="video_url"):
        conn.execute(MULTITALK.encode())

    desk = moved(ours)
    assert (EXPECTED.video_jobs.rows, EXPECTED.image_jobs.rows) == (
        balance_of(desk, VIDEOS).rows("moved"),
        balance_of(desk, IMAGES).rows("moved"),
    )
    assert 0 == scalar(ours, "SELECT count(*) FROM video_jobs WHERE output_video_urls IS NOT NULL")


def test_v_t20_equal_counts_hide_what_the_balance_names(legacy: Callable[[], str]) -> None:
    """The guide's five numbers are the same before and after a row was lost and a stranger came; ours names the row."""
    damage = (
        "DELETE FROM video_jobs WHERE comfy_job_id = (SELECT min(comfy_job_id) FROM video_jobs);"
        "INSERT INTO video_jobs (workflow_name, status, comfy_url) VALUES ('wan-i2v', 'pending', '')"
    )
    theirs, ours = legacy(), legacy()
    run_step_2(theirs)
    counts = five_counts(theirs)
    execute(theirs, damage)
    assert counts == five_counts(theirs)

    desk = moved(ours)
    lost = scalar(ours, "SELECT min(comfy_job_id) FROM video_jobs")
    counts = five_counts(ours)
    execute(ours, damage)
    assert counts == five_counts(ours)
    balance = balance_of(desk, VIDEOS)
    assert (1, False) == (balance.unaccounted, balance.closes)
    assert [((lost,), "it was moved, but the target row is gone")] == [(one.key, one.why) for one in balance.examples]
    proof = check(desk)
    assert (False, State.COPIED) == (proof.proven, proof.state)
    named = [row for one in proof.comparisons for row in one.rows]
    assert [("lost", {"job_id": lost})] == [(one.kind, one.source_key) for one in named]


def test_v_t20_numbers_cannot_match_where_one_source_fills_two_targets(legacy: Callable[[], str]) -> None:
    """Of a right copy the guide's five numbers look wrong; ours accounts for each row by name."""
    url = legacy()
    desk = moved(url)
    videos, images, old, *_ = five_counts(url)
    assert old not in (videos, images)
    report = use_cases.verify_counts(desk)
    assert {True} == {one.closes for one in report.balances}
    assert (old, old, 0, 0) == next(
        (one.source_rows, one.taken, one.left_behind, one.unaccounted)
        for one in report.sources
        if one.source == "multitalk_jobs"
    )


def test_v_t21_a_second_run_changes_nothing(legacy: Callable[[], str]) -> None:
    """The guide's second run fails for videos and doubles every edit; ours finds nothing to do."""
    edits = "SELECT count(*) FROM image_jobs WHERE workflow_name = 'image-edit'"
    styles = "SELECT count(*) FROM image_jobs WHERE workflow_name = 'style-transfer'"
    theirs, ours = legacy(), legacy()
    execute(
        theirs,
        "DELETE FROM style_transfers AS a USING style_transfers AS b"
        " WHERE a.comfyui_prompt_id = b.comfyui_prompt_id AND a.id > b.id",
    )
    first = run_step_2(theirs)
    assert {} == first.failed
    made, without_prompt = first.made, scalar(theirs, f"{styles} AND comfy_job_id IS NULL")
    second = run_step_2(theirs)
    assert {"multitalk_jobs", "style_transfers"} == set(second.failed)
    assert 2 * made["edited_images"] == scalar(theirs, edits)
    # Without a prompt id nothing stops a style transfer either.
    execute(theirs, "DELETE FROM style_transfers WHERE comfyui_prompt_id IS NOT NULL")
    assert without_prompt == run_step_2(theirs).made["style_transfers"]
    assert 2 * without_prompt == scalar(theirs, f"{styles} AND comfy_job_id IS NULL")

    desk = moved(ours)
    with closing(psycopg.connect(ours)) as conn:
        before = digest_of(conn, "video_jobs", "image_jobs")
    again = use_cases.apply(desk, listen=silent)
    assert (True, State.VERIFIED) == (again.nothing_done, again.state)
    with closing(psycopg.connect(ours)) as conn:
        assert before == digest_of(conn, "video_jobs", "image_jobs")


def test_v_t3_an_owner_is_given_by_name_and_never_guessed(legacy: Callable[[], str], tmp_path: Path) -> None:
    """The guide's ownerless rows can be taken by any user; ours warns of it, and a map of owners closes it."""
    take = "UPDATE video_jobs SET user_id = md5('user:2')::uuid"
    theirs, ours = legacy(), legacy()
    run_step_2(theirs)
    assert EXPECTED.rows == as_user(theirs, 2, take)

    warned = [one for one in use_cases.plan(desk_on(ours)).hazards if one.id == "H104"]
    assert ["video_jobs", "image_jobs"] == [one.what.partition(":")[0] for one in warned]
    assert all("user_map" in one.cure for one in warned)
    owners = tmp_path / "owners.csv"
    video_last = "SELECT job_id FROM multitalk_jobs ORDER BY filename LIKE 'lipsync1person%' NULLS FIRST, job_id"
    keys = [str(key) for (key,) in rows_of(ours, video_last)]
    user = scalar(ours, "SELECT md5('user:1')::uuid::text")
    owners.write_text("old id,user id\n" + "".join(f"{key},{user}\n" for key in keys[:-1]), encoding="utf-8")
    desk = moved(ours, user_map=str(owners))
    # The one row that the map does not name is nobody's, and the plan still says so.
    assert 1 == as_user(ours, 2, take)
    assert [len(keys) - 1, 1] == [
        scalar(ours, f"SELECT count(*) FROM ({BOTH}) AS moved WHERE user_id IS {null}") for null in ("NOT NULL", "NULL")
    ]
    assert any("that user_map does not name" in one.what for one in use_cases.plan(desk).hazards)


BOTH = (
    "SELECT comfy_job_id, user_id FROM video_jobs UNION ALL"
    " SELECT comfy_job_id, user_id FROM image_jobs WHERE workflow_name = 'img2img'"
)


def as_user(url: str, number: int, statement: str) -> int:
    """Say how many rows a signed-in user of the application touches, and take it back."""
    with closing(psycopg.connect(url)) as conn, conn.transaction(force_rollback=True):
        conn.execute("CREATE ROLE migrator_test_user")
        conn.execute("GRANT SELECT, UPDATE ON video_jobs TO migrator_test_user")
        conn.execute("SET LOCAL ROLE migrator_test_user")
        conn.execute("SELECT set_config('request.jwt.claim.sub', md5(%s), true)", [f"user:{number}"])
        return conn.execute(statement.encode()).rowcount


def test_v_t23_going_back_takes_nothing_that_is_not_ours(in_use: Callable[[], str]) -> None:
    """The guide's rollback drops what the application wrote, unasked; ours counts it, and leaves shared functions."""
    shared = (
        "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgfoid = 'update_updated_at_column'::regproc ORDER BY 1"
    )
    theirs, ours = in_use(), in_use()
    run_step_2(theirs)
    run_step_7(theirs)
    assert (None,) == rows_of(theirs, "SELECT to_regclass('video_jobs')")[0]

    before, functions = rows_of(ours, shared), "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    desk = moved(ours)
    new = planted_new()
    own = [new.video_jobs_shared + new.video_jobs_own, new.image_jobs_own + new.image_jobs_dual_written]
    words = [f"{own[0]} rows of video_jobs", f"{own[1]} rows of image_jobs"]
    with pytest.raises(RefusedError, match="M412") as refused:
        back(desk)
    assert all(one in refused.value.what for one in words)
    assert State.NEW is back(desk, lose=words).state
    assert before == rows_of(ours, shared) == [("datasets",), ("multitalk_jobs",)]
    assert [("update_updated_at_column",)] == rows_of(ours, functions)


def test_v_t24_no_read_ends_after_a_thousand_rows(database: str) -> None:
    """A REST client reads a thousand rows and calls that the table; ours walks the keys to the end, and counts."""
    rows = 2_500
    with closing(psycopg.connect(database)) as conn, conn:
        build_legacy(conn, rows=rows)
    desk = desk_on(database, {"batch_rows": 300, "range_rows": 700})
    settle(desk)
    assert [rows, rows] == [balance_of(desk, one).source_rows for one in (VIDEOS, IMAGES)]
    assert rows == scalar(database, f"SELECT count(*) FROM ({BOTH}) AS moved")
