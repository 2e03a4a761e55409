"""How a verb ends: the exit code, and one sentence with an id for everything that goes wrong."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import psycopg
import pytest
import typer
from sqlalchemy.exc import DBAPIError

from migrator.cli import exits
from migrator.cli.verb import guarded
from migrator.model.errors import BugError, ConfigurationError, RefusedError, ServerError, UsageError, WorldError
from migrator.model.step import Phase, Plan, PlannedStep, Report, State
from migrator.model.verdict import Balance, Comparison, SourceBalance, Verdict

OPTIONS = {
    "config": None,
    "database_url": None,
    "param": None,
    "format": "text",
    "verbose": 0,
    "quiet": False,
    "debug": False,
    "reveal": False,
}
REPORT = Report(change="c", verb="apply", database="db", state=State.VERIFIED)
PLAN = Plan(change="c", title="", guide="", database="db", server="", state=State.NEW, steps=())
OPEN = Balance(backfill="b", source="a", target="b", source_rows=1, terms=())
LOST = Comparison(backfill="b", source="a", target="b", compared=1, counts={"lost": 1}, rows=(), foreign=0, seconds=0)


def ended(error, **options):
    """Let a verb raise, and give its exit code."""

    def body(_run):
        raise error

    return guarded("apply", {**OPTIONS, **options}, body)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("M103", "no such change"), 2),
        (ConfigurationError("M102", "wrong"), 2),
        (RefusedError("M412", "would lose"), 5),
        (WorldError("M302", "no server"), 1),
        (ServerError("M320", "no binaries"), 1),
        (BugError("M999", "never"), 1),
        (ValueError("what nobody thought of"), 1),
        (KeyboardInterrupt(), 130),
        (typer.Abort(), 130),
        (typer.Exit(3), 3),
    ],
)
def test_every_error_has_its_exit_code(error, code):
    """Each kind of error ends with the code that is promised for it."""
    assert ended(error) == code


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (REPORT, 0),
        (replace(REPORT, verdicts=(Verdict(claim="x", proven=True, evidence=""),)), 0),
        (replace(REPORT, verdicts=(Verdict(claim="x", proven=False, evidence=""),)), 4),
        (replace(REPORT, balances=(OPEN,)), 4),
        (
            replace(
                REPORT,
                sources=(SourceBalance(source="a", source_rows=1, taken=0, left_behind=0, unaccounted=1),),
            ),
            4,
        ),
        (replace(REPORT, comparisons=(LOST,)), 4),
    ],
)
def test_what_is_not_proven_ends_with_four(report, code):
    """A claim that does not hold, a balance that does not close, a row that differs: each is a 4."""
    assert exits.of_report(report) == code


def test_pending_work_counts_only_when_asked():
    """Plan ends with 3 for pending work under --exit-code alone, with 4 for what does not close."""
    pending = replace(PLAN, steps=(PlannedStep(phase=Phase.EXPAND, name="0001", title="x"),))
    assert exits.of_plan(pending) == 0
    assert exits.of_plan(pending, tell_pending=True) == 3
    assert exits.of_plan(PLAN, tell_pending=True) == 0
    assert exits.of_plan(replace(PLAN, balances=(OPEN,)), tell_pending=True) == 4


def test_an_error_is_told_in_one_piece(capsys):
    """An error goes to stderr: id, what is wrong, the cure; stdout stays empty."""
    assert ended(RefusedError("M412", "would lose rows.", "Keep them.")) == 5
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "M412 would lose rows.\n     Keep them.\n"


def test_an_error_is_one_json_document(capsys):
    """With --format json an error is the one document on stdout, with stable keys."""
    ended(RefusedError("M412", "would lose ana@example.com", "Keep them."), format="json")
    out, err = capsys.readouterr()
    said = {"id": "M412", "what": "would lose …@…", "cure": "Keep them.", "exit_code": 5}
    assert json.loads(out) == {"verb": "apply", "error": said}
    assert err == ""


def test_the_unexpected_has_an_id_and_no_traceback(capsys):
    """What nobody thought of is M900 in one line; the traceback comes with --debug alone."""
    ended(ValueError("odd"))
    quiet = capsys.readouterr().err
    assert quiet.startswith("M900 Something unexpected happened: ValueError: odd.")
    assert "Traceback" not in quiet
    ended(ValueError("odd"), debug=True)
    assert "Traceback" in capsys.readouterr().err


def test_errors_of_the_driver_are_explained():
    """An error of psycopg that slipped through is said as one of ours, wrapped by SQLAlchemy or not."""
    error = psycopg.OperationalError("server closed the connection unexpectedly")
    assert exits.as_ours(error, "running plan").id == "M307"
    assert exits.as_ours(DBAPIError("SELECT 1", None, error), "running plan").id == "M307"


def test_an_interruption_says_how_to_go_on(capsys, monkeypatch):
    """Ctrl-C says how many rows are safe, and the command that goes on, without its secrets."""
    monkeypatch.setattr("sys.argv", ["migrator", "apply", "c", "--database-url", "postgresql://u:hidden@h/db"])

    def body(run):
        run.safe_rows = 3_402_113
        raise KeyboardInterrupt

    assert guarded("apply", OPTIONS, body) == 130
    said = capsys.readouterr().err
    assert said.startswith("Stopped. 3,402,113 rows are safe. Go on with: migrator apply c ")
    assert "hidden" not in said


def test_sigterm_stops_like_ctrl_c(capsys):
    """SIGTERM ends a verb with 130 and a safe state, and is handled as before afterwards."""
    before = signal.getsignal(signal.SIGTERM)

    def body(_run):
        os.kill(os.getpid(), signal.SIGTERM)

    assert guarded("apply", OPTIONS, body) == 130
    assert "The state is safe." in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_wrong_parameter_is_a_usage_error(capsys):
    """--param without a value ends with 2, and its value is not repeated."""
    assert guarded("plan", {**OPTIONS, "param": ["user_map"]}, lambda _run: 0) == 2
    assert "M100 --param 'user_map' is not NAME=VALUE." in capsys.readouterr().err
