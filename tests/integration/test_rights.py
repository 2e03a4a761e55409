"""A dry run needs the right to read the source and nothing else, and the server itself keeps it from writing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from migrator.cli import app
from migrator.demo.output_type_tables import build_legacy
from migrator.model.errors import MigratorError, UsageError
from migrator.model.step import Phase, Plan
from migrator.workflow.desk import Desk, open_desk
from migrator.workflow.use_cases import plan, verify_counts
from tests.support.kills import ROOT, dump
from tests.support.projects import MOVE, definition, execute, make_project, one_table, rows_of, run

ROWS = 400
DatabaseFrom = Callable[[str, Callable[[str], object]], str]
Reader = Callable[..., str]


def with_login(url: str, user: str, password: str) -> str:
    """Write the address of the same database for another user."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{user}:{password}@{host}").geturl()


@pytest.fixture
def reader() -> Iterator[Reader]:
    """Make roles that may connect, use the schema and read the tables named: `reader(url, *tables, also='')`."""
    made: list[tuple[str, str]] = []

    def grant(url: str, *tables: str, also: str = "") -> str:
        role = f"reader_{uuid4().hex[:8]}"
        name = url.rpartition("/")[2]
        execute(
            url,
            f"CREATE ROLE {role} LOGIN PASSWORD 'secret' {also}; REVOKE ALL ON DATABASE \"{name}\" FROM PUBLIC;"
            f' GRANT CONNECT ON DATABASE "{name}" TO {role}; REVOKE ALL ON SCHEMA public FROM PUBLIC;'
            f" GRANT USAGE ON SCHEMA public TO {role}",
        )
        made.append((url, role))
        for table in tables:
            execute(url, f"GRANT SELECT ON {table} TO {role}")
        return with_login(url, role, "secret")

    yield grant
    for url, role in made:
        execute(url, f"DROP OWNED BY {role}; DROP ROLE {role}")


def as_role(desk: Desk, url: str) -> Desk:
    """Open the same change for another role."""
    return open_desk(desk.change.name, config=str(desk.project.root), url=url)


def foretold(made: Plan) -> dict[str, int]:
    """Count the rows of a plan by disposition."""
    (balance,) = made.balances
    return {one.disposition: one.rows for one in balance.terms if one.rows}


