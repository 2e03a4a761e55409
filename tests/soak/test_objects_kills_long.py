"""Rows and objects together, killed fifty times: while they go and while they come back."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.test_copy_objects import ahead_of_nothing
from tests.support.kills import as_it_was
from tests.support.objects import Objects, Place
from tests.support.picture_kills import Runs
from tests.support.pictures import Pictures, bodies

pytestmark = pytest.mark.soak

COUNT, KILLS, LEAST = 60, 50, 15
NUMBERS = range(1, COUNT + 1)


def test_fifty_kills_leave_no_row_ahead_of_its_object(tmp_path: Path, database: str, objects: Objects) -> None:
    """SIGKILL at a chance statement or request of apply or rollback; it goes on, or back, as if nothing had been."""
    place, chance = Place(objects, objects.bucket(versioned=True)), random.Random(50)
    pictures = Pictures(tmp_path, database, place, count=COUNT)
    before, rows = place.versions(), as_it_was(database)
    killed: Counter[str] = Counter()
    with Runs(tmp_path, database, copy_objects="true") as runs:
        points = {verb: runs.run(verb) or 0 for verb in ("apply", "rollback")}
        verb = "apply"
        while sum(killed.values()) < KILLS or verb == "rollback":
            at = 0 if sum(killed.values()) >= KILLS else chance.randrange(1, points[verb])
            ended = runs.run(verb, at=at) is not None
            ahead_of_nothing(pictures)
            assert {1} == set(Counter(key for key, _ in place.versions()).values()), "an object was copied twice"
            if not ended:
                killed[verb] += 1
                if verb == "apply" and not chance.randrange(3):
                    verb = "rollback"  # back at once, instead of on
            elif verb == "apply":
                assert {n: f"restored/{n}.jpg" for n in NUMBERS} == pictures.rows()
                assert bodies(*NUMBERS) == pictures.restored()
                verb = "rollback"
            else:
                assert before == place.versions()
                assert rows == as_it_was(database)
                verb = "apply"
    assert min(killed.values()) > LEAST, killed
