"""`objects orphans`, on a real store and a real database: what nobody names, and what is not there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from migrator.engine import orphans as engine
from migrator.model.step import Phase
from migrator.workflow import use_cases
from tests.support.objects import Place, error
from tests.support.projects import (
    execute,
    make_project,
    make_source,
    rows_of,
    run,
    silent,
)
from tests.support.shops import ROWS, Shop, make_target, open_shop


class TestOrphans:
    """What nobody names, and what is not there."""

    def test_objects_without_row_and_rows_without_object_are_told(
        self, shop: Shop, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Of what is where the definition puts objects: which ones no row names, which rows are without theirs."""
        shop.place.put("new/0.jpg", b"named")
        shop.place.put("new/stray.jpg", b"12345678")
        shop.place.put("elsewhere/stray.jpg", b"not ours to look at")
        make_target(shop, f"{shop.new}0.jpg", f"{shop.new}1.jpg", "failed")
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
        make_target(shop, f"{shop.new}1.jpg")
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
        make_target(shop, "", "")
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
        make_target(shop, *(f"{shop.new}{one}".replace("'", "''") for one in odd))
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
        make_target(shop)
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
