"""Our own PostgreSQL under the worst treatment: killed, orphaned, started by root and by nobody."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from migrator.model.errors import ServerError
from migrator.servers import Postgres, accounts, binaries, cluster, find, find_all, processes

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
AS_ROOT = os.geteuid() == 0
# Root has three ways to run PostgreSQL, of which the first that works is taken; others have one.
WAYS = range(3 if AS_ROOT else 1)


def ask(url: str, query: str) -> object:
    """Connect, ask for one value, and go."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        row = connection.execute(query).fetchone()
    return row[0] if row else None


def run(url: str, *statements: str) -> None:
    """Connect, run statements, and go."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def only_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Leave the launcher one of its ways to run PostgreSQL."""
    every = accounts.ways
    monkeypatch.setattr(accounts, "ways", lambda *args: itertools.islice(every(*args), request.param, None))
    return int(request.param)


@pytest.fixture
def data() -> Iterator[Path]:
    """Make a place for a data directory that every account can reach."""
    home = accounts.make_home()
    home.chmod(0o755)
    yield home / "data"
    shutil.rmtree(home)


class TestStart:
    """Starting."""

    def test_every_installation(self) -> None:
        """Every PostgreSQL of this machine starts and answers as the version it claims to be."""
        for installed in find_all():
            with Postgres.start(installed) as server:
                major = int(str(ask(server.url(), "SHOW server_version_num"))) // 10_000
                assert major == installed.major == server.major

    def test_settings(self, killable: Postgres) -> None:
        """A commit is always answered after it is written; flushing to disk is left out."""
        assert ask(killable.url(), "SHOW synchronous_commit") == "on"
        assert ask(killable.url(), "SHOW fsync") == "off"
        assert ask(killable.url(), "SHOW full_page_writes") == "off"
        assert ask(killable.url(), "SHOW listen_addresses") == "127.0.0.1"

    def test_durable(self) -> None:
        """A durable server flushes to disk, and settings of the caller are taken over."""
        with Postgres.start(durable=True, settings={"wal_level": "logical"}) as server:
            assert ask(server.url(), "SHOW fsync") == "on"
            assert ask(server.url(), "SHOW full_page_writes") == "on"
            assert ask(server.url(), "SHOW wal_level") == "logical"

    def test_environment_is_no_setting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Variables of libpq that point to another server do not reach ours."""
        for name, value in (("PGPORT", "1"), ("PGDATA", "/nowhere"), ("PGDATESTYLE", "German")):
            monkeypatch.setenv(name, value)

        with Postgres.start() as server:
            monkeypatch.undo()  # the client of this test reads them as well
            assert ask(server.url(), "SHOW datestyle") == "ISO, MDY"

    def test_failure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A server that cannot start says why in the words of PostgreSQL, and leaves nothing."""
        home = accounts.make_home()
        monkeypatch.setattr(accounts, "make_home", lambda: home)

        with pytest.raises(ServerError, match=r"(?s)M325 .*invalid value.*shared_buffers"):
            Postgres.start(settings={"shared_buffers": "many"})

        assert not home.exists()

    def test_port_was_taken(self, killable: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
        """When somebody else is quicker at a port, another one is tried."""
        taken = psycopg.conninfo.conninfo_to_dict(killable.url())["port"]
        ports = iter([int(str(taken)), cluster.free_port()])
        monkeypatch.setattr(cluster, "free_port", lambda: next(ports))

        with Postgres.start() as server:
            assert ask(server.url(), "SELECT 1") == 1
            assert server.url() != killable.url()

    def test_given_port(self) -> None:
        """A port that is asked for is used."""
        port = cluster.free_port()

        with Postgres.start(port=port) as server:
            assert ask(server.url(), "SHOW port") == str(port)

    def test_from_a_thread(self) -> None:
        """A server outlives the thread that has started it."""
        started: list[Postgres] = []
        thread = threading.Thread(target=lambda: started.append(Postgres.start()))
        thread.start()
        thread.join()

        with started.pop() as server:
            assert ask(server.url(), "SELECT 1") == 1

    def test_out_of_reach_of_the_terminal(self, killable: Postgres) -> None:
        """Ctrl-C at the terminal does not reach the server."""
        assert killable.pid is not None
        assert os.getsid(killable.pid) != os.getsid(0)


class TestKill:
    """SIGKILL and what is there afterwards."""

    def test_committed_rows_are_back(self, killable: Postgres) -> None:
        """All that was committed survives; the row of the open transaction does not."""
        run(killable.url(), "CREATE TABLE t (n int)")
        with closing(psycopg.connect(killable.url())) as connection:
            for n in range(1000):
                connection.execute("INSERT INTO t VALUES (%s)", [n])
                connection.commit()
            connection.execute("INSERT INTO t VALUES (-1)")
            killable.kill()

        killable.restart()

        assert ask(killable.url(), "SELECT array_agg(n ORDER BY n) FROM t") == [*range(1000)]

    def test_nothing_runs_on(self, killable: Postgres) -> None:
        """Nothing of the server runs on, not even a backend in the middle of a long query."""
        with closing(psycopg.connect(killable.url(), autocommit=True)) as connection:
            spinner = threading.Thread(target=spin, args=[connection])
            spinner.start()
            spinning = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO%'"
            assert processes.until(lambda: ask(killable.url(), spinning) == 1, seconds=30)
            assert killable.pid is not None
            family = [killable.pid, *processes.children(killable.pid)]

            killable.kill()
            survivors = list(filter(processes.alive, family))
            put_down(*survivors)
            spinner.join()

        assert len(family) > 1
        assert survivors == []
        assert killable.pid is None

    def test_same_address(self, killable: Postgres) -> None:
        """The address is the same after a kill, after a stop, and after a plain restart."""
        url = killable.url()
        for end in (killable.kill, killable.stop, lambda: None):
            end()
            killable.restart()
            assert killable.url() == url
            assert ask(url, "SELECT 1") == 1

    def test_killed_by_somebody_else(self, killable: Postgres) -> None:
        """A server whose postmaster somebody else has killed starts again."""
        run(killable.url(), "CREATE TABLE t ()")
        assert killable.pid is not None
        os.kill(killable.pid, signal.SIGKILL)

        assert processes.until(lambda: killable.pid is None, seconds=30)
        killable.restart()

        assert ask(killable.url(), "SELECT count(*) FROM t") == 0


class TestEnd:
    """What is left when a server is gone."""

    @pytest.mark.parametrize("end", ["stop", "kill"])
    def test_nothing_is_left(self, end: str) -> None:
        """No process, no zombie, no directory and no shared memory."""
        with Postgres.start() as server:
            assert server.pid is not None
            family = [server.pid, *processes.children(server.pid)]
            lock = cluster.read_lock(server.data)
            getattr(server, end)()

        zombies = [pid for pid in processes.children(os.getpid()) if pid in family]
        assert [] == [pid for pid in family if processes.alive(pid)] == zombies
        assert not server.data.parent.exists()
        assert lock is not None
        assert lock.shared_memory not in shared_memory()

    def test_given_directory_stays(self, data: Path) -> None:
        """A data directory that was given stays, and a later server finds its rows."""
        with Postgres.start(data=data) as server:
            run(server.url(), "CREATE TABLE t AS SELECT 7 AS n")
        with Postgres.start(data=data) as server:
            assert ask(server.url(), "SELECT n FROM t") == 7
            server.kill()
            server.close()  # which the end of the block does once more
        assert data.joinpath("PG_VERSION").exists()

    def test_directory_of_another_major(self, data: Path) -> None:
        """A data directory of another major version is refused before anything touches it."""
        data.mkdir()
        (data / "PG_VERSION").write_text("12\n")

        with pytest.raises(ServerError, match=r"M327 .*PostgreSQL 12"):
            Postgres.start(data=data)

        assert [path.name for path in data.iterdir()] == ["PG_VERSION"]

    @pytest.mark.parametrize("only_way", WAYS, indirect=True)
    def test_dies_with_its_parent(self, only_way: int) -> None:
        """A server goes down with the process that started it, even when that is killed."""
        script = (
            "import itertools, sys; from migrator.servers import Postgres, accounts;"
            "every = accounts.ways;"
            f"accounts.ways = lambda *a: itertools.islice(every(*a), {only_way}, None);"
            "s = Postgres.start(); print(s.pid, s.data, flush=True); sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        ) as parent:
            assert parent.stdout is not None
            pid, data = parent.stdout.readline().split()
            assert processes.alive(int(pid))
            parent.kill()

        died = processes.until(lambda: not processes.alive(int(pid)), seconds=30)
        put_down(*(() if died else (int(pid), *processes.children(int(pid)))))
        shutil.rmtree(Path(data).parent)
        assert died


class TestAccounts:
    """Root and nobody."""

    @pytest.mark.parametrize("only_way", WAYS, indirect=True)
    def test_every_way(self, only_way: int, data: Path) -> None:
        """Each way to run PostgreSQL runs it, and changes the rights of no directory above."""
        before = rights([*find().directory.parents, *data.parents])

        with Postgres.start(data=data) as server:
            assert ask(server.url(), "SELECT 1") == 1
            server.kill()
            server.restart()
            assert ask(server.url(), "SELECT 1") == 1

        assert before == rights([*find().directory.parents, *data.parents])
        if only_way > 0:
            assert data.stat().st_uid != 0

    def test_plain_user(self) -> None:
        """A user without any rights gets a server, or is told what he may not run."""
        python, directory = python_for_nobody(), binaries_for_nobody()
        answer = as_nobody(python or sys.executable, directory or Path("/nonexistent"))

        if python and directory:
            assert answer == f"started from {directory}"
        else:
            assert answer.startswith("M323" if directory else "M321")


def spin(connection: psycopg.Connection) -> None:
    """Keep a backend busy with what it never looks up from."""
    with pytest.raises(psycopg.OperationalError):
        connection.execute("DO $$ BEGIN LOOP END LOOP; END $$")


def put_down(*pids: int) -> None:
    """Kill what a failed test would leave behind."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def rights(paths: list[Path]) -> list[tuple[Path, int, int, int]]:
    """Read who owns what, and who may do what there."""
    stats = [(path, path.stat()) for path in paths]
    return [(path, stat.st_mode, stat.st_uid, stat.st_gid) for path, stat in stats]


def shared_memory() -> set[int]:
    """List the shared memory segments of this machine, where it shows them."""
    table = Path("/proc/sysvipc/shm")
    lines = table.read_text().splitlines()[1:] if table.exists() else []
    return {int(line.split()[1]) for line in lines}


AS_NOBODY = """
import os, sys
from migrator.model.errors import ServerError
from migrator.servers import Postgres
user, group, python = sys.argv[1:]
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(int(group))
    os.setuid(int(user))
sys.executable = python
try:
    with Postgres.start() as server:
        print("started from", server.binaries.directory)
except ServerError as error:
    print(error)
"""


def as_nobody(python: str, directory: Path) -> str:
    """Start a server as a user without rights; our own modules are read before we become him."""
    nobody = pwd.getpwnam("nobody")
    command = [sys.executable, "-c", AS_NOBODY, str(nobody.pw_uid), str(nobody.pw_gid), python]
    environment = {**os.environ, binaries.BINDIR_VARIABLE: str(directory)}
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def open_to_nobody(program: str | Path) -> bool:
    """Try whether a user without rights can run a program (any user, when we are one)."""
    user = "nobody" if AS_ROOT else None
    groups: list[str] | None = [] if AS_ROOT else None
    try:
        subprocess.run([program, "--version"], user=user, extra_groups=groups, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def python_for_nobody() -> str | None:
    """Find a Python that a user without rights can run: ours, or another on the PATH."""
    names = [sys.executable, *(shutil.which("python3", path=p) for p in os.get_exec_path())]
    return next((name for name in names if name and open_to_nobody(name)), None)


def binaries_for_nobody() -> Path | None:
    """Find a PostgreSQL that a user without rights can run."""
    directories = [found.directory for found in find_all()]
    return next((path for path in directories if open_to_nobody(path / "postgres")), None)
