"""Killed at any instant, client or server, and going on ends like an undisturbed run."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from migrator.database import proof
from migrator.ledger import lease
from migrator.model.errors import WorldError
from migrator.model.step import Event, Phase
from migrator.servers import Postgres
from migrator.workflow.desk import Desk
from migrator.workflow.undoing import losses, rollback
from migrator.workflow.use_cases import apply, status_facts
from tests.support.kills import (
    Child,
    as_it_was,
    build_expanded,
    build_source,
    crowd,
    ends_as,
    fingerprint,
    is_copying,
    is_sound,
    kill_clients,
    kill_servers,
)
from tests.support.projects import back, check, execute, rows_of, run, silent
from tests.support.proxy import Fault, Proxy

ROWS = 100_000
SOME = 20_000
FEW = 2_000
SEEDS = [0, 1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 6))]
DatabaseFrom = Callable[[str, Callable[[str], object]], str]


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the runs of this process take over from the dead as quickly as those of the children."""
    monkeypatch.setattr(lease, "BEAT", 0.1)
    monkeypatch.setattr(lease, "SILENCE_OF_THE_DEAD", 0.4)


@pytest.fixture
def at(tmp_path: Path, database_from: DatabaseFrom) -> Callable[..., Desk]:
    """Give a copy of the crowd with so many rows, before expand, after it, or moved by an undisturbed run.

    `moved` is what becomes of `expanded`, and `applied` what becomes of `before`, without rows of the application.
    """

    def made(state: str, rows: int, *, competing: bool = True) -> Desk:
        def build(url: str) -> None:
            desk = crowd(tmp_path, url, competing=competing)
            if state in {"before", "applied"}:
                build_source(url, rows)
            else:
                build_expanded(desk, rows)
            if state in {"moved", "applied"}:
                run(desk, to=Phase.VERIFY)

        name = f"the crowd of {rows} {state}{'' if competing else ' without competition'}"
        return crowd(tmp_path, database_from(name, build), competing=competing)

    return made


def test_the_crowd_has_rows_of_every_fate(at: Callable[..., Desk]) -> None:
    """What the other tests compare holds moved, merged, skipped and quarantined rows, of six faults."""
    desk = at("moved", SOME)
    (balance,) = check(desk).balances
    assert {"moved", "merged", "skipped", "quarantined"} == {one.disposition for one in balance.terms if one.rows}
    assert 6 == len([one for one in balance.terms if one.disposition == "quarantined"])
    assert SOME == sum(one.rows for one in balance.terms)


def test_twenty_killed_clients_change_nothing(at: Callable[..., Desk]) -> None:
    """20 kills of the client during one copy of 100,000 rows: the end is that of an undisturbed run."""
    undisturbed = fingerprint(at("moved", ROWS).database.url)
    desk = at("expanded", ROWS)
    kill_clients(desk, random.Random(20), 20)
    assert is_copying(desk)
    ends_as(desk, undisturbed)


def test_five_killed_servers_change_nothing(killable: Postgres, tmp_path: Path) -> None:
    """5 kills of the server during one copy of 100,000 rows: the end is that of an undisturbed run."""
    desk = crowd(tmp_path, killable.url("disturbed"))
    execute(killable.url(), "CREATE DATABASE disturbed")
    build_expanded(desk, ROWS)
    execute(killable.url(), "CREATE DATABASE undisturbed TEMPLATE disturbed")
    run(crowd(tmp_path, killable.url("undisturbed")))
    kill_servers(desk, killable, random.Random(5), 5)
    assert is_copying(desk)
    ends_as(desk, fingerprint(killable.url("undisturbed")))


