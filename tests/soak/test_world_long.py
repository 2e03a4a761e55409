"""The faults of tests/integration/test_world.py at random, one after the other, in copies of a few thousand rows.

Every campaign counts the faults that struck; together they are 520.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from migrator.ledger import lease
from migrator.model.errors import MigratorError
from migrator.model.step import Event, Phase
from migrator.servers import Postgres
from migrator.workflow.desk import Desk
from migrator.workflow.use_cases import apply
from tests.integration.test_world import ON, SESSIONS, TROUBLES, as_dba
from tests.support.kills import Child, build_expanded, crowd, dump, fingerprint, is_sound
from tests.support.projects import execute, rows_of, run
from tests.support.proxy import Proxy

pytestmark = pytest.mark.soak
ROWS, BATCH, RANGE, FAULTS = 3_000, 50, 500, 65
OF_THE_WORLD = {"M301", "M302", "M305", "M306", "M307", "M309", "M310"}
OF_A_TABLE = {"M107", "M113", "M115", "M119", "M206", "M312"}
# Another column shows in the rows that are quarantined meanwhile; what is chosen here leaves no trace.
TRACELESS = sorted(name for name in TROUBLES if not name.startswith("a source column") and "dropped" not in name)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give locks up soon, and take over from the dead quickly."""
    monkeypatch.setenv("MIGRATOR_LOCK_TIMEOUT", "50ms")
    monkeypatch.setenv("MIGRATOR_LOCK_TRIES", "2")
    monkeypatch.setattr(lease, "BEAT", 0.1)
    monkeypatch.setattr(lease, "SILENCE_OF_THE_DEAD", 0.4)


class World:
    """A server and the faults that can strike it; each gives back what mends it."""

    def __init__(self, server: Postgres, chance: random.Random) -> None:
        self._server, self._chance = server, chance
        self.url = ""

    def fault(self) -> tuple[str, Callable[[], Callable[[], object]]]:
        """Choose a fault: its name, and what lets it happen."""
        rare = {
            "a fast restart": self._restart,
            "an immediate restart": self._crash,
            "a lock on a table": self._lock,
            "a cancelled statement": self._cancel,
            "a dump": self._dump,
        }
        name = self._chance.choice([*TRACELESS, *rare, "a killed client", "a cut connection"])
        if name in TROUBLES:
            return name, lambda: self._trouble(name)
        return name, rare.get(name, lambda: lambda: None)

    def _trouble(self, name: str) -> Callable[[], object]:
        as_dba(self.url, TROUBLES[name].does)
        return lambda: as_dba(self.url, TROUBLES[name].mended)

    def _restart(self) -> Callable[[], object]:
        self._server.restart()
        return lambda: None

    def _crash(self) -> Callable[[], object]:
        self._server.kill()
        self._server.restart()
        return lambda: None

    def _lock(self) -> Callable[[], object]:
        table = self._chance.choice(["jobs", "old_jobs", "migrator.range", "migrator.quarantine"])
        holder = psycopg.connect(self.url)
        holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        return holder.close

    def _cancel(self) -> Callable[[], object]:
        execute(self.url, f"SELECT pg_cancel_backend(pid) {SESSIONS}")
        return lambda: None

    def _dump(self) -> Callable[[], object]:
        dump(self.url)
        return lambda: None


def go(desk: Desk, strike: Callable[[], Callable[[], object]], at: int) -> tuple[str, bool]:
    """Apply and let a fault strike at a batch: how it ended, and whether it struck. Mends what was broken."""
    heard: list[Event] = []
    mends: list[Callable[[], object]] = []

    def listen(event: Event) -> None:
        if event.kind == "progress" and event.phase is Phase.BACKFILL:
            heard.append(event)
            if len(heard) == at:
                mends.append(strike())

    ended = ON
    try:
        apply(desk, to=Phase.BACKFILL, listen=listen)
    except MigratorError as error:
        assert error.what
        assert error.cure
        ended = error.id
    finally:
        for mend in mends:
            mend()
    return ended, bool(mends)


