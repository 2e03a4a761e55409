"""The legacy database of `output_type_tables` and the three revisions that expand it."""

from __future__ import annotations

import io
import shutil
from argparse import Namespace
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import NullPool, create_engine

from migrator.demo.output_type_tables import (
    PlantedImages,
    build_legacy,
    build_new_application_rows,
    digest,
    job_id,
    planted,
    planted_new,
)
from tests.support.schemas import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REVISIONS = Path(__file__).parents[2] / "revisions"
CHANGE = "output_type_tables"
HEAD = f"{CHANGE}@head"
BASE = f"{CHANGE}@base"

PREFIX = "regexp_replace(coalesce(filename, ''), '^.*\\\\', '')"
BY_PREFIX = f"""
    CASE
        WHEN {PREFIX} ~* '^(lipsync1person|WanVideo2_1_InfiniteTalk)' THEN 'lipsync-one'
        WHEN {PREFIX} ~* '^(multitalk_multiple_video|lipsync_multiple)' THEN 'lipsync-multi'
        WHEN {PREFIX} ~* '^lipsyncv2v' THEN 'video-lipsync'
        WHEN {PREFIX} ~* '^wani2v' THEN 'wan-i2v'
        WHEN {PREFIX} ~* '^img2img_' THEN 'img2img'
    END"""
SEVERAL = "(audio_filename = 'multiple_masks_audio' OR audio_filename LIKE '%,%')"
VIDEO_INPUT = r"coalesce(image_filename ~* '\.(mp4|mov|webm)$', false)"
SILENT_SQUARE = "((width, height) = (512, 512) AND coalesce(audio_filename, '') = '' AND NOT trim_to_audio)"
RULE = f"""
    CASE
        WHEN ({BY_PREFIX}) IS NOT NULL THEN 'filename prefix'
        WHEN {SEVERAL} THEN 'audio of several persons'
        WHEN {VIDEO_INPUT} THEN 'input is a video'
        WHEN {SILENT_SQUARE} THEN '512x512 without audio'
        ELSE 'fallback'
    END"""
RECOVERED = f"""
    CASE ({RULE})
        WHEN 'filename prefix' THEN {BY_PREFIX}
        WHEN 'audio of several persons' THEN 'lipsync-multi'
        WHEN 'input is a video' THEN 'video-lipsync'
        WHEN '512x512 without audio' THEN 'img2img'
        ELSE 'lipsync-one'
    END"""
# Whoever knows the pages knows more than the rules: only WAN has neither a voice nor 512x512.
TRUE = f"""
    CASE WHEN ({RULE}) = 'fallback' AND audio_filename IS NULL THEN 'wan-i2v'
        ELSE {RECOVERED} END"""
SECONDS = "extract(epoch FROM timestamp_completed - timestamp_submitted)"
WRONG_CLOCK = """(abs(extract(epoch FROM created_at - timestamp_submitted)) > 60
    OR coalesce(abs(extract(epoch FROM updated_at - timestamp_completed)) > 60, false))"""

