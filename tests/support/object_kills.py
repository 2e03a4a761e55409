"""Copies that are killed, and what must be true after."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from migrator.engine.objects import Pool
from migrator.model.objects import CopySettings, Outcome
from tests.support.objects import Objects, Place

ROOT = Path(__file__).resolve().parents[2]

# A process that forks another one for each line of numbers, which copies old/N to new/N, tells of each, and is killed
# when it has told of as many as the line begins with, while others are under way.
LAUNCHER = """
import os, signal, sys
from datetime import datetime
from migrator.engine.objects import Pool, Store
from migrator.model.objects import CopySettings, CopyTask, ObjectName, Storage

endpoint, bucket, since = sys.argv[1:]
store = Store.open(Storage(endpoint=endpoint, region="us-east-1"))

def task(number):
    source, target = (ObjectName(bucket, f"{side}/{number}") for side in ("old", "new"))
    return CopyTask(source=source, target=target, since=datetime.fromisoformat(since), reference=number)

def tell(word, number):
    os.write(1, f"{word} {number}\\n".encode())  # at once, or not at all

def copy(most, *numbers):
    for told, one in enumerate(Pool(store, CopySettings(workers=8)).copy(map(task, numbers)), 1):
        tell("copied", one.task.reference)
        if told == most:
            os.kill(os.getpid(), signal.SIGKILL)

for line in sys.stdin:
    child = os.fork()
    if not child:
        copy(*map(int, line.split()))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    tell("ended", os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0)
"""


class Copies:
    """Processes that copy in turn, and are killed."""

    def __init__(self, objects: Objects, bucket: str, since: datetime) -> None:
        """Start what starts them."""
        command = [sys.executable, "-c", LAUNCHER, objects.endpoint, bucket, since.isoformat()]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT)

    def __enter__(self) -> Self:
        """Hand it over."""
        return self

    def __exit__(self, *error: object) -> None:
        """Leave nothing behind."""
        self._process.kill()
        self._process.__exit__(*error)

    def killed(self, numbers: Iterable[int], *, after: int) -> set[int]:
        """Copy until so many are told of and SIGKILL comes, others under way; give those that were told."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, (after, *numbers))) + "\n")
        self._process.stdin.flush()
        told = set()
        while (said := self._said())[0] == "copied":
            told.add(said[1])
        assert ("ended", signal.SIGKILL) == said, "it was not killed"
        return told

    def _said(self) -> tuple[str, int]:
        assert self._process.stdout is not None
        word, number = self._process.stdout.readline().split()
        return word, int(number)


def killed_copies(objects: Objects, chance: random.Random, *, count: int, kills: int) -> None:
    """Kill a process that copies, so often, then go on; in a bucket that keeps versions every copy can be counted."""
    place = Place(objects, objects.bucket(versioned=True))
    for number in range(count):
        place.put(f"old/{number}", f"content of {number}".encode())
    place.put("new/0", b"content of 0")  # of the application: the same, before we began
    before = place.versions()
    time.sleep(1)  # the store's clock tells seconds; what was there before is older than what we begin
    objects.store.check(place.bucket)
    since = objects.store.clock or datetime.now(tz=UTC)
    left = set(range(count))  # what a Ledger would not know as done
    with Copies(objects, place.bucket, since) as copies:
        for kill in range(kills):
            most = max(2, 2 * len(left) // (kills - kill + 2))
            left -= copies.killed(sorted(left), after=chance.randrange(1, most))
    assert left
    pool = Pool(objects.store, CopySettings(workers=8))
    done = list(pool.copy(place.task(f"old/{one}", f"new/{one}", since=since) for one in range(count)))
    assert {Outcome.COPIED: count - 1, Outcome.THERE: 1} == Counter(one.outcome for one in done)
    assert {f"{side}/{n}": f"content of {n}".encode() for n in range(count) for side in ("old", "new")} == place.all()
    assert {1} == set(Counter(key for key, _ in place.versions()).values()), "an object was copied twice"
    made = [one.made for one in done if one.outcome is Outcome.COPIED and one.made]
    assert {"removed"} == {one.removal.value for one in pool.remove(made)}
    assert before == place.versions()
