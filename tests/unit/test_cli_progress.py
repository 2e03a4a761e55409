"""Progress: few lines without a terminal, none with --quiet, and a count of what is safe."""

from __future__ import annotations

import threading

import pytest

from migrator.cli.progress import Lines, Listener, Quiet, listening
from migrator.cli.run import Run
from migrator.model.step import Event, Phase


def event(kind, **more):
    """Make an Event of a copy."""
    return Event(kind=kind, phase=Phase.BACKFILL, name="v", title="v ← m", **more)


def test_a_step_has_a_line_at_its_beginning_and_its_end(capsys):
    """Between them nothing is said sooner than every few seconds."""
    run = Run(verb="apply")
    listen = Listener(run, Lines(run))
    listen(event("step", total=1000))
    for done in range(100, 1001, 100):
        listen(event("progress", rows=done, total=1000))
    listen(event("done", rows=1000, detail={"read": 1000, "moved": 990, "merged": 10}, seconds=2))
    assert capsys.readouterr().err.splitlines() == [
        "backfill  v ← m … (1,000 rows)",
        "backfill  v ← m  done in 2.0 s: moved 990, merged 10",
    ]


def test_a_long_step_is_heard_of_now_and_then(capsys):
    """When it is due, a line says how far the step is."""
    run = Run(verb="apply")
    listen = Listener(run, Lines(run, every=0))
    listen(event("progress", rows=3_402_113, total=5_000_000))
    assert "backfill  v ← m   68 %  3,402,113 / 5,000,000" in capsys.readouterr().err


def test_objects_have_two_speeds(capsys, monkeypatch):
    """Objects a second and bytes a second, counted from what this run copied; they are no rows that are safe."""
    run, now = Run(verb="apply"), iter((0.0, 0.0, 10.0, 10.0, 20.0))
    monkeypatch.setattr("migrator.cli.progress.time.monotonic", lambda: next(now, 20.0))
    listen = Listener(run, Lines(run, every=0))
    listen(event("step", unit="object"))
    listen(event("progress", unit="object", rows=100, total=400))
    listen(event("progress", unit="object", rows=200, total=400, bytes=50_000_000))
    said = capsys.readouterr().err
    assert "backfill  v ← m   50 %  200 / 400  5 objects/s  2.5 MB/s  ETA 40 s" in said
    assert not run.safe_rows


def test_notes_are_said_at_once(capsys):
    """A note, such as a lock that is waited for, is never held back."""
    run = Run(verb="apply")
    Listener(run, Lines(run))(Event(kind="note", phase=Phase.EXPAND, name="lock", title="waiting"))
    assert capsys.readouterr().err == "! waiting\n"


def test_quiet_says_nothing(capsys):
    """With --quiet there is no progress at all, but the rows are counted."""
    run = Run(verb="apply", quiet=True)
    with listening(run) as listen:
        listen(event("step"))
        listen(event("progress", rows=7, total=9))
    assert capsys.readouterr() == ("", "")
    assert run.safe_rows == 7


@pytest.mark.parametrize(("verb", "safe"), [("apply", 12), ("backfill", 12), ("rollback", 0)])
def test_safe_rows_are_those_that_were_copied(verb, safe):
    """What is safe is the newest count of each copy; rows that a rollback removes are no such rows."""
    run = Run(verb=verb)
    listen = Listener(run, Quiet())
    listen(event("progress", rows=5))
    listen(event("progress", rows=8))
    listen(Event(kind="done", phase=Phase.BACKFILL, name="w", rows=4))
    listen(Event(kind="done", phase=Phase.VERIFY, name="compare", rows=99))
    assert run.safe_rows == safe


def test_events_come_from_any_thread(capsys):
    """Events of many threads are all shown, each on a line of its own."""
    run = Run(verb="apply")
    listen = Listener(run, Lines(run, every=0))

    def copy(number):
        for done in range(50):
            listen(Event(kind="progress", phase=Phase.BACKFILL, name=str(number), rows=done + 1))

    threads = [threading.Thread(target=copy, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(capsys.readouterr().err.splitlines()) == 400
    assert run.safe_rows == 400
