"""The first mistakes anybody makes: each has an id, a cure and the right exit code, and nothing was changed."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from migrator.cli import app
from migrator.model.errors import ConfigurationError
from migrator.servers import Postgres
from tests.support.kills import dump
from tests.support.projects import CHANGE, MOVE, definition, execute, make_project, make_source, rows_of

COLUMNS = "note text, at timestamptz"
ROWS = [(1, "one", "2024-01-01"), (2, "two", None), (3, None, None)]
NEW = "CREATE TABLE new (id bigint PRIMARY KEY, note text, size integer, at timestamptz)"
FILLED = {"id": 'column("id")', "note": 'column("note")'}


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a command said: its exit code, the id of its error, and all the words."""

    code: int
    id: str
    words: str


Command = Callable[..., Said]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command of the tool in this process."""

    def run_it(*arguments: str) -> Said:
        capsys.readouterr()
        code = app.run(arguments)
        captured = capsys.readouterr()
        words = " ".join(f"{captured.out} {captured.err}".split())
        found = re.search(r"^(M\d{3}) ", captured.err, re.MULTILINE)
        assert "Traceback" not in words
        return Said(code=code, id=found[1] if found else "", words=words)

    return run_it


@pytest.fixture
def source(database: str) -> str:
    """Give a database with the old table and its rows, and no Ledger."""
    make_source(database, columns=COLUMNS, rows=ROWS)
    return database


def project(root: Path, url: str, columns: dict[str, str] | None = None, **parts: str) -> Path:
    """Write a project whose definition may be wrong."""
    backfills = {MOVE: definition({**FILLED, **(columns or {})}, **parts)}
    with suppress(ConfigurationError):  # it is the tool's turn to say so
        make_project(root, url, ddl_up=NEW, backfills=backfills)
    return root


def where(root: Path, url: str) -> list[str]:
    """Name the project and the database."""
    return ["--config", str(root), "--database-url", url]


WRONG: dict[str, tuple[dict[str, str], dict[str, str], str, str]] = {
    "a table that is not there": ({}, {"source": "'odl'"}, "M111", "old"),
    "a source column that is not there": ({"note": 'column("nte")'}, {}, "M113", "Did you mean"),
    "a target column that is not there": ({"nots": 'column("note")'}, {}, "M113", 'Did you mean "note"'),
    "a type that is not there": ({"note": 'sql("note::no_such_type")'}, {}, "M114", "no_such_type"),
    "an expression that does not parse": ({"note": 'sql("note ||")'}, {}, "M114", "note"),
    "a function that is not there": ({"note": 'sql("shout(note)")'}, {}, "M114", "shout"),
    "a value of the wrong type": ({"size": 'column("at")'}, {}, "M115", "size"),
    "a clock": ({"at": 'sql("now()")'}, {}, "M120", "now"),
    "a key that is not unique": ({}, {"key": "'note'"}, "M118", "primary key"),
    "an identity that is not unique": ({}, {"identity": "'note'"}, "M119", "primary key"),
}
VERBS = [["plan"], ["apply"]]
MORE_VERBS = [["apply", "--dry-run"], ["backfill"], ["verify-counts"]]


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_definition(name: str, source: str, tmp_path: Path, said: Command) -> None:
    """Every verb says what is wrong with a definition, with exit code 2, and changes nothing at all."""
    columns, parts, expected, cure = WRONG[name]
    root = project(tmp_path, source, columns, **parts)
    before = dump(source)
    for verb in VERBS:
        told = said(*verb, CHANGE, *where(root, source))
        assert (2, expected) == (told.code, told.id), (verb, told.words)
        assert cure in told.words
        assert before == dump(source), verb


def test_a_not_null_column_that_nobody_fills(source: str, tmp_path: Path, said: Command) -> None:
    """M107 names the column and the line to add, whichever verb looks at the definition."""
    root = make_project(
        tmp_path,
        source,
        ddl_up="CREATE TABLE new (id bigint PRIMARY KEY, note text, kind text NOT NULL)",
        backfills={MOVE: definition(FILLED)},
    ).project.root
    before = dump(source)
    for verb in VERBS + MORE_VERBS:
        told = said(*verb, CHANGE, *where(root, source))
        assert (2, "M107") == (told.code, told.id), (verb, told.words)
        assert '"kind"' in told.words
        assert "Add it to columns" in told.words
        assert before == dump(source), verb


def test_broken_toml(source: str, tmp_path: Path, said: Command) -> None:
    """M101 gives the line and the column."""
    root = project(tmp_path, source)
    with (root / "migrator.toml").open("a", encoding="utf-8") as file:
        file.write("\nbatch_rows = = 5\n")
    before = dump(source)
    told = said("apply", CHANGE, *where(root, source))
    assert (2, "M101") == (told.code, told.id)
    assert re.search(r"migrator\.toml:\d+:\d+", told.words)
    assert before == dump(source)


def test_unknown_keys(source: str, tmp_path: Path, said: Command) -> None:
    """M102 names every unknown key at once, and what was probably meant."""
    root = project(tmp_path, source)
    with (root / "migrator.toml").open("a", encoding="utf-8") as file:
        file.write("\nbatch_row = 5\nworker = 2\n")
    told = said("apply", CHANGE, *where(root, source))
    assert (2, "M102") == (told.code, told.id)
    assert "Did you mean batch_rows?" in told.words
    assert "Did you mean workers?" in told.words


def test_no_project(source: str, tmp_path: Path, said: Command) -> None:
    """M101 names the place where no project is."""
    told = said("apply", CHANGE, *where(tmp_path / "nowhere", source))
    assert (2, "M101") == (told.code, told.id)
    assert str(tmp_path / "nowhere") in told.words


@pytest.mark.parametrize("verb", ["plan", "apply", "backfill", "verify", "verify-counts", "rollback", "status"])
def test_an_unknown_change(verb: str, source: str, tmp_path: Path, said: Command) -> None:
    """M103 names the changes there are."""
    told = said(verb, "mooving", *where(project(tmp_path, source), source))
    assert (2, "M103") == (told.code, told.id)
    assert CHANGE in told.words


def test_an_unknown_backfill(source: str, tmp_path: Path, said: Command) -> None:
    """M103 on the command line, and M105 in the file, name what there is."""
    root = project(tmp_path, source)
    before = dump(source)
    told = said("backfill", CHANGE, "--only", "mov", *where(root, source))
    assert (2, "M103") == (told.code, told.id)
    assert MOVE in told.words
    text = (root / "migrator.toml").read_text(encoding="utf-8")
    (root / "migrator.toml").write_text(text.replace(MOVE, "move_old_to_now"), encoding="utf-8")
    told = said("apply", CHANGE, *where(root, source))
    assert (2, "M105") == (told.code, told.id)
    assert f"Did you mean {MOVE}?" in told.words
    assert before == dump(source)


@pytest.mark.parametrize(
    "option", [["--batch-rows", "0"], ["--workers", "many"], ["--lock-timeout", "5"], ["--quarantine-limit", "-1"]]
)
def test_wrong_settings(option: list[str], source: str, tmp_path: Path, said: Command) -> None:
    """A setting that cannot be is a matter of usage, and named."""
    before = dump(source)
    told = said("apply", CHANGE, *option, *where(project(tmp_path, source), source))
    assert 2 == told.code
    assert option[0] in told.words
    assert before == dump(source)


# --- parameters ----------------------------------------------------------------------------------

USER = {"note": 'given(param("user_map", File))'}
FILES: dict[str, tuple[str | bytes | None, str]] = {
    "no such file": (None, "M106"),
    "an empty file": ("", "M106"),
    "no header": ("1,a\n2,b\n", "M106"),
    "a key given twice": ("id,note\n1,a\n1,b\n", "M106"),
    "a line too short": ("id,note\n1\n", "M106"),
    "no UTF-8": (b"id,note\n1,\xff\n", "M106"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_wrong_parameter_file(name: str, source: str, tmp_path: Path, said: Command) -> None:
    """A CSV file that cannot be read as key and value is M106, which names the file, and nothing was changed."""
    root = project(tmp_path / "project", source, USER)
    content, expected = FILES[name]
    file = tmp_path / "users.csv"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = dump(source)
    told = said("apply", CHANGE, "--param", f"user_map={file}", *where(root, source))
    assert (2, expected) == (told.code, told.id), told.words
    assert "users.csv" in told.words
    assert before == dump(source)


@pytest.mark.parametrize(
    ("given", "expected"), [("user_map", "M100"), ("=x", "M100"), ("user_mapp=x", "M106"), ("user_map=", "M106")]
)
def test_a_wrong_parameter(given: str, expected: str, source: str, tmp_path: Path, said: Command) -> None:
    """A parameter that is none, or that nobody declares, is said with the cure."""
    root = project(tmp_path, source, USER)
    before = dump(source)
    told = said("apply", CHANGE, "--param", given, *where(root, source))
    assert (2, expected) == (told.code, told.id), told.words
    assert before == dump(source)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("like=(", "like: '(' is no regular expression: invalid regular expression: parentheses () not balanced."),
        ("people=no_such", "people: there is no table or view no_such."),
        ("people=narrow", "people: narrow has no second column."),
    ],
)
def test_an_argument_that_the_server_cannot_use(
    given: str, expected: str, source: str, tmp_path: Path, said: Command
) -> None:
    """M106: a pattern that is none, and a table that is not there, are told by the parameter's name."""
    execute(source, "CREATE TABLE narrow (a int)")
    like = "sql('note ~ {like}', like=param('like', Pattern, default='^one'))"
    owner = "given(param('people', Table), by='note')"
    project(
        tmp_path,
        source,
        {"id": 'column("id")', "note": f"sql('coalesce({{o}}, note)', o={owner})"},
        skip=f"{{'it': {like}}}",
    )
    assert 0 == said("plan", CHANGE, *where(tmp_path, source), "--param", "like=", "--param", "people=old").code
    for verb in ("plan", "apply"):
        found = said(verb, CHANGE, *where(tmp_path, source), "--param", given)
        assert (2, "M106") == (found.code, found.id), found
        assert f"parameters of {CHANGE}: {expected}" in found.words


