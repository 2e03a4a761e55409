"""Revisions, each run alone in one transaction, and what is said when one cannot be run."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from migrator.database import inventory, revisions
from migrator.database.connect import Connection, Database
from migrator.database.revision_files import declared
from migrator.database.session import execute, rows, value
from migrator.model.errors import (
    ConfigurationError,
    MigratorError,
    RefusedError,
    UsageError,
    WorldError,
)

ENVIRONMENT = Path(__file__).parents[2] / "revisions" / "env.py"
LINES = {"a1": None, "a2": "a1", "a3": "a2"}

Write = Callable[[str, str, str], None]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Make a directory of revisions with a dirty name and our env.py."""
    made = tmp_path / "my %s (revisions)"
    (made / "versions").mkdir(parents=True)
    shutil.copy(ENVIRONMENT, made)
    return made


@pytest.fixture
def write(directory: Path) -> Write:
    """Write one revision of change `one`, in its line."""

    def one(name: str, up: str, down: str) -> None:
        text = f'''
            """Revision {name} of 100%."""
            from alembic import op
            from alembic.util import CommandError
            revision = "{name}"
            down_revision = {LINES[name]!r}
            branch_labels = {("one",) if LINES[name] is None else None!r}
            depends_on = None
            '''
        body = f"\ndef upgrade():\n    {up}\n\ndef downgrade():\n    {down}\n"
        (directory / "versions" / f"{name}.py").write_text(textwrap.dedent(text).lstrip() + body)

    return one


@pytest.fixture
def conn(database: str) -> Iterator[Connection]:
    """Connect to an empty database with the schema of the version table."""
    with closing(Database(url=database).connect()) as opened:
        execute(opened, "CREATE SCHEMA migrator")
        yield opened


def failed(database: str, directory: Path, revision: str = "a1") -> MigratorError:
    """Run a revision that fails and give the error."""
    with pytest.raises(MigratorError) as caught:
        revisions.upgrade(Database(url=database), directory, "one", revision)
    assert caught.value.cure
    return caught.value


