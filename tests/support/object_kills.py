"""Copies that are killed, and what must be true whenever and after."""

from __future__ import annotations

import random
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime

from migrator.engine.objects import Pool
from migrator.model.objects import CopySettings, CopyTask, Outcome
from tests.support.objects import Objects, Place, copying


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
    told = [_killed(objects, place, count, since, chance, kills) for _ in range(kills)]
    assert sum(told) > 0
    pool = Pool(objects.store, CopySettings(workers=8))
    done = list(pool.copy(_tasks(place, count, since)))
    assert {Outcome.COPIED: count - 1, Outcome.THERE: 1} == Counter(one.outcome for one in done)
    assert {f"{side}/{n}": f"content of {n}".encode() for n in range(count) for side in ("old", "new")} == place.all()
    copies = Counter(key for key, marker in place.versions() if not marker)
    assert {1} == set(copies.values()), "an object was copied twice"
    made = [one.made for one in done if one.outcome is Outcome.COPIED and one.made]
    assert {"removed"} == {one.removal.value for one in pool.remove(made)}
    assert before == place.versions()


def _tasks(place: Place, count: int, since: datetime) -> list[CopyTask]:
    return [place.task(f"old/{one}", f"new/{one}", since=since, reference=one) for one in range(count)]


def _killed(objects: Objects, place: Place, count: int, since: datetime, chance: random.Random, kills: int) -> int:
    """Kill a process after it has told of some copies; say of how many."""
    process = copying(objects, place.bucket, count, since.isoformat())
    assert process.stdout is not None
    heard = 0
    with process, suppress(ValueError):
        assert "ready" == process.stdout.readline().strip()
        # Told again from the first each time, for this process knows no Ledger: so each gets a little further.
        for _ in range(chance.randrange(1, max(2, count // kills))):
            heard += bool(process.stdout.readline())
        time.sleep(chance.uniform(0, 0.02))
        process.kill()
    return heard