COUNTS = {
    "rows": "true",
    "filename_empty": "filename = ''",
    "filename_windows": r"filename LIKE '%\\%'",
    "infinite_talk": "filename LIKE 'WanVideo2_1_InfiniteTalk%'",
    "video_url_null": "video_url IS NULL",
    "video_url_null_though_completed": "video_url IS NULL AND status = 'completed'",
    "video_url_empty": "video_url = ''",
    "signed_urls": "video_url LIKE 'https://%/object/sign/%?token=%'",
    "image_filename_null": "image_filename IS NULL",
    "image_filename_empty": "image_filename = ''",
    "audio_filename_null": "audio_filename IS NULL",
    "audio_filename_empty": "audio_filename = ''",
    "masks_literal": "audio_filename = 'multiple_masks_audio'",
    "comma_list": f"audio_filename LIKE '%,%' AND ({RECOVERED}) = 'lipsync-multi'",
    "comma_in_name": f"audio_filename LIKE '%,%' AND ({RECOVERED}) <> 'lipsync-multi'",
    "short_job_ids": "job_id ~ '^[0-9]+$'",
    "skewed": WRONG_CLOCK,
    "negative_durations": f"{SECONDS} < 0",
    "durations_over_a_day": f"{SECONDS} > 86400",
    "half_second_durations": f"mod(abs({SECONDS}), 1) = 0.5",
    "submitted_skewed": "abs(extract(epoch FROM created_at - timestamp_submitted)) > 60",
    "completed_skewed": "abs(extract(epoch FROM updated_at - timestamp_completed)) > 60",
    "truly_long_durations": "updated_at - created_at > interval '86410 s'",
    "recovered_wrongly": f"({RECOVERED}) <> ({TRUE})",
}
GROUPS = {
    "workflow": (TRUE, "true"),
    "status": ("status", "true"),
    "filename_null": (TRUE, "filename IS NULL"),
    "rule": (RULE, "true"),
    "recovered": (RECOVERED, "true"),
}
NO_PLAUSIBLE_TIME = f"({SECONDS} NOT BETWEEN 0 AND 86400)"
TARGET_COUNTS = {
    "rows": "true",
    "processing_time_flagged": NO_PLAUSIBLE_TIME,
    "processing_time_null": f"({SECONDS} IS NULL OR {NO_PLAUSIBLE_TIME})",
    "input_image_urls_null": (f"(coalesce(image_filename, '') = '' OR ({RECOVERED}) = 'video-lipsync')"),
    "input_audio_urls_null": "coalesce(audio_filename, '') IN ('', 'multiple_masks_audio')",
    "input_video_urls_null": (f"(coalesce(image_filename, '') = '' OR ({RECOVERED}) <> 'video-lipsync')"),
    "output_urls_null": "coalesce(video_url, '') = ''",
    "audio_lists": f"(audio_filename LIKE '%,%' AND ({RECOVERED}) = 'lipsync-multi')",
    "temp_output_type": (f"(({RECOVERED}) = 'wan-i2v' OR {PREFIX} LIKE 'WanVideo2_1_InfiniteTalk%')"),
}
NEW_STATUS = "CASE status WHEN 'submitted' THEN 'pending' WHEN 'error' THEN 'failed' ELSE status END"
STYLE_COUNTS = {
    "style_transfers": "true",
    "style_with_blob_urls": "source_image_url LIKE 'blob:%' AND style_image_url LIKE 'blob:%'",
    "style_sharing_a_prompt_id": (
        "comfyui_prompt_id <> '' AND comfyui_prompt_id IN (SELECT comfyui_prompt_id"
        " FROM style_transfers GROUP BY comfyui_prompt_id HAVING count(*) > 1)"
    ),
    "style_with_empty_prompt_id": "comfyui_prompt_id = ''",
    "style_without_prompt_id": "comfyui_prompt_id IS NULL",
    "style_with_unknown_status": ("status NOT IN ('pending', 'processing', 'completed', 'failed')"),
    "style_completed": "status = 'completed'",
    "style_failed": "status = 'failed'",
    "style_unfinished": "status IN ('pending', 'processing')",
    "style_without_result": "result_image_url IS NULL",
    "style_without_updated_at": "updated_at IS NULL",
}
EDIT_COUNTS = {
    "edited_images": "true",
    "edits_completed": "status = 'completed'",
    "edits_failed": "status = 'failed' AND model_used LIKE 'Error: %'",
    "edits_unfinished": "status IN ('pending', 'processing')",
    "edits_dual_written": "created_at >= '2025-11-09 00:00:00+00'",
}
DATASET_COUNTS = {
    "datasets": "true",
    "datasets_with_a_failed_caption": """EXISTS (SELECT FROM data WHERE dataset_id = t.id
        AND caption = 'Error generating caption')""",
    "datasets_without_a_usable_caption": """NOT EXISTS (SELECT FROM data WHERE dataset_id = t.id
        AND coalesce(caption, '') NOT IN ('', 'Error generating caption'))""",
}
DATA_COUNTS = {"data": "true", "data_without_url": "image_url = ''"}