def test_revisions_go_up_and_down_one_by_one(
    conn: Connection,
    database: str,
    directory: Path,
    write: Write,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exactly one is applied or undone, the version table follows, stdout stays clean."""
    write("a1", "op.execute('CREATE TABLE t (x int)'); print('chatter')", "op.execute('DROP TABLE t')")
    write("a2", "op.execute('CREATE TABLE u (x int)')", "op.execute('DROP TABLE u')")
    base, chain = Database(url=database), declared(directory, "one")
    before = inventory.objects(conn)
    assert revisions.applied(conn, chain) == set()
    revisions.upgrade(base, directory, "one", "a1")
    assert revisions.applied(conn, chain) == {"a1"}
    assert inventory.find(conn, "u") is None
    revisions.upgrade(base, directory, "one", "a2")
    assert revisions.applied(conn, chain) == {"a1", "a2"}
    assert revisions.heads(conn) == {"a2"}
    revisions.downgrade(base, directory, "one", "a2")
    assert revisions.heads(conn) == {"a1"}
    revisions.downgrade(base, directory, "one", "a1")
    assert revisions.heads(conn) == set()
    assert inventory.objects(conn) == before
    revisions.upgrade(base, directory, "one", "a1")
    assert inventory.find(conn, "t")
    assert capsys.readouterr().out == ""


def test_the_settings_hold_inside_and_parameters_arrive(
    conn: Connection, database: str, directory: Path, write: Write
) -> None:
    """A revision runs under our pins, its lock_timeout and the declared search_path."""
    write(
        "a1",
        "from alembic import context; p = context.config.attributes['parameters']['p']\n"
        "    op.execute(\"CREATE TABLE t AS SELECT current_setting('lock_timeout') AS l,"
        " current_setting('TimeZone') AS z,"
        " current_setting('transaction_isolation') AS i, '\" + p + \"' AS p\")",
        "pass",
    )
    execute(conn, "CREATE SCHEMA app")
    revisions.upgrade(Database(url=database, search_path="app"), directory, "one", "a1", {"p": "100%"}, 345)
    assert rows(conn, "SELECT * FROM app.t") == [("345ms", "UTC", "read committed", "100%")]


def test_changes_do_not_touch_each_other(conn: Connection, database: str, directory: Path, write: Write) -> None:
    """Undoing the base of one change leaves the other applied."""
    write("a1", "op.execute('CREATE TABLE t (x int)')", "op.execute('DROP TABLE t')")
    text = (directory / "versions" / "a1.py").read_text().replace('"a1"', '"b1"').replace("'one'", "'two'")
    (directory / "versions" / "b1.py").write_text(text.replace("TABLE t", "TABLE b"))
    base = Database(url=database)
    revisions.upgrade(base, directory, "one", "a1")
    revisions.upgrade(base, directory, "two", "b1")
    assert revisions.heads(conn) == {"a1", "b1"}
    revisions.downgrade(base, directory, "one", "a1")
    assert revisions.heads(conn) == {"b1"}
    assert inventory.find(conn, "b")


def test_a_revision_that_fails_leaves_nothing(conn: Connection, database: str, directory: Path, write: Write) -> None:
    """M201 has the SQLSTATE and the statement; what went before is rolled back."""
    write(
        "a1",
        "op.execute('CREATE TABLE t (x int)'); op.execute(\"ALTER TABLE nowhere ADD y text DEFAULT 'x%'\")",
        "pass",
    )
    error = failed(database, directory)
    assert (error.id, type(error)) == ("M201", WorldError)
    assert "42P01" in error.what
    assert "ALTER TABLE nowhere" in error.what
    assert "a1.py" in error.cure
    assert inventory.find(conn, "t") is None
    assert revisions.heads(conn) == set()


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ("CREATE TABLE t (x int)", "CREATE TABLE t (y int)"),
        ("CREATE TYPE t AS ENUM ()", "CREATE TYPE t AS ENUM ()"),
        ("CREATE TABLE t (x int)", "ALTER TABLE t ADD x int"),
        ("CREATE SCHEMA t", "CREATE SCHEMA t"),
        (
            "CREATE TABLE t (x int CONSTRAINT c CHECK (x > 0))",
            "ALTER TABLE t ADD CONSTRAINT c CHECK (x > 0)",
        ),
    ],
)
def test_what_is_there_already_is_refused(
    conn: Connection, database: str, directory: Path, write: Write, first: str, again: str
) -> None:
    """M202 for tables, types, columns, schemas and constraints."""
    execute(conn, first)
    write("a1", f"op.execute({again!r})", "pass")
    error = failed(database, directory)
    assert (error.id, type(error)) == ("M202", RefusedError)


@pytest.mark.parametrize(
    "raises",
    ["CommandError('set p = 100%')", "RuntimeError('set p = 100%')", "KeyError('set p = 100%')"],
)
def test_a_revision_may_refuse_by_itself(
    database: str, conn: Connection, directory: Path, write: Write, raises: str
) -> None:
    """M203 hands its message on."""
    assert conn
    write("a1", f"raise {raises}", "pass")
    error = failed(database, directory)
    assert (error.id, type(error)) == ("M203", UsageError)
    assert "set p = 100%" in error.what


def test_an_environment_that_runs_nothing_is_found(
    conn: Connection, database: str, directory: Path, write: Write
) -> None:
    """M203 instead of a success that was none."""
    assert conn
    write("a1", "pass", "pass")
    (directory / "env.py").write_text("")
    error = failed(database, directory)
    assert error.id == "M203"
    assert "env.py" in error.what


def test_a_lock_that_is_not_got_can_be_retried(conn: Connection, database: str, directory: Path, write: Write) -> None:
    """It leaves as the error of psycopg which the retries know, soon, and nothing is applied."""
    execute(conn, "CREATE TABLE t (x int)")
    write("a1", "op.execute('ALTER TABLE t ADD y int')", "pass")
    with conn.transaction():
        conn.execute("SELECT * FROM t")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            revisions.upgrade(Database(url=database), directory, "one", "a1", lock_timeout_ms=20)
    assert revisions.heads(conn) == set()
    revisions.upgrade(Database(url=database), directory, "one", "a1", lock_timeout_ms=20)


def test_revisions_take_turns(conn: Connection, database: str, directory: Path, write: Write) -> None:
    """M208 for one that is applied, one that comes too early, one that is not the last."""
    assert conn
    base = Database(url=database)
    for name in LINES:
        write(name, "pass", "op.execute('SELECT 1')")
    assert failed(database, directory, "a2").id == "M208"
    revisions.upgrade(base, directory, "one", "a1")
    assert failed(database, directory, "a1").id == "M208"
    assert failed(database, directory, "a3").id == "M208"
    revisions.upgrade(base, directory, "one", "a2")
    with pytest.raises(RefusedError) as caught:
        revisions.downgrade(base, directory, "one", "a1")
    assert caught.value.id == "M208"


def test_a_revision_without_a_way_back_is_not_undone(
    conn: Connection, database: str, directory: Path, write: Write
) -> None:
    """M206 instead of an undo that undoes nothing."""
    write("a1", "op.execute('CREATE TABLE t (x int)')", "pass")
    revisions.upgrade(Database(url=database), directory, "one", "a1")
    with pytest.raises(ConfigurationError, match="no downgrade") as caught:
        revisions.downgrade(Database(url=database), directory, "one", "a1")
    assert caught.value.id == "M206"
    assert revisions.heads(conn) == {"a1"}


def test_unknown_names_are_refused(database: str, directory: Path, write: Write) -> None:
    """M204 for a change and for a revision of it."""
    write("a1", "pass", "pass")
    assert failed(database, directory, "zz").id == "M204"
    with pytest.raises(ConfigurationError) as caught:
        revisions.upgrade(Database(url=database), directory, "none", "a1")
    assert caught.value.id == "M204"


def test_a_server_that_is_down_is_said_so(directory: Path, write: Write) -> None:
    """The words of a failed connection come through SQLAlchemy unharmed."""
    write("a1", "pass", "pass")
    assert failed("postgresql://u:secret@127.0.0.1:1/x", directory).id == "M302"


def test_the_sql_is_written_without_a_database(directory: Path, write: Write) -> None:
    """What plan shows is the revision's SQL alone, in either direction, with its percent signs."""
    write("a1", "op.execute(\"CREATE TABLE t (x text DEFAULT '100%')\")", "op.execute('DROP TABLE t')")
    write("a2", "op.execute('CREATE TABLE u (x int)')", "op.execute('DROP TABLE u')")
    assert revisions.offline_sql(directory, "one", "a1") == "CREATE TABLE t (x text DEFAULT '100%');\n"
    assert revisions.offline_sql(directory, "one", "a2") == "CREATE TABLE u (x int);\n"
    assert revisions.offline_sql(directory, "one", "a1", direction="down") == "DROP TABLE t;\n"
    assert revisions.offline_sql(directory, "one", "a2", {}, "down") == "DROP TABLE u;\n"


def test_without_a_version_table_nothing_is_applied(database: str) -> None:
    """Reading works before the ledger is installed, and creates nothing."""
    with closing(Database(url=database).connect()) as conn:
        assert revisions.heads(conn) == set()
        assert revisions.applied(conn, []) == set()
        assert value(conn, "SELECT to_regnamespace('migrator')") is None
