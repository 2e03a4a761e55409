"""Errors from real situations: each has its id, and says what to do in the user's names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest

from migrator.database import failures, locks
from migrator.database.connect import Connection, Database
from migrator.database.explaining import explained
from migrator.database.failures import Failure
from migrator.database.session import execute, transaction, value
from migrator.model.errors import MigratorError, UsageError, WorldError
from migrator.model.names import Relation, literal
from migrator.servers import Postgres

TABLE = Relation("public", "O'Brien's %s :x \"T\"")


@pytest.fixture
def conn(database: str) -> Iterator[Connection]:
    """Connect to a database with one table of a dirty name."""
    with closing(Database(url=database).connect()) as opened:
        execute(
            opened,
            f"CREATE TABLE {TABLE.sql} (id int PRIMARY KEY, email text UNIQUE, n int CHECK (n > 0))",
        )
        yield opened


def told(conn: Connection, sql: str, **settings: object) -> MigratorError:
    """Run SQL that fails and give the error as it is shown."""
    with (
        pytest.raises(MigratorError) as caught,
        explained("copying rows"),
        transaction(conn, **settings),  # type: ignore[arg-type]
    ):
        execute(conn, sql)
    assert "copying rows" in caught.value.what
    assert caught.value.cure
    return caught.value


def test_a_lock_is_not_got_and_the_blocker_is_named(conn: Connection, database: str) -> None:
    """M301 names pid, application, state and query of who is in the way, no constants."""
    again = Database(url=database).connect
    with closing(again()) as other, other.transaction():
        other.execute("SET application_name = 'the %s shop'")
        other.execute(f"INSERT INTO {TABLE.sql} VALUES (1, 'secret')".encode())
        pid = value(other, "SELECT pg_backend_pid()")
        other.execute(f"SELECT count(*), 'secret' FROM {TABLE.sql}".encode())

        def lock() -> None:
            with transaction(conn, lock_timeout_ms=20):
                execute(conn, f"LOCK TABLE {TABLE.sql}")

        with pytest.raises(WorldError) as caught:
            locks.with_lock_retries(lock, doing="switching", tries=2, relations=[TABLE], connect=again)
        found = locks.blockers(conn, TABLE)
    said = caught.value.what
    assert caught.value.id == "M301"
    assert f"pid {pid}" in said
    assert "the %s shop" in said
    assert "secret" not in said
    assert {one.pid for one in found} == {pid}
    assert {one.mode for one in found} == {"AccessShareLock", "RowExclusiveLock"}
    assert all(one.granted and one.state == "idle in transaction" and one.age_seconds >= 0 for one in found)


def test_only_conflicting_locks_block(conn: Connection, database: str) -> None:
    """A reader is in the way of ACCESS EXCLUSIVE and of nothing weaker."""
    with closing(Database(url=database).connect()) as other, other.transaction():
        other.execute(f"SELECT FROM {TABLE.sql}".encode())
        assert locks.blockers(conn, TABLE, mode="ShareRowExclusiveLock") == []
        assert len(locks.blockers(conn, TABLE)) == 1
    assert locks.blockers(conn, TABLE) == []


def test_somebody_who_waits_is_in_the_way_too(conn: Connection, database: str) -> None:
    """Who queues before us with a strong lock is named, as one who waits."""
    with (
        closing(Database(url=database).connect()) as reader,
        closing(Database(url=database).connect()) as other,
        reader.transaction(),
    ):
        reader.execute(f"SELECT FROM {TABLE.sql}".encode())
        other.pgconn.send_query(f"BEGIN; LOCK TABLE {TABLE.sql}".encode())
        other.pgconn.flush()
        deadline = time.monotonic() + 10
        while not (waiting := [one for one in locks.blockers(conn, TABLE) if not one.granted]):
            assert time.monotonic() < deadline
        assert waiting[0].mode == "AccessExclusiveLock"
        other.pgconn.get_cancel().cancel()


def test_a_prepared_transaction_blocks_without_a_pid(killable: Postgres) -> None:
    """It has a name instead, and its owner."""
    with closing(Database(url=killable.url()).connect()) as conn:
        execute(conn, "ALTER SYSTEM SET max_prepared_transactions = 5")
    killable.restart()
    with closing(Database(url=killable.url()).connect()) as conn:
        execute(conn, "CREATE TABLE t (x int)")
        for sql in ("BEGIN", "INSERT INTO t VALUES (1)", "PREPARE TRANSACTION 'the one'"):
            execute(conn, sql)
        (found,) = locks.blockers(conn, Relation("public", "t"))
        assert (found.pid, found.user, found.state) == (None, "postgres", "prepared as the one")
        execute(conn, "ROLLBACK PREPARED 'the one'")


def test_a_retry_that_gets_through(conn: Connection, database: str) -> None:
    """When the blocker goes, the next try succeeds."""
    with closing(Database(url=database).connect()) as other:
        execute(other, "BEGIN")
        execute(other, f"LOCK TABLE {TABLE.sql}")

        def insert() -> int:
            with transaction(conn, lock_timeout_ms=20):
                return execute(conn, f"INSERT INTO {TABLE.sql} VALUES (1)")

        assert locks.with_lock_retries(insert, doing="x", pause=lambda _: other.rollback()) == 1


def test_a_server_that_only_reads(conn: Connection) -> None:
    """M305 where the role or database is read-only."""
    conn.execute("SET default_transaction_read_only = on")
    error = told(conn, f"DELETE FROM {TABLE.sql}")
    assert (error.id, type(error)) == ("M305", WorldError)


def test_a_connection_that_is_cut(conn: Connection, database: str) -> None:
    """M307 for a backend that was ended by somebody."""
    pid = value(conn, "SELECT pg_backend_pid()")
    with closing(Database(url=database).connect()) as other:
        value(other, f"SELECT pg_terminate_backend({pid}, 5000)")
    assert told(conn, "SELECT 1").id == "M307"


def test_a_connection_that_is_closed_by_a_timeout(conn: Connection) -> None:
    """M307 says which kind of limit ended it."""
    conn.execute("SET idle_in_transaction_session_timeout = 20")
    with pytest.raises(MigratorError) as caught, explained("x"), transaction(conn):
        time.sleep(0.3)
        execute(conn, "SELECT 1")
    assert caught.value.id == "M307"
    assert "timeout" in caught.value.what + caught.value.cure


def test_a_limit_of_the_server(conn: Connection) -> None:
    """M309 names the limit."""
    conn.execute("SET temp_file_limit = 0; SET work_mem = '64kB'")
    error = told(
        conn,
        "SELECT count(*) FROM (SELECT g FROM generate_series(1, 100000) g ORDER BY md5(g::text)) x",
    )
    assert error.id == "M309"
    assert "temp_file_limit" in error.what + error.cure


def test_a_statement_that_takes_too_long(conn: Connection) -> None:
    """M310 for a statement_timeout."""
    assert told(conn, "SELECT pg_sleep(5)", statement_timeout_ms=20).id == "M310"


def test_any_other_error_shows_its_state_and_no_values(conn: Connection) -> None:
    """M312 has SQLSTATE, table and constraint; the values of the row are hidden."""
    execute(conn, f"INSERT INTO {TABLE.sql} VALUES (1, 'secret@mail.example')")
    error = told(conn, f"INSERT INTO {TABLE.sql} VALUES (2, 'secret@mail.example')")
    assert (error.id, type(error)) == ("M312", WorldError)
    assert "23505" in error.what
    assert TABLE.name in error.what
    assert "secret" not in error.what
    assert "Key (email)=(…)" in error.what
    assert "secret" not in told(conn, f"INSERT INTO {TABLE.sql} VALUES (3, 'secret', 0)").what
    assert "secret" not in told(conn, "SELECT 'secret'::int").what
    missing = told(conn, "SELECT * FROM nowhere")
    assert (missing.id, type(missing)) == ("M312", UsageError)
    assert "nowhere" in missing.what


@pytest.mark.parametrize(
    ("sql", "kind", "constraint"),
    [
        ("INSERT INTO {t} VALUES (1), (1)", Failure.ROW, "{n}_pkey"),
        ("INSERT INTO {t} VALUES (NULL)", Failure.ROW, "id"),
        ("INSERT INTO {t} VALUES (1, 'x', -1)", Failure.ROW, "{n}_n_check"),
        ("SELECT 'x'::int", Failure.ROW, ""),
        ("DO 'BEGIN RAISE EXCEPTION ''no''; END'", Failure.ROW, ""),
        ("SELECT * FROM nowhere", Failure.DEFINITION, ""),
    ],
)
def test_kinds_of_real_failures(conn: Connection, sql: str, kind: Failure, constraint: str) -> None:
    """The server's own errors fall into the kinds they should, and name their constraint."""
    with pytest.raises(psycopg.Error) as caught:
        execute(conn, sql.format(t=TABLE.sql))
    assert failures.kind(caught.value) is kind
    assert failures.constraint(caught.value) == constraint.format(n=TABLE.name)


