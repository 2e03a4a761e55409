"""Transactions: settings that hold inside and leave no trace, and a COMMIT that is proven."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from migrator.database import proof, session
from migrator.database.connect import Connection, Database
from migrator.model.errors import BugError, UsageError, WorldError
from tests.support.proxy import Proxy

DIRTY = """SELECT '100%', '%s', '%(x)s', ':x', '$1', 'O''Brien', E'back\\\\slash', 'äöü€', "Ü%x"
    FROM (SELECT 1 AS "Ü%x") t"""


@pytest.fixture
def conn(database: str) -> Iterator[Connection]:
    """Connect to an empty database."""
    with closing(Database(url=database).connect()) as opened:
        yield opened


def shown(conn: Connection, name: str) -> object:
    """Read one setting."""
    return session.value(conn, f"SELECT current_setting('{name}', true)")


def test_text_without_parameters_is_never_interpreted(conn: Connection) -> None:
    """Percent signs, colons and dollars reach the server as they were written."""
    expected = ("100%", "%s", "%(x)s", ":x", "$1", "O'Brien", "back\\slash", "äöü€", 1)
    assert session.rows(conn, DIRTY) == [expected]
    assert session.one(conn, DIRTY) == expected
    assert session.value(conn, DIRTY) == "100%"


def test_parameters_are_sent_beside_the_text(conn: Connection) -> None:
    """With parameters the placeholders of psycopg hold."""
    assert session.value(conn, "SELECT %s || '%%'", ["it's"]) == "it's%"
    assert session.rows(conn, "SELECT %(a)s::int", {"a": 1}) == [(1,)]


def test_nothing_found_is_none(conn: Connection) -> None:
    """No row is None, an empty list, or a count of nothing."""
    session.execute(conn, "CREATE TABLE t (x int)")
    assert session.one(conn, "SELECT * FROM t") is None
    assert session.value(conn, "SELECT * FROM t") is None
    assert session.rows(conn, "SELECT * FROM t") == []
    assert session.execute(conn, "UPDATE t SET x = 1") == 0
    assert session.execute(conn, "INSERT INTO t VALUES (1), (2)") == 2


def test_several_statements_go_in_one_message(conn: Connection) -> None:
    """Each statement has its own rows, and one without rows has none."""
    assert session.results(conn, "SELECT 1; SET LOCAL lock_timeout = 0; SELECT 2, '%'") == [
        [(1,)],
        [],
        [(2, "%")],
    ]


def test_a_nul_does_not_cut_a_statement_off(conn: Connection) -> None:
    """What libpq would send only half is refused."""
    with pytest.raises(UsageError) as caught:
        session.execute(conn, "DELETE FROM t\0 WHERE false")
    assert caught.value.id == "M314"


def test_settings_hold_inside_and_do_not_leak(conn: Connection) -> None:
    """Every pin holds within the transaction and is gone after it, whatever the role has."""
    conn.execute("SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German'; SET IntervalStyle = 'iso_8601'")
    conn.execute("SET extra_float_digits = -5; SET bytea_output = 'escape'; SET transform_null_equals = on")
    conn.execute("SET search_path = pg_catalog; SET row_security = on; SET quote_all_identifiers = on")
    names = [
        *session.PINS,
        "search_path",
        "lock_timeout",
        "statement_timeout",
        "work_mem",
        "migrator.applying",
    ]
    before = {name: shown(conn, name) for name in names}
    with session.transaction(
        conn,
        search_path='"Ü %s", public',
        lock_timeout_ms=123,
        statement_timeout_ms=4567,
        applying="it's :x %s",
        work_mem="7MB",
    ):
        inside = {name: shown(conn, name) for name in names}
    assert inside == {
        **session.PINS,
        "search_path": '"Ü %s", public, pg_temp',
        "lock_timeout": "123ms",
        "statement_timeout": "4567ms",
        "work_mem": "7MB",
        "migrator.applying": "it's :x %s",
    }
    after = {name: shown(conn, name) for name in names}
    assert {name: one or None for name, one in after.items()} == {name: one or None for name, one in before.items()}


def test_settings_do_not_leak_from_a_transaction_that_failed(conn: Connection) -> None:
    """ROLLBACK takes the pins with it."""
    before = shown(conn, "lock_timeout")
    with (
        pytest.raises(psycopg.errors.DivisionByZero),
        session.transaction(conn, lock_timeout_ms=77),
    ):
        session.execute(conn, "SELECT 1/0")
    assert shown(conn, "lock_timeout") == before
    assert conn.info.transaction_status.name == "IDLE"


def test_a_temporary_table_does_not_hide_a_real_one(conn: Connection) -> None:
    """A temporary table that another client left behind a pooler is looked up last."""
    session.execute(conn, "CREATE TABLE t AS SELECT 'real' AS x")
    session.execute(conn, "CREATE TEMP TABLE t AS SELECT 'temporary' AS x")
    with session.transaction(conn):
        assert session.value(conn, "SELECT x FROM t") == "real"


def test_it_commits_what_succeeds_and_rolls_back_what_raises(conn: Connection, database: str) -> None:
    """Only a block that ends without an error is kept."""
    session.execute(conn, "CREATE TABLE t (x int)")
    with session.transaction(conn):
        session.execute(conn, "INSERT INTO t VALUES (1)")
    with pytest.raises(KeyboardInterrupt), session.transaction(conn):
        session.execute(conn, "INSERT INTO t VALUES (2)")
        raise KeyboardInterrupt
    with closing(Database(url=database).connect()) as other:
        assert session.rows(other, "SELECT x FROM t") == [(1,)]


def test_the_modes_are_those_asked_for(conn: Connection) -> None:
    """Isolation and READ ONLY do not follow the defaults of the role."""
    conn.execute("SET default_transaction_isolation = 'serializable'")
    with session.transaction(conn):
        assert shown(conn, "transaction_isolation") == "read committed"
    with session.transaction(conn, isolation="repeatable read", read_only=True):
        assert shown(conn, "transaction_isolation") == "repeatable read"
        assert shown(conn, "transaction_read_only") == "on"


def test_a_server_that_is_read_only_by_default_stays_so(conn: Connection) -> None:
    """A guard set by an administrator is never overridden."""
    conn.execute("SET default_transaction_read_only = on")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), session.transaction(conn):
        session.execute(conn, "CREATE TABLE t (x int)")


def test_a_write_in_a_reading_transaction_is_explained(conn: Connection) -> None:
    """M308 says that the definition writes, not that the server is read-only."""
    session.execute(conn, "CREATE SEQUENCE s")
    with pytest.raises(UsageError) as caught, session.transaction(conn, read_only=True):
        session.execute(conn, "SELECT nextval('s')")
    assert caught.value.id == "M308"
    assert "nextval" in caught.value.what


def test_a_failure_that_was_swallowed_is_no_success(conn: Connection) -> None:
    """The server answers ROLLBACK to a COMMIT after an error, without any error of its own."""
    with pytest.raises(BugError) as caught, session.transaction(conn), pytest.raises(psycopg.errors.DivisionByZero):
        session.execute(conn, "SELECT 1/0")
    assert caught.value.id == "M319"


def test_a_commit_inside_the_block_is_found(conn: Connection) -> None:
    """A statement that ends the transaction is an error: what follows lacks our settings."""
    with pytest.raises(BugError, match="ended the transaction"), session.transaction(conn):
        session.execute(conn, "COMMIT")


def test_transactions_do_not_nest(conn: Connection) -> None:
    """The inner block would commit the outer one."""
    with (
        pytest.raises(BugError, match="inside another"),
        session.transaction(conn),
        session.transaction(conn),
    ):
        pass
    assert conn.info.transaction_status.name == "IDLE"


def test_a_deferred_constraint_fails_at_commit(conn: Connection) -> None:
    """An error of COMMIT itself is not mistaken for a lost connection."""
    session.execute(conn, "CREATE TABLE t (x int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    again = Database(url="postgresql://nowhere.invalid/x").connect
    with pytest.raises(psycopg.errors.UniqueViolation), session.transaction(conn, reconnect=again):
        session.execute(conn, "INSERT INTO t VALUES (1), (1)")
    assert session.rows(conn, "SELECT * FROM t") == []


def test_a_rollback_that_fails_does_not_hide_the_first_error(database: str) -> None:
    """The error of the block leaves; the rollback's is a note on it."""
    conn = Database(url=database).connect()
    pid = session.value(conn, "SELECT pg_backend_pid()")
    with pytest.raises(RuntimeError, match="first") as caught, session.transaction(conn):
        with closing(Database(url=database).connect()) as other:
            session.value(other, f"SELECT pg_terminate_backend({pid}, 5000)")
        raise RuntimeError("first")
    assert "could not be rolled back" in caught.value.__notes__[0]


