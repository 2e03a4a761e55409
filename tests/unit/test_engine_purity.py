"""Fragments of SQL as words: what they read and call."""

import pytest

from migrator.engine.projection.purity import calls, clocks, words


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ("now()", {"now"}),
        ("NOW ( )", {"now"}),
        ("coalesce(a, current_timestamp)", {"current_timestamp"}),
        ("CURRENT_DATE - at", {"current_date"}),
        ("pg_catalog.clock_timestamp()", {"clock_timestamp"}),
        ("current_setting('TimeZone')", {"current_setting"}),
        ("current_user", {"current_user"}),
        ('"now"()', {"now"}),
        ("'now()'", set()),
        ("a -- now()\n|| b", set()),
        ("/* now() */ a", set()),
        ("$$now()$$ || $x$current_date$x$", set()),
        (r"E'it\'s now()'", set()),
        ("known(a)", set()),
        ("now", set()),
        ('"current_date"', set()),
        ("user || 'x'", {"user"}),
        ('"user"', set()),
        ("' Now '::timestamptz", {"' Now '"}),
        ("note = 'nowhere'", set()),
        ("age(a)", {"age() of one argument"}),
        ("age(coalesce(a, b))", {"age() of one argument"}),
        ("age(a, b)", set()),
    ],
)
def test_clocks_are_found_in_code_and_nowhere_else(fragment: str, expected: set[str]) -> None:
    """What reads a clock or the session is found whatever its case, and never inside strings and comments."""
    assert expected == clocks(fragment)


def test_words_are_folded_as_postgresql_folds_them() -> None:
    """Plain names are lower case, quoted ones as written; strings are no names."""
    fragment = """UPPER(a) || "Mixed" || "q""q" || größe || x$1 || 's'"""
    assert {"upper", "a", "Mixed", 'q"q', "größe", "x$1"} == words(fragment)


def test_calls_are_names_before_a_bracket() -> None:
    """Only names that are called count as functions."""
    assert {"lower", "concat_ws", "F"} == calls("""lower(a) || concat_ws(',', b) || "F"(c) || d""")
