"""A change whose rows name pictures: rows in a table, objects at their keys, and the Step that copies them."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from migrator.model.change import Settings
from migrator.model.errors import MigratorError
from migrator.model.names import literal
from migrator.model.objects import Storage
from migrator.model.step import Event, Phase, Report
from migrator.phases.objects import CopyObjects
from migrator.workflow import undoing, use_cases
from migrator.workflow.change_steps import object_copy
from migrator.workflow.desk import Desk, open_desk
from tests.support.objects import Place
from tests.support.projects import CHANGE, MOVE, definition, fates, make_project, make_source, rows_of

NAME = "picture"
TO = "restored/{id}{ext}"
TARGET = "CREATE TABLE new (id bigint PRIMARY KEY, key text, note text)"


class Pictures:
    """Rows of `old` that name pictures by their `key`, which go to `restored/{id}{ext}` with their rows."""

    def __init__(self, tmp_path: Path, url: str, place: Place, *, count: int = 0) -> None:
        """Make the table with so many rows, each with its picture at `old/{id}.png`."""
        self.url, self.place, self.path = url, place, tmp_path
        self.storage = replace(place.objects.storage, bucket=place.bucket)
        rows = [(n, place.prefix + self.put(n)) for n in range(1, count + 1)]
        make_source(url, columns="key text, note text", rows=[(*row, f"note {row[0]}") for row in rows])
        self.params = {"copy_objects": True}
        self.settings: dict[str, Any] = {"object_workers": 4}
        self.events: list[Event] = []
        self.declare()

    def declare(
        self, *, to: str = TO, columns: dict[str, str] | None = None, objects: str = "", more: str = "", **parts: str
    ) -> Desk:
        """Write the definition, or write it anew; `to` is within the place, and `more` is given to moved_object()."""
        switch = "only_if=param('copy_objects', bool, default=False)"
        one = f"moved_object('key', to={self.place.prefix + to!r}, {more or switch})"
        named = {"id": "column('id')", "key": f"object_key({NAME!r}, otherwise='key')", "note": "column('note')"}
        made = definition(columns or named, objects=objects or f"{{{NAME!r}: {one}}}", **parts)
        make_project(
            self.path,
            self.url,
            ddl_up=TARGET,
            backfills={MOVE: made},
            params=self.params if switch in made else {},
            settings=self.settings,
        )
        return self.open()

    def open(self, storage: Storage | None = None) -> Desk:
        """Say where objects are, and open the change."""
        where = storage or self.storage
        lines = {name: getattr(where, name) for name in ("endpoint", "region", "bucket")}
        file = self.path / "migrator.toml"
        text = file.read_text(encoding="utf-8").partition("[s3]")[0]
        said = "\n".join(["[s3]", *(f'{name} = "{value}"' for name, value in lines.items() if value), ""])
        file.write_text(text + said, encoding="utf-8")
        spoken = {name: str(value).lower() for name, value in self.params.items()}
        self.desk = open_desk(CHANGE, config=str(self.path), url=self.url, params=spoken)
        return self.desk

    def put(self, number: int, **more: Any) -> str:
        """Write a picture; gives its key in the place."""
        key = f"old/{number}.png"
        self.place.put(key, f"picture {number}".encode(), **{"ContentType": "image/jpeg", **more})
        return key

    def add(self, id: int, key: str | None) -> None:
        """Add a row that names a key of the place."""
        said = literal(None if key is None else self.place.prefix + key)
        rows_of(self.url, f"INSERT INTO old VALUES ({id}, {said}, 'note {id}')")

    @property
    def step(self) -> CopyObjects:
        """The Step."""
        made = object_copy(self.desk, self.desk.change.backfills[0])
        return replace(made, change=replace(made.change, settings={MOVE: Settings(**self.settings)}))

    def apply(self, *, to: Phase = Phase.VERIFY) -> Report:
        """Apply the change."""
        return use_cases.apply(self.desk, to=to, listen=self.events.append)

    def failing(self) -> str:
        """Apply the change, and give the id of the error that ends it."""
        try:
            self.apply()
        except MigratorError as error:
            return error.id
        raise AssertionError("it did not fail")

    def back(self, **more: Any) -> Report:
        """Roll the change back."""
        return undoing.rollback(self.desk, listen=self.events.append, **more)

    def copy(self) -> dict[str, int]:
        """Copy the objects alone."""
        use_cases.install_ledger(self.desk)
        with use_cases.running(self.desk, "apply", self.events.append) as (run, _):
            return self.step.apply(run)

    def undo(self) -> tuple[dict[str, int], list[str]]:
        """Take the objects back; gives what was said as well."""
        with use_cases.running(self.desk, "rollback", self.events.append) as (run, _):
            return self.step.undo(run), run.said

    def is_done(self) -> bool:
        """Tell whether every object has an outcome."""
        with closing(self.desk.database.connect()) as conn:
            return self.step.check(conn).proven

    def records(self, *columns: str, table: str = "object") -> list[tuple[Any, ...]]:
        """Read what the Ledger has, in the order of the rows' keys."""
        order = "ORDER BY source_key[1]::int, name, id"
        return rows_of(self.url, f"SELECT {', '.join(columns)} FROM migrator.{table} {order}")

    def outcomes(self) -> dict[str | None, int]:
        """Count the records by outcome."""
        return Counter(one for (one,) in self.records("outcome"))

    def rows(self) -> dict[int, str | None]:
        """Read the keys that the new rows have, within the place."""
        found = rows_of(self.url, "SELECT id, key FROM new ORDER BY id")
        return {id: key and key.removeprefix(self.place.prefix) for id, key in found}

    def fates(self) -> dict[str, tuple[str, str]]:
        """Say what became of each row."""
        return fates(self.desk)

    def restored(self) -> dict[str, bytes]:
        """Read what stands at the new keys."""
        return {key: body for key, body in self.place.all().items() if key.startswith("restored/")}


def bodies(*numbers: int, ext: str = ".jpg") -> dict[str, bytes]:
    """Say what the copies of pictures are."""
    return {f"restored/{n}{ext}": f"picture {n}".encode() for n in numbers}
