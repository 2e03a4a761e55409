"""Numbers with their units, and lines that fit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.cli.render import words

CELL = st.text(st.characters(categories=["L", "N"]), min_size=0, max_size=60)


@pytest.mark.parametrize(
    ("written", "as_is"),
    [
        (words.rows(1), "1 row"),
        (words.rows(1204), "1,204 rows"),
        (words.rows(2, "promise"), "2 promises"),
        (words.duration(0.001), "< 0.1 s"),
        (words.duration(3.14), "3.1 s"),
        (words.duration(22.4), "22 s"),
        (words.duration(600), "10 min"),
        (words.duration(9000), "2 h 30 min"),
        (words.rate(3_402_113, 48), "71k rows/s"),
        (words.rate(300, 1), "300 rows/s"),
        (words.rate(0, 1), ""),
        (words.rate(9, 0), ""),
        (words.size(999), "999 bytes"),
        (words.size(307_000), "307 kB"),
        (words.size(3_100_000_000), "3.1 GB"),
        (words.size(5 * 10**15), "5,000 TB"),
        (words.percent(68, 100), "68 %"),
        (words.percent(999_999, 1_000_000), "99 %"),
        (words.percent(0, 0), "100 %"),
        (words.place("postgresql://u:***@db:5432/studio?***"), "studio on db:5432"),
        (words.place("postgresql:///studio"), "studio"),
        (words.place("studio"), "studio"),
    ],
)
def test_numbers_are_written_for_people(written, as_is):
    """Numbers have separators and units; nothing is all done before it is."""
    assert written == as_is


def test_columns_are_aligned():
    """Cells stand under each other, numbers at the right, without blanks at the end."""
    made = words.columns([("name", "rows", ""), ("a", "1,000", "x"), ("bcd", "2", "")], right=(1,))
    assert made == ["name   rows", "a     1,000  x", "bcd       2"]


def test_long_cells_go_over_several_lines():
    """What is wider than its column stands below itself, not beside."""
    made = words.columns([("1", "one two three", "x")], limits={1: 8})
    assert made == ["1  one two   x", "   three"]


@given(st.lists(st.tuples(CELL, CELL, CELL), max_size=5))
def test_no_cell_is_lost(table):
    """Whatever the cells are, every word of them is written."""
    made = " ".join(words.columns(table, limits={0: 10, 1: 10}, width=60)).split()
    assert sorted(made) == sorted(word for line in table for cell in line for word in cell.split())


@given(st.lists(st.text(st.characters(categories=["L"]), min_size=1, max_size=12), max_size=40))
def test_folded_lines_fit(parts):
    """No line is wider than asked when no word is."""
    assert all(len(line) <= 40 for line in words.fold(" ".join(parts), 40, first="✓ "))


def test_blocks_are_kept_apart():
    """One empty line stands between blocks, none around an empty one."""
    assert list(words.blocks(["a"], [], ["b", "c"], ())) == ["a", "", "b", "c"]