def test_a_missing_parameter(source: str, tmp_path: Path, said: Command) -> None:
    """A parameter without which a column would silently be NULL must be given."""
    told = said("plan", CHANGE, *where(project(tmp_path, source, USER), source))
    assert (2, "M106") == (told.code, told.id)
    assert "--param user_map=" in told.words


# --- the world -----------------------------------------------------------------------------------


def test_no_url(source: str, tmp_path: Path, said: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an address there is no server of our own instead: M104 says how to give one."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    told = said("apply", CHANGE, "--config", str(project(tmp_path, source)))
    assert (2, "M104") == (told.code, told.id)
    assert "DATABASE_URL" in told.words
    assert "--database-url" in told.words


def test_a_server_that_is_down(source: str, tmp_path: Path, said: Command) -> None:
    """M302 names the address without its password; the exit code says that the same command may be run again."""
    told = said("apply", CHANGE, *where(project(tmp_path, source), "postgresql://me:secret@127.0.0.1:1/studio"))
    assert (1, "M302") == (told.code, told.id)
    assert "127.0.0.1:1" in told.words
    assert "secret" not in told.words


def test_a_database_that_is_not_there(source: str, tmp_path: Path, said: Command) -> None:
    """M304 names the database."""
    told = said("apply", CHANGE, *where(project(tmp_path, source), f"{source}_not"))
    assert (2, "M304") == (told.code, told.id)


def test_a_wrong_password(killable: Postgres, tmp_path: Path, said: Command) -> None:
    """M303 says whom the server does not let in, and never the password."""
    execute(killable.url(), "CREATE ROLE clerk LOGIN SUPERUSER PASSWORD 'right'")
    rules = killable.data / "pg_hba.conf"
    trusting = rules.read_text(encoding="utf-8")
    rules.write_text(f"host all clerk all scram-sha-256\n{trusting}", encoding="utf-8")
    execute(killable.url(), "SELECT pg_reload_conf()")
    make_source(killable.url(), columns=COLUMNS, rows=ROWS)
    root = project(tmp_path, killable.url())
    address = killable.url().replace("postgres@", "clerk:{}@")
    before = dump(killable.url())
    told = said("apply", CHANGE, *where(root, address.format("wrong-word")))
    assert (2, "M303") == (told.code, told.id), told.words
    assert "clerk" in told.words
    assert "wrong-word" not in told.words
    assert before == dump(killable.url())
    assert 0 == said("apply", CHANGE, *where(root, address.format("right"))).code


def test_a_server_that_only_reads(source: str, tmp_path: Path, said: Command) -> None:
    """A plan is made there all the same; apply is M305, and has changed nothing."""
    root = project(tmp_path, source)
    before = dump(source)
    name = source.rpartition("/")[2]
    execute(source, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    assert 0 == said("plan", CHANGE, *where(root, source)).code
    told = said("apply", CHANGE, *where(root, source))
    assert (1, "M305") == (told.code, told.id)
    assert "default_transaction_read_only" in told.words
    assert before == dump(source)


def test_missing_rights(source: str, tmp_path: Path, said: Command) -> None:
    """A role that may only read is told the GRANT it lacks; nothing was changed."""
    role = f"clerk_{uuid4().hex[:8]}"
    execute(source, f"CREATE ROLE {role} LOGIN PASSWORD 'word'; GRANT SELECT ON old TO {role}")
    address = re.sub(r"//[^@]*@", f"//{role}:word@", source)
    before = dump(source)
    try:
        told = said("apply", CHANGE, *where(project(tmp_path, source), address))
    finally:
        execute(source, f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert (2, "M306") == (told.code, told.id)
    assert "GRANT CREATE ON DATABASE" in told.words
    assert role in told.words
    assert before.replace(role, "") == dump(source) or role in before


def test_a_table_in_the_way(source: str, tmp_path: Path, said: Command) -> None:
    """M209 shows how a table in the way differs from the declared one; it is neither used nor overwritten."""
    execute(
        source,
        "CREATE TABLE new (id integer PRIMARY KEY, note text NOT NULL, extra int); INSERT INTO new VALUES (1, 'x')",
    )
    root = project(tmp_path, source)
    before = dump(source, "--exclude-schema=migrator")
    told = said("apply", CHANGE, *where(root, source))
    assert (5, "M209") == (told.code, told.id), told.words
    for difference in (
        'column "id" is integer, declared: bigint',
        'column "note" is NOT NULL, declared: nullable',
        'column "size" is missing (declared: integer)',
        'column "extra" is not declared',
    ):
        assert difference in told.words
    assert before == dump(source, "--exclude-schema=migrator")
    execute(source, "ALTER TABLE new RENAME TO new_of_somebody")
    assert 0 == said("apply", CHANGE, *where(root, source)).code
    assert [(1, "x")] == rows_of(source, "SELECT id, note FROM new_of_somebody")


def test_a_revision_that_fails(source: str, tmp_path: Path, said: Command) -> None:
    """M201 names the statement; nothing of the revision was applied, and mended it goes on."""
    root = make_project(
        tmp_path, source, ddl_up=f"{NEW}; CREATE INDEX ON new (nobody)", backfills={MOVE: definition(FILLED)}
    ).project.root
    before = dump(source, "--exclude-schema=migrator")
    told = said("apply", CHANGE, *where(root, source))
    assert (1, "M201") == (told.code, told.id), told.words
    assert "nobody" in told.words
    assert before == dump(source, "--exclude-schema=migrator")
    project(tmp_path, source)
    assert 0 == said("apply", CHANGE, *where(root, source)).code


def test_a_schema_migrator_of_somebody_else(source: str, tmp_path: Path, said: Command) -> None:
    """M421 says that the schema is not ours; nothing is put into it."""
    execute(source, "CREATE SCHEMA migrator; CREATE TABLE migrator.birds (id int)")
    before = dump(source)
    told = said("apply", CHANGE, *where(project(tmp_path, source), source))
    assert (5, "M421") == (told.code, told.id), told.words
    assert "birds" in told.words
    assert before == dump(source)


def test_a_row_that_came_in_another_encoding_is_no_fault(source: str, tmp_path: Path, said: Command) -> None:
    """A session with another client_encoding changes nothing about what is moved."""
    with closing(psycopg.connect(source, autocommit=True)) as conn:
        conn.execute("INSERT INTO old VALUES (4, 'Ærøskøbing ☂', NULL)")
    name = source.rpartition("/")[2]
    execute(source, f"ALTER DATABASE \"{name}\" SET client_encoding = 'LATIN1'")
    assert 0 == said("apply", CHANGE, *where(project(tmp_path, source), source)).code
    with closing(psycopg.connect(source, client_encoding="utf8")) as conn:
        assert [("Ærøskøbing ☂",)] == conn.execute("SELECT note FROM new WHERE id = 4").fetchall()
