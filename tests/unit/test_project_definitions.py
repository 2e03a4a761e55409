"""Definitions: files of `backfills/`, loaded without a trace, and every way they can be wrong."""

from __future__ import annotations

import sys
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from migrator.model import sql
from migrator.model.errors import ConfigurationError
from migrator.project.definitions import load

if TYPE_CHECKING:
    from pathlib import Path

    from migrator.model.backfill import Backfill

GOOD = """
from migrator.model import Backfill, column, elsewhere, sql
backfill = Backfill(
    source={source!r}, key="id", target="new", identity="id", columns={{"id": column("id")}},
    skip={{{skip}}},
)
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Give an empty `backfills/`."""
    made = tmp_path / "backfills"
    made.mkdir()
    return made


def good(source: str = "old", skip: str = "") -> str:
    """Write a definition without fault."""
    return GOOD.format(source=source, skip=skip)


def made(directory: Path, **files: str) -> tuple[Backfill, ...]:
    """Write the files and load those that are definitions."""
    for name, text in files.items():
        (directory / f"{name}.py").write_text(dedent(text), encoding="utf-8")
    names = [name for name in files if not name.startswith("_")]
    return load(directory, names, change="x")


def refused(directory: Path, **files: str) -> str:
    """Give what is said about the files."""
    with pytest.raises(ConfigurationError) as caught:
        made(directory, **files)
    assert "M105" == caught.value.id
    return f"{caught.value.what} {caught.value.cure}"


def test_a_definition_knows_its_name_place_and_doc(directory: Path) -> None:
    """A loaded Backfill carries the file's name, its path in the project and its docstring."""
    (one,) = made(directory, a_from_b='"""a ← b.\n\n    More.\n"""' + good())
    assert ("a_from_b", "backfills/a_from_b.py") == (one.name, one.path)
    assert "a ← b.\n\nMore." == one.doc


def test_definitions_come_in_the_order_they_are_listed(directory: Path) -> None:
    """The order is that of the list, not that of the directory."""
    assert ["z", "a"] == [one.name for one in made(directory, z=good(), a=good())]


def test_shared_rules_are_imported_with_a_dot(directory: Path) -> None:
    """A definition takes what it shares from a file beside it that begins with an underscore."""
    shared = "from migrator.model import sql\nRULE = sql('true')\n"
    text = "from ._shared import RULE\n" + good(skip="'rule': RULE")
    (one,) = made(directory, _shared=shared, a=text)
    assert sql("true") == one.skip["rule"]


def test_loading_leaves_no_trace(directory: Path) -> None:
    """Neither sys.modules, sys.path, sys.meta_path nor the directory keeps anything."""
    before = set(sys.modules), list(sys.path), list(sys.meta_path)
    made(directory, _shared="A = 1", a="from ._shared import A\n" + good())
    assert before == (set(sys.modules), sys.path, sys.meta_path)
    assert {"_shared.py", "a.py"} == {one.name for one in directory.iterdir()}


def test_a_file_is_read_as_it_is_now(directory: Path) -> None:
    """A change of the same size within the same second is seen."""
    assert ["old", "odd"] == [made(directory, a=good(source=source))[0].source for source in ("old", "odd")]


def test_two_projects_may_use_the_same_names(tmp_path: Path) -> None:
    """The shared file of one project is not that of another."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        text = "from ._shared import SOURCE\n" + good().replace("'old'", "SOURCE")
        (loaded,) = made(tmp_path / name, _shared=f"SOURCE = {name!r}", a=text)
        assert name == loaded.source


def test_what_a_file_prints_stays_off_stdout(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A print in a definition goes to stderr, where it cannot spoil a result."""
    made(directory, a="print('hello')\n" + good())
    assert ("", "hello\n") == tuple(capsys.readouterr())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1\ny = = 2\n", "backfills/a.py:2: syntax error: invalid syntax."),
        ("if True:\nx = 1\n", "backfills/a.py:2: syntax error: expected an indented block"),
        ("x = 1\n\n1 / 0\n", "backfills/a.py:3: ZeroDivisionError: division by zero."),
        ("import nowhere\n", "backfills/a.py:1: ModuleNotFoundError: No module named 'nowhere'."),
        ("raise SystemExit(0)\n", "backfills/a.py:1: SystemExit: 0."),
        ("x = 1\n", "the file defines no backfill. Write backfill = Backfill(…)."),
        ("backfill = {}\n", "backfill is of type dict."),
        (good().replace("backfill =", "mine ="), "Call it backfill, not mine."),
        (good() + "other = backfill\nimport dataclasses\n", "defines 2 backfills: backfill, other"),
        (good().replace('key="id"', "key=()"), "backfills/a.py:3: M110 key is empty."),
        (good().replace('column("id")', "640"), "M110 640 is no expression; write constant(…)"),
        ("from ._shared import A\n", "ModuleNotFoundError: No module named '_shared'."),
        ("def f():\n    f()\nf()\n", "RecursionError"),
    ],
)
def test_a_faulty_file_is_named_with_its_line(directory: Path, text: str, expected: str) -> None:
    """Whatever a file does wrong is M105 with the file, the line and a sentence."""
    assert expected in refused(directory, a=text)


