"""Checks of a change: SQL that must return no row, and queries that an index must be able to answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from migrator.cli import app
from migrator.model.errors import ConfigurationError
from migrator.model.step import State
from migrator.model.verdict import Verdict
from migrator.workflow import use_cases
from migrator.workflow.desk import Desk, open_desk
from tests.support.projects import CHANGE, check, execute, make_project, make_source, run, silent


def project(tmp_path: Path, url: str, **kinds: dict[str, str]) -> Desk:
    """Write a project that moves three notes, with checks."""
    make_project(
        tmp_path, url, ddl_up="CREATE TABLE new (id bigint PRIMARY KEY, note text); CREATE INDEX ON new (note)"
    )
    return with_checks(tmp_path, url, **kinds)


def with_checks(tmp_path: Path, url: str, **kinds: dict[str, str]) -> Desk:
    """Write the checks of the project anew."""
    file = tmp_path / "migrator.toml"
    before = file.read_text(encoding="utf-8").partition(f"[change.{CHANGE}.")[0]
    tables = [
        "\n".join(
            [f"[change.{CHANGE}.{kind}]", *(f"{json.dumps(name)} = {json.dumps(sql)}" for name, sql in of.items())]
        )
        for kind, of in kinds.items()
    ]
    file.write_text("\n".join([before, *tables, ""]), encoding="utf-8")
    return open_desk(CHANGE, config=str(tmp_path), url=url)


def said(verdicts: Any) -> dict[str, Verdict]:
    """Find the Verdicts of checks by their names."""
    return {one.claim.partition("check: ")[2]: one for one in verdicts if "check: " in one.claim}


@pytest.fixture
def source(database: str) -> str:
    """Give a database with three notes."""
    make_source(database, rows=[(1, "one"), (2, "two"), (3, None)])
    return database


def test_a_check_that_holds_is_a_verdict_of_its_own(tmp_path: Path, source: str) -> None:
    """Each check stands in the proof by its name, whatever its query looks like."""
    checks = {
        "no empty note": "SELECT id FROM new WHERE note = ''",
        "a query with a name twice": "SELECT id, id FROM new WHERE id < 0;",
        "a query without columns": "SELECT FROM new WHERE id < 0",
        "a query with a WITH": "WITH few AS (SELECT id FROM new WHERE id < 0) SELECT * FROM few -- none",
        "100% of :all are known": "SELECT id FROM new WHERE note LIKE 'x%' AND id::text = ':all'",
    }
    desk = project(tmp_path, source, checks=checks)
    report = use_cases.apply(desk, listen=silent)
    assert (State.VERIFIED, True) == (report.state, report.proven)
    assert dict.fromkeys(checks, True) == {name: one.proven for name, one in said(report.verdicts).items()}
    assert use_cases.apply(desk, listen=silent).nothing_done


def test_a_check_that_fails_names_its_rows_and_ends_with_four(
    tmp_path: Path, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The proof does not hold, though every row is where it belongs; the first rows are named."""
    project(tmp_path, source, checks={"no short note": "SELECT id, note FROM new WHERE length(note) < 4 ORDER BY id"})
    command = ["apply", CHANGE, "--config", str(tmp_path), "--database-url", source]
    assert 4 == app.run(command)
    assert "✗ check: no short note: 2 rows: 1, 2" in capsys.readouterr().out
    execute(source, "INSERT INTO new SELECT n, 'abc' FROM generate_series(10, 20) AS n")
    assert 4 == app.run(["verify", *command[1:]])
    assert "13 rows: 1, 2, 10, 11, 12, …" in capsys.readouterr().out


def test_a_query_without_an_index_is_found_even_on_few_rows(tmp_path: Path, source: str) -> None:
    """An index check asks what the server could do, not what it would do on three rows, and runs nothing."""
    checks = {
        "by note": "SELECT * FROM new WHERE note = 'one'",
        "by key, with its neighbour": "SELECT * FROM new JOIN old USING (id) WHERE new.id = 1",
        "by length": "SELECT * FROM new WHERE length(note) = 3",
    }
    desk = project(tmp_path, source, index_checks=checks)
    use_cases.apply(desk, listen=silent)
    execute(source, "ANALYZE")  # from now on the server knows that reading three rows is quicker
    verdicts = said(check(desk).verdicts)
    assert {"by note": True, "by key, with its neighbour": True, "by length": False} == {
        name: one.proven for name, one in verdicts.items()
    }
    assert "reads all of new" in verdicts["by length"].evidence
    execute(source, "DROP INDEX new_note_idx")
    verdicts = said(check(with_checks(tmp_path, source, index_checks=checks)).verdicts)
    assert not verdicts["by note"].proven


@pytest.mark.parametrize("kind", ["checks", "index_checks"])
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT nothing FROM new",
        "SELECT id FROM nowhere",
        "SELEC",
        "SELECT 1; SELECT 2",
        "DELETE FROM new RETURNING id",
    ],
)
def test_a_check_that_is_no_query_is_named(tmp_path: Path, source: str, kind: str, sql: str) -> None:
    """What is wrong with a check is told by the check's name, and the rows stay as they are."""
    desk = project(tmp_path, source)
    run(desk)
    desk = with_checks(tmp_path, source, **{kind: {"my check": sql}})
    with pytest.raises(ConfigurationError, match='M131 the check "my check" of moving cannot be run') as wrong:
        check(desk)
    assert f"[change.{CHANGE}.{kind}]" in wrong.value.cure
    with_checks(tmp_path, source)
    assert check(open_desk(CHANGE, config=str(tmp_path), url=source)).proven


def test_a_check_that_raises_for_a_row_is_named(tmp_path: Path, source: str) -> None:
    """A query that divides by nothing is wrong too."""
    desk = project(tmp_path, source, checks={"my check": "SELECT id FROM new WHERE 1 / (id - 1) = 0"})
    with pytest.raises(ConfigurationError, match=r"M131.*division by zero"):
        use_cases.apply(desk, listen=silent)


def test_a_changed_check_makes_the_proof_stale(tmp_path: Path, source: str) -> None:
    """A proof is a proof of the checks as they were; with other ones it is to be had again."""
    desk = project(tmp_path, source, checks={"a": "SELECT id FROM new WHERE id < 0"})
    assert use_cases.apply(desk, listen=silent).proven
    assert State.VERIFIED is use_cases.status_facts(desk).state
    for checks in ({"a": "SELECT id FROM new WHERE id < -1"}, {"b": "SELECT id FROM new WHERE id < 0"}, {}):
        other = with_checks(tmp_path, source, checks=checks)
        assert State.COPIED is use_cases.status_facts(other).state
    same = with_checks(tmp_path, source, checks={"a": "SELECT id FROM new WHERE id < 0"})
    assert State.VERIFIED is use_cases.status_facts(same).state


def test_an_empty_check_is_refused_with_the_file(tmp_path: Path, source: str) -> None:
    """A check without SQL is a fault of the file."""
    project(tmp_path, source)
    with pytest.raises(ConfigurationError, match=r"M102.*checks.*holds no SQL"):
        with_checks(tmp_path, source, checks={"a": " ; "})
