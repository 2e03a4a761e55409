"""Commands as processes of their own, with the seconds and the memory they took."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCRIPTS = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Finished:
    """A process that ended: its wall seconds and its peak memory in MB."""

    seconds: float
    megabytes: float


def migrator(url: str, *words: str) -> Finished:
    """Run the command line as a process of its own."""
    return process([str(SCRIPTS / "migrator"), *words], url)


def process(command: list[str], url: str) -> Finished:
    """Run a command to its end; it must succeed."""
    begun = time.monotonic()
    child = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "DATABASE_URL": url}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert child.stderr is not None
    peak, ended = [0.0], threading.Event()
    watching = threading.Thread(target=_watch, args=(child.pid, peak, ended))
    watching.start()
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - begun
    ended.set()
    watching.join()
    if status != 0:
        raise SystemExit(f"{' '.join(command)} failed: {said.decode()}")
    return Finished(seconds, peak[0] or usage.ru_maxrss / 1024)


def _watch(pid: int, peak: list[float], ended: threading.Event) -> None:
    """Keep the peak of memory as Linux tells it: rusage counts what the process was forked from as well."""
    while not ended.wait(0.2):
        with suppress(OSError):
            found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
            peak[0] = max(peak[0], int(found[1]) / 1024 if found else 0.0)


def timed(act: Callable[[], object]) -> float:
    """Say how many seconds an act takes."""
    begun = time.monotonic()
    act()
    return time.monotonic() - begun
