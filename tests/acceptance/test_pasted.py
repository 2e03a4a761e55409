"""What is printed can be pasted: commands on screens and in errors carry the options that the run was given."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from migrator.cli import app
from migrator.workflow.desk import Desk
from tests.support.projects import MOVE, definition, execute, make_project, make_source, rows_of

Said = tuple[int, list[str]]
Typed = Callable[..., Said]

SOURCE = 'wanted = param("word", needed=True, example="a b")\n'
FILL = {"id": 'column("id")', "note": 'lookup("note", {"one": "ONE", "two": "TWO"})', "kind": "given(wanted)"}
DDL = "CREATE TABLE new (id bigint PRIMARY KEY, note text, kind text)"
COMMAND = re.compile(r"migrator (?:apply|archive|consumers|drop|plan|quarantine|rollback|status|verify)\b.*")


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Typed:
    """Type a command: its exit code, and the commands that it printed."""

    def type_(line: str) -> Said:
        capsys.readouterr()
        code = app.run(shlex.split(line)[1:])
        captured = capsys.readouterr()
        text = f"{captured.out}\n{captured.err}"
        found = [one for one in text.splitlines() if COMMAND.search(one)]
        return code, [part for one in found for part in COMMAND.findall(one)[0].split(" && ")]

    return type_


@pytest.fixture
def desk(tmp_path: Path, database: str) -> Desk:
    """Give a change that cannot be opened without a Parameter, with one row that waits in quarantine."""
    make_source(database, columns="note text", rows=[(1, "one"), (2, "two"), (3, "three")])
    return of(tmp_path, database, FILL)


def of(tmp_path: Path, database: str, fill: dict[str, str], **more: object) -> Desk:
    """Write the project anew."""
    backfills = {MOVE: SOURCE + definition(fill)}
    given = {"word": "it's $5"}
    return make_project(tmp_path, database, ddl_up=DDL, backfills=backfills, params=given, **more)  # type: ignore[arg-type]


def line(desk: Desk, verb: str, *words: str) -> str:
    """Write a command as a person types it."""
    where = ["--config", str(desk.project.root), "--database-url", desk.database.url, "--param", "word=it's $5"]
    return shlex.join(["migrator", *verb.split(), desk.change.name, *words, *where])


def starting(commands: list[str], verb: str) -> str:
    """Find the first command of a verb."""
    return next(one for one in commands if one.startswith(f"migrator {verb} "))


def test_whoever_pastes_what_comes_next_gets_from_plan_to_the_proof_and_back(desk: Desk, typed: Typed) -> None:
    """Plan, dry run, apply, the quarantine and the proof name one another; each printed command runs as it stands."""
    code, said = typed(line(desk, "plan"))
    assert 0 == code
    code, said = typed(starting(said, "apply"))
    assert 0 == code
    following = starting(said, "apply")
    assert "--dry-run" not in following
    code, said = typed(following)
    assert 4 == code
    code, said = typed(starting(said, "quarantine list"))
    assert 0 == code
    assert 0 == typed(starting(said, "quarantine show"))[0]
    assert 0 == typed(starting(said, "quarantine retry"))[0]
    assert 4 == typed(starting(said, "apply"))[0]
    code, dismissed = typed(starting(said, "quarantine dismiss").replace("--id …", "--all"))
    assert 0 == code
    assert 0 == typed(starting(dismissed, "verify"))[0]
    assert [("one",), ("two",)] == rows_of(desk.database.url, "SELECT lower(note) FROM new ORDER BY id")


def test_a_refused_rollback_names_commands_that_go_as_far_as_was_asked(desk: Desk, typed: Typed) -> None:
    """`--to` and what was accepted already are in the lines of M412: pasted, they do not go further back."""
    typed(line(desk, "apply"))
    execute(desk.database.url, "UPDATE new SET note = 'the application''s' WHERE id = 1")
    code, said = typed(line(desk, "rollback", "--to", "expand"))
    assert 5 == code
    keep, lose = (next(one for one in said if word in one) for word in ("--keep-new", "--lose"))
    assert "--to expand" in keep
    assert 0 == typed(lose)[0]
    assert [(0,)] == rows_of(desk.database.url, "SELECT count(*) FROM new")  # emptied, and still there


def test_a_loss_in_a_table_with_quotes_is_accepted_by_pasting_its_words(
    tmp_path: Path, database: str, typed: Typed
) -> None:
    """The name of such a table is quoted for the shell too."""
    make_source(database, columns="note text", rows=[(1, "one")])
    desk = make_project(
        tmp_path,
        database,
        ddl_up='CREATE TABLE "New $Ones" (id bigint PRIMARY KEY, note text)',
        ddl_down='DROP TABLE "New $Ones"',
        backfills={MOVE: definition({"id": 'column("id")', "note": 'column("note")'}, target="'\"New $Ones\"'")},
    )
    where = shlex.join(["--config", str(tmp_path), "--database-url", database])
    typed(f"migrator apply moving {where}")
    execute(database, """INSERT INTO "New $Ones" VALUES (77, 'the application''s')""")
    code, said = typed(f"migrator rollback moving {where}")
    assert 5 == code
    assert 0 == typed(next(one for one in said if "--lose" in one))[0]
    assert [(None,)] == rows_of(desk.database.url, "SELECT to_regclass('\"New $Ones\"')")


def test_status_takes_the_parameters_too_and_says_them(desk: Desk, typed: Typed) -> None:
    """A change that needs a Parameter has a status, and the command that it names runs."""
    code, said = typed(line(desk, "status"))
    assert 0 == code
    assert 0 == typed(starting(said, "plan"))[0]


def test_status_of_all_gives_each_change_the_parameters_that_it_declares(
    desk: Desk, tmp_path: Path, typed: Typed
) -> None:
    """Without a name no change is told of a Parameter that only another one has."""
    file = desk.project.root / "migrator.toml"
    plain = 'backfill = Backfill(source="old", key="id", target="new", identity="id", columns={"id": column("id")})\n'
    (desk.project.root / "backfills" / "another.py").write_text(
        f"from migrator.model import Backfill, column\n{plain}", encoding="utf-8"
    )
    (revision,) = (desk.project.root / "revisions" / "versions").glob("*.py")
    label = revision.read_text("utf-8").replace("moving", "other").replace(revision.stem, "other")
    revision.with_stem("other").write_text(label, encoding="utf-8")
    file.write_text(file.read_text("utf-8") + '\n[change.other]\nbackfills = ["another"]\n', encoding="utf-8")
    words = line(desk, "status").replace(f" {desk.change.name} ", " ")
    assert 0 == app.run(shlex.split(words)[1:])


def test_the_next_commands_in_json_can_be_run_as_they_are(
    desk: Desk, typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    """`next` of a document says the options as well."""
    assert 4 == app.run(shlex.split(line(desk, "apply", "--format", "json"))[1:])
    (following,) = json.loads(capsys.readouterr().out)["next"]
    assert 0 == typed(following)[0]


def test_parameters_of_one_change_are_never_put_on_commands_about_another(desk: Desk, typed: Typed) -> None:
    """The cure of M422 names whatever change is applied; it gets only where that is."""
    typed(line(desk, "apply"))
    execute(desk.database.url, "UPDATE migrator.step SET change = 'another'")
    code, said = typed(line(desk, "ledger remove", "--yes"))
    assert 5 == code
    found = starting(said, "rollback")
    assert "--param" not in found
    assert "--config" in found