def legacy(url: str, **arguments: Any) -> None:
    """Build the old tables in the database at the address."""
    with psycopg.connect(url) as connection:
        build_legacy(connection, **arguments)


@pytest.fixture
def old(database_from: Callable[[str, Callable[[str], object]], str]) -> str:
    """Give the test the legacy database as it was found."""
    return database_from("output_type_tables legacy", legacy)


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of one statement."""
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


def counted(url: str, table: str, counts: dict[str, str]) -> dict[str, int]:
    """Count the rows of a table once for every named predicate."""
    columns = ", ".join(f"count(*) FILTER (WHERE {predicate})" for predicate in counts.values())
    return dict(zip(counts, query(url, f"SELECT {columns} FROM {table} AS t")[0], strict=True))


def grouped(url: str, by: str, predicate: str) -> dict[str, int]:
    """Count the multitalk rows for which a predicate holds, by an expression."""
    statement = f"SELECT {by}, count(*) FROM multitalk_jobs WHERE {predicate} GROUP BY 1"
    return dict(query(url, statement))


def without_zeros(numbers: dict[str, int]) -> dict[str, int]:
    """Leave out the groups that no row can show."""
    return {key: number for key, number in numbers.items() if number}


def assert_planted(url: str, **size: int) -> None:
    """Compare every number of `planted` with what the table holds."""
    expected = asdict(planted(**size))
    found = counted(url, "multitalk_jobs", COUNTS)
    assert found == {name: expected[name] for name in COUNTS}
    for name, (by, predicate) in GROUPS.items():
        assert grouped(url, by, predicate) == without_zeros(expected[name]), name


def assert_targets(url: str, **size: int) -> None:
    """Compare every number of the two targets with a mapping done in SQL."""
    for target, belongs in (("video_jobs", "<>"), ("image_jobs", "=")):
        expected = asdict(planted(**size))[target]
        rows_of = f"(SELECT * FROM multitalk_jobs WHERE ({RECOVERED}) {belongs} 'img2img')"
        found = counted(url, rows_of, TARGET_COUNTS)
        assert found == {name: expected[name] for name in TARGET_COUNTS}, target
        for name, by in (("workflow", RECOVERED), ("status", NEW_STATUS), ("rule", RULE)):
            numbers = grouped(url, by, f"({RECOVERED}) {belongs} 'img2img'")
            assert numbers == without_zeros(expected[name]), (target, name)


def alembic(*x_arguments: str, revisions: Path = REVISIONS, **attributes: Any) -> Config:
    """Configure Alembic as `alembic -x …` does, or with attributes as the tool does."""
    arguments = Namespace(x=list(x_arguments)) if x_arguments else None
    config = Config(cmd_opts=arguments, output_buffer=io.StringIO(), attributes=attributes)
    config.set_main_option("script_location", str(revisions).replace("%", "%%"))
    return config


def by_hand(url: str, *x_arguments: str, **options: Any) -> Config:
    """Configure Alembic for the change and the database at the address."""
    return alembic(f"change={CHANGE}", f"url={url}", *x_arguments, **options)


@contextmanager
def tool(url: str, **attributes: Any) -> Iterator[tuple[Any, Config]]:
    """Hand Alembic a connection in a transaction, as the tool does."""
    address = url.replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(address, poolclass=NullPool)
    with engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("CREATE SCHEMA migrator")
        yield connection, alembic(connection=connection, change=CHANGE, **attributes)


def test_the_mix_is_the_documented_one() -> None:
    """The recipe asks for these numbers in 262 rows."""
    numbers = planted()
    assert numbers.rows == 262
    assert list(numbers.workflow.values()) == [90, 40, 50, 60, 22]
    assert numbers.status == {"submitted": 4, "processing": 9, "completed": 237, "error": 12}
    assert set(numbers.filename_null.values()) == {3}
    assert (numbers.video_url_null, numbers.skewed, numbers.comma_list) == (30, 6, 15)
    assert (numbers.video_jobs.rows, numbers.image_jobs.rows) == (240, 22)


def test_planted_numbers_are_those_in_the_table(old: str) -> None:
    """What is known from how the rows are made is what SQL finds in them."""
    assert_planted(old)


def test_the_mapping_gives_the_planted_numbers(old: str) -> None:
    """A mapping written in SQL sends as many rows to either target as were planted for it."""
    assert_targets(old)


def test_planted_images_are_those_in_the_tables(old: str) -> None:
    """The style transfers, edits and datasets are as many, and as dirty, as documented."""
    found = {
        **counted(old, "style_transfers", STYLE_COUNTS),
        **counted(old, "edited_images", EDIT_COUNTS),
        **counted(old, "datasets", DATASET_COUNTS),
        **counted(old, "data", DATA_COUNTS),
    }
    assert found == asdict(PlantedImages())


def test_scale_repeats_the_mix_with_other_keys(database: str) -> None:
    """Three repeats hold three times every planted number, under distinct keys."""
    legacy(database, scale=3)
    assert_planted(database, scale=3)
    assert_targets(database, scale=3)
    assert query(database, "SELECT count(DISTINCT job_id) FROM multitalk_jobs") == [(3 * 262,)]
    once, thrice = planted(), planted(3)
    assert thrice.rows == 3 * once.rows
    assert thrice.workflow == {name: 3 * number for name, number in once.workflow.items()}


@pytest.mark.parametrize("rows", [0, 1, 100, 300])
def test_rows_makes_exactly_so_many(database: str, rows: int) -> None:
    """A part of a repeat is as exactly known as a whole one."""
    legacy(database, rows=rows)
    assert_planted(database, rows=rows)
    assert_targets(database, rows=rows)


def test_a_negative_number_of_rows_is_refused() -> None:
    """Fewer than no rows is a mistake of the caller."""
    with pytest.raises(ValueError, match="-1 rows"):
        planted(rows=-1)


def test_part_of_a_repeat_has_every_class() -> None:
    """The classes are spread, so that a small table is no special case."""
    assert all(planted(rows=60).workflow.values())


def test_the_same_seed_gives_the_same_rows(old: str, database: str) -> None:
    """Nothing in the rows depends on a clock, on chance, or on the session's time zone."""
    with psycopg.connect(database, options="-c TimeZone=Asia/Kolkata") as connection:
        build_legacy(connection)
        again = digest(connection)
    with psycopg.connect(old) as connection:
        assert digest(connection) == again