@pytest.fixture
def world(killable: Postgres, tmp_path: Path) -> Iterator[Callable[[int, random.Random], tuple[World, dict[str, str]]]]:
    """Give a server with a database to copy from again and again, and what becomes of it undisturbed."""

    def made(workers: int, chance: random.Random) -> tuple[World, dict[str, tuple[int, str]]]:
        execute(killable.url(), "CREATE DATABASE expanded")
        settings = {"batch": BATCH, "ranges": RANGE, "workers": workers, "competing": workers == 1}
        build_expanded(crowd(tmp_path, killable.url("expanded"), **settings), ROWS)
        execute(killable.url(), "CREATE DATABASE undisturbed TEMPLATE expanded")
        run(crowd(tmp_path, killable.url("undisturbed"), **settings))
        return World(killable, chance), fingerprint(killable.url("undisturbed"))

    return made


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("workers", [1, 2])
def test_whatever_strikes_at_random_changes_nothing_of_the_end(
    seed: int,
    workers: int,
    killable: Postgres,
    world: Callable[..., tuple[World, object]],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """65 faults, several in each copy: every copy ends as an undisturbed one, in all rows of target and Ledger."""
    chance = random.Random(10_000 * workers + seed)
    struck: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    with closing(psycopg.connect(killable.url(), autocommit=True)):
        disturbed, undisturbed = world(workers, chance)
    while struck.total() < FAULTS:
        execute(killable.url(), "DROP DATABASE IF EXISTS disturbed WITH (FORCE)")
        execute(killable.url(), "CREATE DATABASE disturbed TEMPLATE expanded")
        # Without it a crash gives values of copied sequences out a second time.
        execute(killable.url(), "CHECKPOINT")
        url = disturbed.url = killable.url("disturbed")
        settings = {"batch": BATCH, "ranges": RANGE, "workers": workers, "competing": workers == 1}
        while True:
            desk = crowd(tmp_path, url, **settings)
            name, strike = disturbed.fault()
            at = chance.randrange(1, 20)
            if name == "a killed client":
                ended, hit = kill(tmp_path, url, at, chance)
            elif name == "a cut connection":
                ended, hit = cut(tmp_path, url, chance, settings)
            else:
                ended, hit = go(desk, strike, at)
            assert ended in {ON, "killed"} | OF_THE_WORLD | OF_A_TABLE, (name, ended)
            struck[name] += hit
            ends[ended] += hit
            assert is_sound(url), name
            if ended == ON:
                break
        run(desk)
        assert undisturbed == fingerprint(url), f"{ends} {odd(url, killable.url('undisturbed'))}"
    record_property("faults", dict(struck))
    record_property("ended", dict(ends))


def odd(url: str, other: str) -> list[tuple[str, ...]]:
    """List the quarantined rows in which two databases differ, to tell why."""
    asked = (
        "SELECT array_to_string(source_key, ','), reason, sqlstate, message, source_row::text FROM migrator.quarantine"
    )
    return sorted(set(rows_of(url, asked)) ^ set(rows_of(other, asked)), key=str)


def kill(root: Path, url: str, at: int, chance: random.Random) -> tuple[str, bool]:
    """Kill a process that applies, somewhere after a batch."""
    with Child("apply", root, url) as child:
        if not child.heard("ready") or not child.heard("progress backfill", at):
            return ON, False
        time.sleep(chance.uniform(0, 0.02))
        return ("killed", True) if child.kill() else (ON, False)


def cut(root: Path, url: str, chance: random.Random, settings: dict[str, int]) -> tuple[str, bool]:
    """Cut a connection at a random byte."""
    with Proxy(url) as proxy:
        desk = crowd(root, proxy.url, **settings)
        proxy.cut(chance.choice(["questions", "answers"]), after=chance.randrange(300_000))
        ended, _ = go(desk, lambda: lambda: None, 0)
        return ended, proxy.happened.is_set()
