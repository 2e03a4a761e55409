"""`objects plan`, `copy`, `verify` and `meta`, on a real store and a real database."""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from migrator.engine.objects import Pool
from migrator.model.step import Event, Phase, Report
from migrator.workflow import objects as objects_work
from migrator.workflow import use_cases
from tests.support.objects import Place
from tests.support.projects import (
    back,
    execute,
    make_source,
    rows_of,
    run,
    silent,
)
from tests.support.shops import ROWS, Shop, open_shop


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
