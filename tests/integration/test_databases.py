"""The databases and the options of the tests themselves."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest

from tests.support.databases import Databases, as_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.databases import Server

    RunPytest = Callable[..., subprocess.CompletedProcess[str]]
    From = Callable[[str, Callable[[str], object]], str]

ROOT = Path(__file__).parents[2]
A_TEST = """
import pytest

def test_short(database):
    pass

@pytest.mark.soak
def test_long(database):
    pass
"""
A_TEST_OF_VERSIONS = """
import psycopg
import pytest

@pytest.mark.every_server
def test_major(database, killable, server, request):
    assert f"[on {server.major}]" in request.node.name
    for url in (database, killable.url()):
        with psycopg.connect(url) as conn:
            assert server.major == conn.info.server_version // 10_000

@pytest.mark.every_server
def test_copies(database_from):
    database_from("name", lambda url: None)

def test_first(database, server):
    assert 16 == server.major
"""


@pytest.fixture
def run_pytest(tmp_path: Path) -> RunPytest:
    """Run a pytest of its own, with our options, over one short and one long test."""
    (tmp_path / "test_it.py").write_text(A_TEST)
    (tmp_path / "pytest.ini").write_text(f"[pytest]\nmarkers = soak\npythonpath = {ROOT}\n")

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "tests.conftest", *arguments, str(tmp_path)],
            cwd=ROOT,
            env={**inherited, "MIGRATOR_TEST_PG": "", **variables},
            check=False,
            capture_output=True,
            text=True,
        )

    return run


class Engine(BaseHTTPRequestHandler):
    """A Docker engine that answers a ping and can do nothing else."""

    def do_GET(self) -> None:
        """Say that the engine is there, and fail at all else."""
        lives = self.path.endswith(("/version", "/_ping"))
        body = b'{"ApiVersion": "1.47"}' if lives else b'{"message": "no"}'
        self.send_response(200 if lives else 500)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def engine() -> Iterator[str]:
    """Run such an engine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Engine) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"tcp://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    """Run one statement on a connection of its own."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def name_of_a_run() -> str:
    """Name a run that is not this one."""
    return f"another_{uuid4().hex[:8]}"


TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
OURS = "SELECT datname FROM pg_database WHERE datname LIKE '{}%'"


