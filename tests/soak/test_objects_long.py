"""Thousands of objects, of which hundreds are at fault, and fifty kills."""

from __future__ import annotations

import json
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from migrator.engine.objects import Pool
from migrator.model.objects import CopySettings, CopyTask, Outcome
from tests.integration.test_objects_copy import KEYS
from tests.support.object_kills import killed_copies
from tests.support.objects import Objects, Place, let, nothing_happens

pytestmark = pytest.mark.soak

COUNT, MISSING, DENIED, REPLACED, THERE, OCCUPIED = 5_000, 200, 50, 20, 10, 10


def test_fifty_kills_leave_every_object_copied_once(objects: Objects) -> None:
    """Killed fifty times at chance points: none lost, none copied twice, and the way back leaves nothing."""
    killed_copies(objects, random.Random(50), count=1_000, kills=50)


def test_every_fault_under_its_name_and_nothing_astray(objects: Objects) -> None:
    """Of 5,000 objects each ends in exactly one outcome; what is at the targets is what was copied, and goes again."""
    place = Place(objects, objects.bucket())
    chance = random.Random(5_000)
    fates = {
        f"{'denied' if fate is Outcome.DENIED else 'old'}/{number}/{chance.choice(list(KEYS.values()))[:150]}": fate
        for number, fate in enumerate(_fates(chance))
    }
    _write(place, fates)
    before = place.all()
    _let_replace(objects, place, [key for key, fate in fates.items() if fate is Outcome.REPLACED])
    _deny(place)
    tasks = [CopyTask(source=place.name(key), target=place.name(_target(key))) for key in fates]
    pool = Pool(objects.store, CopySettings(workers=16))
    done = list(pool.copy(tasks))
    nothing_happens(objects.store)
    place.client.delete_bucket_policy(Bucket=place.bucket)
    assert {one.task.source.key: one.outcome for one in done} == fates
    assert Counter(fates.values()) == pool.progress.outcomes
    copied = [one.made for one in done if one.outcome is Outcome.COPIED and one.made]
    now = place.all()
    replaced = {key for key, fate in fates.items() if fate is Outcome.REPLACED}
    assert set(now) - set(before) == {one.name.key for one in copied}
    assert all(now[key] == before[key] for key in before if key not in replaced)
    assert all(now[_target(key)] == before[key] for key, fate in fates.items() if fate is Outcome.COPIED)
    again = Pool(objects.store, CopySettings(workers=16))
    assert COUNT == len(list(again.copy(tasks)))
    assert {Outcome.MISSING: MISSING, Outcome.OCCUPIED: OCCUPIED, Outcome.COPIED: DENIED + REPLACED} == {
        one: number for one, number in again.progress.outcomes.items() if one is not Outcome.THERE
    }
    assert {"removed"} == {one.removal.value for one in pool.remove(copied)}


def _target(key: str) -> str:
    return "new/" + key.partition("/")[2]


def _fates(chance: random.Random) -> list[Outcome]:
    odd = {
        Outcome.MISSING: MISSING,
        Outcome.DENIED: DENIED,
        Outcome.REPLACED: REPLACED,
        Outcome.THERE: THERE,
        Outcome.OCCUPIED: OCCUPIED,
    }
    fates = [one for one, number in odd.items() for _ in range(number)]
    fates += [Outcome.COPIED] * (COUNT - len(fates))
    chance.shuffle(fates)
    return fates


def _write(place: Place, fates: dict[str, Outcome]) -> None:
    def write(one: tuple[str, Outcome]) -> None:
        key, fate = one
        if fate is not Outcome.MISSING:
            place.put(key, key.encode())
        if fate is Outcome.THERE:
            place.put(_target(key), key.encode())
        if fate is Outcome.OCCUPIED:
            place.put(_target(key), b"of the application")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, fates.items()))


def _let_replace(objects: Objects, place: Place, keys: list[str]) -> None:
    """Write some sources anew at the moment they are copied."""
    targets = {f"/{place.bucket}/{_target(key)}": key for key in keys}

    def hook(request: Any, **_: object) -> None:
        key = targets.pop(unquote(urlsplit(request.url).path), None)
        if key is not None:
            place.put(key, b"written meanwhile")

    let(objects.store, "CopyObject", hook)


def _deny(place: Place) -> None:
    resource = f"arn:aws:s3:::{place.bucket}/denied/*"
    rule = {"Effect": "Deny", "Principal": "*", "Action": ["s3:GetObject"], "Resource": [resource]}
    place.client.put_bucket_policy(
        Bucket=place.bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [rule]})
    )
