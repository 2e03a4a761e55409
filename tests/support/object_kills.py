"""Copies that are killed, and what must be true after."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

from migrator.engine.objects import Pool
from migrator.model.objects import CopySettings, Outcome
from tests.support.forks import Forks
from tests.support.objects import Objects, Place

# Copies old/N to new/N for each of the numbers, tells of each, and is killed when it has told of as many as the line
# begins with, while others are under way.
LAUNCHER = """
import signal
from datetime import datetime
from migrator.engine.objects import Pool, Store
from migrator.model.objects import CopySettings, CopyTask, ObjectName, Storage

endpoint, bucket, since = sys.argv[1:]
store = Store.open(Storage(endpoint=endpoint, region="us-east-1"))

def task(number):
    source, target = (ObjectName(bucket, f"{side}/{number}") for side in ("old", "new"))
    return CopyTask(source=source, target=target, since=datetime.fromisoformat(since), reference=number)

def copy(most, *numbers):
    for told, one in enumerate(Pool(store, CopySettings(workers=8)).copy(map(task, numbers)), 1):
        tell("copied", one.task.reference)
        if told == int(most):
            os.kill(os.getpid(), signal.SIGKILL)

forking(copy)
"""


class Copies(Forks):
    """Processes that copy in turn, and are killed."""

    def __init__(self, objects: Objects, bucket: str, since: datetime) -> None:
        """Start what starts them."""
        super().__init__(LAUNCHER, objects.endpoint, bucket, since.isoformat())

    def killed(self, numbers: Iterable[int], *, after: int) -> set[int]:
        """Copy until so many are told of and SIGKILL comes, others under way; give those that were told."""
        self.ask(after, *numbers)
        told = set()
        while (answer := self.answer())[0] == "copied":
            told.add(int(answer[1]))
        assert "killed" == answer[0], "it was not killed"
        return told


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
