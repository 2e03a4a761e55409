"""The demo: every promise is kept on a real server, and a broken one is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import psycopg
import pytest

from migrator.cli.app import run
from migrator.cli.demo import objects, output_type_tables, stories
from migrator.cli.demo.evidence import Evidence
from migrator.cli.run import Run
from migrator.demo.output_type_tables.fates import VIDEOS
from migrator.servers import weed


def test_the_demo_keeps_every_promise(capsys, monkeypatch):
    """There and back on a server of its own, whatever DATABASE_URL says, each command as a user types it."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
    assert run(["demo", "--change", "output_type_tables"]) == 0
    out, err = capsys.readouterr()
    assert "DATABASE_URL is set, and left alone" in err
    commands = [line for line in out.splitlines() if line.startswith("$ migrator ")]
    assert [line.split()[2] for line in commands] == [
        "plan", "apply", "apply", "apply", "quarantine", "quarantine", "apply", "verify-counts", "verify", "apply",
        "archive", "consumers", "archive", "drop", "rollback", "rollback", "rollback",
    ]  # fmt: skip
    assert all(
        f"\n{refusal}" in out for refusal in ("M412 rollback would lose", "M432 Not every", "M442 multitalk_jobs")
    )
    assert "anon, who may read 295 rows and change 295 of the old tables. Renamed by" in out
    assert "is let into the archive: anon may read 0 rows and change 0" in out
    assert "23 of 23 promises kept" in out
    broken = [line for line in out.splitlines() if "✗" in line]
    assert broken == [line for line in broken if "image_jobs_from_style_transfers accounts for every row" in line]
    assert len(broken) == 1  # before somebody decided about the row that waits


@pytest.mark.parametrize("change", ["jobs_and_attempts", "artworks_v2"])
def test_the_demo_keeps_every_promise_of_each_change(change, capsys):
    """Other documented changes, there and back; the last one is told by a server that is kept."""
    assert run(["demo", "--change", change, "--format", "json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["changes"]
    assert (told["change"], told["kept"]) == (change, True)
    assert 15 <= len(told["promises"])
    claims = {one["claim"] for one in told["promises"]}
    with_objects = {"the key of every row leads to its object", "the bucket is as it was, object by object"}
    assert with_objects & claims == (with_objects if change == "jobs_and_attempts" else set())


def test_where_no_seaweedfs_is_to_be_had_the_demo_leaves_the_objects_out(capsys, monkeypatch):
    """The story is told as it is without objects, and says so; no other server of ours keeps conditions of copies."""
    story = stories.find("jobs_and_attempts")[0]
    assert "copy_objects" not in story.params
    with objects.beside(Run(), story, 100_000) as (told, bucket):
        assert (told, bucket) == (story, None)
    monkeypatch.setattr(weed, "find", lambda: None)
    with objects.beside(Run(), story, None) as (told, bucket):
        assert (told, bucket) == (story, None)
    said = capsys.readouterr().err
    assert "The objects of more than 2,000 rows take long: the demo leaves the objects out." in said
    assert "There is no weed for this machine: the demo leaves the objects out." in said


def test_without_a_name_every_story_is_told():
    """The demo tells them all, each in a database of its own."""
    told = stories.find(None)
    assert list(stories.STORIES) == [one.change for one in told]
    assert len({one.database for one in told}) == len(told)  # they share a server
    assert len({one.database for one in told}) == len(told)


def test_a_broken_promise_ends_with_four(capsys, monkeypatch):
    """A row that is not where it was planted is told, and who gets into the archive; the demo does not end well."""
    moved = {(VIDEOS, "moved"): 1}
    wrong = replace(output_type_tables.STORY, after=lambda _rows: moved, outsider="pg_read_all_data")
    monkeypatch.setitem(stories.STORIES, "output_type_tables", lambda: wrong)
    assert run(["demo", "--change", "output_type_tables", "--rows", "20", "--format", "json"]) == 4
    said = json.loads(capsys.readouterr().out)
    assert (said["kept"], said["changes"][0]["kept"]) == (False, False)
    assert [one["claim"] for one in said["changes"][0]["promises"] if not one["proven"]] == [
        "every planted row is where it belongs",
        "nobody but its owner is let into the archive",
    ]


@pytest.mark.parametrize(
    ("now", "difference"),
    [
        (Evidence(schema=("a", "b"), rows="1"), ""),
        (Evidence(schema=("a", "c"), rows="1"), "the schema differs: -b"),
        (Evidence(schema=("a", "b"), rows="2"), "the rows differ"),
    ],
)
def test_evidence_names_the_first_difference(now, difference):
    """What is not as it was is named, schema before rows."""
    assert Evidence(schema=("a", "b"), rows="1").difference(now) == difference


def test_a_kept_server_lives_until_it_is_stopped():
    """With --keep the server stays, at the address that is told, until Ctrl-C; then it is gone. All was kept there."""
    wanted = ["--keep", "--change", "phase_2_jobs", "--format", "json"]
    command = [sys.executable, "-m", "migrator", "demo", *wanted]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr is not None
        address = next(line for line in process.stderr if "DATABASE_URL=" in line).partition("DATABASE_URL=")[2].strip()
        with psycopg.connect(address) as connection:
            assert connection.execute('SELECT count(*) > 0 FROM "Job"').fetchone() == (True,)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    (told,) = json.loads(out)["changes"]
    assert (told["change"], told["kept"]) == ("phase_2_jobs", True)
    assert 15 <= len(told["promises"])
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(address, connect_timeout=5)
