"""Kinds of failures, and what their texts may show."""

from __future__ import annotations

import psycopg
import pytest

from migrator.database import failures, locks
from migrator.database.failures import Failure
from migrator.model.errors import WorldError


def failed(state: str) -> psycopg.Error:
    """Make the error that psycopg makes of a SQLSTATE."""
    try:
        made = psycopg.errors.lookup(state)("text")
    except KeyError:
        made = psycopg.DatabaseError("text")
        made.sqlstate = state
    return made


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("22P02", Failure.ROW),
        ("22001", Failure.ROW),
        ("23505", Failure.ROW),
        ("23514", Failure.ROW),
        ("P0001", Failure.ROW),
        ("P0003", Failure.ROW),
        ("54000", Failure.ROW),
        ("54001", Failure.ROW),
        ("21000", Failure.ROW),
        ("44000", Failure.ROW),
        ("40001", Failure.RETRY),
        ("40P01", Failure.RETRY),
        ("55P03", Failure.RETRY),
        ("42501", Failure.RIGHTS),
        ("25006", Failure.READ_ONLY),
        ("08006", Failure.LOST),
        ("57P01", Failure.LOST),
        ("25P03", Failure.LOST),
        ("42P01", Failure.DEFINITION),
        ("42883", Failure.DEFINITION),
        ("3F000", Failure.DEFINITION),
        ("53100", Failure.WORLD),
        ("57014", Failure.WORLD),
        ("XX000", Failure.WORLD),
    ],
)
def test_every_state_has_its_kind(state: str, kind: Failure) -> None:
    """The SQLSTATE alone decides what is done about a failure."""
    assert failures.kind(failed(state)) is kind


def test_an_error_without_a_state_is_a_lost_connection_only_where_one_was_used() -> None:
    """A value that Python cannot hold is no lost connection, and neither is an error of our own."""
    assert failures.kind(psycopg.OperationalError("server closed the connection")) is Failure.LOST
    assert failures.kind(psycopg.DataError("timestamp too large")) is Failure.WORLD
    assert failures.kind(ValueError()) is Failure.WORLD


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Key (email)=(a@b.example) already exists.", "Key (email)=(…) already exists."),
        ("Key (a, b)=(1, f(x)) already exists.", "Key (a, b)=(…) already exists."),
        ("Failing row contains (1, secret, (x)).", "Failing row contains (…)."),
        (
            'invalid input syntax for type integer: "secret"',
            'invalid input syntax for type integer: "…"',
        ),
        ("nobody@some.example is gone", "…@… is gone"),
        ('relation "users" does not exist', 'relation "users" does not exist'),
        ("permission denied for table users", "permission denied for table users"),
    ],
)
def test_values_are_hidden_and_names_are_not(said: str, shown: str) -> None:
    """What PostgreSQL quotes from rows is hidden; what it says about objects stays."""
    assert failures.masked_text(said) == shown


def test_a_query_is_shown_short_and_without_its_constants() -> None:
    """Neither quoted nor dollar-quoted constants of somebody's query are shown."""
    shown = locks.shortened("SELECT *\n  FROM t WHERE a = 'it''s secret' AND b = $x$secret$x$ AND c = E'secret'")
    assert shown == "SELECT * FROM t WHERE a = '…' AND b = '…' AND c = '…'"
    assert len(locks.shortened("x" * 500)) == locks.SHOWN_QUERY


def test_retries_end_with_an_error_and_pause_in_between() -> None:
    """Only failures that may pass are tried again, with pauses that grow, as often as was said."""
    pauses: list[float] = []
    calls: list[int] = []

    def always() -> None:
        calls.append(1)
        raise failed("55P03")

    with pytest.raises(WorldError) as caught:
        locks.with_lock_retries(always, doing="switching", tries=6, pause=pauses.append)
    assert (caught.value.id, len(calls), len(pauses)) == ("M301", 6, 5)
    assert "switching" in caught.value.what
    assert pauses[-1] > pauses[0] > 0


def test_other_failures_are_not_tried_again() -> None:
    """A row fault leaves at once, as it is."""
    calls: list[int] = []

    def once() -> None:
        calls.append(1)
        raise failed("23505")

    with pytest.raises(psycopg.errors.UniqueViolation):
        locks.with_lock_retries(once, doing="copying", pause=lambda _: None)
    assert len(calls) == 1


def test_a_try_that_succeeds_gives_its_result() -> None:
    """The result of the try that got through is handed on."""
    answers = iter([failed("40P01"), failed("40001"), None])

    def third_time() -> str:
        if error := next(answers):
            raise error
        return "done"

    assert locks.with_lock_retries(third_time, doing="x", pause=lambda _: None) == "done"