def prepare(database: str) -> None:
    """Make the table into which the transactions below write."""
    with closing(Database(url=database).connect()) as conn:
        session.execute(conn, "CREATE TABLE t (x int)")


def written(database: str) -> list[session.Row]:
    """Read what was committed."""
    with closing(Database(url=database).connect()) as conn:
        return session.rows(conn, "SELECT x FROM t")


def test_a_commit_whose_answer_is_lost_is_proven(database: str) -> None:
    """The block counts as done, because the server says that it is committed."""
    prepare(database)
    with Proxy(database) as proxy, closing(Database(url=proxy.url).connect()) as conn:
        with session.transaction(conn, reconnect=Database(url=database).connect):
            session.execute(conn, "INSERT INTO t VALUES (1)")
            proxy.on(b"COMMIT", "lose the answer")
        assert proxy.happened.is_set()
        assert conn.closed
    assert written(database) == [(1,)]


def test_a_commit_that_never_arrived_is_told_apart(database: str) -> None:
    """To the client it looks the same; the server says that nothing was committed."""
    prepare(database)
    with Proxy(database) as proxy, closing(Database(url=proxy.url).connect()) as conn:
        with (
            pytest.raises(WorldError, match="nothing was committed") as caught,
            session.transaction(conn, reconnect=Database(url=database).connect),
        ):
            session.execute(conn, "INSERT INTO t VALUES (1)")
            proxy.on(b"COMMIT", "lose the message")
        assert caught.value.id == "M307"
    assert written(database) == []


