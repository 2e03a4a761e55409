"""Each gate of an archive, closed alone: refused with its id, its evidence and its cure, and nothing is changed."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from migrator.cli import app
from migrator.database.connect import Database
from migrator.model.errors import ConfigurationError, RefusedError, UsageError
from migrator.model.step import Phase, State
from migrator.servers import Postgres
from migrator.workflow import archiving, use_cases
from migrator.workflow.desk import Desk, open_desk
from migrator.workflow.gates import GateError
from tests.support.archives import everything, put_away, watches
from tests.support.projects import MOVE, back, definition, execute, make_project, one_table, rows_of, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


AWAY = {"old": "_archived_old"}


@pytest.fixture
def preparing() -> Iterator[str]:
    """Give the test a server that allows prepared transactions."""
    with Postgres.start(settings={"max_prepared_transactions": "2"}) as private:
        yield private.url()


def verified(root: Path, url: str, **more: object) -> Desk:
    """Make a small change that is verified."""
    desk = one_table(root, url, archive=AWAY, **more)
    run(desk, to=Phase.VERIFY)
    return desk


def refused(desk: Desk) -> GateError:
    """Archive, and give the refusal; the database is as it was, and nothing watches it."""
    before = everything(desk.database.url)
    with pytest.raises(GateError) as raised:
        put_away(desk)
    assert 5 == raised.value.exit_code
    assert before == everything(desk.database.url)
    assert 0 == watches(desk.database.url)
    return raised.value


def with_login(url: str, user: str, password: str) -> str:
    """Write the address of the same database for another user."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{user}:{password}@{parts.netloc.rpartition('@')[2]}").geturl()


def ids(error: GateError) -> list[str]:
    """List the ids of a refusal."""
    return [one.id for one in error.refusals]


def flushed(url: str, statement: str) -> None:
    """Write, and have the server count it at once."""
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        conn.execute(statement.encode())
        if conn.info.server_version >= 150_000:
            conn.execute("SELECT pg_stat_force_next_flush()")


def test_a_proof_that_holds_for_its_run_alone_is_made_again_by_the_archive(database: str, tmp_path: Path) -> None:
    """What a definition reads may be nothing whose writes are counted: then the proof under the watch decides."""
    execute(database, "CREATE FUNCTION label(text) RETURNS text STABLE LANGUAGE sql RETURN upper($1)")
    desk = one_table(tmp_path, database, archive=AWAY, fill={"note": "sql('label(note)')"})
    run(desk, to=Phase.VERIFY)
    assert State.COPIED is use_cases.status_facts(desk).state
    execute(database, "CREATE OR REPLACE FUNCTION label(text) RETURNS text STABLE LANGUAGE sql RETURN lower($1) || '!'")
    assert (State.COPIED, False) == ((report := put_away(desk)).state, report.proven)
    execute(database, "CREATE OR REPLACE FUNCTION label(text) RETURNS text STABLE LANGUAGE sql RETURN upper($1)")
    run(desk, to=Phase.VERIFY)
    assert (State.ARCHIVED, True) == ((report := put_away(desk)).state, report.proven)


def test_without_a_proof_nothing_is_archived(database: str, tmp_path: Path) -> None:
    """M430: a change that was copied and never verified is not archived, nor one that is only expanded."""
    desk = one_table(tmp_path, database, archive=AWAY)
    run(desk, to=Phase.EXPAND)
    assert "M430 moving is expanded, not verified: it was never verified." == str(refused(desk))
    run(desk, to=Phase.BACKFILL)
    error = refused(desk)
    assert ["M430"] == ids(error)
    assert "First: migrator apply moving" == error.cure


def test_rows_written_since_the_proof_are_counted(database: str, tmp_path: Path) -> None:
    """M433 beside M430 and M431: the counters say how many rows, and what is pending is counted."""
    desk = verified(tmp_path, database)
    flushed(database, "INSERT INTO old VALUES (4, 'four'), (5, 'five')")
    error = refused(desk)
    assert ["M430", "M431", "M433"] == ids(error)
    assert "M431 Rows are pending: 2 of move_old_to_new." in error.what
    assert "old +2 rows" in error.what
    run(desk, to=Phase.VERIFY)
    assert State.ARCHIVED is put_away(desk).state


def test_rows_in_quarantine_keep_it_open(database: str, tmp_path: Path) -> None:
    """M431: rows that wait in quarantine are counted by backfill."""
    desk = verified(tmp_path, database, target="note text NOT NULL")
    error = refused(desk)
    assert ["M430", "M431"] == ids(error)
    assert "Rows wait in quarantine: 1 of move_old_to_new." in error.what