def test_python_and_the_server_agree_on_what_is_about_a_row(conn: Connection) -> None:
    """The states that a statement of ours sorts out by itself are sorted as an error of the driver would be."""
    states = [
        "22012",
        "23505",
        "2F000",
        "P0001",
        "54000",
        "54001",
        "54011",
        "21000",
        "44000",
        "42501",
        "40001",
        "40P01",
    ]
    states += [
        "53100",
        "57014",
        "57P01",
        "55P03",
        "08006",
        "XX000",
        "SHOP1",
        "45000",
        "38000",
        "09000",
        "20000",
        "25006",
    ]
    for state in states:
        with pytest.raises(psycopg.Error) as caught:
            execute(conn, f"DO $$BEGIN RAISE 'x' USING ERRCODE = '{state}'; END$$")
        about = value(conn, f"SELECT {failures.about_a_row(literal(state))}")
        assert about == (failures.kind(caught.value) is Failure.ROW), state


@pytest.fixture
def as_user(killable: Postgres) -> Iterator[Callable[[], Connection]]:
    """Give connections of a role that owns nothing, beside tables of somebody else."""
    with closing(Database(url=killable.url()).connect()) as conn:
        execute(conn, 'CREATE ROLE "us%s er" LOGIN')
        execute(conn, 'CREATE TABLE "T %s" (x int); CREATE SCHEMA hidden; CREATE TABLE hidden.t (x int)')
        execute(conn, 'GRANT SELECT, UPDATE ON "T %s" TO "us%s er"; CREATE SEQUENCE s')
        execute(
            conn,
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION f FROM PUBLIC",
        )
        execute(conn, "CREATE TABLE secured (x int); ALTER TABLE secured ENABLE ROW LEVEL SECURITY")
        execute(conn, 'GRANT ALL ON secured TO "us%s er"; CREATE POLICY p ON secured USING (x > 1)')
    url = killable.url().replace("//postgres@", "//us%25s%20er@")
    return lambda: Database(url=url).connect()