class TestDatabases:
    """What tests work in."""

    def test_empty(self, database: str) -> None:
        """A test's database is empty and its own."""
        assert execute(database, TABLES) == []

    def test_dropped_while_in_use(self, server: Server) -> None:
        """A database is dropped at the end of its test, with a connection left open on it."""
        with Databases(server, name_of_a_run()).fresh() as url:
            left_open = psycopg.connect(url)

        name = left_open.info.dbname
        assert execute(server.url(), OURS.format(name)) == []
        left_open.close()

    def test_copies_of_a_template(self, server: Server) -> None:
        """A template is built once in a run, by whichever process; each copy has its rows, and no row of another."""
        built: list[str] = []

        def build(url: str) -> None:
            built.append(url)
            execute(url, "CREATE TABLE t AS SELECT 1 AS n")

        run = name_of_a_run()
        with ThreadPoolExecutor() as processes, ExitStack() as stack, closing(Databases(server, run)):
            made = [Databases(server, run) for _ in range(2)]
            names = list(processes.map(lambda one: one.template("one table, one row", build), made))
            first, second = (stack.enter_context(made[0].fresh(name)) for name in names)
            execute(first, "INSERT INTO t VALUES (2)")

            assert len(built) == 1
            assert execute(first, "SELECT n FROM t ORDER BY n") == [(1,), (2,)]
            assert execute(second, "SELECT n FROM t") == [(1,)]

    def test_template_in_use(self, database_from: From) -> None:
        """A connection that the builder has left open does not hinder the copies."""
        left_open: list[psycopg.Connection] = []
        copy = database_from("a connection left open", lambda url: left_open.append(psycopg.connect(url)))

        assert execute(copy, TABLES) == []
        left_open.pop().close()

    def test_failed_build(self, server: Server) -> None:
        """A template that could not be built is gone, and is built anew when asked for again."""
        databases = Databases(server, name_of_a_run())
        with pytest.raises(ZeroDivisionError):
            databases.template("broken", lambda _: 1 // 0)

        name = databases.template("broken", lambda _: None)
        assert execute(server.url(), OURS.format(name)) == [(name,)]

        databases.close()
        assert execute(server.url(), OURS.format(name)) == []

    def test_address_forms(self) -> None:
        """Both forms of a connection string are understood."""
        assert as_url("postgresql://a@b/c") == "postgresql://a@b/c"
        assert (
            as_url("host=/run/pg user=me dbname='a b' password=p&q")
            == "postgresql:///a%20b?user=me&password=p%26q&host=%2Frun%2Fpg"
        )


class TestOptions:
    """`--pg` and `--soak`."""

    def test_given_server(self, run_pytest: RunPytest, server: Server) -> None:
        """A server that is given is used, by the workers of xdist too, and the header says so."""
        done = run_pytest("--pg", server.address, "-n2")

        assert "database: PostgreSQL" in done.stdout
        assert "given by --pg" in done.stdout
        assert "1 passed" in done.stdout

    def test_no_server(self, run_pytest: RunPytest) -> None:
        """Without any server nothing is skipped: the run ends with 3 and the reasons."""
        done = run_pytest(MIGRATOR_TEST_PG="auto", MIGRATOR_PG_BINDIR="/nowhere", DOCKER_HOST="unix:///nowhere")

        assert done.returncode == 3
        assert "no PostgreSQL for the tests" in done.stdout + done.stderr
        assert "container: no Docker engine answers" in done.stdout + done.stderr
        assert "embedded: M321" in done.stdout + done.stderr

    def test_a_version_that_cannot_be_had(self, run_pytest: RunPytest, tmp_path: Path) -> None:
        """A version that is not on this machine and cannot be fetched ends the run: it is never skipped."""
        (tmp_path / "path").mkdir()
        away = {"PATH": str(tmp_path / "path"), "XDG_CACHE_HOME": str(tmp_path), "DOCKER_HOST": "unix:///nowhere"}
        done = run_pytest("--servers", "18,17,no", **away)

        assert done.returncode == 3
        assert "PostgreSQL 17 is not on this machine, and was not fetched: there is no npm" in done.stdout + done.stderr

    @pytest.mark.soak
    def test_each_version(self, run_pytest: RunPytest, tmp_path: Path) -> None:
        """What is marked `every_server` runs on each version, all else on the first; both servers are named."""
        (tmp_path / "test_it.py").write_text(A_TEST_OF_VERSIONS)
        done = run_pytest("--pg", "embedded", "--servers", "16,18", "-n2", "-v")

        assert "5 passed" in done.stdout
        assert ["database: PostgreSQL 16", "database: PostgreSQL 18"] == [
            line.partition(".")[0] for line in done.stdout.splitlines() if line.startswith("database:")
        ]

    @pytest.mark.soak
    def test_container_that_cannot_start(self, run_pytest: RunPytest, engine: str) -> None:
        """A container that an engine cannot start gives way to a server of our own, and says so."""
        done = run_pytest("--pg", "container", DOCKER_HOST=engine)

        assert "database: PostgreSQL" in done.stdout
        assert "embedded (" in done.stdout
        assert "container: postgres:18-alpine did not start" in done.stdout
        assert "1 passed" in done.stdout

    def test_unreachable_server(self, run_pytest: RunPytest) -> None:
        """A given server that does not answer is never replaced by another one."""
        done = run_pytest("--pg", "postgresql://nobody@127.0.0.1:1/x")

        assert done.returncode == 3

    @pytest.mark.soak
    def test_soak(self, run_pytest: RunPytest, server: Server) -> None:
        """Long tests are deselected, not skipped, until `--soak` asks for them."""
        assert "1 passed, 1 deselected" in run_pytest("--pg", server.address).stdout
        assert "2 passed" in run_pytest("--pg", server.address, "--soak").stdout