def test_every_consumer_must_be_on_the_new_tables(database: str, tmp_path: Path) -> None:
    """M432: those on the old side, or on both, are named; what is set is kept, and listed with its note."""
    desk = verified(tmp_path, database, consumers={"Img2Img.tsx": "a page", "job": "at night"})
    assert [("Img2Img.tsx", "old"), ("job", "old")] == [(one.name, one.side) for one in archiving.consumers(desk)]
    archiving.put_consumers(desk, ["job"], "both", "until Monday")
    error = refused(desk)
    assert ["M432"] == ids(error)
    assert "Img2Img.tsx (old), job (both)" in error.what
    archiving.put_consumers(desk, ["Img2Img.tsx", "job"], "new")
    (page, job) = archiving.consumers(desk)
    assert ("new", None, "new", "until Monday") == (page.side, page.note, job.side, job.note)
    assert State.ARCHIVED is put_away(desk).state
    back(desk)
    assert {"old"} == {one.side for one in archiving.consumers(desk)}


def test_a_consumer_nobody_declared_is_a_mistake(database: str, tmp_path: Path) -> None:
    """M444: an unknown name and an unknown side are refused; M407 where nothing was applied yet."""
    desk = one_table(tmp_path, database, archive=AWAY, consumers={"page": ""})
    with pytest.raises(UsageError, match="no ledger"):
        archiving.put_consumers(desk, ["page"], "new")
    run(desk, to=Phase.EXPAND)
    for names, side in ((["pag"], "new"), (["page"], "newer")):
        with pytest.raises(UsageError) as raised:
            archiving.put_consumers(desk, names, side)
        assert "M444" == raised.value.id


@pytest.mark.parametrize("taker", ["CREATE TABLE _archived_old ()", "CREATE TYPE _archived_old AS ENUM ()"])
def test_a_taken_name_is_refused(database: str, tmp_path: Path, taker: str) -> None:
    """M434: whatever has the later name, table or type, it is said what it is."""
    desk = verified(tmp_path, database)
    execute(database, taker)
    error = refused(desk)
    assert ["M434"] == ids(error)
    assert "The name _archived_old is taken: there is a t" in error.what


def test_a_table_that_another_change_needs_stays(database: str, tmp_path: Path) -> None:
    """M435: a source of another change of the same database, begun or only declared, is not archived."""
    verified(tmp_path, database)
    columns = {"id": 'column("id")', "note": 'column("note")'}
    elsewhere = definition(columns, target="'elsewhere'")
    source = f"from migrator.model import Backfill, column\n{elsewhere}"
    (tmp_path / "backfills" / "other.py").write_text(source, encoding="utf-8")
    file = tmp_path / "migrator.toml"
    file.write_text(file.read_text() + '[change.another]\nbackfills = ["other"]\n')
    error = refused(open_desk("moving", config=str(tmp_path), url=database))
    assert ["M435"] == ids(error)
    assert "old is a source of another too" in error.what


def test_a_prepared_transaction_is_named(preparing: str, tmp_path: Path) -> None:
    """M436: nobody would ever get the lock; the transaction is named with what is to be said to the server."""
    database = preparing
    desk = verified(tmp_path, database)
    name = f"held_{uuid4().hex[:8]}"
    with closing(psycopg.connect(database)) as conn:
        conn.execute("LOCK TABLE old IN ROW EXCLUSIVE MODE")
        conn.execute(f"PREPARE TRANSACTION '{name}'".encode())
    with pytest.raises(GateError) as raised:
        put_away(desk)
    assert ["M436"] == ids(raised.value)
    assert f"prepared as {name}" in raised.value.what
    execute(database, f"ROLLBACK PREPARED '{name}'")
    assert State.ARCHIVED is put_away(desk).state


def test_a_partition_alone_cannot_be_watched(database: str, tmp_path: Path) -> None:
    """M445: statements that name the parent would not be seen, so it is refused."""
    execute(
        database,
        "CREATE TABLE whole (id bigint PRIMARY KEY, note text) PARTITION BY RANGE (id);"
        "CREATE TABLE old PARTITION OF whole FOR VALUES FROM (0) TO (100); INSERT INTO whole VALUES (1, 'one')",
    )
    desk = make_project(tmp_path, database, archive=AWAY)
    run(desk, to=Phase.VERIFY)
    assert ["M445"] == ids(refused(desk))


