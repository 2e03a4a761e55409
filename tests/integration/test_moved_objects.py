"""Rows whose objects move with them: a row gets a new key only when the Ledger says that its object is there.

What copies objects is not in these tests: the records are made by hand, as a copy would leave them.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from migrator.database.session import execute as executed
from migrator.database.session import rows, transaction
from migrator.engine.prepare import prepare, record_definition
from migrator.ledger.run import Run
from migrator.model.errors import ConfigurationError
from migrator.model.moved_objects import WAITING
from migrator.model.objects import Outcome
from migrator.model.step import Phase
from migrator.model.verdict import Comparison
from migrator.phases.backfill import CopyRows
from migrator.phases.catchup import CatchUpRows
from migrator.workflow import use_cases
from migrator.workflow.change_steps import comparison
from migrator.workflow.desk import Desk
from migrator.workflow.runner import install_ledger, running, take, take_back
from tests.support.projects import MOVE, definition, execute, fates, make_project, rows_of, run, silent, terms

SOURCE = """
CREATE TABLE old (id bigint PRIMARY KEY, job text, url text, sound text);
INSERT INTO old VALUES (1, 'j1', 'a/one.PNG', NULL), (2, 'j1', 'a/two', NULL), (3, 'j2', NULL, NULL)"""
TARGET = "CREATE TABLE new (id bigint PRIMARY KEY, job_id text, s3_key text, sound_key text)"
PICTURE = (
    "moved_object(column('url'), to='restored/{job_id}/{id}{ext}', only_if=param('copy_objects', bool, default=False))"
)
COLUMNS = {
    "id": "column('id')",
    "job_id": "column('job')",
    "s3_key": "object_key('picture', otherwise='url')",
}
MADE = "SELECT id, s3_key FROM new ORDER BY id"
OLD_KEYS = [(1, "a/one.PNG"), (2, "a/two"), (3, None)]
NEW_KEYS = [(1, "restored/j1/1.jpg"), (2, "restored/j1/2.jpg"), (3, None)]
FORESEEN = [(1, "restored/j1/1.png"), (2, "restored/j1/2"), (3, None)]


def project(
    tmp_path: Path,
    url: str,
    *,
    wanted: bool = True,
    objects: str = f"{{'picture': {PICTURE}}}",
    columns: dict[str, str] = COLUMNS,
    ddl: str = TARGET,
    down: str = "DROP TABLE new",
    **parts: str,
) -> Desk:
    """Write the project, or write it anew with something changed."""
    source = definition(columns, objects=objects, **parts)
    params = {"copy_objects": wanted} if "copy_objects" in source else {}
    return make_project(tmp_path, url, ddl_up=ddl, ddl_down=down, backfills={MOVE: source}, params=params)


@dataclass(frozen=True)
class Rows:
    """The rows of a change, without the Step that copies objects."""

    desk: Desk

    @property
    def url(self) -> str:
        """The database."""
        return self.desk.database.url

    def ready(self) -> Rows:
        """Make the target, and record the definition."""
        run(self.desk, to=Phase.EXPAND)
        with running(self.desk, "test", silent) as (held, conn):
            self._writing(held, conn)
        return self

    def listed(self) -> list[tuple[Any, ...]]:
        """List the objects of all rows: the row, its object's name, from where and to where it goes."""
        with running(self.desk, "test", silent) as (held, conn):
            writing = self._writing(held, conn)
            with transaction(conn, read_only=True, search_path="public"):
                return sorted(rows(conn, writing.objects(None, None)))

    def record(self, outcome: str | None = Outcome.COPIED.value, extension: str = ".jpg", detail: str = "") -> None:
        """Write down what is listed as a copy would, with one outcome for all; what is not said is not known yet."""
        lines = self.listed()
        execute(self.url, "DELETE FROM migrator.object")
        for key, name, *names in lines:
            rows_of(
                self.url,
                "INSERT INTO migrator.object (change, backfill, name, source_key, from_bucket, from_key, to_bucket,"
                " to_key, extension, outcome, detail) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    self.desk.change.name,
                    MOVE,
                    name,
                    key,
                    *names,
                    extension if outcome else None,
                    outcome,
                    detail or None,
                ],
            )

    def copy(self) -> dict[str, tuple[str, str]]:
        """Copy the rows, and say what became of each."""
        with running(self.desk, "test", silent) as (held, _):
            take(self._step, held)
        return fates(self.desk)

    def catch_up(self) -> dict[str, int]:
        """Bring rows up to date."""
        backfill = self.desk.change.backfills[0]
        with running(self.desk, "test", silent) as (held, _):
            step = CatchUpRows(change=self.desk.change, backfill=backfill, search_path="public")
            return dict(take(step, held).detail)

    def back(self) -> None:
        """Take the rows back."""
        with running(self.desk, "test", silent) as (held, _):
            take_back(self._step, held)

    def compared(self) -> Comparison:
        """Compare every row."""
        with closing(self.desk.database.connect()) as conn:
            (found,) = comparison(self.desk).prove(conn, silent).comparisons
        return found

    @property
    def _step(self) -> CopyRows:
        return CopyRows(change=self.desk.change, backfill=self.desk.change.backfills[0], search_path="public")

    def _writing(self, held: Run, conn: Any) -> Any:
        return record_definition(held, conn, self.desk.change, self.desk.change.backfills[0], "public")


def test_a_row_gets_the_key_at_which_its_object_is_proven_to_be(database: str, tmp_path: Path) -> None:
    """Foretold before anything is there; listed with what stands in the target row; written as it was copied."""
    execute(database, SOURCE)
    moving = Rows(project(tmp_path, database))
    assert {("moved", ""): 3} == terms(moving.desk, planned=True)
    assert [
        (["1"], "picture", "", "a/one.PNG", "", "restored/j1/1{ext}"),
        (["2"], "picture", "", "a/two", "", "restored/j1/2{ext}"),
    ] == moving.ready().listed()
    moving.record()
    assert {"1": ("moved", "1"), "2": ("moved", "2"), "3": ("moved", "3")} == moving.copy()
    assert NEW_KEYS == rows_of(database, MADE)
    assert {} == dict(moving.compared().counts)
    moving.back()
    assert [] == rows_of(database, MADE)
