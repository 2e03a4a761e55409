"""Mapping: the CSV file of a parameter, and every line that can be wrong in it."""

from __future__ import annotations

import csv
import hashlib
import io
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrator.model.errors import ConfigurationError
from migrator.model.parameters import Mapping
from migrator.project.mapping import LONGEST_LINE, MOST_FAULTS, read_mapping

if TYPE_CHECKING:
    from pathlib import Path

    from migrator.project.faults import Fault


def read(directory: Path, content: str | bytes) -> Mapping | list[Fault]:
    """Write a file and read it as the parameter p."""
    file = directory / "m.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_mapping("p", file)


def rows(directory: Path, content: str | bytes) -> tuple[tuple[str, str], ...]:
    """Give the rows of a file without fault."""
    made = read(directory, content)
    assert isinstance(made, Mapping), made
    return tuple(made.rows)


def told(directory: Path, content: str | bytes) -> list[str]:
    """Give the faults of a file as lines."""
    made = read(directory, content)
    assert isinstance(made, list), made
    return [str(one) for one in made]


@pytest.mark.parametrize(
    "content",
    [
        "k,v\na,1\nb,2\n",
        "k,v\na,1\nb,2",
        "k,v\r\na,1\r\nb,2\r\n",
        "\ufeffk,v\na,1\nb,2\n",
        "k,v\na,1\n\nb,2\n\n",
        "k,v,note\na,1,x\nb,2,y\n",
        'k,v\n"a","1"\nb,2\n',
        "k,v\na,1\na,1\nb,2\n",
    ],
)
def test_key_and_value_are_the_first_two_columns(tmp_path: Path, content: str) -> None:
    """Line ends, a byte order mark, quotes, blank, equal and further columns change nothing."""
    assert (("a", "1"), ("b", "2")) == rows(tmp_path, content)


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    """The digest is what `sha256sum` prints."""
    content = b"\xef\xbb\xbfk,v\na,1\n"
    made = read(tmp_path, content)
    assert isinstance(made, Mapping)
    assert hashlib.sha256(content).hexdigest() == made.digest


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "p: m.csv:1: the file is empty."),
        ("\ufeff", "p: m.csv:1: the file is empty."),
        ("k,v\n", "p: m.csv:1: there is a header and no line."),
        ("k\na\n", "p: m.csv:1: the header has one column, and needs a key and a value."),
        ("k;v\na;1\n", "p: m.csv:1: the header has one column"),
        ("k,\na,1\n", "p: m.csv:1: the header has a column without a name."),
        ("k, k\na,1\n", "p: m.csv:1: the header names a column twice."),
        ("k,v\na\n", "p: m.csv:2: the line has 1 columns, the header 2."),
        ("k,v\na,1,2\n", "p: m.csv:2: the line has 3 columns, the header 2."),
        ("k,v\n ,1\n", "p: m.csv:2: the key is blank."),
        ("k,v\na,\n", "p: m.csv:2: the value of key 'a' is blank."),
        ("k,v\na,1\nb,2\na,3\n", "p: m.csv:4: key 'a' stands for '1' before and '3' here."),
        ("k,v\na,1\0\n", "p: m.csv:2: the line holds a NUL byte"),
        (b"k,v\na,\xe9\n", "p: m.csv:2: the line is not UTF-8"),
        ("k,v\na,1\n".encode("utf-16"), "p: m.csv:1: the line"),
        ('k,v\na,"1\n', "p: m.csv:2: unexpected end of data."),
        ('k,v\n"a"b,1\n', "p: m.csv:2: ',' expected after '\"'."),
        ("k,v\ra,1\r", "p: m.csv:1: new-line character seen in unquoted field"),
        ("k,v\n" + "x" * LONGEST_LINE, f"p: m.csv:2: the line is longer than {LONGEST_LINE}"),
    ],
)
def test_a_fault_has_its_line(tmp_path: Path, content: str | bytes, expected: str) -> None:
    """Whatever is wrong is told with the parameter, the file and the line."""
    (only,) = told(tmp_path, content)
    assert only.startswith(expected)