def test_a_byte_that_is_not_utf8_is_a_syntax_error(directory: Path) -> None:
    """A file in another encoding is M105 as well."""
    (directory / "a.py").write_bytes(b"x = '\xe9'\n")
    with pytest.raises(ConfigurationError, match=r"M105.*backfills/a.py:1: syntax error"):
        load(directory, ["a"], change="x")


def test_a_fault_in_a_shared_file_is_told_once_and_there(directory: Path) -> None:
    """Two definitions over one broken shared file are one fault, at the shared file's line."""
    text = "from ._shared import A\n" + good()
    said = refused(directory, _shared="\nA = B\n", a=text, b=text)
    assert 1 == said.count("backfills/_shared.py:2: NameError: name 'B' is not defined.")
    assert "faults" not in said


def test_a_missing_word_of_a_shared_file_is_told_by_its_plain_name(directory: Path) -> None:
    """The package that exists only while loading is not part of what people read."""
    said = refused(directory, _shared="A = 1", a="from ._shared import B\n")
    assert "cannot import name 'B' from '_shared'" in said
    assert "migrator_definitions" not in said


def test_an_import_without_the_dot_is_cured(directory: Path) -> None:
    """Who leaves out the dot is told to write it."""
    said = refused(directory, _shared="A = 1", a="from _shared import A\n")
    assert "from ._shared import …" in said


def test_a_missing_file_names_what_is_close(directory: Path) -> None:
    """A name in the list without a file gets the file that was probably meant."""
    (directory / "video_jobs.py").write_text(good(), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"backfills/video_job\.py: no such") as caught:
        load(directory, ["video_job"], change="x")
    assert "Did you mean video_jobs?" == caught.value.cure


def test_all_faulty_files_are_told_at_once(directory: Path) -> None:
    """One broken file does not hide another."""
    said = refused(directory, a="x = ", b="backfill = 1", c=good())
    assert "change x has 2 faults:" in said
    assert "backfills/a.py:1" in said
    assert "backfills/b.py" in said


def sends_to(name: str) -> str:
    """Write a skip whose rows another backfill takes."""
    return f"'theirs': elsewhere(sql('true'), {name!r})"


def test_elsewhere_may_name_a_backfill_of_the_same_source(directory: Path) -> None:
    """Rows may go to another backfill of the change, however its source is spelled."""
    files = {"a": good(skip=sends_to("b")), "b": good(source="public.old")}
    assert 2 == len(made(directory, **files))


@pytest.mark.parametrize(
    ("skip", "expected"),
    [
        (sends_to("a"), "skip 'theirs' names its own backfill."),
        (sends_to("bb"), "names 'bb', which is no backfill of this change. Did you mean b?"),
        (sends_to("b"), "names 'b', whose source is odd, not old."),
    ],
)
def test_elsewhere_must_name_who_can_take_the_rows(directory: Path, skip: str, expected: str) -> None:
    """Rows cannot be sent to themselves, to nobody, or to a backfill of another source."""
    said = refused(directory, a=good(skip=skip), b=good(source="odd"))
    assert expected in said


def test_elsewhere_into_a_broken_file_is_one_fault(directory: Path) -> None:
    """A file that cannot be loaded is told, and not also that nobody takes the rows."""
    said = refused(directory, a=good(skip=sends_to("b")), b="1 / 0")
    assert "elsewhere" not in said
    assert "theirs" not in said


def test_rows_are_not_sent_to_a_backfill_that_may_be_left_out(directory: Path) -> None:
    """Without the parameter nobody would take them; with the same parameter on both sides that cannot happen."""
    wanted = "only_if=param('wanted', bool), skip="
    optional = good().replace("skip=", wanted).replace("import Backfill", "import Backfill, param")
    said = refused(directory, a=good(skip=sends_to("b")), b=optional)
    assert "names 'b', which a parameter may leave out" in said
    both = good(skip=sends_to("b")).replace("skip=", wanted).replace("import Backfill", "import Backfill, param")
    assert 2 == len(made(directory, a=both, b=optional))
