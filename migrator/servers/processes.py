"""Starting, watching and killing the processes of a server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from migrator.model.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from migrator.servers.accounts import Account

# Read now: who gives up his rights later may not be allowed to read our files any more.
CHILD = Path(__file__).with_name("child.py").read_text(encoding="utf-8")
PROC = Path("/proc")
POLL = 0.01


def spawn(
    account: Account,
    command: Sequence[str],
    *,
    output: IO[bytes],
    directory: Path,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program that ends when this process ends, and leaves no zombie when it ends first.

    The kernel ties a child to the *thread* that forked it. Each child therefore has a thread of
    its own, which waits for it: the thread ends when the child has, or with the whole process.
    """
    started: Future[subprocess.Popen[bytes]] = Future()
    arguments = [*_through_child(account), *command]

    def keep() -> None:
        try:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env={**(os.environ if environment is None else environment), "LC_ALL": "C"},  # we read what it says
                start_new_session=True,  # Ctrl-C at the terminal is for us, not for the server
            )
        except OSError as error:
            started.set_exception(_cannot_start(error))
            return
        started.set_result(process)
        process.wait()

    threading.Thread(target=keep, name=f"keeper of {command[0]}", daemon=True).start()
    return started.result()


def _through_child(account: Account) -> list[str]:
    """Begin a command line: our Python runs `child.py`, which becomes what follows."""
    python = [sys.executable, "-I", "-S", "-c", CHILD]
    return [*python, account.how, str(account.uid), str(account.gid), str(os.getpid())]


def _cannot_start(error: OSError) -> ServerError:
    """Explain that this user may not even run the Python he runs in."""
    return ServerError(
        "M323",
        f"no process can be started with {sys.executable or 'an unknown Python'}: {error.strerror}",
        "Run with a Python that this user may read and execute.",
    )


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children with SIGKILL, and return when none of them is left.

    It is stopped first: a postmaster that sees a child die would begin to recover.
    """
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGSTOP)
    until(lambda: _state(process.pid) in {"T", "Z", ""}, seconds=30)
    family = [process.pid, *children(process.pid)]
    for pid in family:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    if not until(lambda: not any(map(alive, family)), seconds=30):
        raise ServerError(
            "M326",
            f"processes of the server outlived SIGKILL: {[pid for pid in family if alive(pid)]}",
            "They hang in the kernel, usually on a disk that does not answer; look at it first.",
        )


def children(parent: int) -> list[int]:
    """List the processes whose parent this is."""
    return [pid for pid, ppid, _ in _table() if ppid == parent]


def alive(pid: int) -> bool:
    """Say whether a process runs; a zombie that nobody reaps does not."""
    return _state(pid) not in {"Z", ""}


def _state(pid: int) -> str:
    """Read the state of a process as `ps` shows it; empty when there is none."""
    return next((state for entry, _, state in _table(pid) if entry == pid), "")


def until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Wait for a condition; False when it did not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True


def _table(pid: int | None = None) -> list[tuple[int, int, str]]:
    """Read the process table, or one entry of it: process, parent, state."""
    if PROC.joinpath("self").exists():
        entries = map(_read_stat, [PROC / str(pid)] if pid else PROC.glob("[0-9]*"))
        return [entry for entry in entries if entry]
    which = ["-p", str(pid)] if pid else ["-A"]
    command = ["ps", *which, "-o", "pid=,ppid=,stat="]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    rows = (line.split() for line in lines.splitlines())
    return [(int(pid), int(ppid), state[0]) for pid, ppid, state, *_ in rows]


def _read_stat(directory: Path) -> tuple[int, int, str] | None:
    """Read one entry of /proc, unless it has just gone."""
    try:
        text = directory.joinpath("stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, parent = text.rpartition(")")[2].split()[:2]  # the name before may hold anything
    return int(directory.name), int(parent), state
