"""The photo library, killed between any two words it says: on the way there, and on the way back."""

from __future__ import annotations

import random
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from migrator.demo.phase_2_jobs import build_legacy
from migrator.ledger import lease
from tests.support.kills import ROOT, Child
from tests.support.photos import CHANGE, desk_on, digest
from tests.support.projects import back, execute, rows_of, run
from tests.support.schemas import schema

pytestmark = pytest.mark.soak
IMAGES, KILLS = 4_000, 12
JOBS = 'SELECT id, type, payload, status, status_new::text, "imageId", attempts FROM "Job" ORDER BY id'
WORDS = 14  # about as many as it says in all


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the runs of this process take over from the dead as quickly as those of the children."""
    monkeypatch.setattr(lease, "BEAT", 0.1)
    monkeypatch.setattr(lease, "SILENCE_OF_THE_DEAD", 0.4)


def killed(verb: str, url: str, chance: random.Random) -> int:
    """Kill so many runs of a verb after some words each; say how many were struck before they ended."""
    struck = 0
    for _ in range(KILLS):
        with Child(verb, Path(ROOT), url, CHANGE) as child:
            child.heard("", chance.randint(1, WORDS))
            struck += child.kill()
    return struck


@pytest.mark.parametrize("seed", range(2))
def test_killed_there_and_back(seed: int, databases: object) -> None:
    """It ends as an undisturbed run does: no job twice, none lost, no label left over; and goes back to what was."""
    chance = random.Random(seed)
    with databases.fresh() as url, databases.fresh() as undisturbed:  # type: ignore[attr-defined]
        for one in (url, undisturbed):
            with closing(psycopg.connect(one)) as conn, conn:
                build_legacy(conn, images=IMAGES)
            execute(one, "DELETE FROM \"Job\" WHERE id > 'cb'")
        before = schema(url), digest(url)
        run(desk_on(undisturbed))
        assert killed("apply", url, chance) > KILLS / 3
        run(desk := desk_on(url))
        assert rows_of(undisturbed, JOBS) == rows_of(url, JOBS)
        assert killed("rollback", url, chance) > 0
        back(desk)
        assert before == (schema(url), digest(url))