def test_a_transaction_that_hangs_is_ended_before_it_is_judged(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that still waits for its client is not left with our locks."""
    monkeypatch.setattr(proof, "PATIENCE", 0.3)
    prepare(database)
    with Proxy(database) as proxy, closing(Database(url=proxy.url).connect()) as conn:
        with (
            pytest.raises(WorldError, match="nothing was committed"),
            session.transaction(conn, reconnect=Database(url=database).connect),
        ):
            session.execute(conn, "INSERT INTO t VALUES (1)")
            proxy.on(b"COMMIT", "leave the server waiting")
    assert written(database) == []


def test_without_an_answer_nothing_is_claimed(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the server stays away, the fate is unknown, and said to be."""
    with closing(Database(url=database).connect()) as conn:
        xid = str(session.value(conn, "SELECT pg_current_xact_id()::text"))
        assert proof.fate_of(xid, Database(url=database).connect) == "committed"
        assert proof.fate_of("99999999999", Database(url=database).connect) == "unknown"
    nowhere = Database(url="postgresql://127.0.0.1:1/x").connect
    assert proof.fate_of(xid, nowhere, deadline=0.3) == "unknown"


def test_without_reconnect_a_lost_commit_is_an_error_of_psycopg(database: str) -> None:
    """Nobody asked for a proof, so nothing is hidden."""
    prepare(database)
    with Proxy(database) as proxy, closing(Database(url=proxy.url).connect()) as conn:
        with pytest.raises(psycopg.OperationalError), session.transaction(conn):
            session.execute(conn, "INSERT INTO t VALUES (1)")
            proxy.on(b"COMMIT", "lose the answer")
    assert written(database) == [(1,)]
