"""CopyObjects: what rows name is copied before them, recorded, taken back; killed, denied, contested, joined."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from migrator.cli import app
from migrator.cli.render.report import report as screen
from migrator.engine.objects import Store, claims
from migrator.ledger import lease
from migrator.ledger.listed import Listing
from migrator.ledger.quarantine import Selection
from migrator.ledger.run import Run
from migrator.model.errors import WorldError
from migrator.model.objects import Storage
from migrator.model.step import Phase, State
from migrator.phases.objects import CopyObjects
from migrator.workflow import objects as objects_work
from migrator.workflow import objects_orphans, use_cases
from migrator.workflow.housekeeping import quarantine_dismiss, quarantine_retry
from tests.support.kills import as_it_was
from tests.support.objects import Objects, Place, error, let
from tests.support.picture_kills import Runs
from tests.support.pictures import Pictures, bodies
from tests.support.projects import check, execute, rows_of, terms


class Stores:
    """The stores that Steps open, and what happens to their requests."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stand between every store and its server."""
        self.acts: list[Any] = []
        self.heard: Counter[str] = Counter()
        opened = Store.open

        def open_spoilt(storage: Storage, **more: Any) -> Store:
            store = opened(storage, **{**more, "tries": 2})
            let(store, "", self._happens)
            return store

        monkeypatch.setattr(Store, "open", open_spoilt)

    def _happens(self, request: Any, event_name: str, **_: Any) -> Any:
        operation = event_name.rpartition(".")[2]
        self.heard[operation] += 1
        answers = [answer for act in self.acts if (answer := act(operation, request)) is not None]
        return answers[0] if answers else None

    def forbid(self, key: str, *, method: str = "") -> None:
        """Deny what is asked of one key."""
        denied = error("AccessDenied", 403)
        self.acts.append(
            lambda _, request: denied(request) if key in request.url and method in {"", request.method} else None
        )

    def replace(self, place: Place, key: str) -> None:
        """Replace the source right before it is copied."""

        def act(operation: str, request: Any) -> None:
            source = request.headers.get("x-amz-copy-source", b"")
            if operation == "CopyObject" and key.encode() in (source if isinstance(source, bytes) else source.encode()):
                place.put(key, b"replaced")

        self.acts.append(act)

    def expire(self, *, after: int) -> None:
        """Let the token expire when so many objects were asked to be copied."""
        expired = error("ExpiredToken", 400)
        self.acts.append(lambda _, request: expired(request) if self.heard["CopyObject"] > after else None)

    def forgive(self) -> Counter[str]:
        """Let nothing happen any more; gives what is heard from now on."""
        self.acts.clear()
        self.heard.clear()
        return self.heard


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Stores:
    """Give what stands between the Steps and the store."""
    return Stores(monkeypatch)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make claims small, so that there are several."""
    monkeypatch.setattr(claims, "SIZE", 4)


@pytest.fixture
def pictures(tmp_path: Path, database: str, place: Place) -> Pictures:
    """Give a project of three rows with their pictures."""
    return Pictures(tmp_path, database, place, count=3)


NEW = {n: f"restored/{n}.jpg" for n in (1, 2, 3)}
OLD = {n: f"old/{n}.png" for n in (1, 2, 3)}


class TestDoUndoDo:
    """There, back, and there again."""

    def test_rows_and_objects_go_and_come_back_together(self, pictures: Pictures) -> None:
        """After apply rows have new keys at which the objects are; after rollback all is as before, twice."""
        before, rows = pictures.place.all(), as_it_was(pictures.url)
        for _ in range(2):
            report = pictures.apply()
            assert State.VERIFIED is report.state
            assert {"copied": 3} == report.steps[1].detail
            assert NEW == pictures.rows()
            assert bodies(1, 2, 3) == pictures.restored()
            assert [(".jpg", 9, "image/jpeg", "copied", "md5")] * 3 == pictures.records(
                "extension", "size", "content_type", "outcome", "evidence"
            )
            assert pictures.apply().nothing_done
            assert pictures.is_done()
            pictures.back()
            assert before == pictures.place.all()
            assert rows == as_it_was(pictures.url)
            assert [] == pictures.records("id")

    def test_without_the_parameter_nothing_of_s3_is_touched(self, pictures: Pictures) -> None:
        """Rows keep their keys, and the store may be anywhere."""
        pictures.params = {"copy_objects": False}
        pictures.open(Storage(endpoint="http://127.0.0.1:9", bucket="none"))
        assert State.VERIFIED is pictures.apply().state
        assert OLD == pictures.rows()
        assert [] == pictures.records("id")
        pictures.back()

    def test_the_parameter_may_come_and_go(self, pictures: Pictures) -> None:
        """Taken on later the rows get the new keys; taken off again the old ones; the copies stay until rollback."""
        before = pictures.place.all()
        pictures.params = {"copy_objects": False}
        pictures.open()
        pictures.apply()
        for wanted, keys in ((True, NEW), (False, OLD), (True, NEW)):
            pictures.params = {"copy_objects": wanted}
            pictures.open()
            assert State.VERIFIED is pictures.apply().state
            assert keys == pictures.rows()
            assert bodies(1, 2, 3) == pictures.restored()
            assert {"copied": 3} == pictures.outcomes()
        pictures.back()
        assert before == pictures.place.all()

    def test_what_is_named_since_is_pending(self, pictures: Pictures) -> None:
        """Verify says which objects wait, and which no row names any more; the next apply closes the balance."""
        assert 27 == pictures.apply().objects[0].bytes
        pictures.add(4, pictures.put(4))
        execute(pictures.url, "DELETE FROM old WHERE id = 2; DELETE FROM new WHERE id = 2")
        for report in (use_cases.verify_counts(pictures.desk), check(pictures.desk)):
            (found,) = report.objects
            assert (3, 2, 1, 1) == (found.listed, found.copied, found.pending, found.unaccounted)
            assert not report.proven
        (found,) = pictures.apply().objects
        assert (3, 3, 0, 0) == (found.listed, found.copied, found.pending, found.unaccounted)
        pictures.back()

    def test_rows_alone_go_back(self, pictures: Pictures) -> None:
        """Back to expand, objects go with the rows; the tables stay."""
        before = pictures.place.all()
        pictures.apply()
        pictures.back(to=Phase.EXPAND)
        assert before == pictures.place.all()
        assert {} == pictures.rows()
        assert State.VERIFIED is pictures.apply().state


class TestFaults:
    """What is wrong with an object is a fault of its row, under its name."""

    def test_each_fault_holds_its_row_back(self, pictures: Pictures, stores: Stores) -> None:
        """Missing, denied, occupied, replaced: quarantined by name; the others move, and the balance closes."""
        stores.forbid(f"{pictures.place.prefix}old/5.png")
        stores.replace(pictures.place, "old/7.png")
        for number in (5, 6, 7):
            pictures.add(number, pictures.put(number))
        pictures.add(4, "old/none.png")
        pictures.add(8, "x" * 1_100)
        pictures.add(9, None)
        pictures.place.put("restored/6.jpg", b"something else")
        report = pictures.apply()
        faults = {key: said for key, (fate, said) in pictures.fates().items() if fate == "quarantined"}
        assert {
            "4": "picture: object missing",
            "5": "picture: access denied",
            "6": "picture: another object holds this key",
            "7": "picture: replaced during the copy",
            "8": "picture: no object can have this name",
        } == faults
        assert {**NEW, 9: None} == pictures.rows()
        assert {**bodies(1, 2, 3), "restored/6.jpg": b"something else"} == pictures.restored()
        assert all(one.closes for one in report.balances)
        (objects,) = report.objects
        assert (7, 3, 0, 0) == (objects.listed, objects.copied, objects.there, objects.unaccounted)
        names = [said.removeprefix("picture: ") for key, said in faults.items() if key != "8"]
        assert dict.fromkeys(names, 1) == objects.faults, "what can have no name is no object"
        assert not report.proven
        assert any("replaced during the copy" in line for line in screen(report))

    def test_a_retry_tries_the_object_anew(self, pictures: Pictures) -> None:
        """Out of quarantine with the row; without that the object is left alone."""
        pictures.add(4, "old/4.png")
        pictures.apply()
        pictures.put(4)
        assert {"copied": 3, "object missing": 1} == (pictures.apply(), pictures.outcomes())[1]
        quarantine_retry(pictures.desk, Selection(change=pictures.desk.change.name))
        assert State.VERIFIED is pictures.apply().state
        assert bodies(1, 2, 3, 4) == pictures.restored()
        before = pictures.place.all()
        pictures.back()
        assert {key: body for key, body in before.items() if key.startswith("old/")} == pictures.place.all()

    def test_what_is_there_already_is_never_removed(self, pictures: Pictures, stores: Stores) -> None:
        """The same content at the key gives it to the row and stays after rollback, even if it came a moment before."""
        pictures.place.put("restored/2.jpg", b"picture 2")

        def come_first(operation: str, _: Any) -> None:
            if operation == "CopyObject" and stores.heard[operation] == TRIED + 1:
                pictures.place.put("restored/3.jpg", b"picture 3")

        stores.acts.append(come_first)
        pictures.settings["object_workers"] = 1
        pictures.declare()
        before = {**pictures.place.all(), "restored/3.jpg": b"picture 3"}
        execute(pictures.url, "DELETE FROM old WHERE id = 1")
        assert State.VERIFIED is pictures.apply().state
        assert {"there already": 2} == pictures.outcomes()
        pictures.back()
        assert before == pictures.place.all()

    def test_two_rows_with_one_target_key(self, pictures: Pictures) -> None:
        """The first by key has it, however often it is applied; when that one goes, the next has it."""
        execute(pictures.url, "UPDATE old SET note = 'one.jpg'")
        pictures.declare(to="restored/{note}")
        for _ in range(2):
            pictures.apply()
            assert {"2", "3"} == {key for key, (fate, _) in pictures.fates().items() if fate == "quarantined"}
            assert {"copied": 1, "another row has this key": 2} == pictures.outcomes()
            assert {"restored/one.jpg": b"picture 1"} == pictures.restored()
        execute(pictures.url, "DELETE FROM old WHERE id = 1; DELETE FROM new WHERE id = 1")
        quarantine_retry(pictures.desk, Selection(change=pictures.desk.change.name))
        pictures.apply()
        assert [("another object holds this key",), ("another row has this key",)] == pictures.records("outcome")
        assert [("copied",)] == pictures.records("outcome", table="former_object")

    @pytest.mark.parametrize("size", [1, 200])
    def test_two_names_for_one_target(self, pictures: Pictures, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """Keys that become the same only when the content type is known are found out as well, together or apart."""
        monkeypatch.setattr(claims, "SIZE", size)
        declared = "{{'picture': moved_object('key', to='{}.jpg'), 'other': moved_object('key', to='{}{{ext}}')}}"
        objects = declared.format(*[f"{pictures.place.prefix}restored/{{id}}"] * 2)
        pictures.params = {}
        pictures.declare(objects=objects)
        pictures.apply()
        assert {"another row has this key": 3, "copied": 3} == pictures.outcomes()
        assert bodies(1, 2, 3) == pictures.restored()
        assert not pictures.rows()
        pictures.back()
        assert {} == pictures.restored()


class TestWorld:
    """What is about no object in particular ends the run; what was finished is kept, and the next run goes on."""

    @pytest.mark.usefixtures("small")
    def test_a_token_that_expires_in_the_middle(self, pictures: Pictures, stores: Stores) -> None:
        """What was copied before stays recorded; with a new token it goes on, and nothing is copied twice."""
        for number in range(4, 21):
            pictures.add(number, pictures.put(number))
        stores.expire(after=9)
        assert "M254" == pictures.failing()
        done = pictures.outcomes()
        assert 0 < done["copied"] <= 9 + 4
        assert {} == pictures.rows()
        heard = stores.forgive()
        assert State.VERIFIED is pictures.apply().state
        assert bodies(*range(1, 21)) == pictures.restored()
        assert heard["CopyObject"] <= 20 - done["copied"] + 3, "what was recorded is not copied again"
        assert {"copied": 20} == pictures.outcomes()

    @pytest.mark.parametrize("operations", [{"CopyObject"}, {"HeadObject", "GetObject"}])
    def test_a_failure_while_everybody_waits(
        self, pictures: Pictures, stores: Stores, monkeypatch: pytest.MonkeyPatch, operations: set[str]
    ) -> None:
        """What fails is the last of the claims that can be open, or the look at the first one: the run ends."""
        monkeypatch.setattr(claims, "SIZE", 1)
        monkeypatch.setattr(claims, "OPEN", 1)
        expired = error("ExpiredToken", 400)

        def expire(operation: str, request: Any) -> Any:
            tried = "restored" in request.url or "old" in request.url
            return expired(request) if operation in operations and tried else None

        stores.acts.append(expire)
        assert "M254" == pictures.failing()
        stores.forgive()
        assert State.VERIFIED is pictures.apply().state

    @pytest.mark.usefixtures("small")
    def test_a_database_that_goes_away_in_the_middle(self, pictures: Pictures, stores: Stores) -> None:
        """Nothing is written by anybody whose locks are gone; the next run goes on, and copies nothing twice."""
        for number in range(4, 21):
            pictures.add(number, pictures.put(number))
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"

        def go(operation: str, _: Any) -> None:
            if operation == "CopyObject" and stores.heard[operation] == TRIED + 6:
                rows_of(pictures.url, f"{end} AND pid <> pg_backend_pid()")
                told.append(pictures.outcomes())

        told: list[dict[str | None, int]] = []
        stores.acts.append(go)
        assert pictures.failing() in {"M302", "M307"}
        assert told == [pictures.outcomes()]
        assert told[0].get("copied", 0) < 20
        before = stores.forgive()
        assert State.VERIFIED is pictures.apply().state
        assert {"copied": 20} == pictures.outcomes(), "what was made and not told of is ours"
        assert bodies(*range(1, 21)) == pictures.restored()
        assert before["CopyObject"] <= TRIED + 20
        pictures.back()
        assert {} == pictures.restored()

    def test_ctrl_c_keeps_what_was_finished(self, pictures: Pictures) -> None:
        """An interrupt in the middle loses no outcome of what was finished."""
        heard = pictures.events

        class Interrupts(list[Any]):
            def append(self, event: Any) -> None:
                if event.kind == "progress" and event.unit == "object":
                    raise KeyboardInterrupt

        pictures.events = Interrupts()
        with pytest.raises(KeyboardInterrupt):
            pictures.apply()
        pictures.events = heard
        assert 1 <= pictures.outcomes()["copied"]
        assert len(pictures.restored()) == pictures.outcomes()["copied"]
        assert State.VERIFIED is pictures.apply().state

    def test_no_bucket_is_said_before_anything_is_copied(self, pictures: Pictures) -> None:
        """A bucket that is not there is named; the run can be gone on with."""
        pictures.open(replace(pictures.storage, bucket=f"{pictures.storage.bucket}-none"))
        assert "M255" == pictures.failing()
        pictures.open()
        assert State.VERIFIED is pictures.apply().state

    def test_a_trial_that_is_cut_off_leaves_nothing(self, pictures: Pictures, stores: Stores) -> None:
        """The objects by which a store is tried are remembered, and removed by whoever goes on, or goes back."""
        before = pictures.place.client.list_objects_v2(Bucket=pictures.place.bucket, Prefix="~migrator/")["KeyCount"]
        for go_on in (pictures.apply, pictures.back):
            stores.forgive()
            stores.expire(after=0)
            assert "M254" == pictures.failing()
            found = pictures.place.client.list_objects_v2(Bucket=pictures.place.bucket, Prefix="~migrator/")
            assert before < found["KeyCount"]
            stores.forgive()
            go_on()
            found = pictures.place.client.list_objects_v2(Bucket=pictures.place.bucket, Prefix="~migrator/")
            assert before == found["KeyCount"]
            if go_on == pictures.apply:
                pictures.back()

    def test_a_store_that_is_not_configured(self, pictures: Pictures) -> None:
        """Wanted, and nobody says where: told with the line that is missing."""
        pictures.open(Storage())
        assert "M251" == pictures.failing()


class TestDefinitions:
    """A definition that changed: what was made under the former one is kept until undo."""

    def test_other_keys(self, pictures: Pictures) -> None:
        """Rows get the new keys; rollback removes the objects at both; a way back finds the first ones again."""
        before = pictures.place.all()
        pictures.apply()
        pictures.declare(to="moved/{id}{ext}")
        assert State.VERIFIED is pictures.apply().state
        assert {n: f"moved/{n}.jpg" for n in (1, 2, 3)} == pictures.rows()
        assert [("copied",)] * 3 == pictures.records("outcome", table="former_object")
        pictures.declare()
        assert State.VERIFIED is pictures.apply().state
        assert NEW == pictures.rows()
        assert {"copied": 3} == pictures.outcomes(), "not there already: it is ours"
        assert 9 == len(pictures.place.all())
        pictures.back()
        assert before == pictures.place.all()
        assert [] == pictures.records("id", table="former_object")

    @pytest.fixture
    def gone(self, pictures: Pictures) -> Pictures:
        """Move the rows without their objects, and then with them, of which one went meanwhile."""
        pictures.params = {"copy_objects": False}
        pictures.open()
        assert State.VERIFIED is pictures.apply().state
        pictures.params = {"copy_objects": True}
        pictures.open()
        gone = f"{pictures.place.prefix}old/2.png"
        pictures.place.client.delete_object(Bucket=pictures.place.bucket, Key=gone)
        report = pictures.apply()
        assert [("stale", "picture: object missing")] == [(one.kind, one.note) for one in report.comparisons[0].rows]
        assert {("moved", ""): 2, ("quarantined", "picture: object missing"): 1} == terms(pictures.desk)
        assert {**NEW, 2: OLD[2]} == pictures.rows()
        assert not report.proven
        return pictures

    def test_wanted_later_a_missing_object_is_named_and_tried_again(self, gone: Pictures) -> None:
        """Its row keeps the key that it has, and waits in quarantine by that name until the object is there."""
        held = "SELECT id, message, source_row ->> 'note' FROM migrator.quarantine"
        waits = rows_of(gone.url, held)
        assert [(f"{gone.place.prefix}old/2.png", "note 2")] == [one[1:] for one in waits]
        gone.apply()
        assert waits == rows_of(gone.url, held), "it is the same entry, however often it is tried"
        gone.put(2)
        assert State.VERIFIED is gone.apply().state
        assert NEW == gone.rows()
        assert {("moved", ""): 3} == terms(gone.desk)

    def test_wanted_later_a_row_without_its_object_can_be_dismissed(self, gone: Pictures) -> None:
        """It does without: proven at once with its old key, brought up to date like any other, and taken back."""
        chosen = Selection(change=gone.desk.change.name)
        assert 1 == quarantine_dismiss(gone.desk, chosen, "nobody has it")
        closed = {("moved", ""): 2, ("dismissed", "picture: object missing"): 1}
        assert check(gone.desk).proven
        assert closed == terms(gone.desk)
        assert State.VERIFIED is gone.apply().state
        assert [(2, 0)] == [(one.listed, one.unaccounted) for one in check(gone.desk).objects]
        execute(gone.url, "UPDATE old SET note = 'newer', key = 'somewhere/else.png' WHERE id = 2")
        assert {("stale", "")} == {(one.kind, one.note) for one in check(gone.desk).comparisons[0].rows}
        assert State.VERIFIED is gone.apply().state
        assert {**NEW, 2: "somewhere/else.png"} == gone.rows()
        assert closed == terms(gone.desk)
        gone.params = {"copy_objects": False}
        gone.open()
        assert State.VERIFIED is gone.apply().state, "nothing that was accepted is asked again"
        execute(gone.url, "DELETE FROM new WHERE id = 2")
        assert ["it was moved, but the target row is gone"] == [
            one.why for one in use_cases.verify_counts(gone.desk).balances[0].examples
        ]
        gone.back()
        assert {} == gone.restored()

    def test_a_dismissal_may_be_taken_back(self, gone: Pictures) -> None:
        """Tried again, the row waits anew for an object that is not there, and gets the new key of one that is."""
        quarantine_dismiss(gone.desk, Selection(change=gone.desk.change.name), "nobody has it")
        assert State.VERIFIED is gone.apply().state
        for number in (0, 1):
            if number:
                gone.put(2)
            ((id,),) = rows_of(gone.url, "SELECT id FROM migrator.quarantine")
            where = ["--config", str(gone.path), "--database-url", gone.url]
            assert 0 == app.run(["quarantine", "retry", gone.desk.change.name, "--id", str(id), *where])
            assert [] == rows_of(gone.url, "SELECT id FROM migrator.quarantine")
            report = gone.apply()
            assert report.proven is bool(number)
        assert NEW == gone.rows()
        assert {("moved", ""): 3} == terms(gone.desk)

    def test_wanted_no_longer_no_object_keeps_a_row_back(self, pictures: Pictures) -> None:
        """The next apply takes such rows with their old keys; what another object keeps back, or was dismissed, stays.

        What is wrong with objects is tried again when they are wanted again.
        """
        one = "'{0}': moved_object('key', to='{1}restored/{{id}}{0}', only_if=param('{0}', bool, default=False))"
        objects = ", ".join(one.format(name, pictures.place.prefix) for name in ("picture", "other"))
        pictures.params = {}
        pictures.declare(objects=f"{{{objects}}}")
        for number in (4, 5):
            pictures.add(number, "old/none.png")
        told = {}
        for wanted in ((True, True), (False, True), (False, False), (True, False)):
            pictures.params = dict(zip(("picture", "other"), wanted, strict=True))
            pictures.open()
            report = pictures.apply()
            told[wanted] = {key: said for key, (fate, said) in pictures.fates().items() if fate == "quarantined"}
            chosen = Selection(change=pictures.desk.change.name, ids=(2,))
            quarantine_dismiss(pictures.desk, chosen, "nobody has it")
            assert report.proven is (wanted == (False, False))
        missing = "picture: object missing"
        assert {
            (True, True): {"4": missing, "5": missing},
            (False, True): {"4": "other: object missing", "5": missing},
            (False, False): {"5": missing},
            (True, False): {"4": missing, "5": missing},
        } == told
        assert {**{n: f"restored/{n}picture" for n in (1, 2, 3)}, 4: "old/none.png"} == pictures.rows()

    def test_keys_that_swap(self, pictures: Pictures) -> None:
        """Two rows whose keys change places are no conflict of the Ledger; the objects that are there are."""
        execute(pictures.url, "UPDATE old SET note = id::text")
        pictures.declare(to="restored/{note}{ext}")
        pictures.apply()
        execute(pictures.url, "UPDATE old SET note = (4 - id)::text WHERE id <> 2")
        pictures.apply()
        assert {"another object holds this key": 2, "copied": 1} == pictures.outcomes()
        pictures.back()
        assert {} == pictures.restored()

    def test_rows_that_go(self, pictures: Pictures) -> None:
        """The object of a row that is deleted is set aside, and removed by rollback."""
        before = pictures.place.all()
        pictures.apply()
        execute(pictures.url, "DELETE FROM old WHERE id = 2; DELETE FROM new WHERE id = 2")
        pictures.apply()
        assert {"copied": 2} == pictures.outcomes()
        pictures.back()
        assert before == pictures.place.all()

    def test_rows_that_raise_have_no_object(self, pictures: Pictures) -> None:
        """A definition whose SQL raises for a row loses the objects of that row alone."""
        columns = {"id": "column('id')", "key": "object_key('picture')", "note": "sql('(6 / (id - 2))::text')"}
        pictures.declare(to="restored/{note}{ext}", columns=columns)
        pictures.apply()
        assert {1: "restored/-6.jpg", 3: "restored/6.jpg"} == pictures.rows()
        assert {"copied": 2} == pictures.outcomes()


class TestListing:
    """Rows are asked for their objects only where something was written that could change the answer."""

    WRITTEN: ClassVar = {
        "a row": "UPDATE old SET note = 'other' WHERE id = 1",
        "a row that goes": "DELETE FROM old WHERE id = 3",
        "a column with a default": "ALTER TABLE old ADD COLUMN more int DEFAULT 7",
        "what is looked up through a view": "UPDATE words SET said = '' WHERE id = 2",
        "the view": "CREATE OR REPLACE VIEW seen AS SELECT id, said FROM words WHERE id > 0",
        "a function": "CREATE OR REPLACE FUNCTION told(text) RETURNS text IMMUTABLE RETURN coalesce($1, '')",
        "the target": "UPDATE new SET note = 'mine' WHERE id = 1",
        "a dismissal": "INSERT INTO migrator.quarantine (backfill, source_key, reason, source_row, status, definition,"
        " run) SELECT 1, '{2}', 'picture: too large', '{}', 'dismissed', 1, max(id) FROM migrator.run",
    }

    @pytest.fixture
    def listed(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Note each batch that is listed."""
        heard: list[str] = []
        add = Listing.add
        monkeypatch.setattr(Listing, "add", lambda *given: (heard.append("once"), add(*given))[1])
        return heard

    def test_nothing_is_listed_again_until_something_is_written(self, pictures: Pictures, listed: list[str]) -> None:
        """A list of the very state is good; whatever is written, the next apply lists anew and misses no row."""
        execute(pictures.url, "CREATE TABLE words AS SELECT id, ''::text AS said FROM old")
        execute(pictures.url, "CREATE VIEW seen AS SELECT * FROM words")
        execute(pictures.url, "CREATE FUNCTION told(text) RETURNS text IMMUTABLE RETURN $1")
        key = "told(key) || (SELECT s.said FROM seen AS s WHERE s.id = old.id)"
        to = f"{pictures.place.prefix}restored/{{id}}{{ext}}"
        switch = "only_if=param('copy_objects', bool, default=False)"
        pictures.declare(objects=f"{{'picture': moved_object(sql({key!r}), to={to!r}, {switch})}}")
        pictures.apply()
        told = {}
        for written, statement in {"nothing yet": "SELECT", **self.WRITTEN}.items():
            execute(pictures.url, statement)
            listed.clear()
            pictures.copy()
            told[written] = bool(listed)
            pictures.copy()
            listed.clear()
            pictures.copy()
            assert not listed, written
        assert dict.fromkeys(["nothing yet", *self.WRITTEN], True) == told
        assert [(["1"],)] == pictures.records("source_key"), "of a row that went, and one that was dismissed"
        pictures.add(4, pictures.put(4))
        execute(pictures.url, "INSERT INTO words VALUES (4, '')")
        assert {"copied": 1} == pictures.copy()
        pictures.declare(to="moved/{id}{ext}")
        assert {"copied": 2} == pictures.copy(), "another definition"

    def test_what_nobody_can_be_sure_of_is_listed_each_time(self, pictures: Pictures, listed: list[str]) -> None:
        """A function that may read whatever it likes: its answer of before says nothing."""
        execute(pictures.url, "CREATE FUNCTION told(text) RETURNS text STABLE RETURN $1")
        switch = "only_if=param('copy_objects', bool, default=False)"
        to = f"{pictures.place.prefix}restored/{{id}}{{ext}}"
        pictures.declare(objects=f"{{'picture': moved_object(sql('told(key)'), to={to!r}, {switch})}}")
        for _ in range(4):
            listed.clear()
            pictures.copy()
            assert listed