@pytest.mark.parametrize("unreadable", [False, True], ids=["all readable", "other tables unreadable"])
def test_select_on_the_source_is_enough_before_expand(
    unreadable: bool, tmp_path: Path, database: str, reader: Reader, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before expand, a role that may only read the source gets every row foretold, and the exit code is 0."""
    desk = one_table(tmp_path, database)
    if unreadable:
        execute(database, "CREATE TABLE secrets (id int PRIMARY KEY)")
    desk = as_role(desk, reader(database, "old"))
    made = plan(desk, dry_run=True)
    assert {"moved": 3} == foretold(made)
    assert unreadable == any("types unchecked" in note for note in made.notes)
    where = ["--config", str(desk.project.root), "--database-url", desk.database.url]
    capsys.readouterr()
    assert 0 == app.run(["apply", desk.change.name, "--dry-run", *where, "--format", "json"])
    assert {"new", 3} <= {(said := json.loads(capsys.readouterr().out))["state"], said["rows_pending"]}


def test_select_on_the_source_is_enough_after_expand(tmp_path: Path, database: str, reader: Reader) -> None:
    """After expand, the same role may still make a dry run, without any right on the target or the Ledger."""
    desk = one_table(tmp_path, database)
    run(desk, to=Phase.EXPAND)
    made = plan(as_role(desk, reader(database, "old")), dry_run=True)
    assert {"moved": 3} == foretold(made)
    assert any("may not read the ledger" in note for note in made.notes)
    assert not any("unchecked" in note for note in made.notes)


def test_without_select_the_missing_right_is_named(tmp_path: Path, database: str, reader: Reader) -> None:
    """A role that may not read the source is told which GRANT it lacks, with exit code 2."""
    desk = one_table(tmp_path, database)
    with pytest.raises(UsageError) as caught:
        plan(as_role(desk, reader(database)), dry_run=True)
    assert "M306" == caught.value.id
    assert "GRANT SELECT" in caught.value.cure
    assert "old" in caught.value.cure


def test_row_security_is_an_error_and_never_a_smaller_source(tmp_path: Path, database: str, reader: Reader) -> None:
    """A policy that would hide rows from the role is M311, which names the way out; BYPASSRLS is one."""
    desk = one_table(tmp_path, database)
    execute(
        database,
        "ALTER TABLE old ENABLE ROW LEVEL SECURITY; CREATE POLICY first_only ON old FOR SELECT USING (id = 1)",
    )
    with pytest.raises(UsageError) as caught:
        plan(as_role(desk, reader(database, "old")), dry_run=True)
    assert "M311" == caught.value.id
    assert "BYPASSRLS" in caught.value.cure
    made = plan(as_role(desk, reader(database, "old", also="BYPASSRLS")), dry_run=True)
    assert {"moved": 3} == foretold(made)


# --- held READ ONLY by the server ----------------------------------------------------------------

COUNTING = """
CREATE SEQUENCE asked;
CREATE FUNCTION sneaky(t text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT t || nextval('asked') $$;
CREATE FUNCTION counted(t text) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT t || nextval('asked') $$;
CREATE OPERATOR !!! (RIGHTARG = text, FUNCTION = counted);
CREATE VIEW seen AS SELECT 1 AS one, counted('x') AS note;
CREATE TYPE boxed AS (t text);
CREATE FUNCTION boxed(t text) RETURNS boxed LANGUAGE sql VOLATILE AS $$ SELECT ROW(t || nextval('asked'))::boxed $$;
CREATE CAST (text AS boxed) WITH FUNCTION boxed(text)"""
HIDDEN = {
    "a function that says it is immutable": "sneaky(note)",
    "an operator": "!!! note",
    "a view": "(SELECT seen.note FROM seen)",
    "a cast": "((note::boxed).t)",
}


@pytest.mark.parametrize("hidden", HIDDEN)
def test_a_definition_that_writes_is_stopped_by_the_server(hidden: str, tmp_path: Path, database: str) -> None:
    """A write that no look at the definition can see is M308, and nothing was written, not even a sequence's number."""
    one_table(tmp_path, database, before=COUNTING)
    columns = {"id": 'column("id")', "note": f"sql({HIDDEN[hidden]!r})"}
    desk = make_project(tmp_path, database, backfills={MOVE: definition(columns)})
    before = dump(database)
    for look in (lambda: plan(desk, dry_run=True), lambda: verify_counts(desk)):
        with pytest.raises(MigratorError) as caught:
            look()
        assert "M308" == caught.value.id
        assert 2 == caught.value.exit_code
    assert [(1, False)] == rows_of(database, "SELECT last_value, is_called FROM asked")
    assert before == dump(database)


def test_a_volatile_function_is_refused_by_its_name(tmp_path: Path, database: str) -> None:
    """What can be seen is refused before anything runs: M120 names the function."""
    one_table(tmp_path, database, before=COUNTING)
    columns = {"id": 'column("id")', "note": "sql('counted(note)')"}
    with pytest.raises(UsageError) as caught:
        plan(make_project(tmp_path, database, backfills={MOVE: definition(columns)}), dry_run=True)
    assert "M120" == caught.value.id
    assert "counted" in caught.value.what


# --- nothing is left behind ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "to", [None, Phase.EXPAND, Phase.BACKFILL, Phase.VERIFY], ids=["new", "expanded", "copied", "verified"]
)
def test_a_dry_run_leaves_the_database_as_it_is(
    to: Phase | None, database_from: DatabaseFrom, capsys: pytest.CaptureFixture[str]
) -> None:
    """In every state, a dump after a dry run is byte for byte the dump before, the Ledger included."""

    def build(url: str) -> None:
        with closing(psycopg.connect(url)) as conn, conn:
            build_legacy(conn, rows=ROWS)

    url = database_from("the legacy studio", build)
    desk = open_desk("output_type_tables", config=str(ROOT), url=url)
    if to is not None:
        run(desk, to=to)
    before = dump(url)
    plan(desk, dry_run=True)
    plan(desk)
    assert 0 == app.run(["apply", "output_type_tables", "--dry-run", "--config", str(ROOT), "--database-url", url])
    assert "READ ONLY" in " ".join(capsys.readouterr().out.split())
    assert before == dump(url)
