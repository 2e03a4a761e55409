"""Runs with objects that kill themselves at a chosen point: before or after any statement or request of theirs."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[2]

# A process that forks another one for each line `verb point`, which applies or rolls back and is killed at that point;
# at no point where it is 0, and then it tells how many there were.
LAUNCHER = """
import itertools, os, signal, sys, threading

import boto3, psycopg
from migrator.engine.objects import Store, claims
from migrator.ledger import lease
from migrator.workflow import undoing, use_cases
from migrator.workflow.desk import open_desk

path, url, params = sys.argv[1], sys.argv[2], dict(one.split("=") for one in sys.argv[3:])
claims.SIZE = 5
lease.SILENCE_OF_THE_DEAD = 0.3  # nobody else is alive
passed, lock = itertools.count(1), threading.Lock()

def watched(act, at):
    def watching(*given, **more):
        pass_by(at)
        done = act(*given, **more)
        pass_by(at)
        return done
    return watching

def pass_by(at):
    with lock:
        if next(passed) == at:
            os.kill(os.getpid(), signal.SIGKILL)

def work(verb, at):
    psycopg.Connection.execute = watched(psycopg.Connection.execute, at)
    Store.call = watched(Store.call, at)
    desk = open_desk("moving", config=path, url=url, params=params)
    if verb == "apply":
        use_cases.apply(desk, listen=lambda event: None)
    else:
        undoing.rollback(desk, listen=lambda event: None)

for line in sys.stdin:
    verb, at = line.split()
    child = os.fork()
    if not child:
        try:
            work(verb, int(at))
        except BaseException as error:
            print("failed", repr(error).replace(chr(10), " "), flush=True)
            os._exit(1)
        print("ended", next(passed) - 1, flush=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        print("killed", os.WTERMSIG(status), flush=True)
"""


class Runs:
    """Runs of one change, each in a process of its own."""

    def __init__(self, path: Path, url: str, **params: str) -> None:
        """Start what starts them."""
        command = [sys.executable, "-c", LAUNCHER, str(path), url, *(f"{name}={one}" for name, one in params.items())]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT)

    def __enter__(self) -> Self:
        """Hand it over."""
        return self

    def __exit__(self, *error: object) -> None:
        """Leave nothing behind."""
        self._process.kill()
        self._process.__exit__(*error)

    def run(self, verb: str, *, at: int = 0) -> int | None:
        """Apply or roll back, killed at a point; gives how many points there were where it was not."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{verb} {at}\n")
        self._process.stdin.flush()
        word, _, said = self._process.stdout.readline().strip().partition(" ")
        assert word in {"killed", "ended"}, said
        if word == "killed":
            assert int(said) == signal.SIGKILL
            return None
        return int(said)
