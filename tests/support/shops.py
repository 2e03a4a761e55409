"""A change whose rows name objects in a place of a bucket, and the command line upon it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from migrator.cli import app
from migrator.workflow.desk import Desk, open_desk
from tests.support.objects import Place
from tests.support.projects import (
    CHANGE,
    MOVE,
    definition,
    execute,
    make_project,
)

ROWS = 4


@dataclass(kw_only=True)
class Shop:
    """A database and a place in a bucket, whose rows name objects; and the command line upon them."""

    desk: Desk
    place: Place
    directory: Path

    @property
    def url(self) -> str:
        """The address of the database."""
        return self.desk.database.url

    @property
    def new(self) -> str:
        """What the keys of the new table begin with."""
        return f"{self.place.prefix}new/"

    def cli(self, *arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
        """Run `migrator objects` in this process."""
        given = ["objects", *arguments, "--config", str(self.directory), "--database-url", self.url]
        code = app.run(given)
        out, err = capsys.readouterr()
        return code, out, err

    def json(self, *arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
        """Run it, and read its document."""
        code, out, _ = self.cli(*arguments, "--format", "json", capsys=capsys)
        return code, json.loads(out)

    def deletion(self, capsys: pytest.CaptureFixture[str], *more: str, age: str = "1h") -> tuple[int, dict[str, Any]]:
        """Delete with all that is asked for, in a process where nobody is."""
        usual = ["--older-than", age, "--manifest", str(self.directory / "gone.jsonl")]
        said = ["--yes-delete-from", self.place.bucket]
        return self.json("orphans", "--delete", *usual, *said, *more, capsys=capsys)

    def there(self) -> set[str]:
        """List what is there."""
        return set(self.place.all())

    def written(self, name: str = "gone.jsonl") -> list[dict[str, Any]]:
        """Read a manifest."""
        return [json.loads(line) for line in (self.directory / name).read_text("utf-8").splitlines()]


def open_shop(tmp_path: Path, database: str, place: Place, **parts: str) -> Shop:
    """Write the project, and open it."""
    usual = {
        "objects": f"{{'picture': moved_object('note', to='{place.prefix}new/{{id}}{{ext}}')}}",
        **parts,
    }
    columns = {"id": 'column("id")', "note": 'object_key("picture", otherwise="note")'}
    make_project(tmp_path, database, backfills={MOVE: definition(columns, **usual)})
    with (tmp_path / "migrator.toml").open("a", encoding="utf-8") as file:
        storage = place.objects.storage
        named = {"endpoint": storage.endpoint, "region": storage.region, "bucket": place.bucket}
        file.write("\n[s3]\n" + "\n".join(f"{name} = {json.dumps(value)}" for name, value in named.items()) + "\n")
    desk = open_desk(CHANGE, config=str(tmp_path), url=database)
    return Shop(desk=desk, place=place, directory=tmp_path)


def make_target(shop: Shop, *keys: str) -> None:
    """Make the new table, with a row for each key."""
    execute(shop.url, "CREATE TABLE new (id bigint PRIMARY KEY, note text)")
    for number, key in enumerate(keys):
        execute(shop.url, f"INSERT INTO new VALUES ({number}, '{key}')")
