"""A data directory of PostgreSQL: how it is made, what a server on it is told, what it says."""

from __future__ import annotations

import random
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from migrator.model.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from migrator.servers.binaries import Binaries

HOST = "127.0.0.1"
# Below the range from which systems take the ports of outgoing connections: such a connection
# could otherwise sit on our port while the server is down for a restart.
PORTS = range(15_000, 32_000)

DEFAULTS = {
    "timezone": "UTC",
    "log_timezone": "UTC",
    # In files of the data directory: /dev/shm is small in containers, and a killed server leaves
    # its segments there.
    "dynamic_shared_memory_type": "mmap",
}
FAST = {"fsync": "off", "full_page_writes": "off"}
# With `off`, a COMMIT is answered before anything has left the process, and a kill loses rows.
KEPT = {"synchronous_commit": "on", "lc_messages": "C", "listen_addresses": HOST}


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """What `postmaster.pid` says: who runs on the data directory, and how far he is."""

    pid: int
    shared_memory: int | None
    ready: bool


def initdb_arguments(data: Path, *, durable: bool) -> list[str]:
    """Say how a data directory is made; the same flags do from PostgreSQL 13 on."""
    sync = [] if durable else ["--no-sync"]
    return [*("-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"), *sync]


def server_arguments(data: Path, *, port: int, sockets: Path, durable: bool, settings: Mapping[str, str]) -> list[str]:
    """Say how a server on a data directory is started; what crash tests rest on is not for sale."""
    kept = {**KEPT, "port": str(port), "unix_socket_directories": str(sockets)}
    if fixed := kept.keys() & settings.keys():
        raise ValueError(f"fixed for every server of ours: {', '.join(sorted(fixed))}")
    every = {**DEFAULTS, **({} if durable else FAST), **settings, **kept}
    return ["-D", str(data), *(f"--{name}={value}" for name, value in every.items())]


def check_version(data: Path, binaries: Binaries) -> bool:
    """Say whether there is a data directory already; refuse one of another major version."""
    version = data / "PG_VERSION"
    if not version.exists():
        return False
    if (made_by := version.read_text(encoding="utf-8").strip()) != str(binaries.major):
        raise ServerError(
            "M327",
            f"the data directory {data} was made by PostgreSQL {made_by}, and the binaries in"
            f" {binaries.directory} are of {binaries.version}",
            f"Point MIGRATOR_PG_BINDIR to the bin directory of a PostgreSQL {made_by}.",
        )
    return True


def read_lock(data: Path) -> Lock | None:
    """Read `postmaster.pid`; None while it is absent or half written.

    Line 1 is the process, line 7 the key and the id of its shared memory, line 8 the state.
    """
    try:
        text = (data / "postmaster.pid").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    lines = [line.strip() for line in text.split("\n")] + [""] * 8
    if not lines[0].isdecimal():
        return None
    segment = re.fullmatch(r"\d+ +(\d+)", lines[6])
    return Lock(
        pid=int(lines[0]),
        shared_memory=int(segment[1]) if segment else None,
        ready=lines[7] in {"ready", "standby"},
    )


def left_in_memory(data: Path, pid: int) -> int | None:
    """Name the shared memory segment that a server left in the kernel when it was killed.

    It is small, but a system has room for about four thousand, and crash tests kill often.
    """
    lock = read_lock(data)
    return lock.shared_memory if lock and lock.pid == pid else None


def free_port() -> int:
    """Find a port that nobody listens on at this moment."""
    for port in random.SystemRandom().sample(PORTS, k=100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if probe.connect_ex((HOST, port)) != 0:
                return port
    raise ServerError("M328", f"no port of {HOST} is free", "Stop what listens on all of them.")