@pytest.mark.soak
def test_killed_clients_with_two_workers_change_nothing(at: Callable[..., Desk], tmp_path: Path) -> None:
    """5 kills of a client that copies with two workers: the end is that of an undisturbed run with one."""
    undisturbed = fingerprint(at("moved", SOME, competing=False).database.url)
    url = at("expanded", SOME, competing=False).database.url
    desk = crowd(tmp_path, url, batch=200, ranges=2_000, workers=2, competing=False)
    kill_clients(desk, random.Random(2), 5, most=20)
    assert is_copying(desk)
    ends_as(desk, undisturbed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_kill_during_expand_changes_nothing(seed: int, at: Callable[..., Desk]) -> None:
    """A client killed somewhere before the first batch is followed by one that ends as if it were the first."""
    undisturbed = fingerprint(at("applied", FEW).database.url)
    desk = at("before", FEW)
    chance = random.Random(seed)
    with Child("apply", desk.project.root, desk.database.url) as child:
        assert child.heard(chance.choice(["ready", "step expand", "step expand", "done expand"]))
        time.sleep(chance.uniform(0, 0.1))
        assert child.kill()
    ends_as(desk, undisturbed)


@pytest.mark.soak
def test_killed_rollbacks_end_as_before(at: Callable[..., Desk]) -> None:
    """6 kills of a rollback of 20,000 rows: it goes on, and everything but the Ledger is as before the change."""
    before = as_it_was(at("before", SOME).database.url)
    desk = at("moved", SOME)
    kill_clients(desk, random.Random(6), 6, verb="rollback", most=4)
    assert "undoing" == check_state(desk)
    back(desk, lose=[one.sentence for one in losses(desk) if one.rows])
    assert before == as_it_was(desk.database.url)
    assert "new" == check_state(desk)
    assert back(desk).nothing_done


@pytest.mark.parametrize("seed", SEEDS)
def test_a_kill_at_the_end_of_a_rollback_ends_as_before(seed: int, at: Callable[..., Desk]) -> None:
    """A client killed while it forgets the copy or takes the tables away is followed by one that ends the same."""
    before = as_it_was(at("before", FEW).database.url)
    desk = at("moved", FEW)
    chance = random.Random(seed)
    with Child("rollback", desk.project.root, desk.database.url) as child:
        assert child.heard(chance.choice(["progress backfill", "done backfill", "step expand"]))
        time.sleep(chance.uniform(0, 0.1))
        child.kill()
    back(desk, lose=[one.sentence for one in losses(desk) if one.rows])
    assert before == as_it_was(desk.database.url)
    assert "new" == check_state(desk)


def check_state(desk: Desk) -> str:
    """Say in which state the change is."""
    return status_facts(desk).state.value


# --- COMMIT, and no answer -----------------------------------------------------------------------

Moment = tuple[str, str, int]
MOMENTS: dict[str, Moment | None] = {
    "the ledger's": None,
    "the revision's": ("step", "expand", 1),
    "the definition's": ("step", "backfill", 1),
    "the second batch's": ("progress", "backfill", 1),
    "the tenth batch's": ("progress", "backfill", 9),
    "the proof's": ("done", "backfill", 1),
}


def arm(proxy: Proxy, moment: Moment | None, fault: Fault) -> Callable[[Event], None]:
    """Listen to a run, and let the fault happen to the COMMIT that follows the n-th such event."""
    heard: list[Event] = []
    if moment is None:
        proxy.on(b"COMMIT\x00", fault)

    def listen(event: Event) -> None:
        if moment is not None and (event.kind, event.phase.value) == moment[:2]:
            heard.append(event)
            if len(heard) == moment[2]:
                proxy.on(b"COMMIT\x00", fault)

    return listen


def going(verb: Callable[[], object]) -> str:
    """Say how far a verb went: to its end, or to which error of the world."""
    try:
        verb()
    except WorldError as error:
        return error.id
    return "to its end"


@pytest.mark.parametrize("fault", ["lose the answer", "lose the message"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_lost_commit_is_neither_lost_nor_doubled(
    moment: str, fault: Fault, at: Callable[..., Desk], tmp_path: Path
) -> None:
    """The answer to one COMMIT is lost: the run goes on or stops with M307, and the end is that of no fault at all."""
    undisturbed = fingerprint(at("applied", FEW).database.url)
    url = at("before", FEW).database.url
    with Proxy(url) as proxy:
        desk = crowd(tmp_path, proxy.url, batch=100)
        listen = arm(proxy, MOMENTS[moment], fault)
        assert going(lambda: apply(desk, listen=listen)) in {"to its end", "M307"}
        assert proxy.happened.is_set()
    assert is_sound(url)
    ends_as(crowd(tmp_path, url, batch=100), undisturbed)


def test_an_answer_lost_by_a_batch_stops_nothing(at: Callable[..., Desk], tmp_path: Path) -> None:
    """A batch whose COMMIT is not answered is asked for by its transaction id; the run goes on without an error."""
    url = at("expanded", FEW).database.url
    with Proxy(url) as proxy:
        report = apply(
            crowd(tmp_path, proxy.url, batch=100), listen=arm(proxy, ("progress", "backfill", 3), "lose the answer")
        )
        assert proxy.happened.is_set()
    assert report.comparisons[0].proven
    assert FEW == report.steps[0].rows


def test_a_batch_that_never_arrived_is_not_counted(at: Callable[..., Desk], tmp_path: Path) -> None:
    """A batch whose COMMIT did not reach the server is not taken for done: M307 says that nothing was committed."""
    url = at("expanded", FEW).database.url
    safe = []
    with Proxy(url) as proxy:
        armed = arm(proxy, ("progress", "backfill", 3), "lose the message")

        def listen(event: Event) -> None:
            safe.append(event.rows)
            armed(event)

        with pytest.raises(WorldError, match="nothing was committed") as caught:
            apply(crowd(tmp_path, proxy.url, batch=100), listen=listen)
        assert "M307" == caught.value.id
    assert [(safe[-1],)] == rows_of(url, "SELECT sum(read) FROM migrator.range")


def test_a_server_left_waiting_is_told(
    at: Callable[..., Desk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that the server holds open for a client that is gone is ended, and its batch done again."""
    monkeypatch.setattr(proof, "PATIENCE", 0.3)
    undisturbed = fingerprint(at("moved", FEW).database.url)
    url = at("expanded", FEW).database.url
    with Proxy(url) as proxy:
        listen = arm(proxy, ("progress", "backfill", 2), "leave the server waiting")
        with pytest.raises(WorldError) as caught:
            apply(crowd(tmp_path, proxy.url, batch=100), listen=listen)
        assert "M307" == caught.value.id
    ends_as(crowd(tmp_path, url, batch=100), undisturbed)


@pytest.mark.parametrize("fault", ["lose the answer", "lose the message"])
def test_a_commit_lost_by_a_rollback_ends_as_before(fault: Fault, at: Callable[..., Desk], tmp_path: Path) -> None:
    """The answer to a COMMIT of the undo is lost: the rollback goes on or stops with M307, and then ends as before."""
    before = as_it_was(at("before", FEW).database.url)
    url = at("moved", FEW).database.url
    with Proxy(url) as proxy:
        desk = crowd(tmp_path, proxy.url)
        accepted = [one.sentence for one in losses(desk) if one.rows]
        listen = arm(proxy, ("step", "backfill", 1), fault)
        assert going(lambda: rollback(desk, lose=accepted, listen=listen)) in {"to its end", "M307"}
        assert proxy.happened.is_set()
    desk = crowd(tmp_path, url)
    rollback(desk, lose=[one.sentence for one in losses(desk) if one.rows], listen=silent)
    assert before == as_it_was(url)
