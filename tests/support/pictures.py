"""A change whose rows name pictures: rows in a table, objects at their keys, and the Step that copies them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from migrator.engine.projection.projection import Projection
from migrator.model.change import Settings
from migrator.model.names import literal
from migrator.model.objects import Storage
from migrator.model.step import Event
from migrator.phases.objects import CopyObjects
from migrator.workflow import use_cases
from migrator.workflow.desk import Desk
from tests.support.objects import Place
from tests.support.projects import MOVE, execute, one_table, rows_of

NAME = "picture"


class Pictures:
    """Rows of `old` that name pictures by their `key`, which are to be at `restored/{id}{ext}`."""

    def __init__(self, tmp_path: Path, url: str, place: Place, *, count: int = 0) -> None:
        """Make the table with so many rows, each with its picture at `old/{id}.png`."""
        self.url, self.place = url, place
        self.storage = replace(place.objects.storage, bucket=place.bucket)
        rows = [(n, place.prefix + self.put(n)) for n in range(1, count + 1)]
        self.desk: Desk = one_table(tmp_path, url, columns="key text", rows=rows)
        self.to = f"{place.prefix}restored/{{id}}{{ext}}"
        self.bucket = ""
        self.settings = Settings(object_workers=4)
        self.events: list[Event] = []

    def put(self, number: int, **more: Any) -> str:
        """Write a picture; gives its key in the place."""
        key = f"old/{number}.png"
        self.place.put(key, f"picture {number}".encode(), **{"ContentType": "image/jpeg", **more})
        return key

    def add(self, *keys: tuple[int, str | None]) -> None:
        """Add rows."""
        for id, key in keys:
            execute(self.url, f"INSERT INTO old VALUES ({id}, {literal(key)})")

    def select(self, projection: Projection, where: str) -> str:
        """List as the Projection does."""
        source = projection.source.relation.name
        key = f"replace({literal(self.to)}, '{{id}}', {source}.id::text)"
        return (
            f"SELECT ARRAY[{source}.id::text] AS source_key, {literal(NAME)} AS name, '' AS source_bucket,"
            f" {source}.key AS source_key_, {literal(self.bucket)} AS target_bucket, {key} AS target_key"
            f" FROM {source} WHERE {where} AND {projection.excluding} AND {source}.key IS NOT NULL"
        )

    def step(self, *, unwanted: Iterable[str] = (), storage: Storage | None = None) -> CopyObjects:
        """Give the Step."""
        change = replace(self.desk.change, settings={MOVE: self.settings})
        backfill = change.backfill(MOVE)
        assert backfill is not None
        return CopyObjects(
            change=change,
            backfill=backfill,
            search_path="public",
            storage=lambda: storage or self.storage,
            select=self.select,
            names=frozenset([NAME]),
            unwanted=frozenset(unwanted),
        )

    def copy(self, **more: Any) -> dict[str, int]:
        """Copy the objects by a run of its own."""
        use_cases.install_ledger(self.desk)
        with use_cases.running(self.desk, "apply", self.events.append) as (run, _):
            return self.step(**more).apply(run)

    def undo(self) -> tuple[dict[str, int], list[str]]:
        """Take them back; gives what was said as well."""
        with use_cases.running(self.desk, "rollback", self.events.append) as (run, _):
            return self.step().undo(run), run.said

    def records(self, *columns: str, table: str = "object") -> list[tuple[Any, ...]]:
        """Read what the Ledger has, in the order of the rows' keys."""
        return rows_of(
            self.url, f"SELECT {', '.join(columns)} FROM migrator.{table} ORDER BY source_key[1]::int, name, id"
        )

    def outcomes(self) -> dict[str | None, int]:
        """Count the records by outcome."""
        return Counter(one for (one,) in self.records("outcome"))

    def restored(self) -> dict[str, bytes]:
        """Read what stands at the new keys."""
        return {key: body for key, body in self.place.all().items() if key.startswith("restored/")}


def bodies(numbers: Sequence[int], ext: str = ".jpg") -> dict[str, bytes]:
    """Say what the copies of pictures are."""
    return {f"restored/{n}{ext}": f"picture {n}".encode() for n in numbers}