def test_another_seed_gives_other_rows_of_the_same_mix(old: str, database: str) -> None:
    """The seed changes every key and no planted number."""
    legacy(database, seed=2)
    with psycopg.connect(old) as one, psycopg.connect(database) as other:
        assert digest(one, "multitalk_jobs") != digest(other, "multitalk_jobs")
        assert digest(one, "edited_images") != digest(other, "edited_images")
    assert_planted(database)


def test_job_ids_are_known_without_the_database(old: str) -> None:
    """A test can name the row it wants by its position in the mix."""
    found = {key for (key,) in query(old, "SELECT job_id FROM multitalk_jobs")}
    assert found == {job_id(position) for position in range(262)}


def test_the_old_table_is_as_documented(old: str) -> None:
    """The indexes, the open policy and the trigger shared with `datasets` are there."""
    indexes = query(old, "SELECT indexname FROM pg_indexes WHERE tablename = 'multitalk_jobs'")
    assert len(indexes) == 1 + 4
    policies = query(old, "SELECT tablename, policyname, roles, qual FROM pg_policies ORDER BY 1")
    assert ("multitalk_jobs", "Allow all operations on multitalk_jobs", ["public"], "true") in (policies)
    shared = query(
        old,
        "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgfoid = 'update_updated_at_column'::regproc ORDER BY 1",
    )
    assert shared == [("datasets",), ("multitalk_jobs",)]