def test_rights_that_could_not_be_given_back_are_not_taken(database: str, tmp_path: Path) -> None:
    """M440: a grantor that this role may not act as; nothing is taken away that a rollback could not restore."""
    owner, friend, guest = (f"{name}_{uuid4().hex[:8]}" for name in ("owner", "friend", "guest"))
    desk = verified(tmp_path, database)
    execute(
        database,
        f"CREATE ROLE {owner} LOGIN PASSWORD 'secret'; CREATE ROLE {friend}; CREATE ROLE {guest};"
        f"ALTER TABLE old OWNER TO {owner};"
        f"GRANT ALL ON old TO {friend} WITH GRANT OPTION; GRANT ALL ON SCHEMA migrator TO {owner};"
        f"GRANT ALL ON ALL TABLES IN SCHEMA migrator TO {owner}",
    )
    execute(database, f"SET ROLE {friend}; GRANT SELECT ON old TO {guest}; RESET ROLE")
    url = with_login(database, owner, "secret")
    as_owner = Desk(project=desk.project, change=desk.change, database=Database(url=url))
    _, refusals = archiving.foresee(as_owner)
    assert ["M440"] == [one.id for one in refusals]
    assert f"{friend} gave rights, and this role cannot act as {friend}" in refusals[0].what
    execute(database, f"GRANT {friend} TO {owner}")
    assert () == archiving.foresee(as_owner)[1]
    execute(database, f"DROP SCHEMA public CASCADE; DROP SCHEMA migrator CASCADE; DROP ROLE {owner}, {friend}, {guest}")


def test_all_that_is_in_the_way_is_said_at_once(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Several gates are one refusal: each with its id in the text, and each as a value in JSON."""
    desk = one_table(tmp_path, database, archive=AWAY, consumers={"page": ""})
    run(desk, to=Phase.BACKFILL)
    execute(database, "CREATE TABLE _archived_old ()")
    error = refused(desk)
    assert ["M430", "M432", "M434"] == ids(error)
    assert error.what.startswith("3 things stand in the way.\nM430 ")
    given = ["archive", "moving", "--config", str(tmp_path), "--database-url", database, "--format", "json"]
    assert 5 == app.run(given)
    said = json.loads(capsys.readouterr().out)
    assert ["M430", "M432", "M434"] == [one["id"] for one in said["refusals"]]
    assert all(one["cure"] for one in said["refusals"])
    assert 5 == app.run([*given, "--dry-run"])
    assert "archive" == json.loads(capsys.readouterr().out)["steps"][0]["phase"]


def test_the_verbs_speak(database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the command line: consumers are listed and set, the table is archived, drop names the date."""
    desk = verified(tmp_path, database, consumers={"page": "a page"})
    more = ["--config", str(tmp_path), "--database-url", database]
    assert 0 == app.run(["consumers", "moving", *more])
    assert "1 of 1 are not on the new tables alone." in capsys.readouterr().out
    assert 2 == app.run(["consumers", "moving", "page", *more])
    assert 0 == app.run(["consumers", "moving", "--all", "--on", "new", "--note", "live", *more, "--format", "json"])
    assert "new" == json.loads(capsys.readouterr().out)["consumers"][0]["side"]
    assert 0 == app.run(["archive", "moving", *more])
    assert "old is now _archived_old; kept until" in capsys.readouterr().out
    assert 5 == app.run(["backfill", "moving", *more])
    assert 0 == app.run(["apply", "moving", *more])
    assert 0 == app.run(["plan", "moving", *more])
    assert 5 == app.run(["drop", "moving", *more])
    assert "M442 old is now _archived_old; it is kept until" in capsys.readouterr().err
    assert 0 == app.run(["rollback", "moving", "--to", "verify", "--yes", *more])
    assert [(3,)] == rows_of(desk.database.url, "SELECT count(*) FROM old")


def test_nothing_declared_is_nothing_to_archive(database: str, tmp_path: Path) -> None:
    """M437: a change without tables to archive says what to write."""
    desk = one_table(tmp_path, database)
    with pytest.raises(UsageError, match=r"\[change.moving.archive\]") as raised:
        put_away(desk)
    assert "M437" == raised.value.id


def test_the_file_is_held_against_the_definitions(tmp_path: Path) -> None:
    """M102: a table that is no source, a name that is too long, two of one name, a period that is none."""
    for archive, keep, said in (
        ({"odl": "_a"}, "14d", "Did you mean old?"),
        ({"old": "a" * 64}, "14d", "no name of a table"),
        ({"old": "_a"}, "14 days", 'keep = "14d"'),
    ):
        with pytest.raises(ConfigurationError) as raised:
            make_project(tmp_path, "postgresql:///none", archive=archive, keep=keep)
        assert said in f"{raised.value.what} {raised.value.cure}"


def test_the_last_gate_is_looked_at_under_the_lease(database: str, tmp_path: Path) -> None:
    """M405 and M401 hold for an archive too: not while a rollback is half done."""
    desk = verified(tmp_path, database)
    execute(database, "UPDATE migrator.step SET status = 'undoing' WHERE phase = 'backfill'")
    with pytest.raises(RefusedError) as raised:
        put_away(desk)
    assert "M405" == raised.value.id
    assert MOVE in rows_of(database, "SELECT name FROM migrator.step WHERE status = 'undoing'")[0]
