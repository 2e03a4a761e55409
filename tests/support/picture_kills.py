"""Runs with objects that kill themselves at a chosen point: before or after any statement or request of theirs."""

from __future__ import annotations

from pathlib import Path

from tests.support.forks import Forks

# For each line `verb point` applies or rolls back and is killed at that point; at no point where it is 0, and then it
# tells how many there were.
LAUNCHER = """
import itertools, signal, threading

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

def work(verb, point):
    at = int(point)
    psycopg.Connection.execute = watched(psycopg.Connection.execute, at)
    Store.call = watched(Store.call, at)
    desk = open_desk("moving", config=path, url=url, params=params)
    if verb == "apply":
        use_cases.apply(desk, listen=lambda event: None)
    else:
        undoing.rollback(desk, listen=lambda event: None)
    return next(passed) - 1

forking(work)
"""


class Runs(Forks):
    """Runs of one change, each in a process of its own."""

    def __init__(self, path: Path, url: str, **params: str) -> None:
        """Start what starts them."""
        super().__init__(LAUNCHER, str(path), url, *(f"{name}={one}" for name, one in params.items()))

    def run(self, verb: str, *, at: int = 0) -> int | None:
        """Apply or roll back, killed at a point; gives how many points there were where it was not."""
        self.ask(verb, at)
        word, said = self.answer()
        return None if word == "killed" else int(said)
