"""What an operator may decide about the studio's old rows: each decision made late, shown by a flag, and taken back."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest

from migrator.demo.output_type_tables import digest, fates, planted
from migrator.demo.output_type_tables.fates import EDITS, PICTURES, STYLES, VIDEOS, stale
from migrator.demo.output_type_tables.planted import PlantedImages
from migrator.model.errors import ConfigurationError
from migrator.workflow import use_cases
from tests.support.projects import execute, rows_of, silent
from tests.support.studio import again, balance_of, desk_on, scalar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from migrator.workflow.desk import Desk

EXPECTED, PLANTED = planted(), PlantedImages()
TABLES = ("video_jobs", "image_jobs")


def state_of(url: str) -> str:
    """Digest both new tables."""
    with closing(psycopg.connect(url)) as conn:
        return digest(conn, *TABLES)


def flagged(desk: Desk, words: str) -> dict[str, int]:
    """Count the rows with a remark that holds these words, by backfill."""
    found = {one.backfill: one.flags for one in use_cases.verify_counts(desk).balances}
    numbers = {name: sum(n for flag, n in flags.items() if words in flag) for name, flags in found.items()}
    return {name: number for name, number in numbers.items() if number}


def write_map(path: Path, owners: Mapping[str, str]) -> str:
    """Write a CSV file of keys and users."""
    path.write_text("key,user\n" + "".join(f"{key},{user}\n" for key, user in owners.items()), encoding="utf-8")
    return str(path)


def user(url: str, number: int) -> str:
    """Give the id of a user of the fixture."""
    return str(scalar(url, f"SELECT md5('user:{number}')::uuid"))


def test_stale_jobs_fail_only_when_an_operator_says_when(done: Callable[[], str]) -> None:
    """V-T4: what runs for ever is told from the newest job, not from a clock; without the parameter it stays."""
    url = done()
    before = state_of(url)
    desk = again(url, stale_after="24 hours")
    wanted = {name: number for name, number in stale(24).items() if number}
    assert wanted == flagged(desk, "taken for failed")
    assert EXPECTED.status["processing"] + EXPECTED.status["submitted"] == wanted[VIDEOS] + wanted[PICTURES]
    said = "SELECT count(*) FROM {0} WHERE status = 'failed' AND error_message LIKE '%more than 24 hours before%'"
    assert sum(wanted.values()) == sum(scalar(url, said.format(one)) for one in TABLES)
    assert use_cases.apply(desk, listen=silent).nothing_done
    # A job that came later is now the newest; the others are no less old, and it is not.
    execute(
        url,
        "INSERT INTO multitalk_jobs SELECT 'later', 'processing', max(timestamp_submitted) + interval '1 hour', NULL,"
        " NULL, NULL, 'a.png', 'a.mp3', 1, 1, false, '', NULL, now(), now(), NULL FROM multitalk_jobs",
    )
    desk = again(url, stale_after="24 hours")
    assert wanted == flagged(desk, "taken for failed")
    assert "processing" == scalar(url, "SELECT status FROM video_jobs WHERE comfy_job_id = 'later'")
    execute(url, "DELETE FROM multitalk_jobs WHERE job_id = 'later'; DELETE FROM video_jobs WHERE comfy_job_id='later'")
    execute(url, "DELETE FROM migrator.provenance_1 WHERE s1 = 'later'")
    again(url)
    assert before == state_of(url)


def test_a_longer_wait_leaves_younger_jobs_alone(done: Callable[[], str]) -> None:
    """The interval is the operator's; the numbers follow from when the jobs were made."""
    url = done()
    hours = 24 * 40
    wanted = stale(hours)
    assert 0 < wanted[VIDEOS] < stale(24)[VIDEOS]
    found = flagged(again(url, stale_after=f"{hours} hours"), "taken for failed")
    assert (wanted[VIDEOS], wanted[PICTURES]) == (found.get(VIDEOS, 0), found.get(PICTURES, 0))


