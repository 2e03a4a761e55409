"""Four processes share the objects of one change, of which one is killed: each object is copied once."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.objects import Objects, Place
from tests.support.pictures import Pictures
from tests.support.projects import CHANGE, execute, rows_of

pytestmark = pytest.mark.soak

ROOT = Path(__file__).resolve().parents[2]
ROWS, SOURCES, EACH = 4_000, 20, 150  # objects a second of each process
PATIENCE = 300.0
DONE = "SELECT count(*) FROM migrator.object WHERE outcome = 'copied'"


def process(pictures: Pictures, *words: str) -> subprocess.Popen[str]:
    """Start a command."""
    where = ["--config", str(pictures.path), "--database-url", pictures.url, "--format", "json"]
    command = [sys.executable, "-m", "migrator", *words, *where]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def copied(one: subprocess.Popen[str]) -> int:
    """Wait for its end, and say how many objects it copied."""
    said, _ = one.communicate(timeout=PATIENCE)
    assert one.returncode == 0, said
    return sum(step["detail"].get("copied", 0) for step in json.loads(said)["steps"])


def test_four_processes_copy_each_object_once(tmp_path: Path, database: str, objects: Objects) -> None:
    """An apply and three that joined it, one of them killed: no object has two versions, none is left out."""
    place = Place(objects, objects.bucket(versioned=True))
    pictures = Pictures(tmp_path, database, place, count=SOURCES)
    execute(
        database,
        f"INSERT INTO old SELECT n, '{place.prefix}old/' || 1 + n % {SOURCES} || '.png' FROM"
        f" generate_series({SOURCES + 1}, {ROWS}) AS n",
    )
    pictures.settings |= {"objects_per_second": EACH}
    pictures.params = {}
    pictures.declare(more="only_if=None")
    before, chance = place.versions(), random.Random(4)
    holder = process(pictures, "apply", CHANGE)
    begun = time.monotonic()
    while not rows_of(database, "SELECT to_regclass('migrator.object') IS NOT NULL")[0][0]:
        assert time.monotonic() < begun + PATIENCE
        time.sleep(0.05)
    while not rows_of(database, DONE)[0][0]:
        assert holder.poll() is None
        time.sleep(0.05)
    joined = [process(pictures, "objects", "copy", CHANGE, "--join") for _ in range(3)]
    while rows_of(database, DONE)[0][0] < ROWS // 3:
        time.sleep(0.05)
    time.sleep(chance.uniform(0, 0.5))
    joined[0].kill()
    joined[0].communicate()
    numbers = [copied(one) for one in (holder, *joined[1:])]
    assert min(numbers) > 0, numbers
    assert {1} == set(Counter(key for key, _ in place.versions()).values()), "an object was copied twice"
    assert {"copied": ROWS} == pictures.outcomes()
    assert rows_of(database, "SELECT count(*), count(DISTINCT key) FROM new") == [(ROWS, ROWS)]
    assert ROWS + SOURCES == len(place.versions())
    back = process(pictures, "rollback", CHANGE, "--yes")
    back.communicate(timeout=PATIENCE)
    assert 0 == back.returncode
    assert before == place.versions()