def test_the_new_application_shares_jobs_under_other_ids(old: str) -> None:
    """Three of its rows are of old jobs; six more are nobody else's."""
    command.upgrade(by_hand(old), HEAD)
    with psycopg.connect(old) as connection:
        build_new_application_rows(connection)
    expected = planted_new()
    shared = "comfy_job_id IN (SELECT job_id FROM multitalk_jobs)"
    numbers = counted(old, "video_jobs", {"shared": shared, "all": "true"})
    assert numbers["shared"] == expected.video_jobs_shared == planted().video_jobs.merged == 3
    assert numbers["all"] == expected.video_jobs_shared + expected.video_jobs_own == 7
    assert counted(old, "image_jobs", {"shared": shared, "all": "true"}) == {"shared": 0, "all": 2}


def test_the_new_application_knows_only_jobs_that_exist(database: str) -> None:
    """In a small legacy table fewer jobs are shared, and `planted_new` says so."""
    legacy(database, rows=160)
    command.upgrade(by_hand(database), HEAD)
    with psycopg.connect(database) as connection:
        build_new_application_rows(connection)
    shared = "comfy_job_id IN (SELECT job_id FROM multitalk_jobs)"
    assert counted(database, "video_jobs", {"shared": shared}) == {"shared": planted_new(rows=160).video_jobs_shared}


def test_dual_written_edits_come_when_asked_for(old: str) -> None:
    """Each of them has the source and the prompt of its twin in `edited_images`."""
    command.upgrade(by_hand(old), HEAD)
    with psycopg.connect(old) as connection:
        build_new_application_rows(connection, dual_written=True)
    twins = query(
        old,
        "SELECT count(*) FROM image_jobs AS new JOIN edited_images AS old"
        " ON new.input_image_urls = ARRAY[old.source_image_url] AND new.prompt = old.prompt",
    )
    assert twins == [(planted_new().image_jobs_dual_written,)]


def test_downgrade_takes_away_exactly_what_upgrade_made(old: str) -> None:
    """Up, down and up again: the schema is the old one in between, and the same at the end."""
    before = schema(old)
    command.upgrade(by_hand(old), HEAD)
    after = schema(old)
    command.downgrade(by_hand(old), BASE)
    assert schema(old) == before
    command.upgrade(by_hand(old), HEAD)
    assert schema(old) == after != before


def test_every_single_revision_goes_up_down_and_up(old: str) -> None:
    """Each revision alone leaves nothing of itself behind."""
    for revision, without in (("0001", BASE), ("0002", "0001"), ("0003", "0002")):
        before = schema(old)
        command.upgrade(by_hand(old), revision)
        after = schema(old)
        command.downgrade(by_hand(old), without)
        assert schema(old) == before
        command.upgrade(by_hand(old), revision)
        assert schema(old) == after


@pytest.mark.parametrize(("table", "indexes"), [("video_jobs", 5), ("image_jobs", 5), ("text_jobs", 4)])
def test_the_new_tables_are_complete(old: str, table: str, indexes: int) -> None:
    """The documented indexes beside the two unique ones, four policies, row security and comments."""
    command.upgrade(by_hand(old), HEAD)
    found = query(
        old,
        f"""SELECT
            (SELECT count(*) FROM pg_indexes WHERE tablename = '{table}'),
            (SELECT count(*) FROM pg_policies WHERE tablename = '{table}'),
            (SELECT confdeltype FROM pg_constraint
                WHERE conrelid = '{table}'::regclass AND contype = 'f'),
            relrowsecurity,
            obj_description(oid, 'pg_class') IS NOT NULL
        FROM pg_class WHERE oid = '{table}'::regclass""",
    )
    assert found == [(2 + indexes, 4, "c", True, True)]


def test_only_the_application_moves_updated_at(old: str) -> None:
    """The trigger sleeps while the tool says that it is applying."""
    command.upgrade(by_hand(old), HEAD)
    touch = "UPDATE video_jobs SET fps = 24 RETURNING updated_at = now()"
    with psycopg.connect(old, autocommit=True) as connection:
        build_new_application_rows(connection)
        with connection.transaction():
            connection.execute("SELECT set_config('migrator.applying', 'backfill', true)")
            assert set(connection.execute(touch)) == {(False,)}
        assert set(connection.execute(touch)) == {(True,)}


