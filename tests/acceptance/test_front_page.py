"""The front page leads a stranger to a change of his own: its files and commands, as they stand there."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from migrator.cli import app
from migrator.project import Project
from tests.support.projects import execute, rows_of

README = Path(__file__).parents[2] / "README.md"
TITLE = "## Your own change in ten lines"
PEOPLE = """
INSERT INTO people VALUES (1, 'Ana@shop.test', '2020-02-28', 'basic'), (2, 'Rui@shop.test', '2021-05-01', 'gold'),
    (3, 'Eva@shop.test', '2020-02-30', 'gold'), (4, 'Leo@shop.test', NULL, 'platinum')
"""


def section() -> str:
    """Give the part of the page."""
    text = README.read_text("utf-8")
    return text[text.index(TITLE) :].split("\n## ", 1)[0]


def test_the_change_of_the_front_page_goes_there_and_back(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file and every command of it: planned, applied, shown, proven once two rows are dismissed, and undone."""
    page = section()
    for name in ("env.py", "script.py.mako"):
        (tmp_path / "revisions" / "versions").mkdir(parents=True, exist_ok=True)
        shutil.copy(Project.documented().revisions / name, tmp_path / "revisions" / name)
    (tmp_path / "backfills").mkdir()
    for name, code in re.findall(r"^`([\w./]+)`.*?```\w+\n(.*?)```", page, re.MULTILINE | re.DOTALL):
        (tmp_path / name).write_text(code, encoding="utf-8")
    (table,) = re.findall(r"`(CREATE TABLE [^`]+)`", page)
    execute(database, table)
    execute(database, PEOPLE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database)
    commands = [shlex.split(one, comments=True)[1:] for one in re.findall(r"^\$ (migrator .*)$", page, re.MULTILINE)]
    codes = {" ".join(one): app.run(one) for one in commands if one != ["rollback"]}
    assert {"plan": 0, "apply --dry-run": 0, "apply": 4, "quarantine list": 0, "verify": 4} == codes
    assert 0 == app.run(["quarantine", "dismiss", "--all", "--note", "agreed"])
    assert 0 == app.run(["verify"])
    found = rows_of(database, "SELECT email, plan FROM customers ORDER BY email")
    assert [("ana@shop.test", "free"), ("rui@shop.test", "paid")] == found
    assert 0 == app.run(["rollback", "--yes"])
    assert [(None,)] == rows_of(database, "SELECT to_regclass('customers')")
