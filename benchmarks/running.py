"""Commands as processes of their own, with the seconds and the memory they took."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
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
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        raise SystemExit(f"{' '.join(command)} failed: {said.decode()}")
    return Finished(time.monotonic() - begun, usage.ru_maxrss / 1024)


def timed(act: Callable[[], object]) -> float:
    """Say how many seconds an act takes."""
    begun = time.monotonic()
    act()
    return time.monotonic() - begun
