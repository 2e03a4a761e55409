"""Long files of Parameters: of what the Ledger does not hold yet, only the lines that a source asks for are sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.database.session import transaction
from migrator.engine import looked_up
from migrator.engine.prepare import prepare
from migrator.hazards import unnamed_values
from migrator.workflow import use_cases
from migrator.workflow.desk import Desk
from tests.support.projects import one_table, run, terms

USER = "given(param('users', File), by='us%er')"
ROWS = [(n, f"user {n % 7}" if n % 5 else None) for n in range(1, 31)]


def with_file(url: str, tmp_path: Path) -> Desk:
    """Make a table whose rows look up their users in a file of many lines, of which it needs six; one is missing."""
    lines = "".join(f'user {n},"the {n}th\n%s"\n' for n in range(1, 1_000))
    (tmp_path / "users.csv").write_text(f"user,name\n{lines}", encoding="utf-8")
    return one_table(
        tmp_path,
        url,
        columns='"us%er" text',
        rows=ROWS,
        target="name text NOT NULL",
        fill={"name": USER},
        params={"users": str(tmp_path / "users.csv")},
    )


@pytest.mark.parametrize("at_once", [7, 100_000])
def test_a_plan_holds_the_lines_that_are_asked_for(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """What becomes of the rows is the same, however long a file must be to be looked through first."""
    monkeypatch.setattr(looked_up, "AT_ONCE", at_once)
    monkeypatch.setattr(unnamed_values, "AT_ONCE", at_once)
    desk = with_file(database, tmp_path)
    with desk.database.connect() as conn, transaction(conn, read_only=True):
        sent = prepare(conn, desk.change, desk.change.backfills[0], search_path="public").projection.select()
    assert ("the 6th" in sent, "the 800th" in sent) == (True, at_once > 1_000)
    planned = terms(desk, planned=True)
    (hazard,) = [one.what for one in use_cases.plan(desk).hazards if one.id == "H162"]
    assert "users has no line for 1 of 7 values of old.us%er: 4 rows" == hazard
    assert {"moved": 20, "quarantined": 10} == {fate: number for (fate, _), number in planned.items()}
    run(desk)
    assert planned == terms(desk)