def test_local_times_are_corrected_by_the_zone_they_were_written_in(done: Callable[[], str]) -> None:
    """V-T5: only times that the server's own clock proves to be local are moved; then their durations are right."""
    url = done()
    before = state_of(url)
    desk = again(url, fix_naive_tz="America/Sao_Paulo")
    corrected = flagged(desk, "corrected by fix_naive_tz")
    assert EXPECTED.submitted_skewed + EXPECTED.completed_skewed == sum(
        number
        for one in use_cases.verify_counts(desk).balances
        for flag, number in one.flags.items()
        if "corrected by fix_naive_tz" in flag
    )
    assert {VIDEOS, PICTURES} == set(corrected)
    assert {VIDEOS: EXPECTED.truly_long_durations} == flagged(desk, "discarded: negative or over a day")
    assert {} == flagged(desk, "off the server's clock")
    true = (
        "SELECT count(*) FROM multitalk_jobs AS old JOIN video_jobs AS new ON comfy_job_id = job_id"
        " WHERE abs(extract(epoch FROM new.created_at - old.created_at)) > 1"
    )
    assert 0 == scalar(url, true)
    # Another zone than that of the clocks corrects nothing.
    assert {} == flagged(again(url, fix_naive_tz="Asia/Kolkata"), "corrected by fix_naive_tz")
    assert {} == flagged(again(url, fix_naive_tz="UTC"), "corrected by fix_naive_tz")
    again(url)
    assert before == state_of(url)


def test_signed_urls_are_rewritten_by_a_template(done: Callable[[], str]) -> None:
    """V-T8: bucket and path of a signed URL lead to the file for good; the token goes, and the rewriting is flagged."""
    url = done()
    before = state_of(url)
    desk = again(url, storage_url="https://files.example/{path}?v=1")
    assert EXPECTED.signed_urls == sum(flagged(desk, "rewritten as storage_url says").values())
    assert {} == flagged(desk, "stopped working")
    tokens = "SELECT count(*) FROM (SELECT unnest(output_video_urls) AS u FROM video_jobs UNION ALL"
    tokens += " SELECT unnest(output_image_urls) FROM image_jobs) AS all_of WHERE u LIKE '%token=%'"
    assert 0 == scalar(url, tokens)
    made = rows_of(
        url,
        "SELECT old.video_url, new.output_video_urls[1] FROM multitalk_jobs AS old"
        " JOIN video_jobs AS new ON comfy_job_id = job_id WHERE old.video_url LIKE '%/sign/%'",
    )
    for signed, rewritten in made:
        path = signed.partition("/object/sign/")[2].partition("?")[0]
        assert path.startswith("multitalk-videos/videos/")
        assert f"https://files.example/{path}?v=1" == rewritten
    # A template without a place for the path is where it is put behind.
    again(url, storage_url="https://files.example/")
    path = made[0][0].partition("/object/sign/")[2].partition("?")[0]
    assert 1 == scalar(
        url, "SELECT count(*) FROM video_jobs WHERE output_video_urls[1] = %s", f"https://files.example/{path}"
    )
    again(url)
    assert before == state_of(url)


def test_owners_are_given_later_and_taken_back(done: Callable[[], str], tmp_path: Path) -> None:
    """V-T3: a map given after the copy brings its owners to moved rows, one taken away takes them, and nobody else."""
    url = done()
    before = state_of(url)
    keys = [str(key) for (key,) in rows_of(url, "SELECT job_id FROM multitalk_jobs ORDER BY 1 LIMIT 5")]
    keys += [str(key) for (key,) in rows_of(url, "SELECT id FROM edited_images ORDER BY 1 LIMIT 2")]
    owners = write_map(tmp_path / "owners.csv", dict.fromkeys(keys, user(url, 1)))
    owned = "SELECT user_id::text, count(*)::int FROM (SELECT user_id FROM video_jobs UNION ALL"
    owned += " SELECT user_id FROM image_jobs) AS jobs WHERE user_id IS NOT NULL GROUP BY 1 ORDER BY 1"
    again(url, user_map=owners)
    assert [(user(url, 1), len(keys))] == rows_of(url, owned)
    # The map may change: what it does not name any more is nobody's again.
    again(url, user_map=write_map(tmp_path / "owners.csv", {keys[0]: user(url, 2)}))
    assert [(user(url, 2), 1)] == rows_of(url, owned)
    again(url)
    assert before == state_of(url)
    assert 0 == scalar(url, "SELECT count(*) FROM migrator.parameter_line")


