"""A PostgreSQL of our own: started, killed, started again, and gone without a trace."""

from __future__ import annotations

import shutil
import signal
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from migrator.model.errors import ServerError
from migrator.servers import accounts, cluster, processes
from migrator.servers import binaries as installed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from migrator.servers.accounts import Place
    from migrator.servers.binaries import Binaries

STARTING = 60.0  # seconds, with the recovery after a crash
STOPPING = 30.0
PATIENCE = 5.0
# What another process did, and what passes: somebody was quicker at the port, or the last
# backend of a server that somebody else killed is still on its way out.
PASSING = ("could not create any TCP/IP sockets", "pre-existing shared memory block")


class Postgres:
    """One PostgreSQL server under our hands.

    A killed *process* loses no committed row, because `synchronous_commit` stays on; only
    `durable` also outlives a power cut. On Linux the server goes down when this process ends,
    however it ends; elsewhere only when it is stopped. Every user of this machine may connect to
    it as superuser, so it is a place for test and demo data.

    Leaving the `with` block stops the server and removes what it has made: the data directory
    too, unless it was given.
    """

    def __init__(
        self,
        place: Place,
        *,
        data: Path | None,
        durable: bool,
        settings: Mapping[str, str],
        port: int | None,
    ) -> None:
        """Prepare a server that does not run yet; `Postgres.start` is the way to one that does."""
        self._place = place
        self._data = data or place.home / "data"
        self._log = self._data.with_name(f"{self._data.name}.log")
        self._durable = durable
        self._settings = settings
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(
        cls,
        binaries: Binaries | None = None,
        data: Path | None = None,
        *,
        durable: bool = False,
        settings: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> Self:
        """Start a server on a new or given data directory, and return once it answers.

        `settings` are those of postgresql.conf. After a failure nothing runs, and nothing is left
        but the log beside a given data directory.
        """
        server = cls(
            accounts.find_place(binaries or installed.find()),
            data=data and data.absolute(),
            durable=durable,
            settings=settings or {},
            port=port,
        )
        with ExitStack() as failed:
            failed.callback(server.close)
            server.restart()
            failed.pop_all()
        return server

    def __enter__(self) -> Self:
        """Hand over the running server."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the server and remove what it has made."""
        self.close()

    @property
    def major(self) -> int:
        """The major version of the server."""
        return self.binaries.major

    @property
    def binaries(self) -> Binaries:
        """The installation that the server runs from."""
        return self._place.binaries

    @property
    def data(self) -> Path:
        """The data directory."""
        return self._data

    @property
    def pid(self) -> int | None:
        """The process of the postmaster, while it runs."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    def url(self, database: str = "postgres") -> str:
        """Write the address of one of the server's databases; it stays the same for life."""
        return f"postgresql://postgres@{cluster.HOST}:{self._port}/{quote(database, safe='')}"

    def program(self, name: str) -> Path:
        """Say where a program of the same version is, such as `pg_dump`."""
        return self.binaries.program(name)

    def log_tail(self, lines: int = 20) -> str:
        """Read the last lines of the server's log, over all its starts."""
        return "\n".join(self._logged().splitlines()[-lines:])

    def kill(self) -> None:
        """Kill the postmaster and everything of it with SIGKILL; on return nothing of it runs."""
        if self._process is not None:
            processes.kill_tree(self._process)

    def stop(self) -> None:
        """Shut down fast: what is open is rolled back, and what is committed is written out."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(STOPPING)
        except subprocess.TimeoutExpired:
            self.kill()

    def restart(self) -> None:
        """Start again on the same data and the same port, after `kill`, `stop` or neither."""
        self.stop()
        if not cluster.check_version(self._data, self.binaries):
            self._initdb()
        if not processes.until(self._launch, seconds=PATIENCE):
            raise self._failed("PostgreSQL did not start")

    def close(self) -> None:
        """Stop the server for good and remove what it has made; may be called twice."""
        self.stop()
        if self._process is not None:
            segment = cluster.left_in_memory(self._data, self._process.pid)
            if segment is not None:
                self._spawn("forget", str(segment)).wait()
            self._process = None
        shutil.rmtree(self._place.home, ignore_errors=True)

    def _initdb(self) -> None:
        """Make the data directory."""
        self._data.mkdir(mode=0o700, exist_ok=True)
        self._place.account.own(self._data)
        arguments = cluster.initdb_arguments(self._data, durable=self._durable)
        self._process = self._spawn(str(self.program("initdb")), *arguments)
        if self._process.wait() != 0:
            raise self._failed(f"initdb could not make {self._data}")

    def _launch(self) -> bool:
        """Start the server once; False when it could not for a reason that passes."""
        port = self._port or cluster.free_port()
        arguments = cluster.server_arguments(
            self._data,
            port=port,
            sockets=self._place.home,
            durable=self._durable,
            settings=self._settings,
        )
        said_before = len(self._logged())
        self._process = self._spawn(str(self.program("postgres")), *arguments)
        if self._comes_up(self._process):
            self._port = port
            return True
        self.kill()
        if any(reason in self._logged()[said_before:] for reason in PASSING):
            return False
        raise self._failed("PostgreSQL did not start")

    def _comes_up(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait until the server answers or has ended; say which of the two it was.

        The lock file of a killed server says `ready` as well, hence the look at the process.
        """

        def settled() -> bool:
            return process.poll() is not None or self._is_ready(process)

        return processes.until(settled, seconds=STARTING) and process.poll() is None

    def _is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        lock = cluster.read_lock(self._data)
        return lock is not None and lock.pid == process.pid and lock.ready

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a program as the account of the server; what it says goes to the log."""
        place = self._place
        with self._log.open("ab") as log:
            return processes.spawn(place.account, command, output=log, directory=place.home)

    def _logged(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def _failed(self, what: str) -> ServerError:
        """Explain a failure with the end of the log."""
        tail = self.log_tail() or "nothing was written to the log"
        return ServerError(
            "M325",
            f"{what} ({self.binaries.version}, {self.binaries.origin}): {tail}",
            "Read the end of the log above; a full disk and a directory that PostgreSQL may not"
            " write to are the usual causes.",
        )
