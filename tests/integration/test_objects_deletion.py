"""`objects orphans --delete`, on a real store and a real database: only what was asked for goes."""

from __future__ import annotations

import itertools
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from migrator.cli.run import Run
from migrator.model.objects import Removal
from tests.support.objects import Objects, Place, error
from tests.support.projects import (
    execute,
    make_source,
    rows_of,
)
from tests.support.shops import ROWS, Shop, make_target, open_shop

GO_ON = "--continue"


class TestDeletion:
    """Being rid of orphans."""

    @pytest.mark.usefixtures("two_days_later")
    def test_orphans_are_deleted_and_the_manifest_says_which(
        self, shop: Shop, meanwhile: Callable[..., None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Exactly what no row names goes; the manifest is whole before the first of them does."""
        make_target(shop, f"{shop.new}0.jpg")
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
        make_target(shop, f"{shop.place.prefix}{kept}")
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
