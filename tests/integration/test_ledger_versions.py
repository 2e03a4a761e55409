"""A Ledger of an older version is brought to the newest one, and is then as a fresh one."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from migrator.ledger import install
from migrator.model.step import State
from migrator.workflow import archiving, housekeeping, use_cases
from migrator.workflow.desk import open_desk
from migrator.workflow.status import status
from tests.support.archives import put_away
from tests.support.kills import dump
from tests.support.projects import back, execute, one_table, rows_of, silent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def empty(url: str) -> None:
    """Leave a database empty."""
    execute(url, "SELECT 1")


def at_version(number: int, url: str) -> None:
    """Install the Ledger as a tool of that version did."""
    steps = [files("migrator.ledger").joinpath(f"schema_{n}.sql").read_text("utf-8") for n in range(1, number + 1)]
    version = f"INSERT INTO migrator.meta (version, database, tool) VALUES ({number}, current_database(), '0.1.0')"
    execute(url, "; ".join(["CREATE SCHEMA migrator", *steps, version]))


def test_an_upgraded_ledger_is_as_a_fresh_one(
    database_from: Callable[[str, Callable[[str], object]], str], tmp_path: Path
) -> None:
    """Table by table, function by function, right by right: what pg_dump sees of both is the same."""
    fresh = database_from("an empty one", empty)
    use_cases.install_ledger(one_table(tmp_path, fresh))
    for number in range(1, install.VERSION):
        old = database_from("an empty one", empty)
        at_version(number, old)
        desk = open_desk("moving", config=str(tmp_path), url=old)
        use_cases.install_ledger(desk)
        assert dump(fresh, "--schema=migrator", "--schema-only") == dump(old, "--schema=migrator", "--schema-only")
        assert [(install.VERSION,)] == rows_of(old, "SELECT version FROM migrator.meta")
        before = dump(old)
        use_cases.install_ledger(desk)
        assert before == dump(old)


def test_a_change_begun_under_version_1_goes_on(database: str, tmp_path: Path) -> None:
    """Verbs that only read work with the older Ledger; those that write bring it to the newest version first."""
    desk = one_table(tmp_path, database, archive={"old": "_archived_old"}, consumers={"page": ""})
    at_version(1, database)
    assert "old" == archiving.consumers(desk)[0].side
    assert State.NEW is use_cases.plan(desk).state
    assert [State.NEW] == [one.state for one in status(desk.project, url=database)]
    archiving.put_consumers(desk, ["page"], "new")
    assert State.VERIFIED is use_cases.apply(desk, listen=silent).state
    assert State.ARCHIVED is put_away(desk).state
    back(desk)
    housekeeping.ledger_remove(desk)
    assert [(None,)] == rows_of(database, "SELECT to_regnamespace('migrator')")
