"""The same as tests/integration/test_resume.py with five times the kills, and chances of their own."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from migrator.ledger import lease
from migrator.servers import Postgres
from migrator.workflow.undoing import losses
from tests.support.kills import (
    as_it_was,
    build_expanded,
    build_source,
    crowd,
    ends_as,
    fingerprint,
    is_copying,
    kill_clients,
    kill_servers,
)
from tests.support.projects import back, execute, run

pytestmark = pytest.mark.soak
ROWS = 300_000


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the runs of this process take over from the dead as quickly as those of the children."""
    monkeypatch.setattr(lease, "BEAT", 0.1)
    monkeypatch.setattr(lease, "SILENCE_OF_THE_DEAD", 0.4)


@pytest.fixture
def pair(killable: Postgres, tmp_path: Path) -> tuple[Postgres, str, dict[str, tuple[int, str]]]:
    """Give a server of its own, a database to disturb, and what becomes of it undisturbed."""
    execute(killable.url(), "CREATE DATABASE disturbed")
    build_expanded(crowd(tmp_path, killable.url("disturbed")), ROWS)
    execute(killable.url(), "CREATE DATABASE undisturbed TEMPLATE disturbed")
    run(crowd(tmp_path, killable.url("undisturbed")))
    return killable, killable.url("disturbed"), fingerprint(killable.url("undisturbed"))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("workers", [1, 2])
def test_a_hundred_killed_clients_change_nothing(
    seed: int, workers: int, pair: tuple[Postgres, str, dict[str, tuple[int, str]]], tmp_path: Path
) -> None:
    """100 kills of the client during one copy: the end is that of an undisturbed run."""
    _, url, undisturbed = pair
    desk = crowd(tmp_path, url, batch=50, ranges=2_000, workers=workers)
    kill_clients(desk, random.Random(1_000 + seed), 100, most=5)
    assert is_copying(desk)
    ends_as(desk, undisturbed)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("workers", [1, 2])
def test_twenty_killed_servers_change_nothing(
    seed: int, workers: int, pair: tuple[Postgres, str, dict[str, tuple[int, str]]], tmp_path: Path
) -> None:
    """20 kills of the server during one copy: the end is that of an undisturbed run."""
    server, url, undisturbed = pair
    desk = crowd(tmp_path, url, batch=200, ranges=5_000, workers=workers)
    kill_servers(desk, server, random.Random(2_000 + seed), 20)
    assert is_copying(desk)
    ends_as(desk, undisturbed)


@pytest.mark.parametrize("seed", range(3))
def test_thirty_killed_rollbacks_end_as_before(seed: int, killable: Postgres, tmp_path: Path) -> None:
    """30 kills of a rollback: everything but the Ledger is as before the change."""
    for name in ("before", "moved"):
        execute(killable.url(), f"CREATE DATABASE {name}")
    build_source(killable.url("before"), ROWS)
    desk = crowd(tmp_path, killable.url("moved"))
    build_expanded(desk, ROWS)
    run(desk)
    kill_clients(desk, random.Random(3_000 + seed), 30, verb="rollback", most=6)
    back(desk, lose=[one.sentence for one in losses(desk) if one.rows])
    assert as_it_was(killable.url("before")) == as_it_was(desk.database.url)