class TestOtherKeys:
    """An object may be under another key than the row seems to name: an order of keys decides, never a guess."""

    # By row: the keys under which it is looked for, those under which there is an object, and the one that is taken.
    KEYS: ClassVar = {
        1: ("ab", "ab", "a"),
        2: ("ab", "b", "b"),
        3: ("abc", "c", "c"),
        4: ("abc", "", None),
        5: ("aac", "c", "c"),
        6: ("ab", "b", None),  # nobody may look under the first
        7: ("a", "a", "a"),
    }

    @pytest.fixture
    def several(self, tmp_path: Path, database: str, place: Place, stores: Stores) -> Pictures:
        """Give rows that name up to three keys."""
        pictures = Pictures(tmp_path, database, place)
        keys = [f"sql(\"nullif(split_part(key, '|', {n}), '')\")" for n in (1, 2, 3)]
        more = f"or_else=({keys[1]}, {keys[2]}), only_if=param('copy_objects', bool, default=False)"
        one = f"moved_object({keys[0]}, to={f'{place.prefix}restored/{{id}}{{ext}}'!r}, {more})"
        pictures.declare(objects=f"{{'picture': {one}}}")
        stores.forbid(f"{place.prefix}old/6a")
        for id, (named, there, _) in self.KEYS.items():
            said = "|".join(f"{place.prefix}old/{id}{one}" for one in named)
            execute(database, f"INSERT INTO old VALUES ({id}, '{said}', 'note')")
            for one in there:
                place.put(f"old/{id}{one}", f"picture {id}{one}".encode(), ContentType="image/png")
        return pictures

    def test_the_first_key_under_which_there_is_one_is_taken(self, several: Pictures, stores: Stores) -> None:
        """It is written down which one that was; the plan foretells it; another apply looks for nothing again."""
        (planned,) = objects_work.plan(several.desk, listen=several.events.append)
        assert {"to be copied": 5, "object missing": 1, "access denied": 1} == planned.foretold
        before = several.place.all()
        report = several.apply()
        assert {"copied": 5, "object missing": 1, "access denied": 1} == report.steps[1].detail
        found = {id: taken for id, (_, _, taken) in self.KEYS.items() if taken}
        assert {f"restored/{id}.png": f"picture {id}{one}".encode() for id, one in found.items()} == several.restored()
        named = {key.removeprefix(several.place.prefix) for key, said in several.records("from_key", "outcome")}
        assert {f"old/{id}{one}" for id, one in {**found, 4: "c", 6: "a"}.items()} == named
        said = [f"{several.place.prefix}old/4{one}" for one in "ac"]
        assert [(", ".join(said),)] == rows_of(
            several.url, "SELECT message FROM migrator.quarantine WHERE reason = 'picture: object missing'"
        )
        assert [(7, 5, 0)] == [(one.listed, one.copied, one.unaccounted) for one in report.objects]
        stores.heard.clear()
        several.apply()
        assert 0 == stores.heard["HeadObject"], "what was not there is looked for when somebody says so"
        several.back()
        assert before == several.place.all()

    def test_it_goes_on_with_what_another_process_did_not_find(
        self, several: Pictures, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever joined may have looked under the first key; it is looked under the others all the same."""
        move = CopyObjects._move

        def helped(step: CopyObjects, run: Run, conn: Any, listed: int, **more: Any) -> Any:
            move(step, run, conn, listed, joining=True)
            return move(step, run, conn, listed, **more)

        monkeypatch.setattr(CopyObjects, "_move", helped)
        several.apply()
        assert {"copied": 5, "object missing": 1, "access denied": 1} == several.outcomes()

    def test_no_object_that_a_row_may_mean_is_an_orphan(self, several: Pictures) -> None:
        """None is one that has any of its keys; a row is without its object where there is none under any of them."""
        several.apply()
        asked = objects_orphans.Asked(prefixes=(f"{several.place.prefix}old/",))
        found = objects_orphans.orphans(several.desk, asked, listen=several.events.append)
        assert 0 == found.orphans.objects
        assert [("4",)] == [one.row for one in found.unmet_examples]

    def test_a_retry_begins_with_the_first_key(self, several: Pictures, stores: Stores) -> None:
        """What was missing under every key may have come under the first, and under others besides."""
        several.apply()
        for one in "ab":
            several.place.put(f"old/4{one}", f"picture 4{one}".encode(), ContentType="image/png")
        stores.forgive()
        quarantine_retry(several.desk, Selection(change=several.desk.change.name))
        assert State.VERIFIED is several.apply().state
        assert b"picture 4a" == several.restored()["restored/4.png"]
        assert b"picture 6b" == several.restored()["restored/6.png"]


class TestVerify:
    """What was proven once is looked at again where that is asked for."""

    def test_check_objects_looks_at_each(self, pictures: Pictures) -> None:
        """What is as it was is proven; what went or was written to since is not, and is named."""
        pictures.apply()
        asked: dict[str, Any] = {"check_objects": True, "listen": pictures.events.append}
        report = use_cases.verify(pictures.desk, **asked)
        assert report.proven
        assert ["3 looked at"] == [one.evidence for one in report.verdicts if "at its key" in one.claim]
        pictures.place.client.delete_object(Bucket=pictures.place.bucket, Key=f"{pictures.place.prefix}restored/1.jpg")
        pictures.place.put("restored/2.jpg", b"retouched")
        report = use_cases.verify(pictures.desk, **asked)
        (said,) = [one.evidence for one in report.verdicts if not one.proven]
        assert "1 object missing, 1 written to since it was copied" in said
        assert "restored/1.jpg" in said
        assert "restored/2.jpg" in said
        assert check(pictures.desk).proven, "without being asked nobody looks"


class TestUndo:
    """Only what is ours and unchanged is removed."""

    def test_what_was_written_to_since_stays(self, pictures: Pictures) -> None:
        """An object that somebody replaced is left and named."""
        pictures.apply()
        pictures.place.put("restored/2.jpg", b"retouched")
        report = pictures.back()
        assert {"restored/2.jpg": b"retouched"} == pictures.restored()
        assert "restored/2.jpg" in "".join(report.notes)

    def test_an_object_of_a_row_that_stays(self, pictures: Pictures) -> None:
        """A row that the application changed is its own, and so is the object."""
        pictures.apply()
        execute(pictures.url, "UPDATE new SET note = 'mine' WHERE id = 2")
        report = pictures.back(keep_new=True)
        assert {2: "restored/2.jpg"} == pictures.rows()
        assert bodies(2) == pictures.restored()
        assert "restored/2.jpg" in "".join(report.notes)

    def test_what_may_not_be_removed_is_kept_in_mind(self, pictures: Pictures, stores: Stores) -> None:
        """Denied, the rollback is half done and says so; with the right it goes on."""
        before = pictures.place.all()
        pictures.apply()
        stores.forbid(f"{pictures.place.prefix}restored/2.jpg", method="DELETE")
        with pytest.raises(WorldError) as told:
            pictures.back()
        assert "M277" == told.value.id
        assert bodies(2) == pictures.restored()
        assert "M405" == pictures.failing()
        stores.forgive()
        pictures.back()
        assert before == pictures.place.all()


class TestTogether:
    """Several processes, and who holds the lease."""

    @pytest.fixture
    def twenty(self, pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> Pictures:
        """Give twenty pictures, of which each process has four at a time."""
        monkeypatch.setattr(claims, "SIZE", 4)
        monkeypatch.setattr(claims, "OPEN", 1)
        for number in range(4, 21):
            pictures.add(number, pictures.put(number))
        return pictures

    def test_who_joins_copies_what_nobody_has(self, twenty: Pictures, stores: Stores) -> None:
        """While the holder of the lease is at its first object, another one does all that it has not claimed."""
        done: list[dict[str, int]] = []

        def join(operation: str, _: Any) -> None:
            if operation == "CopyObject" and stores.acts:
                stores.acts.clear()
                done.append(joined(twenty))

        use_cases.install_ledger(twenty.desk)
        stores.acts.append(after_the_trial(stores, join))
        report = twenty.apply()
        assert [{"copied": 16}] == done
        assert {"copied": 4} == report.steps[1].detail
        assert State.VERIFIED is report.state
        assert {"copied": 20} == twenty.outcomes()
        assert bodies(*range(1, 21)) == twenty.restored()
        assert 20 + TRIED == stores.heard["CopyObject"], "something was copied twice"

    def test_a_lease_that_is_taken_over(self, twenty: Pictures, stores: Stores) -> None:
        """What is claimed is finished and written down; then the run stops, and the next one goes on."""
        taking: list[threading.Thread] = []
        take = "UPDATE migrator.lease SET fence = fence + 1, holder = 'another one'"
        waits = (
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND query LIKE 'UPDATE migrator.lease SET fence%'"
        )

        def take_over(operation: str, _: Any) -> None:
            if operation == "CopyObject" and not taking:
                taking.append(threading.Thread(target=execute, args=(twenty.url, take)))
                taking[0].start()
                until(lambda: bool(rows_of(twenty.url, waits)))

        stores.acts.append(after_the_trial(stores, take_over))
        assert "M402" == twenty.failing()
        taking[0].join()
        done = twenty.outcomes()["copied"]
        assert 0 < done < 20
        assert done == len(twenty.restored())
        assert {} == twenty.rows()
        execute(twenty.url, "UPDATE migrator.lease SET held = false")
        assert State.VERIFIED is twenty.apply().state
        assert bodies(*range(1, 21)) == twenty.restored()

    def test_who_joined_a_run_that_died_takes_nothing(self, twenty: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever wants to take the change over need not wait for helpers of a run whose heart stands still."""
        twenty.copy()
        execute(
            twenty.url,
            "UPDATE migrator.object SET outcome = NULL, made_etag = NULL; UPDATE migrator.lease SET held = true",
        )
        monkeypatch.setattr(lease, "SILENCE_OF_THE_DEAD", -1.0)
        assert {} == joined(twenty)
        monkeypatch.undo()
        assert {"copied": 20} == joined(twenty), "what was made and not told of is ours"


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


TRIED = 3  # requests to copy by which the conditions of a store are tried


def after_the_trial(stores: Stores, act: Any) -> Any:
    """Act when the conditions of the store have been tried."""
    return lambda operation, request: act(operation, request) if stores.heard["CopyObject"] > TRIED else None


def joined(pictures: Pictures) -> dict[str, int]:
    """Join the run that holds the lease."""
    ((fence, number),) = rows_of(
        pictures.url, "SELECT l.fence, max(r.id) FROM migrator.lease l JOIN migrator.run r USING (change) GROUP BY 1"
    )
    held = lease.Lease(change=pictures.desk.change.name, fence=fence, run=number)
    run = Run(change=pictures.desk.change, database=pictures.desk.database, lease=held, listen=pictures.events.append)
    return pictures.step.join(run)


class TestKills:
    """Killed at any instant and run again, it ends as an undisturbed run."""

    def test_killed_at_points_of_apply_and_rollback(self, tmp_path: Path, database: str, objects: Objects) -> None:
        """At no instant a row is ahead of its object, or an object unknown; nothing is ever copied twice."""
        place = Place(objects, objects.bucket(versioned=True))
        pictures = Pictures(tmp_path, database, place, count=12)
        before, chance = place.versions(), random.Random(5)
        with Runs(tmp_path, database, copy_objects="true") as runs:
            count = runs.run("apply")
            assert count is not None
            assert 12 == len(pictures.rows())
            back = runs.run("rollback")
            assert back is not None
            assert before == place.versions()
            # The first and last parts of a run have nothing to do with objects.
            for at in sorted(chance.sample(range(count // 4, count), 4)):
                runs.run("apply", at=at)
                ahead_of_nothing(pictures)
            runs.run("apply")
            assert NEW_OF_12 == pictures.rows()
            assert bodies(*range(1, 13)) == pictures.restored()
            assert {1} == set(Counter(key for key, _ in place.versions()).values()), "something was copied twice"
            for at in sorted(chance.sample(range(back // 4, back), 2)):
                runs.run("rollback", at=at)
            runs.run("rollback")
            assert before == place.versions()


NEW_OF_12 = {n: f"restored/{n}.jpg" for n in range(1, 13)}


def ahead_of_nothing(pictures: Pictures) -> None:
    """See that each row has its object, and that the Ledger knows of each object."""
    there = pictures.restored()
    made = {} if not rows_of(pictures.url, "SELECT to_regclass('public.new')")[0][0] else pictures.rows()
    assert all(there[key] == f"picture {id}".encode() for id, key in made.items() if key is not None)
    known = {
        key.removeprefix(pictures.place.prefix).replace("{ext}", ext or "")
        for key, ext, since in pictures.records("to_key", "extension", "since")
        if since is not None
    }
    assert not {*there} - known