def test_a_line_after_a_quoted_line_break_keeps_its_number(tmp_path: Path) -> None:
    """Lines are counted as an editor counts them."""
    (only,) = told(tmp_path, 'k,v\n"a\nb",1\nc,\n')
    assert only.startswith("p: m.csv:4: ")


def test_all_faults_of_a_file_are_told_up_to_a_limit(tmp_path: Path) -> None:
    """Several lines are told at once, a file of nothing but faults is not."""
    assert 2 == len(told(tmp_path, "k,v\n,1\na,\n"))
    assert MOST_FAULTS + 1 == len(told(tmp_path, "k,v\n" + ",1\n" * 100))


def test_a_missing_file_and_a_directory_are_told(tmp_path: Path) -> None:
    """What is not there, or no file, is told with its whole path."""
    for path, why in ((tmp_path / "none.csv", "does not exist."), (tmp_path, "is no file.")):
        made = read_mapping("p", path)
        assert isinstance(made, list)
        assert [f"p: {path} {why} Name a CSV file with a header."] == [str(one) for one in made]


def test_a_file_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system refuses is told in its words."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    file = tmp_path / "m.csv"
    file.touch()
    monkeypatch.setattr(type(file), "open", refuse)
    made = read_mapping("p", file)
    assert isinstance(made, list)
    assert [f"p: {file} cannot be read: Permission denied."] == [str(one) for one in made]


def test_a_long_file_weighs_no_more_than_its_rows(tmp_path: Path) -> None:
    """Lines that say the same again are read in flat memory."""
    file = tmp_path / "m.csv"
    file.write_text("k,v\n" + "a,1\n" * 300_000, encoding="utf-8")
    tracemalloc.start()
    made = read_mapping("p", file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(made, Mapping)
    assert peak < 500_000


def test_a_file_of_many_keys_is_not_held_in_memory(tmp_path: Path) -> None:
    """It is read anew whenever its rows are asked for, and weighs a few bytes for each line while it is checked."""
    file, lines = tmp_path / "m.csv", 100_000
    file.write_text("k,v\n" + "".join(f"user number {n},{n}@x.pt\n" for n in range(lines)), encoding="utf-8")
    tracemalloc.start()
    made = read_mapping("p", file)
    assert isinstance(made, Mapping)
    assert lines == sum(1 for _ in made.rows) == sum(1 for _ in made.rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * lines


def test_a_file_that_changes_once_it_was_checked_is_refused(tmp_path: Path) -> None:
    """What is read later is what was digested, or nothing."""
    made = read(tmp_path, "k,v\na,1\nb,2\n")
    assert isinstance(made, Mapping)
    (tmp_path / "m.csv").write_text("k,v\na,1\nb,3\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"M106.*changed while it was read"):
        tuple(made.rows)


@pytest.mark.parametrize("times", [2, 5_000])
def test_a_key_is_found_to_stand_for_two_values_however_often_it_came(tmp_path: Path, times: int) -> None:
    """The line at fault is the one that says another thing, not the first of its key."""
    same = "a,1\nb,2\n" * times
    (only,) = told(tmp_path, f"k,v\n{same}a,3\n")
    assert only.startswith(f"p: m.csv:{2 * times + 2}: key 'a' stands for '1' before and '3' here.")
    assert (("a", "1"), ("b", "2")) == rows(tmp_path, f"k,v\n{same}")


FIELD = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r"), min_size=1).filter(str.strip)


@given(st.dictionaries(FIELD, FIELD, min_size=1, max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_csv_writes_is_read_back(tmp_path: Path, content: dict[str, str]) -> None:
    """Any keys and values that can be written as CSV come back as they were."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([("key", "value"), *content.items()])
    assert content == dict(rows(tmp_path, text.getvalue()))


@given(st.binary(max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_content_makes_the_reader_fail(tmp_path: Path, content: bytes) -> None:
    """Any bytes are rows or faults."""
    assert read(tmp_path, b"k,v\n" + content)