def test_a_user_sees_his_own_jobs_and_those_of_nobody(old: str) -> None:
    """The policies hold for a role that does not own the table."""
    command.upgrade(by_hand(old), HEAD)
    with psycopg.connect(old) as connection, connection.transaction(force_rollback=True):
        build_new_application_rows(connection)
        connection.execute("CREATE ROLE migrator_test_reader")
        connection.execute("GRANT SELECT, DELETE ON video_jobs TO migrator_test_reader")
        connection.execute("SET LOCAL ROLE migrator_test_reader")
        connection.execute("SELECT set_config('request.jwt.claim.sub', md5('user:2'), true)")
        seen = connection.execute("SELECT DISTINCT user_id IS NULL FROM video_jobs ORDER BY 1")
        assert seen.fetchall() == [(False,), (True,)]
        assert connection.execute("SELECT count(*) FROM video_jobs").fetchone() == (2,)
        assert connection.execute("DELETE FROM video_jobs").rowcount == 1


def test_by_hand_the_change_must_be_named(old: str) -> None:
    """Without `-x change=` nothing is done, and the message says what to type."""
    config = alembic(f"url={old}")
    with pytest.raises(CommandError, match=r"alembic -x change=NAME.*output_type_tables"):
        command.upgrade(config, HEAD)
    assert query(old, "SELECT to_regnamespace('migrator')") == [(None,)]


def test_an_unknown_change_is_refused(old: str) -> None:
    """A typing error does not pass for an empty change."""
    with pytest.raises(CommandError, match=r"No revision belongs to change output_tipe_tables"):
        command.upgrade(alembic("change=output_tipe_tables", f"url={old}"), HEAD)


@pytest.mark.parametrize("target", ["heads", "other@head", "9001"])
def test_no_other_change_is_touched(old: str, tmp_path: Path, target: str) -> None:
    """A target outside the named change's branch is refused before anything has run."""
    before = schema(old)
    with pytest.raises(CommandError, match=r"9001 does not belong to change output_type_tables"):
        command.upgrade(by_hand(old, revisions=two_changes(tmp_path)), target)
    assert schema(old) == before
    assert query(old, "SELECT to_regclass('migrator.alembic_version')") == [(None,)]


def test_two_changes_live_side_by_side(old: str, tmp_path: Path) -> None:
    """The way back of one change leaves the other applied."""
    revisions = two_changes(tmp_path)
    command.upgrade(by_hand(old, revisions=revisions), HEAD)
    command.upgrade(alembic("change=other", f"url={old}", revisions=revisions), "other@head")
    with pytest.raises(CommandError, match="9001 does not belong"):
        command.downgrade(by_hand(old, revisions=revisions), "base")
    command.downgrade(by_hand(old, revisions=revisions), BASE)
    assert query(old, "SELECT version_num FROM migrator.alembic_version") == [("9001",)]


def two_changes(directory: Path) -> Path:
    """Copy the revisions and add one of another change."""
    copy = shutil.copytree(REVISIONS, directory / "revisions")
    (copy / "versions" / "9001_other.py").write_text(
        'revision = "9001"\ndown_revision = None\nbranch_labels = ("other",)\n'
        "def upgrade():\n    pass\ndef downgrade():\n    pass\n"
    )
    return copy


