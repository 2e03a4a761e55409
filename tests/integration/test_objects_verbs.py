"""The verbs of objects, on a real store and a real database: what nobody names, what is not there, being rid of it."""

from __future__ import annotations

import itertools
import json
import re
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from migrator.cli import app
from migrator.cli.run import Run
from migrator.engine import orphans as engine
from migrator.engine.objects import Pool, Store
from migrator.model.objects import Removal, Storage
from migrator.model.step import Event, Phase, Report
from migrator.workflow import objects as objects_work
from migrator.workflow import use_cases
from migrator.workflow.desk import Desk, open_desk
from tests.support.objects import Objects, Place, error
from tests.support.projects import (
    CHANGE,
    MOVE,
    back,
    definition,
    execute,
    make_project,
    make_source,
    rows_of,
    run,
    silent,
)

ROWS = 4
GO_ON = "--continue"


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


@pytest.fixture
def shop(tmp_path: Path, database: str, place: Place) -> Shop:
    """Build four rows with an object each, not moved yet."""
    make_source(database, columns="note text", rows=[(n, f"{place.prefix}old/{n}.jpg") for n in range(ROWS)])
    for number in range(ROWS):
        place.put(f"old/{number}.jpg", f"picture {number}".encode(), ContentType="image/jpeg")
    return open_shop(tmp_path, database, place)


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


