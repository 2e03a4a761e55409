"""What happens to the people who run it: locks, each other, Ctrl-C, limits, refusals, quarantine."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from migrator.cli import app
from migrator.ledger import lease
from migrator.model.step import Phase
from migrator.workflow.desk import Desk
from migrator.workflow.undoing import losses
from tests.support.kills import CHANGE, ROOT, Child, as_it_was, build_expanded, build_source, crowd, dump, fingerprint
from tests.support.projects import MOVE, check, definition, execute, make_project, one_table, rows_of, run

ROWS = 2_000
DatabaseFrom = Callable[[str, Callable[[str], object]], str]
At = Callable[[str], Desk]
Said = tuple[int, str, str]


@pytest.fixture
def at(tmp_path: Path, database_from: DatabaseFrom) -> At:
    """Give a copy of the crowd in small batches, as it is `before` expand, `expanded`, or `moved`."""

    def made(state: str) -> Desk:
        def build(url: str) -> None:
            desk = crowd(tmp_path, url)
            if state == "before":
                build_source(url, ROWS)
            else:
                build_expanded(desk, ROWS)
            if state == "moved":
                run(desk)

        return crowd(tmp_path, database_from(f"the operators' crowd {state}", build), batch=100)

    return made


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run a command on a desk in this process: its exit code, the id of its error, and all it said."""

    def told(desk: Desk, *arguments: str) -> Said:
        capsys.readouterr()
        code = app.run(command(desk, *arguments))
        captured = capsys.readouterr()
        found = re.search(r"^(M\d{3}) ", captured.err, re.MULTILINE)
        return code, found[1] if found else "", " ".join(f"{captured.out} {captured.err}".split())

    return told


Tell = Callable[..., Said]


def command(desk: Desk, *arguments: str) -> list[str]:
    """Write the arguments of a command on a desk; the first word or two are the verb."""
    verbs = 2 if arguments[0] == "quarantine" else 1
    where = ["--config", str(desk.project.root), "--database-url", desk.database.url]
    return [*arguments[:verbs], desk.change.name, *arguments[verbs:], *where]


@contextmanager
def locked(url: str, table: str, mode: str = "ACCESS EXCLUSIVE") -> Iterator[int]:
    """Hold a lock on a table as another session would; gives that session's pid."""
    with closing(psycopg.connect(url, application_name="the night report")) as other:
        other.execute(f"LOCK TABLE {table} IN {mode} MODE".encode())
        other.execute("SELECT 'a secret' AS totals_of_the_month")
        yield other.info.backend_pid


# --- locks and leases ----------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["public.old_jobs", "public.jobs"])
def test_who_holds_a_lock_is_named(table: str, at: At, tell: Tell) -> None:
    """M301 names pid, application and query of the session in the way; when it is gone, the same command goes on."""
    desk = at("expanded")
    toml = desk.project.root / "migrator.toml"
    toml.write_text(f"{toml.read_text(encoding='utf-8')}lock_tries = 2\n", encoding="utf-8")
    before = fingerprint_or_none(desk)
    with locked(desk.database.url, table) as pid:
        code, id, said = tell(desk, "backfill", "--lock-timeout", "50ms")
    assert (1, "M301") == (code, id), said
    assert f"pid {pid}" in said
    assert "the night report" in said
    assert "totals_of_the_month" in said
    assert "a secret" not in said
    assert before == fingerprint_or_none(desk)
    assert 0 == tell(desk, "backfill")[0]


def fingerprint_or_none(desk: Desk) -> list[tuple]:
    """Digest both tables."""
    asked = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM public.{} AS t"
    return [row for name in ("old_jobs", "jobs") for row in rows_of(desk.database.url, asked.format(name))]


def test_a_revision_names_who_holds_a_lock(tmp_path: Path, database: str, tell: Tell) -> None:
    """A revision that must wait gives up with M301, nothing of it is applied, and later it is."""
    desk = one_table(
        tmp_path, database, also="CREATE INDEX ON old (note)", settings={"lock_tries": 2, "lock_timeout": "50ms"}
    )
    before = as_it_was(database)
    with locked(database, "public.old", "ROW EXCLUSIVE") as pid:
        code, id, said = tell(desk, "apply")
    assert (1, "M301") == (code, id), said
    assert f"pid {pid}" in said
    assert before == as_it_was(database)
    assert 0 == tell(desk, "apply")[0]


