"""What goes wrong with a store of objects is told by an id with its cure, also in the middle; then it goes on."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from migrator.cli import app
from migrator.engine.objects import Store, claims
from migrator.model.objects import Storage
from tests.support.objects import Place, Through, error, let
from tests.support.pictures import Pictures, bodies
from tests.support.projects import CHANGE, execute

COUNT = 12
NEW = {n: f"restored/{n}.jpg" for n in range(1, COUNT + 1)}
TRIED = 3  # requests to copy by which the conditions of a store are tried


def nothing(_operation: str, _request: Any) -> None:
    """Let a request pass."""


class Person:
    """Somebody at a command line, and a store that may be spoilt."""

    def __init__(self, pictures: Pictures, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """Let stores give up soon, and hear every request."""
        self.pictures, self._capsys, self.environment = pictures, capsys, monkeypatch
        self.happens: Callable[[str, Any], Any] = nothing
        monkeypatch.setattr(claims, "SIZE", 4)
        opened = Store.open

        def open_heard(storage: Storage, **more: Any) -> Store:
            store = opened(storage, **{**more, "tries": 2})
            let(store, "", lambda request, event_name, **_: self.happens(event_name.rpartition(".")[2], request))
            return store

        monkeypatch.setattr(Store, "open", open_heard)

    def says(self, verb: str, *more: str) -> tuple[int, str, str]:
        """Run a verb; gives its exit code, the id of its error, and all its words."""
        where = ["--config", str(self.pictures.path), "--database-url", self.pictures.url]
        given = ["--param", "copy_objects=true"] if verb in {"plan", "apply", "verify"} else []
        code = app.run([*([verb, "retry"] if verb == "quarantine" else [verb]), CHANGE, *where, *given, *more])
        out, err = self._capsys.readouterr()
        assert "Traceback" not in out + err
        found = re.search(r"^(M\d{3}) [^\n]+\n\s+\S", err, re.MULTILINE)  # what is wrong, and the cure below
        return code, found[1] if found else "", " ".join(f"{out} {err}".split())

    def goes_on(self) -> None:
        """Apply to the end now that nothing is wrong any more."""
        assert (0, "") == self.says("apply")[:2]
        assert self.pictures.rows() == NEW
        assert bodies(*range(1, COUNT + 1)) == self.pictures.restored()


@pytest.fixture
def person(
    tmp_path: Path, database: str, place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Person:
    """Give twelve rows with their pictures, and somebody who moves them."""
    return Person(Pictures(tmp_path, database, place, count=COUNT), capsys, monkeypatch)


def test_a_wrong_secret(person: Person) -> None:
    """M253, before anything is copied; the password itself is never said."""
    with person.environment.context() as wrong:
        wrong.setenv("AWS_SECRET_ACCESS_KEY", "it-is-wrong")
        code, id, words = person.says("apply")
    assert (2, "M253") == (code, id), words
    assert "it-is-wrong" not in words
    assert {} == person.pictures.restored()
    person.goes_on()


def test_no_credentials(person: Person, tmp_path: Path) -> None:
    """M252, with where they are looked for."""
    with person.environment.context() as none:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
            none.delenv(name, raising=False)
        none.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
            none.setenv(name, str(tmp_path / "none"))
        code, id, words = person.says("apply")
    assert (2, "M252") == (code, id), words
    person.goes_on()


@pytest.mark.parametrize(
    ("storage", "code", "id"),
    [
        ({"bucket": "there-is-no-such-bucket"}, 2, "M255"),
        ({"endpoint": "http://127.0.0.1:9"}, 1, "M258"),
        ({"endpoint": None, "region": None, "bucket": None}, 2, "M251"),
    ],
    ids=["no bucket", "no network", "no [s3]"],
)
def test_a_store_that_is_not_there(person: Person, storage: dict[str, str | None], code: int, id: str) -> None:
    """Told by what is wrong; status answers all the same, and with the right lines it goes on."""
    person.pictures.open(replace(person.pictures.storage, **storage))
    found = person.says("apply")
    assert (code, id) == found[:2], found[2]
    assert all(str(one) in found[2] for one in storage.values() if one)
    assert 0 == person.says("status")[0]
    assert {} == person.pictures.rows()
    person.pictures.open()
    person.goes_on()


@pytest.mark.parametrize(
    ("said", "status", "after", "code", "id"),
    [
        ("AuthorizationHeaderMalformed", 400, 0, 2, "M256"),
        ("RequestTimeTooSkewed", 403, 0, 1, "M260"),
        ("ExpiredToken", 400, TRIED + 5, 1, "M254"),
    ],
    ids=["a wrong region", "a wrong clock", "the token expires in the middle"],
)
def test_the_store_refuses_to_go_on(person: Person, said: str, status: int, after: int, code: int, id: str) -> None:
    """What was copied is kept and known, no row is ahead of it, and nothing is copied a second time."""
    copies: list[str] = []

    def refuse(operation: str, request: Any) -> Any:
        if operation == "CopyObject":
            copies.append(request.url)
        return error(said, status)(request) if len(copies) > after or not after else None

    person.happens = refuse
    found = person.says("apply")
    assert (code, id) == found[:2], found[2]
    assert {} == person.pictures.rows()
    there, known = set(person.pictures.restored()), person.pictures.outcomes() if after else {}
    assert (after > 0) is bool(there)
    copies.clear()
    person.happens = lambda operation, request: copies.append(request.url) if operation == "CopyObject" else None
    person.goes_on()
    assert len(copies) - TRIED <= COUNT - known.get("copied", 0), "what is recorded is not copied again"
    assert {"copied": COUNT} == person.pictures.outcomes(), "what was made before is ours"


def test_a_network_that_goes_away_in_the_middle(person: Person) -> None:
    """M258 with the address; what stands already is found again as ours, and goes with the rollback."""
    pictures = person.pictures
    before = pictures.place.all()
    with Through(pictures.place.objects) as through:
        pictures.open(replace(pictures.storage, endpoint=through.endpoint))
        asked: list[str] = []

        def cut(operation: str, request: Any) -> None:
            asked.append(operation)
            if asked.count("CopyObject") == TRIED + 4:
                through.__exit__(None, None, None)

        person.happens = cut
        found = person.says("apply")
        assert (1, "M258") == found[:2], found[2]
    person.happens = nothing
    pictures.open()
    person.goes_on()
    assert 0 == person.says("rollback", "--yes")[0]
    assert before == pictures.place.all()


def test_a_field_that_nothing_has(person: Person) -> None:
    """A template with an unknown field is a fault of the definition, told with those there are; nothing is done."""
    person.pictures.declare(to="restored/{nobody}.jpg")
    for verb in ("plan", "apply"):
        code, id, words = person.says(verb)
        assert (2, True) == (code, id.startswith("M27")), words
        assert "nobody" in words
        assert "note" in words, "the fields there are"
    assert {} == person.pictures.restored()
    person.pictures.declare()
    person.goes_on()


def test_two_rows_with_one_target(person: Person) -> None:
    """The first by key has it, the others wait by name; with a key for each it goes on."""
    execute(person.pictures.url, "UPDATE old SET note = 'the same' WHERE id < 4")
    person.pictures.declare(to="restored/{note}{ext}")
    code, _, words = person.says("apply")
    assert 4 == code
    assert "picture: another row has this key" in words
    assert {"copied": COUNT - 2, "another row has this key": 2} == person.pictures.outcomes()
    assert 0 == person.says("status")[0]
    person.pictures.declare()
    assert 0 == person.says("quarantine", "--all")[0]
    code, _, words = person.says("apply")
    assert 0 == code, words
    assert person.pictures.rows() == NEW