@pytest.fixture
def two_days_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the store's clock be two days ahead, so that what is written now is old."""
    real = Store._read_clock

    def ahead(store: Store, answer: Any) -> None:
        real(store, answer)
        store.clock = None if store.clock is None else store.clock + timedelta(days=2)

    monkeypatch.setattr(Store, "_read_clock", ahead)


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give a way to let things happen before requests of the store that a verb opens."""
    hooks: list[tuple[str, Callable[..., object]]] = []  # by the event of boto3
    real = Store.open

    def opened(storage: Storage, **more: Any) -> Store:
        store = real(storage, **more)
        for event, hook in hooks:
            store.client.meta.events.register(event, hook)
        return store

    monkeypatch.setattr(Store, "open", opened)
    return lambda operation, hook, when="before-send": hooks.append((f"{when}.s3.{operation}", hook))


def target(shop: Shop, *keys: str) -> None:
    """Make the new table, with a row for each key."""
    execute(shop.url, "CREATE TABLE new (id bigint PRIMARY KEY, note text)")
    for number, key in enumerate(keys):
        execute(shop.url, f"INSERT INTO new VALUES ({number}, '{key}')")


class TestOrphans:
    """What nobody names, and what is not there."""

    def test_objects_without_row_and_rows_without_object_are_told(
        self, shop: Shop, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Of what is where the definition puts objects: which ones no row names, which rows are without theirs."""
        shop.place.put("new/0.jpg", b"named")
        shop.place.put("new/stray.jpg", b"12345678")
        shop.place.put("elsewhere/stray.jpg", b"not ours to look at")
        target(shop, f"{shop.new}0.jpg", f"{shop.new}1.jpg", "failed")
        code, told = shop.json("orphans", capsys=capsys)
        assert code == 4
        assert told["listed"] == {"objects": 2, "bytes": 13}
        assert told["orphans"] == {"objects": 1, "bytes": 8}
        assert [one["key"] for one in told["examples"]] == [f"{shop.new}stray.jpg"]
        assert told["unmet"]["objects"] == 1
        assert [(one["where"], one["row"], one["key"]) for one in told["unmet_examples"]] == [
            ("new.note", ["1"], f"{shop.new}1.jpg")
        ]
        assert told["elsewhere"] == ROWS + 1  # the old keys, and a word

    def test_the_screen_says_it_too(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """What a person sees: sums, the largest orphan, the row, and what was not looked at."""
        shop.place.put("new/stray.jpg", b"12345678")
        target(shop, f"{shop.new}1.jpg")
        code, out, _ = shop.cli("orphans", "--older-than", "30d", capsys=capsys)
        assert code == 4
        assert re.search(r"^objects without row\s+1\s+8 bytes$", out, re.MULTILINE)
        assert re.search(r"^  older than 30 days\s+0$", out, re.MULTILINE)
        assert f"{shop.place.bucket}/{shop.new}stray.jpg" in out
        assert re.search(rf"^new\.note\s+0\s+{re.escape(shop.new)}1\.jpg$", out, re.MULTILINE)
        assert "H186 4 names of rows lie elsewhere" in out

    def test_what_any_source_row_names_is_no_orphan(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """Rows that are skipped or quarantined name their objects all the same."""
        shop = open_shop(
            shop.directory,
            shop.url,
            shop.place,
            skip="{'odd': sql('id = 1')}",
            quarantine="{'strange': sql('id = 2')}",
        )
        code, told = shop.json("orphans", "--prefix", f"{shop.place.prefix}old/", capsys=capsys)
        assert (code, told["listed"]["objects"], told["orphans"]["objects"]) == (0, ROWS, 0)

    def test_what_the_ledger_names_is_no_orphan(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """Sources and targets of copies, also former ones, and what a rollback would bring back."""
        run(shop.desk, to=Phase.EXPAND)
        names = "change, backfill, name, source_key, from_bucket, from_key, to_bucket, to_key, extension"
        for table, stem in (("object", "made"), ("former_object", "former")):
            values = f"'gone', 'gone', 'picture', '{{9}}', '', '{shop.new}{stem}-from.jpg'"
            values += f", '{shop.place.bucket}', '{shop.new}{stem}-to{{ext}}', '.png'"
            extra, given = (", kind, id", ", 'copy', 9") if table == "former_object" else ("", "")
            execute(shop.url, f"INSERT INTO migrator.{table} ({names}{extra}) VALUES ({values}{given})")
        backfill = "INSERT INTO migrator.backfill (change, name, source, target, source_key, identity)"
        execute(shop.url, f"{backfill} VALUES ('other', 'other', 'a', 'b', '{{id}}', '{{id}}')")
        before = f"""'{{"note": "{shop.new}before.jpg"}}'"""
        execute(
            shop.url,
            "INSERT INTO migrator.before_image (backfill, target_key, written, before, run)"
            f" SELECT 1, '{{1}}', '{{}}', {before}, max(id) FROM migrator.run",
        )
        for key in ("made-from.jpg", "made-to.png", "former-from.jpg", "former-to.png", "before.jpg", "stray.jpg"):
            shop.place.put(f"new/{key}")
        _, told = shop.json("orphans", capsys=capsys)
        assert [one["key"] for one in told["examples"]] == [f"{shop.new}stray.jpg"]

    def test_further_columns_name_objects(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """Texts, elements of arrays, texts in documents, and what follows the host of an address."""
        new, bucket = shop.new, shop.place.bucket
        execute(
            shop.url,
            "CREATE TABLE posts (id int PRIMARY KEY, one text, many text[], doc jsonb, url text);"
            f"INSERT INTO posts VALUES (1, '{new}1', ARRAY[NULL, '{new}2', '{new}3'],"
            f""" '{{"a": [{{"b": "{new}4"}}], "c": null, "d": 5}}', 'https://cdn.example.com/{new}5?signed=yes'),"""
            f" (2, NULL, NULL, NULL, 'HTTPS://s3.example.com/{bucket}/{new}6')",
        )
        for number in range(8):
            shop.place.put(f"new/{number}")
        columns = [part for name in ("one", "many", "doc", "url") for part in ("--named-by", f"posts.{name}")]
        code, told = shop.json("orphans", *columns, capsys=capsys)
        assert code == 0
        assert {one["key"] for one in told["examples"]} == {f"{new}0", f"{new}7"}

    def test_rows_name_objects_by_their_keys_alone(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """A row of the new table, whoever wrote it, has what stands at the key that it would get; so has --named-by."""
        target(shop, "", "")
        execute(shop.url, "CREATE TABLE jobs (id int); INSERT INTO jobs VALUES (7)")
        for name in ("0.jpg", "1", "1.webp", "1.tar.gz", "7.heic", "11.jpg", "70.jpg", "0/1.jpg"):
            shop.place.put(f"new/{name}")
        for more, orphaned in (((), {"7.heic"}), (("--named-by", f"jobs={shop.new}{{id}}{{ext}}"), set())):
            _, told = shop.json("orphans", *more, capsys=capsys)
            found = {one["key"].removeprefix(shop.new) for one in told["examples"]}
            assert found == {"1.tar.gz", "11.jpg", "70.jpg", "0/1.jpg", *orphaned}
        for wrong in ("nowhere=a/{id}", "jobs=a/{nothing}"):
            assert shop.json("orphans", "--named-by", wrong, capsys=capsys)[1]["error"]["id"] == "M293"

    def test_keys_are_compared_as_they_are(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """Blanks, bars, percent signs, plus signs, letters of all kinds: no key is taken for another one."""
        odd = ["a b|c", "a%20b", "a+b", "A+B", "\N{LATIN SMALL LETTER A WITH DIAERESIS}", "a\N{COMBINING DIAERESIS}"]
        odd += ["'quoted' \"twice\"", "\N{PILE OF POO}", "x" * 200]
        target(shop, *(f"{shop.new}{one}".replace("'", "''") for one in odd))
        for one in odd:
            shop.place.put(f"new/{one}")
        shop.place.put("new/a b")
        code, told = shop.json("orphans", capsys=capsys)
        assert (code, told["unmet"]["objects"]) == (0, 0)
        assert [one["key"] for one in told["examples"]] == [f"{shop.new}a b"]

    def test_what_is_written_while_the_bucket_is_listed_is_neither(
        self, shop: Shop, meanwhile: Callable[..., None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """An object with its row, written behind the listing, is no orphan, and the row is not without its object."""
        target(shop)
        listings: list[str] = []

        def written(request: Any, **_: object) -> None:
            if "prefix" in request.url and not listings:
                listings.append(request.url)
                real = shop.place.objects.store.call("list_objects_v2", Bucket=shop.place.bucket, Prefix=shop.new)
                assert not real.get("Contents")

        def behind(*_: object, **__: object) -> None:
            if listings and not shop.there() & {"new/late.jpg"}:
                shop.place.put("new/late.jpg")
                execute(shop.url, f"INSERT INTO new VALUES (9, '{shop.new}late.jpg')")

        meanwhile("ListObjectsV2", written)
        real_stage = engine.stage_names
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(engine, "stage_names", lambda *given: (behind(), real_stage(*given)))
            code, told = shop.json("orphans", capsys=capsys)
        assert listings
        assert (code, told["orphans"]["objects"], told["unmet"]["objects"]) == (0, 0, 0)

    def test_nothing_is_written(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """Looking for orphans leaves neither table nor object behind, and needs no ledger."""
        shop.place.put("new/stray.jpg")
        before = shop.place.all()
        assert shop.json("orphans", capsys=capsys)[0] == 0
        assert shop.place.all() == before
        assert rows_of(shop.url, "SELECT to_regnamespace('migrator')::text") == [(None,)]


class TestDeletion:
    """Being rid of orphans."""

    @pytest.mark.usefixtures("two_days_later")
    def test_orphans_are_deleted_and_the_manifest_says_which(
        self, shop: Shop, meanwhile: Callable[..., None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Exactly what no row names goes; the manifest is whole before the first of them does."""
        target(shop, f"{shop.new}0.jpg")
        for name in ("0.jpg", "stray.jpg", "stray 2.jpg"):
            shop.place.put(f"new/{name}", name.encode())
        seen: list[dict[str, Any]] = []
        meanwhile("DeleteObject", lambda **_: seen.append(shop.written()[-1]))
        code, told = shop.deletion(capsys)
        assert code == 0
        assert shop.there() == {*(f"old/{n}.jpg" for n in range(ROWS)), "new/0.jpg"}
        assert seen == [{"objects": 2, "bytes": 20}] * 2
        assert [one["key"] for one in shop.written()[1:-1]] == [f"{shop.new}stray 2.jpg", f"{shop.new}stray.jpg"]
        assert told["deletion"]["removed"] == {"objects": 2, "bytes": 20}

    def test_what_is_too_young_stays(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """An orphan that was written less than the retention ago is told, and not deleted."""
        shop.place.put("new/stray.jpg")
        code, told = shop.deletion(capsys)
        assert code == 0
        assert "new/stray.jpg" in shop.there()
        assert (told["orphans"]["young"]["objects"], told["deletion"]["listed"]["objects"]) == (1, 0)

    @pytest.mark.usefixtures("two_days_later")
    def test_an_orphan_that_is_written_anew_meanwhile_stays(
        self, shop: Shop, meanwhile: Callable[..., None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The store itself compares: what was not listed is not deleted."""
        shop.place.put("new/stray.jpg", b"listed")
        meanwhile("DeleteObject", lambda **_: shop.place.put("new/stray.jpg", b"another") and None)
        code, told = shop.deletion(capsys)
        assert code == 0
        assert shop.place.all()["new/stray.jpg"] == b"another"
        assert told["deletion"]["outcomes"] == {Removal.CHANGED.value: 1}
        (left,) = told["deletion"]["left"]
        assert left["key"] == f"{shop.new}stray.jpg"
        assert left["why"].startswith(Removal.CHANGED.value)

    @pytest.mark.usefixtures("two_days_later")
    def test_of_a_bucket_with_versions_exactly_the_version_goes(
        self, objects: Objects, tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The older version is there again, no marker is left, and the manifest names the version."""
        place = Place(objects, objects.bucket(versioned=True))
        make_source(database, rows=[(1, "none")])
        shop = open_shop(tmp_path, database, place)
        place.put("new/stray.jpg", b"older")
        place.put("new/stray.jpg", b"newer")
        assert shop.deletion(capsys)[0] == 0
        assert place.all() == {"new/stray.jpg": b"older"}
        assert place.versions() == [("new/stray.jpg", False)]
        assert shop.written()[1]["version"]

    @pytest.mark.usefixtures("two_days_later")
    def test_a_deletion_that_was_interrupted_goes_on(
        self, shop: Shop, meanwhile: Callable[..., None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Ctrl-C in the middle: what is in the manifest goes the next time, and nothing else."""
        for number in range(60):
            shop.place.put(f"new/{number}", b"x")
        count = itertools.count(1)

        def stop(**_: object) -> None:
            if next(count) == 20:
                signal.raise_signal(signal.SIGINT)

        meanwhile("DeleteObject", stop)
        code, out, err = shop.cli(
            *("orphans", "--delete", "--older-than", "1h", "--manifest", str(shop.directory / "gone.jsonl")),
            *("--yes-delete-from", shop.place.bucket),
            capsys=capsys,
        )
        left = sum(one.startswith("new/") for one in shop.there())
        assert code == 130, (out, err)
        assert 0 < left < 60
        assert "--delete --continue --manifest" in err
        shop.place.put("new/later", b"an orphan that no manifest names")
        kept = next(one for one in sorted(shop.there()) if one.startswith("new/"))
        target(shop, f"{shop.place.prefix}{kept}")
        code, told = shop.deletion(capsys, "--continue")
        assert code == 0
        assert {one for one in shop.there() if one.startswith("new/")} == {"new/later", kept}
        assert told["deletion"]["listed"]["objects"] == 60
        assert told["deletion"]["removed"]["objects"] == left - 1
        assert told["deletion"]["outcomes"][Removal.GONE.value] == 60 - left
        assert told["deletion"]["named"] == 1

    @pytest.mark.usefixtures("two_days_later")
    def test_a_token_that_expires_in_the_middle_ends_it_and_it_goes_on(
        self, shop: Shop, meanwhile: Callable[..., None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The world may fail half-way; the manifest says how to go on."""
        for number in range(40):
            shop.place.put(f"new/{number}", b"x")
        count = itertools.count(1)
        expired = error("ExpiredToken", 400)
        meanwhile("DeleteObject", lambda request, **_: expired(request) if next(count) == 10 else None)
        code, told = shop.deletion(capsys)
        assert (code, told["error"]["id"]) == (1, "M254")
        assert any(one.startswith("new/") for one in shop.there())
        assert shop.deletion(capsys, "--continue")[0] == 0
        assert not any(one.startswith("new/") for one in shop.there())

    @pytest.mark.usefixtures("two_days_later")
    def test_the_lease_is_held_while_orphans_are_deleted(
        self, shop: Shop, meanwhile: Callable[..., None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Nobody copies to keys, or takes rows to them, while they are deleted."""
        shop.place.put("new/stray.jpg")
        holders: list[object] = []
        asked = "SELECT verb FROM migrator.lease WHERE held"
        meanwhile("DeleteObject", lambda **_: holders.extend(rows_of(shop.url, asked)))
        assert shop.deletion(capsys)[0] == 0
        assert holders == [("objects orphans",)]

    @pytest.mark.parametrize(
        ("arguments", "id", "code"),
        [
            (["--older-than", "1h", "--manifest", "{dir}/m", "--yes-delete-from", "another"], "M290", 5),
            (["--older-than", "1h", "--manifest", "{dir}/m"], "M290", 2),
            (["--older-than", "1h", "--yes-delete-from", "{bucket}"], "M291", 2),
            (["--older-than", "1h", "--manifest", "{dir}/migrator.toml", "--yes-delete-from", "{bucket}"], "M291", 5),
            (["--older-than", "1h", "--manifest", "{dir}/none/m", "--yes-delete-from", "{bucket}"], "M291", 2),
            (["--older-than", "1h", "--manifest", "{dir}", "--yes-delete-from", "{bucket}"], "M291", 5),
            (["--older-than", "1h", "--manifest", "{dir}/m", "--yes-delete-from", "{bucket}", GO_ON], "M291", 2),
            (
                ["--older-than", "1h", "--manifest", "{dir}/migrator.toml", "--yes-delete-from", "{bucket}", GO_ON],
                "M291",
                2,
            ),
            (["--manifest", "{dir}/m", "--yes-delete-from", "{bucket}"], "M294", 2),
            (["--older-than", "soon", "--manifest", "{dir}/m", "--yes-delete-from", "{bucket}"], "M294", 2),
            (["--older-than", "0d", "--manifest", "{dir}/m", "--yes-delete-from", "{bucket}"], "M294", 2),
            (["--older-than", "-1d", "--manifest", "{dir}/m", "--yes-delete-from", "{bucket}"], "M294", 2),
        ],
    )
    @pytest.mark.usefixtures("two_days_later")
    def test_what_is_asked_for_wrongly_deletes_nothing(
        self, shop: Shop, capsys: pytest.CaptureFixture[str], arguments: list[str], id: str, code: int
    ) -> None:
        """Each with its error, and every object is there afterwards."""
        shop.place.put("new/stray.jpg")
        given = [one.format(dir=shop.directory, bucket=shop.place.bucket) for one in arguments]
        found, told = shop.json("orphans", "--delete", *given, capsys=capsys)
        assert (told["error"]["id"], found) == (id, code)
        assert "new/stray.jpg" in shop.there()

    @pytest.mark.usefixtures("two_days_later")
    def test_a_manifest_that_was_cut_off_is_not_gone_on_with(
        self, shop: Shop, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Without its last line nothing was deleted by it, and nothing is."""
        shop.place.put("new/stray.jpg")
        assert shop.deletion(capsys)[0] == 0
        shop.place.put("new/stray.jpg")
        file = shop.directory / "gone.jsonl"
        for cut in (1, 2):
            file.write_text("".join(f"{one}\n" for one in file.read_text("utf-8").splitlines()[:-cut]), "utf-8")
            code, told = shop.deletion(capsys, "--continue")
            assert (code, told["error"]["id"]) == (2, "M291")
        assert "new/stray.jpg" in shop.there()

    @pytest.mark.usefixtures("two_days_later")
    def test_a_manifest_that_cannot_be_written_ends_it_before_anything_is_deleted(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A full disk: nothing of the manifest stays, and every object does."""
        shop.place.put("new/stray.jpg")

        def full(_number: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("migrator.workflow.objects_manifest.os.fsync", full)
        code, told = shop.deletion(capsys)
        assert (code, told["error"]["id"]) == (2, "M291")
        assert not (shop.directory / "gone.jsonl").exists()
        assert "new/stray.jpg" in shop.there()

    @pytest.mark.usefixtures("two_days_later")
    def test_a_definition_whose_keys_begin_with_a_field_needs_a_prefix(
        self, tmp_path: Path, database: str, place: Place, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Else all of the bucket would be taken for ours."""
        make_source(database, rows=[(1, "none")])
        shop = open_shop(tmp_path, database, place, objects="{'picture': moved_object('note', to='{id}.jpg')}")
        place.put("new/stray.jpg")
        code, told = shop.deletion(capsys)
        assert (code, told["error"]["id"]) == (2, "M289")
        assert shop.deletion(capsys, "--prefix", shop.new)[0] == 0
        assert place.all() == {}

    @pytest.mark.usefixtures("two_days_later")
    def test_rows_that_cannot_be_asked_keep_everything(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """An address with escapes may name what would be taken for an orphan."""
        shop.place.put("new/a b")
        execute(shop.url, "CREATE TABLE posts (id int PRIMARY KEY, url text)")
        execute(shop.url, f"INSERT INTO posts VALUES (1, 'https://cdn.example.com/{shop.new}a%20b')")
        _, told = shop.json("orphans", "--named-by", "posts.url", capsys=capsys)
        assert told["unasked"] == {"posts.url": 1}
        code, told = shop.deletion(capsys, "--named-by", "posts.url")
        assert (code, told["error"]["id"]) == (5, "M292")
        assert "new/a b" in shop.there()

    @pytest.mark.usefixtures("two_days_later")
    def test_a_person_types_the_name_of_the_bucket(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """What would go is shown before; another name than the bucket's deletes nothing."""
        shop.place.put("new/stray.jpg", b"12345678")
        monkeypatch.setattr(Run, "may_ask", property(lambda _: True))
        given = ["orphans", "--delete", "--older-than", "1h", "--manifest", str(shop.directory / "m")]
        for typed, code, left in (("media", 5, 1), (shop.place.bucket, 0, 0)):
            monkeypatch.setattr("typer.prompt", lambda *_, typed=typed, **__: typed)
            found, _, err = shop.cli(*given, capsys=capsys)
            assert found == code
            assert re.search(r"objects without row\s+1\s+8 bytes", err)
            assert sum(one.startswith("new/") for one in shop.there()) == left


class TestWrongInputs:
    """What cannot be looked at."""

    def test_without_s3_in_the_project(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """There is no bucket to look into."""
        file = shop.directory / "migrator.toml"
        file.write_text(file.read_text("utf-8").partition("[s3]")[0], "utf-8")
        code, told = shop.json("orphans", capsys=capsys)
        assert (code, told["error"]["id"]) == (2, "M251")

    def test_a_change_without_objects(
        self, tmp_path: Path, database: str, place: Place, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Nothing is declared that could be looked for."""
        make_source(database)
        shop = open_shop(tmp_path, database, place)
        make_project(tmp_path, database)
        with (tmp_path / "migrator.toml").open("a", encoding="utf-8") as file:
            file.write('[s3]\nbucket = "media"\n')
        code, told = shop.json("orphans", capsys=capsys)
        assert (code, told["error"]["id"]) == (2, "M287")

    def test_a_bucket_that_is_not_there(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """Its name is told."""
        code, told = shop.json("orphans", "--bucket", "nowhere-at-all", "--prefix", "x/", capsys=capsys)
        assert (code, told["error"]["id"]) == (2, "M255")

    def test_a_bucket_that_the_definitions_do_not_name(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """Without a prefix nobody knows what is ours in it."""
        code, told = shop.json("orphans", "--bucket", "another", capsys=capsys)
        assert (code, told["error"]["id"]) == (2, "M289")

    def test_a_bucket_that_may_not_be_listed(
        self, shop: Shop, meanwhile: Callable[..., None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The right that is missing is named."""
        meanwhile("ListObjectsV2", lambda request, **_: error("AccessDenied", 403)(request))
        code, told = shop.json("orphans", capsys=capsys)
        assert (code, told["error"]["id"]) == (2, "M257")
        assert "s3:ListBucket" in told["error"]["cure"]

    @pytest.mark.parametrize("column", ["posts", "posts.key", "old.nothing", ".", "a.b.c.d", "old."])
    def test_a_column_that_is_not_there(self, shop: Shop, capsys: pytest.CaptureFixture[str], column: str) -> None:
        """Its name is told, with how to write one."""
        code, told = shop.json("orphans", "--named-by", column, capsys=capsys)
        assert (code, told["error"]["id"]) == (2, "M293")

    def test_sql_that_raises_for_a_row(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """Which object a row names must be known of every row."""
        to = f"{shop.new}{{id}}{{ext}}"
        declared = f"{{'picture': moved_object(sql('(1 / id)::text'), to={to!r})}}"
        shop = open_shop(shop.directory, shop.url, shop.place, objects=declared)
        code, told = shop.json("orphans", capsys=capsys)
        assert (code, told["error"]["id"]) == (2, "M288")

    def test_what_belongs_to_a_deletion_is_not_taken_without_one(
        self, shop: Shop, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A manifest without --delete is a mistake, not a wish."""
        code, told = shop.json("orphans", "--manifest", "gone.jsonl", capsys=capsys)
        assert (code, told["error"]["id"]) == (2, "M100")


class TestPlan:
    """What a copy would find, foretold."""

    def test_everything_is_foretold_and_nothing_is_written(
        self, shop: Shop, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Missing, in the way, there already, claimed twice, no name: before any table is made."""
        place = shop.place
        keys = {
            5: f"{place.prefix}nowhere.jpg",
            6: f"{place.prefix}old/1.jpg",
            7: f"{place.prefix}old/2.jpg",
            8: "/",
        }
        for number, key in keys.items():
            execute(shop.url, f"INSERT INTO old VALUES ({number}, '{key}')")
        place.put("new/6.jpg", b"picture 1")  # the same content
        place.put("new/7.jpg", b"of somebody else")
        before = place.all()
        code, told = shop.json("plan", capsys=capsys)
        assert code == 0
        (planned,) = told["objects"]
        assert planned["objects"] == ROWS + 4
        assert {word: count for word, count in planned["foretold"].items() if word != "object missing"} == {
            "to be copied": 4,
            "there already": 1,
            "another object holds this key": 1,
        }
        assert planned["bytes"]["to be copied"] == 4 * len(b"picture 0")
        assert {one["why"] for one in planned["examples"]} == {"object missing", "another object holds this key"}
        assert place.all() == before
        assert rows_of(shop.url, "SELECT to_regnamespace('migrator')::text, to_regclass('new')::text") == [(None, None)]

    def test_the_key_is_the_one_that_the_content_type_asks_for(
        self, shop: Shop, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A picture called .jpg that is a PNG meets what stands at .png."""
        shop.place.put("old/0.jpg", b"picture", ContentType="image/png")
        shop.place.put("new/0.png", b"in the way")
        _, told = shop.json("plan", capsys=capsys)
        assert told["objects"][0]["foretold"] == {"to be copied": 3, "another object holds this key": 1}

    def test_two_rows_that_want_one_key_are_told(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """The first has it."""
        to = f"{{'picture': moved_object('note', to='{shop.new}{{half}}{{ext}}')}}"
        execute(shop.url, "ALTER TABLE old ADD half int GENERATED ALWAYS AS (id / 2) STORED")
        shop = open_shop(shop.directory, shop.url, shop.place, objects=to, left_behind="{'half': 'no'}")
        _, told = shop.json("plan", capsys=capsys)
        assert told["objects"][0]["foretold"] == {"to be copied": 2, "another row has this key": 2}

    def test_what_is_copied_is_only_counted(
        self, shop: Shop, meanwhile: Callable[..., None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A second plan looks at what is new alone."""
        use_cases.apply(shop.desk, listen=silent)
        execute(shop.url, f"INSERT INTO old VALUES (9, '{shop.place.prefix}old/0.jpg')")
        asked: list[str] = []
        meanwhile("HeadObject", lambda request, **_: asked.append(request.url))
        _, told = shop.json("plan", capsys=capsys)
        (planned,) = told["objects"]
        assert (planned["objects"], planned["copied"], planned["foretold"]) == (5, 4, {"to be copied": 1})
        assert len(asked) == 2

    def test_they_can_be_counted_alone(
        self, shop: Shop, meanwhile: Callable[..., None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Without a look nothing is asked of the store."""
        asked: list[str] = []
        meanwhile("*", lambda request, **_: asked.append(request.url))
        code, out, _ = shop.cli("plan", "--no-look", capsys=capsys)
        assert (code, asked) == (0, [])
        assert re.search(r"objects named by rows that move\s+4$", out, re.MULTILINE)
        assert re.search(r"not looked at\s+4$", out, re.MULTILINE)

    def test_the_screen_says_what_would_be_wrong(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """Counted by what would be found, with the rows that would wait."""
        execute(shop.url, f"INSERT INTO old VALUES (9, '{shop.place.prefix}nowhere.jpg')")
        _, out, _ = shop.cli("plan", capsys=capsys)
        assert re.search(r"to be copied\s+4\s+36 bytes$", out, re.MULTILINE)
        assert re.search(r"^9\s+s3://\S+nowhere.jpg\s+object missing$", out, re.MULTILINE)
        assert "migrator objects copy moving" in out


class TestCopy:
    """The objects alone."""

    def test_objects_are_copied_before_any_row(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """The rows come with the next apply, which finds their objects there."""
        run(shop.desk, to=Phase.EXPAND)
        code, told = shop.json("copy", capsys=capsys)
        assert code == 0
        assert told["steps"][0]["detail"] == {"copied": ROWS}
        assert {one for one in shop.there() if one.startswith("new/")} == {f"new/{n}.jpg" for n in range(ROWS)}
        assert rows_of(shop.url, "SELECT count(*) FROM new") == [(0,)]
        code, told = shop.json("copy", capsys=capsys)
        assert (code, told["steps"]) == (0, [])
        assert use_cases.apply(shop.desk, listen=silent).proven
        assert rows_of(shop.url, "SELECT note FROM new ORDER BY id") == [(f"{shop.new}{n}.jpg",) for n in range(ROWS)]

    def test_before_the_tables_are_made_it_is_refused(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """Which rows move is not known yet."""
        code, told = shop.json("copy", capsys=capsys)
        assert (code, told["error"]["id"]) == (2, "M295")

    def test_nobody_can_be_joined_where_nobody_copies(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """With what to do instead; also where there is no ledger."""
        for _ in range(2):
            code, told = shop.json("copy", "--join", capsys=capsys)
            assert (code, told["error"]["id"]) == (5, "M295")
            run(shop.desk, to=Phase.EXPAND)

    @pytest.mark.parametrize("begin", [objects_work.copy, use_cases.apply], ids=["a copy", "an apply"])
    def test_it_is_joined_and_every_object_is_copied_once(
        self, begin: Callable[..., Report], shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two processes share the work of one lease; the second ends when the first one does."""
        for number in range(10, 110):
            shop.place.put(f"old/{number}.jpg", b"picture")
            execute(shop.url, f"INSERT INTO old VALUES ({number}, '{shop.place.prefix}old/{number}.jpg')")
        run(shop.desk, to=Phase.EXPAND)
        monkeypatch.setattr("migrator.engine.objects.claims.SIZE", 10)
        joined: list[Report] = []
        threads: list[threading.Thread] = []
        helped = threading.Event()

        def helping(event: Event) -> None:
            if event.kind == "progress" and event.detail.get("copied"):
                helped.set()

        def listen(event: Event) -> None:
            if "objects" not in event.name:
                return
            if event.kind == "step" and not threads:
                threads.append(
                    threading.Thread(target=lambda: joined.append(objects_work.join(shop.desk, listen=helping)))
                )
                threads[0].start()
            if event.kind == "progress":
                assert helped.wait(60), "whoever joined copied nothing"

        report = begin(shop.desk, listen=listen)
        threads[0].join()
        steps = [[one for one in each.steps if "objects" in one.name] for each in (report, *joined)]
        copied = [sum(one.detail.get("copied", 0) for one in each) for each in steps]
        assert min(copied) > 0
        assert sum(copied) == ROWS + 100 == sum(one.startswith("new/") for one in shop.there())


class TestVerify:
    """A look at all that was copied."""

    def test_everything_is_there(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """Counted, with their bytes."""
        use_cases.apply(shop.desk, listen=silent)
        code, told = shop.json("verify", capsys=capsys)
        assert (code, told["proven"]) == (0, True)
        (checked,) = told["objects"]
        assert (checked["looked_at"], checked["bytes"], checked["faults"]) == (ROWS, ROWS * 9, {})

    def test_what_is_gone_or_was_written_to_is_named(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """With the row whose it is; and it is not proven."""
        use_cases.apply(shop.desk, listen=silent)
        shop.place.put("new/1.jpg", b"picture X")  # of the same size
        shop.place.client.delete_object(Bucket=shop.place.bucket, Key=f"{shop.new}2.jpg")
        code, out, _ = shop.cli("verify", capsys=capsys)
        assert code == 4
        assert re.search(r"^1\s+s3://\S+new/1.jpg\s+written to since it was copied$", out, re.MULTILINE)
        assert re.search(r"^2\s+s3://\S+new/2.jpg\s+object missing$", out, re.MULTILINE)

    def test_nothing_is_copied_yet(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """There is nothing to be looked at, with or without a ledger."""
        for _ in range(2):
            code, out, _ = shop.cli("verify", capsys=capsys)
            assert (code, out) == (0, "No object of moving is copied.\n")
            run(shop.desk, to=Phase.EXPAND)


class TestAfterApply:
    """Orphans where objects were moved for real."""

    def test_nothing_of_ours_is_an_orphan(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """After apply, and after the rows are gone by somebody's hand: the ledger names the copies."""
        use_cases.apply(shop.desk, listen=silent)
        code, told = shop.json("orphans", capsys=capsys)
        assert (code, told["listed"]["objects"], told["orphans"]["objects"]) == (0, ROWS, 0)
        execute(shop.url, "DELETE FROM new; DELETE FROM old")
        code, told = shop.json("orphans", capsys=capsys)
        assert (code, told["orphans"]["objects"]) == (0, 0)

    def test_a_row_without_its_object_is_told_once_by_where_it_stands(
        self, shop: Shop, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Of the target row, whose key is within the scope; with the bytes that the ledger knows."""
        use_cases.apply(shop.desk, listen=silent)
        shop.place.client.delete_object(Bucket=shop.place.bucket, Key=f"{shop.new}2.jpg")
        code, told = shop.json("orphans", capsys=capsys)
        assert (code, told["unmet"]) == (4, {"objects": 1, "bytes": 9})
        assert told["unmet_examples"][0]["bytes"] == 9


@pytest.fixture
def documented(tmp_path: Path, database: str, place: Place) -> Shop:
    """Build four rows, each with a document beside it, moved already."""
    make_source(database, rows=[(n, f"note {n}") for n in range(ROWS)])
    shop = open_shop(tmp_path, database, place, **documents(place))
    use_cases.apply(shop.desk, listen=silent)
    return shop


def documents(place: Place, to: str = "meta/{id}.json", content: str = "jsonb_build_object('note', note)") -> Any:
    """Declare a document for each row, and no object."""
    made = f"{{'meta': document({place.prefix + to!r}, sql({content!r}))}}"
    return {"documents": made, "objects": "{'picture': moved_object(constant(None), to='none/{id}')}"}


class TestMeta:
    """Documents beside rows."""

    def test_a_document_is_written_for_each_row_and_rollback_removes_it(
        self, documented: Shop, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """There, a second time nothing, and back: what stood there before is what stands there then."""
        shop = documented
        shop.place.put("meta/keep.json", b"of somebody else")
        before = shop.place.all()
        for _ in range(2):
            code, told = shop.json("meta", capsys=capsys)
            assert (code, told["documents"][0]["outcomes"]) == (0, {"written": ROWS})
            assert json.loads(shop.place.all()["meta/2.json"]) == {"note": "note 2"}
            assert shop.place.get("meta/2.json")["ContentType"] == "application/json"
            code, told = shop.json("meta", capsys=capsys)
            assert (code, told["documents"][0]["outcomes"]) == (0, {"written before": ROWS})
            assert use_cases.verify(shop.desk, listen=silent).proven
            assert shop.json("verify", capsys=capsys)[1]["objects"][0]["looked_at"] == ROWS
            back(shop.desk)
            assert shop.place.all() == before
            use_cases.apply(shop.desk, listen=silent)

    def test_only_rows_that_moved_have_one(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """Rows that are left behind, or wait in quarantine, have none."""
        shop.place.client.delete_object(Bucket=shop.place.bucket, Key=f"{shop.place.prefix}old/3.jpg")
        shop = open_shop(
            shop.directory,
            shop.url,
            shop.place,
            documents=documents(shop.place)["documents"],
            skip="{'odd': sql('id = 1')}",
        )
        use_cases.apply(shop.desk, listen=silent)
        assert shop.json("meta", capsys=capsys)[0] == 0
        assert {one for one in shop.there() if one.startswith("meta/")} == {"meta/0.json", "meta/2.json"}

    def test_what_a_row_says_by_now_is_written_anew(self, documented: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """Of another content, or to another key: what we wrote before is not left behind."""
        shop = documented
        assert shop.json("meta", capsys=capsys)[0] == 0
        execute(shop.url, "UPDATE old SET note = 'another' WHERE id = 2")
        use_cases.apply(shop.desk, listen=silent)
        _, told = shop.json("meta", capsys=capsys)
        assert told["documents"][0]["outcomes"] == {"written before": ROWS - 1, "written anew": 1}
        assert json.loads(shop.place.all()["meta/2.json"]) == {"note": "another"}
        shop = open_shop(shop.directory, shop.url, shop.place, **documents(shop.place, to="about/{id}.json"))
        assert shop.json("meta", capsys=capsys)[0] == 0
        assert shop.there() == {f"about/{n}.json" for n in range(ROWS)}
        back(shop.desk)
        assert shop.there() == set()

    def test_nothing_is_written_over(self, documented: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """Another object at the key stays, also after rollback; one with the same content is taken as it is."""
        shop = documented
        shop.place.put("meta/1.json", b"of somebody else")
        shop.place.put("meta/2.json", b'{"note": "note 2"}')
        code, told = shop.json("meta", capsys=capsys)
        assert code == 4
        assert told["documents"][0]["outcomes"] == {
            "written": 2,
            "another object holds this key": 1,
            "there already": 1,
        }
        (example,) = told["documents"][0]["examples"]
        assert (example["row"], example["why"]) == (["1"], "another object holds this key")
        back(shop.desk)
        assert shop.place.all() == {"meta/1.json": b"of somebody else", "meta/2.json": b'{"note": "note 2"}'}

    def test_a_document_that_somebody_changed_stays(self, documented: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """It is not ours any more: neither written anew nor removed."""
        shop = documented
        assert shop.json("meta", capsys=capsys)[0] == 0
        shop.place.put("meta/1.json", b"changed by hand")
        execute(shop.url, "UPDATE old SET note = 'another' WHERE id = 1")
        use_cases.apply(shop.desk, listen=silent)
        code, told = shop.json("meta", capsys=capsys)
        assert (code, told["documents"][0]["outcomes"]["no longer ours"]) == (4, 1)
        back(shop.desk)
        assert shop.place.all() == {"meta/1.json": b"changed by hand"}

    def test_two_rows_that_want_one_key(self, documented: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """The first has it; the other one is told."""
        shop = documented
        execute(shop.url, "ALTER TABLE old ADD half int GENERATED ALWAYS AS (id / 2) STORED")
        parts = documents(shop.place, "meta/{half}.json", "jsonb_build_object('id', id)")
        shop = open_shop(shop.directory, shop.url, shop.place, left_behind="{'half': 'no'}", **parts)
        for expected in ("written", "written before"):
            code, told = shop.json("meta", capsys=capsys)
            assert (code, told["documents"][0]["outcomes"]) == (4, {expected: 2, "another row has this key": 2})
        assert {one: json.loads(said) for one, said in shop.place.all().items()} == {
            "meta/0.json": {"id": 0},
            "meta/1.json": {"id": 2},
        }

    @pytest.mark.parametrize("at", ["after the first", "before the ledger knows"])
    def test_what_is_interrupted_goes_on_and_nothing_is_left_by_rollback(
        self, documented: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], at: str
    ) -> None:
        """Half of the documents are there; the next run writes the others, and rollback removes every one."""
        shop = documented

        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        for going_on in (True, False):
            with monkeypatch.context() as patch:
                if at == "after the first":
                    count = itertools.count(1)
                    real = Pool.write

                    def some(pool: Pool, tasks: Any, real: Any = real, count: Any = count) -> Any:
                        for done in real(pool, tasks):
                            yield done
                            if next(count) == 2:
                                raise KeyboardInterrupt

                    patch.setattr(Pool, "write", some)
                else:
                    patch.setattr("migrator.ledger.objects.note_outcomes", stop)
                code, _, err = shop.cli("meta", capsys=capsys)
            assert code == 130
            assert "Go on with: migrator objects meta moving" in err
            assert shop.there()
            if going_on:
                code, told = shop.json("meta", capsys=capsys)
                assert (code, set(told["documents"][0]["outcomes"])) == (0, {"written"})
                assert len(shop.there()) == ROWS
            back(shop.desk)
            assert shop.there() == set()
            use_cases.apply(shop.desk, listen=silent)

    def test_a_store_that_writes_over_objects_is_refused(
        self, documented: Shop, meanwhile: Callable[..., None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """It is tried with the first document, at a key where nothing is; rollback removes that."""

        def careless(request: Any, **_: object) -> None:
            del request.headers["If-None-Match"]

        meanwhile("PutObject", careless, "before-sign")
        code, told = documented.json("meta", capsys=capsys)
        assert (code, told["error"]["id"]) == (5, "M264")
        assert len(documented.there()) == 1
        back(documented.desk)
        assert documented.there() == set()

    def test_sql_that_raises_is_told(self, documented: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """With the backfill, and what to do."""
        parts = documents(documented.place, content="(1 / id)::text")
        shop = open_shop(documented.directory, documented.url, documented.place, **parts)
        code, told = shop.json("meta", capsys=capsys)
        assert (code, told["error"]["id"]) == (2, "M288")

    def test_before_any_row_moved(
        self, tmp_path: Path, database: str, place: Place, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """There is nothing to write a document for."""
        make_source(database, rows=[(1, "one")])
        shop = open_shop(tmp_path, database, place, **documents(place))
        assert shop.json("meta", capsys=capsys)[1]["error"]["id"] == "M407"
        run(shop.desk, to=Phase.EXPAND)
        assert shop.json("meta", capsys=capsys)[1]["error"]["id"] == "M296"

    def test_where_none_is_declared(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        """It is said so."""
        code, told = shop.json("meta", capsys=capsys)
        assert (code, told["error"]["id"]) == (2, "M287")