@pytest.mark.parametrize(
    ("sql", "cure"),
    [
        ('INSERT INTO "T %s" VALUES (1)', 'GRANT INSERT, DELETE ON TABLE "T %s" TO "us%s er"'),
        ("SELECT * FROM hidden.t", 'GRANT USAGE ON SCHEMA "hidden" TO "us%s er"'),
        ("SELECT nextval('s')", 'GRANT USAGE, SELECT ON SEQUENCE "s" TO "us%s er"'),
        ("SELECT f()", 'GRANT EXECUTE ON FUNCTION "f" TO "us%s er"'),
        ('DROP TABLE "T %s"', "Connect as the owner"),
        ("CREATE ROLE x", "that the message names"),
    ],
)
def test_missing_rights_name_the_grant(as_user: Callable[[], Connection], sql: str, cure: str) -> None:
    """M306 gives the statement that an administrator has to run."""
    with (
        closing(as_user()) as conn,
        pytest.raises(UsageError) as caught,
        explained("copying", as_user),
        transaction(conn),
    ):
        execute(conn, sql)
    assert caught.value.id == "M306"
    assert cure in caught.value.cure


def test_row_security_that_would_hide_rows_is_an_error(as_user: Callable[[], Connection]) -> None:
    """M311 instead of a smaller source; BYPASSRLS or ownership is the cure."""
    with (
        closing(as_user()) as conn,
        pytest.raises(UsageError) as caught,
        explained("counting", as_user),
        transaction(conn),
    ):
        execute(conn, "SELECT * FROM secured")
    assert caught.value.id == "M311"
    assert "secured" in caught.value.what
    assert 'ALTER ROLE "us%s er" BYPASSRLS' in caught.value.cure


def test_without_a_second_connection_the_cure_is_only_less_exact(
    as_user: Callable[[], Connection],
) -> None:
    """The object is named, the role and the exact rights are not."""
    with closing(as_user()) as conn:
        with pytest.raises(UsageError) as caught, explained("copying"), transaction(conn):
            execute(conn, 'INSERT INTO "T %s" VALUES (1)')
    assert caught.value.id == "M306"
    assert '"T %s"' in caught.value.cure