def test_by_hand_a_database_must_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a missing address nor one of another kind of database passes."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(CommandError, match="Set DATABASE_URL"):
        command.upgrade(alembic(f"change={CHANGE}"), HEAD)
    with pytest.raises(CommandError, match="not an address of a PostgreSQL database") as refusal:
        command.upgrade(by_hand("mysql://user:hunter2@host/name"), HEAD)
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_usual_address_is_understood(database: str, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """DATABASE_URL is taken in the forms that hosting services write it in."""
    monkeypatch.setenv("DATABASE_URL", f"{scheme}://{database.partition('://')[2]}")
    command.upgrade(alembic(f"change={CHANGE}", "param.allow_no_auth=true"), HEAD)
    assert query(database, "SELECT count(*) FROM video_jobs") == [(0,)]


def test_asking_for_the_current_revision_writes_nothing(old: str) -> None:
    """`alembic current` does not even make the version table."""
    command.current(by_hand(old))
    assert query(old, "SELECT to_regnamespace('migrator')") == [(None,)]


def test_without_auth_the_revision_refuses(database: str) -> None:
    """On a plain PostgreSQL nothing is made, and the message names the parameter."""
    legacy(database, auth=False)
    before = schema(database)
    with pytest.raises(CommandError, match=r"auth\.users.*allow_no_auth = true"):
        command.upgrade(by_hand(database), HEAD)
    assert schema(database) == before


def test_allow_no_auth_does_without_owner_and_policies(database: str) -> None:
    """Foreign key and policies are left out, row security stays on, and the way back works."""
    legacy(database, auth=False)
    before = schema(database)
    command.upgrade(by_hand(database, "param.allow_no_auth=true"), HEAD)
    found = query(
        database,
        """SELECT relrowsecurity,
            (SELECT count(*) FROM pg_constraint WHERE conrelid = c.oid AND contype = 'f'),
            (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid)
        FROM pg_class AS c WHERE relname IN ('video_jobs', 'image_jobs', 'text_jobs') AND relkind = 'r'""",
    )
    assert found == [(True, 0, 0)] * 3
    command.downgrade(by_hand(database), BASE)
    assert schema(database) == before


def test_allow_no_auth_changes_nothing_where_auth_is(old: str) -> None:
    """The parameter allows for something missing; it does not leave out what can be had."""
    command.upgrade(by_hand(old, "param.allow_no_auth=true"), HEAD)
    assert query(old, "SELECT count(*) FROM pg_policies WHERE tablename = 'video_jobs'") == [(4,)]


def test_a_parameter_of_another_type_is_refused(database: str) -> None:
    """A word that is neither true nor false is not taken for either."""
    with pytest.raises(CommandError, match="allow_no_auth is 'perhaps', which is not a bool"):
        command.upgrade(by_hand(database, "param.allow_no_auth=perhaps"), HEAD)


def test_the_tool_keeps_its_transaction(old: str) -> None:
    """Nothing is committed until the tool commits, and everything goes when it rolls back."""
    before = schema(old)
    with tool(old, parameters={}) as (connection, config):
        command.upgrade(config, HEAD)
        assert connection.exec_driver_sql("SELECT count(*) FROM video_jobs").scalar_one() == 0
        assert query(old, "SELECT to_regclass('video_jobs')") == [(None,)]
        connection.get_transaction().rollback()
    assert schema(old) == before
    assert query(old, "SELECT to_regnamespace('migrator')") == [(None,)]


def test_the_tool_hands_over_parameters(database: str) -> None:
    """Typed values reach the revision, and the tool's commit keeps what was made."""
    with tool(database, parameters={"allow_no_auth": True}) as (_connection, config):
        command.upgrade(config, HEAD)
    assert query(database, "SELECT count(*) FROM image_jobs") == [(0,)]


@pytest.mark.parametrize(("auth", "x_arguments"), [(True, ()), (False, ("param.allow_no_auth=true",))])
def test_the_printed_sql_does_what_upgrade_does(databases: Any, *, auth: bool, x_arguments: tuple[str, ...]) -> None:
    """A script made without a database gives the same schema, and its way back the old one."""
    with databases.fresh() as printed, databases.fresh() as upgraded:
        for url in (printed, upgraded):
            legacy(url, auth=auth, rows=0)
        before = schema(printed)
        command.upgrade(by_hand(upgraded, *x_arguments), HEAD)
        run_script(printed, command.upgrade, HEAD, *x_arguments)
        assert schema(printed) == schema(upgraded) != before
        run_script(printed, command.downgrade, f"{HEAD}:{BASE}", *x_arguments)
        assert schema(printed) == before


def run_script(url: str, verb: Callable[..., None], target: str, *x_arguments: str) -> None:
    """Print what a verb would do, without an address, and run that."""
    config = alembic(f"change={CHANGE}", *x_arguments)
    verb(config, target, sql=True)
    assert isinstance(config.output_buffer, io.StringIO)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(config.output_buffer.getvalue().encode())
