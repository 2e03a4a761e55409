"""The conditions that walk a key."""

import pytest

from migrator.engine.ranges import Keyset

ONE = Keyset(relation='"public"."old"', alias='"old"', columns=(('"id"', "bigint"),))
TWO = Keyset(relation='"public"."old"', alias='"old"', columns=(('"a"', "text"), ('"b"', "integer")))


def test_an_unbounded_interval_is_true() -> None:
    """Without bounds every row is within."""
    assert "(true AND true)" == ONE.within(None, None)


@pytest.mark.parametrize(
    ("keyset", "key", "expected"),
    [
        (ONE, ("1",), '("old"."id") > (\'1\'::bigint)'),
        (TWO, ("it's", "2"), '("old"."a", "old"."b") > (\'it\'\'s\'::text, \'2\'::integer)'),
        (TWO, ("a\\b", "2"), '("old"."a", "old"."b") > (E\'a\\\\b\'::text, \'2\'::integer)'),
    ],
)
def test_a_position_is_compared_as_a_whole(keyset: Keyset, key: tuple[str, ...], expected: str) -> None:
    """All columns of a key are compared together, each text cast back to its type."""
    assert expected == keyset.after(key)
    assert expected.replace(" > ", " <= ") == keyset.upto(key)
    assert expected.replace(" > ", " = ") == keyset.at(key)


def test_a_key_of_another_length_is_a_mistake() -> None:
    """A position must name every column of the key."""
    with pytest.raises(ValueError, match="zip"):
        TWO.after(("a",))


def test_a_key_is_shown_as_a_text_array() -> None:
    """Keys travel as text, under one collation whatever theirs is."""
    plain = 'COLLATE pg_catalog."default"'
    assert f'ARRAY["old"."a"::text {plain}, "old"."b"::text {plain}]' == TWO.texts