def test_owners_by_address_come_after_those_by_id(done: Callable[[], str], tmp_path: Path) -> None:
    """V-T3: of the images an address may tell the owner, only where a map says whose it is, and the row says so."""
    url = done()
    style = rows_of(url, "SELECT id::text, user_ip FROM style_transfers WHERE user_ip LIKE '203%' ORDER BY created_at")
    edit = str(scalar(url, "SELECT user_ip FROM edited_images WHERE user_ip LIKE '198%' ORDER BY created_at LIMIT 1"))
    addresses = {style[0][1]: user(url, 1), style[1][1]: user(url, 1), edit: user(url, 2)}
    by_id = write_map(tmp_path / "ids.csv", {style[0][0]: user(url, 3)})
    desk = again(url, user_map=by_id, user_map_by_ip=write_map(tmp_path / "ips.csv", addresses))
    found = dict(rows_of(url, "SELECT user_ip, user_id::text FROM image_jobs WHERE user_id IS NOT NULL"))
    assert {style[0][1]: user(url, 3), style[1][1]: user(url, 1), edit: user(url, 2)} == found
    assert [1, 0] == [balance_of(desk, one).flags.get("user_id given by user_map", 0) for one in (STYLES, EDITS)]
    assert {STYLES: 1, EDITS: 1} == flagged(desk, "user_id given by user_map_by_ip")


def test_what_the_application_changed_since_stays_and_is_named(done: Callable[[], str], tmp_path: Path) -> None:
    """V-T3: a row that a user claimed meanwhile is not given to another one; verify names it, nothing guesses."""
    url = done()
    keys = [str(key) for (key,) in rows_of(url, "SELECT job_id FROM multitalk_jobs ORDER BY 1 LIMIT 2")]
    execute(url, f"UPDATE video_jobs SET user_id = '{user(url, 2)}' WHERE comfy_job_id = '{keys[0]}'")
    desk = desk_on(url, user_map=write_map(tmp_path / "owners.csv", dict.fromkeys(keys, user(url, 1))))
    report = use_cases.apply(desk, listen=silent)
    assert False is report.proven
    named = [(one.kind, one.source_key["job_id"]) for found in report.comparisons for one in found.rows]
    assert [("altered", keys[0])] == named
    both = "SELECT comfy_job_id, user_id::text FROM video_jobs WHERE user_id IS NOT NULL ORDER BY 1"
    assert [(keys[0], user(url, 2)), (keys[1], user(url, 1))] == rows_of(url, both)


def test_an_owner_nobody_knows_is_refused_by_row(legacy: Callable[[], str], tmp_path: Path) -> None:
    """V-T3: a user that is not there, or no id at all, keeps its row in quarantine."""
    url = legacy()
    keys = [str(key) for (key,) in rows_of(url, "SELECT id FROM edited_images ORDER BY 1 LIMIT 2")]
    owners = {keys[0]: "00000000-0000-4000-8000-000000000000", keys[1]: "user1@example.com"}
    plan = use_cases.plan(desk_on(url, user_map=write_map(tmp_path / "owners.csv", owners)))
    edits = next(one for one in plan.balances if one.backfill == EDITS)
    assert {"user_id: not a valid uuid": 1, "user_id: no such row in auth.users": 1} == {
        one.reason: one.rows for one in edits.terms if one.disposition == "quarantined"
    }
    assert PLANTED.edited_images - len(keys) == edits.rows("moved")


def test_parameters_that_say_nothing_are_refused_before_anything_is_done(legacy: Callable[[], str]) -> None:
    """An interval that is none is a fault of the argument; a zone nobody knows is one of the column it is read for."""
    url = legacy()
    with pytest.raises(ConfigurationError, match=r"M106 .*stale_after: 'a while' does not fit"):
        use_cases.plan(desk_on(url, stale_after="a while"))
    with pytest.raises(ConfigurationError, match=r"M1.*time zone"):
        use_cases.plan(desk_on(url, fix_naive_tz="Middle/Earth"))
    assert fates()[VIDEOS].source_rows == scalar(url, "SELECT count(*) FROM multitalk_jobs")