@pytest.mark.parametrize(
    "verb",
    [["apply"], pytest.param(["backfill"], marks=pytest.mark.soak), ["rollback", "--keep-new"]],
    ids=lambda verb: verb[0],
)
def test_a_second_operator_is_told_who_is_first(verb: list[str], at: At, tell: Tell) -> None:
    """M401 names the holder of the lease and what he does; the first one goes on undisturbed."""
    desk = at("expanded")
    with (
        locked(desk.database.url, "public.jobs", "SHARE"),
        Child("apply", desk.project.root, desk.database.url) as first,
    ):
        assert first.heard("step backfill")
        code, id, said = tell(desk, *verb)
        assert (5, "M401") == (code, id), (said, first.last)
        assert f"(pid {first.pid})" in said
        assert "apply --to verify" in said
        code, _, said = tell(desk, "status")
        assert 0 == code
        assert f"(pid {first.pid})" in said
    assert 0 == tell(desk, "backfill")[0]


# --- interrupted ---------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_copy_says_how_to_go_on(sign: signal.Signals, workers: int, at: At, tell: Tell) -> None:
    """Ctrl-C or SIGTERM in the midst of a copy is 130, says how to go on, and going on ends like an undisturbed run."""
    undisturbed = fingerprint(at("moved").database.url)
    desk = at("expanded")
    arguments = command(desk, "apply", "-v", "--batch-rows", "2", "--workers", str(workers))
    process = subprocess.Popen(
        [sys.executable, "-m", "migrator", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    said = []
    assert process.stderr is not None
    for line in process.stderr:
        said.append(line)
        if re.search(r"^backfill .* / ", line):
            process.send_signal(sign)
            break
    out, err = process.communicate(timeout=60)
    assert 130 == process.returncode, "".join([*said, out, err])
    assert "Go on with: migrator apply" in err
    assert "Traceback" not in err
    safe = int(re.search(r"Stopped\. ([\d,]+) rows are safe", err)[1].replace(",", ""))
    ((read,),) = rows_of(desk.database.url, "SELECT sum(read) FROM migrator.range")
    assert 0 < safe <= read < ROWS
    assert [] == rows_of(desk.database.url, "SELECT holder FROM migrator.lease WHERE held")
    assert 0 == tell(desk, "backfill")[0]
    assert undisturbed == fingerprint(desk.database.url)


def test_an_interrupted_wait_for_a_lock_ends_at_once(at: At, tell: Tell) -> None:
    """SIGINT while a batch waits for a lock is 130 as well, and the waiting transaction is gone."""
    desk = at("expanded")
    with locked(desk.database.url, "public.jobs", "SHARE"):
        arguments = command(desk, "apply", "--lock-timeout", "1min")
        process = subprocess.Popen(
            [sys.executable, "-m", "migrator", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        waiting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        while not rows_of(desk.database.url, waiting):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert 130 == process.returncode, err
    assert "Go on with: migrator apply" in err
    assert 0 == tell(desk, "backfill")[0]


# --- quarantine ----------------------------------------------------------------------------------


def test_the_quarantine_limit_stops_a_copy(at: At, tell: Tell) -> None:
    """Over the limit the copy stops with M404 and 5; what is committed stays, and with a higher limit it goes on."""
    undisturbed = fingerprint(at("moved").database.url)
    desk = at("expanded")
    code, id, said = tell(desk, "backfill", "--quarantine-limit", "3")
    assert (5, "M404") == (code, id), said
    assert "migrator quarantine list" in said
    ((held,),) = rows_of(desk.database.url, "SELECT count(*) FROM migrator.quarantine")
    assert 3 < held < undisturbed["the quarantine"][0]
    assert "copying" in tell(desk, "status")[2]
    assert 0 == tell(desk, "backfill", "--quarantine-limit", "none")[0]
    assert undisturbed == fingerprint(desk.database.url)


def terms(desk: Desk, capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    """Ask verify-counts for the terms of the Balance, by disposition."""
    capsys.readouterr()
    app.run([*command(desk, "verify-counts"), "--format", "json"])
    (balance,) = json.loads(capsys.readouterr().out)["balances"]
    assert 0 == balance["unaccounted"]
    found: dict[str, int] = {}
    for one in balance["terms"]:
        found[one["disposition"]] = found.get(one["disposition"], 0) + one["rows"]
    return {name: number for name, number in found.items() if number}


def words(*more: str) -> dict[str, str]:
    """Write a definition that knows these words beside `one`."""
    known = ", ".join(f"{word!r}: {word.upper()!r}" for word in ("one", *more))
    return {"id": 'column("id")', "note": f'lookup("note", {{{known}}})'}


@pytest.fixture
def halted(tmp_path: Path, database: str) -> Desk:
    """Give a change whose definition knows one word of three: two rows are in quarantine."""
    rows = [(1, "one"), (2, "two"), (3, "three"), (4, "one")]
    desk = one_table(tmp_path, database, rows=rows, fill=words(), foreign="fault")
    run(desk)
    return desk


def mended(desk: Desk, *more: str) -> Desk:
    """Mend the definition."""
    backfills = {MOVE: definition(words(*more))}
    return make_project(desk.project.root, desk.database.url, backfills=backfills, foreign="fault")


def test_quarantine_is_listed_and_shown(halted: Desk, tell: Tell) -> None:
    """`list` counts by reason and names rows; `show` gives one with all its values, and where to go on."""
    code, _, said = tell(halted, "quarantine", "list")
    assert 0 == code
    assert "note: unknown word" in said
    assert f"migrator quarantine show {halted.change.name} --id" in said
    ids = rows_of(halted.database.url, "SELECT id, source_key[1] FROM migrator.quarantine ORDER BY 2")
    assert ["2", "3"] == [key for _, key in ids]
    code, _, said = tell(halted, "quarantine", "show", "--id", str(ids[0][0]))
    assert 0 == code
    assert "two" in said
    assert "three" not in said
    code, id, said = tell(halted, "quarantine", "show", "--id", "999")
    assert (2, "M100") == (code, id)
    code, id, said = tell(halted, "quarantine", "retry")
    assert (2, "M100") == (code, id)
    assert "--all" in said


def test_verify_is_not_proven_while_rows_wait(halted: Desk, tell: Tell, capsys: pytest.CaptureFixture[str]) -> None:
    """Open quarantine is 4, not proven, and verify-counts shows the rows under their own term."""
    assert 4 == tell(halted, "verify")[0]
    assert 4 == tell(halted, "apply")[0]
    assert {"moved": 2, "quarantined": 2} == terms(halted, capsys)


def test_a_retry_after_mending_moves_the_rows(halted: Desk, tell: Tell, capsys: pytest.CaptureFixture[str]) -> None:
    """A mended definition and `retry` move what waited; what still does not fit waits again; nothing is doubled."""
    desk = mended(halted, "two")
    code, _, said = tell(desk, "quarantine", "retry", "--all")
    assert 0 == code
    assert "migrator apply" in said
    assert {"moved": 2, "pending": 2} == terms(desk, capsys)
    assert 0 == tell(desk, "backfill")[0]
    assert {"moved": 3, "quarantined": 1} == terms(desk, capsys)
    assert [(1, "ONE"), (2, "TWO"), (4, "ONE")] == rows_of(desk.database.url, "SELECT id, note FROM new ORDER BY 1")
    desk = mended(halted, "two", "three")
    assert 0 == tell(desk, "quarantine", "retry", "--reason", "note: unknown word")[0]
    assert 0 == tell(desk, "apply")[0]
    assert {"moved": 4} == terms(desk, capsys)
    assert check(desk).proven


def test_dismissed_rows_are_a_term_of_their_own(halted: Desk, tell: Tell, capsys: pytest.CaptureFixture[str]) -> None:
    """`dismiss` needs a note and a choice; then the rows stay behind by name, and the rest is proven."""
    assert (2, "M100") == tell(halted, "quarantine", "dismiss", "--all")[:2]
    assert (2, "M100") == tell(halted, "quarantine", "dismiss", "--note", "why")[:2]
    assert {"moved": 2, "quarantined": 2} == terms(halted, capsys)
    ((first,),) = rows_of(halted.database.url, "SELECT min(id) FROM migrator.quarantine")
    assert 0 == tell(halted, "quarantine", "dismiss", "--id", str(first), "--note", "a test of 2019")[0]
    assert {"moved": 2, "quarantined": 1, "dismissed": 1} == terms(halted, capsys)
    assert "a test of 2019" in tell(halted, "quarantine", "show", "--id", str(first))[2]
    assert 0 == tell(halted, "quarantine", "dismiss", "--all", "--note", "the rest")[0]
    assert {"moved": 2, "dismissed": 2} == terms(halted, capsys)
    assert 0 == tell(halted, "verify")[0]
    assert "verified" in tell(halted, "status")[2]


# --- the way back --------------------------------------------------------------------------------


def test_a_rollback_that_would_lose_rows_is_refused(at: At, tell: Tell) -> None:
    """M412 counts what would be lost and names both ways on; nothing was changed."""
    desk = at("moved")
    execute(desk.database.url, "UPDATE public.jobs SET note = 'edited' WHERE ref = 'ref-1'")
    (loss,) = losses(desk)
    before = dump(desk.database.url)
    code, id, said = tell(desk, "rollback")
    assert (5, "M412") == (code, id), said
    assert f'--lose "{loss.sentence}"' in said
    assert "--keep-new" in said
    assert "1 changed by it" in said
    assert before == dump(desk.database.url)
    code, id, said = tell(desk, "rollback", "--lose", "1 row of public.jobs")
    assert (2, "M411") == (code, id)
    assert loss.sentence in said
    assert before == dump(desk.database.url)


def test_a_loss_accepted_by_name_is_done(at: At, tell: Tell) -> None:
    """With `--lose` everything is as before the change, and a second rollback has nothing to do."""
    before = as_it_was(at("before").database.url)
    desk = at("moved")
    execute(desk.database.url, "UPDATE public.jobs SET note = 'edited' WHERE ref = 'ref-1'")
    (loss,) = losses(desk)
    code, _, said = tell(desk, "rollback", "--lose", loss.sentence)
    assert 0 == code, said
    assert before == as_it_was(desk.database.url)
    assert 0 == tell(desk, "rollback")[0]
    assert "new" in tell(desk, "status")[2]


def test_rows_of_the_application_are_kept_when_asked(at: At, tell: Tell) -> None:
    """With `--keep-new` the application's rows and those it changed stay, ours go, and the tables stay."""
    desk = at("moved")
    url = desk.database.url
    execute(url, "UPDATE public.jobs SET note = 'edited' WHERE ref = 'ref-1'")
    kept = (
        "SELECT t::text FROM public.jobs AS t WHERE id::text LIKE '00000000-0000-4000-%' OR note = 'edited' ORDER BY 1"
    )
    before = rows_of(url, kept)
    code, _, said = tell(desk, "rollback", "--keep-new")
    assert 0 == code, said
    assert before == rows_of(url, kept)
    assert before == rows_of(url, "SELECT t::text FROM public.jobs AS t ORDER BY 1")
    assert "expanded" in tell(desk, "status")[2]
    assert 4 == tell(desk, "apply")[0]  # the quarantine waits; all else is proven
    assert check(desk).comparisons[0].proven


def test_a_half_done_rollback_is_named_and_goes_on(at: At, tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    """In state undoing, status names it, apply refuses with M405, and rollback goes on with what was accepted."""
    monkeypatch.setattr(lease, "SILENCE_OF_THE_DEAD", 0.4)
    before = as_it_was(at("before").database.url)
    desk = at("moved")
    with Child("rollback", desk.project.root, desk.database.url) as child:
        assert child.heard("progress backfill")
        assert child.kill()
    code, _, said = tell(desk, "status")
    assert 0 == code
    assert "undoing" in said
    assert f"migrator rollback {CHANGE}" in said
    halfway = dump(desk.database.url)
    code, id, said = tell(desk, "apply")
    assert (5, "M405") == (code, id), said
    assert f"migrator rollback {CHANGE}" in said
    assert halfway.count("COPY") == dump(desk.database.url).count("COPY")
    code, _, said = tell(desk, "rollback")
    assert 0 == code, said
    assert before == as_it_was(desk.database.url)


def test_going_back_to_expand_keeps_the_tables(at: At, tell: Tell) -> None:
    """`rollback --to expand` takes our rows and leaves the tables; forward again ends as before."""
    desk = at("moved")
    before = {name: digest for name, digest in fingerprint(desk.database.url).items() if name != "the steps"}
    assert 0 == tell(desk, "rollback", "--to", Phase.EXPAND.value)[0]
    assert "expanded" in tell(desk, "status")[2]
    assert 0 == tell(desk, "backfill")[0]
    after = fingerprint(desk.database.url)
    assert before == {name: after[name] for name in before}
