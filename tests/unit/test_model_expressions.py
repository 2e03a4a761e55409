"""Expressions: frozen values, and the faults that are found while they are written."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from migrator.model import (
    File,
    array,
    column,
    constant,
    defaulted,
    derived_text,
    derived_uuid,
    discarded,
    elsewhere,
    estimated,
    given,
    lookup,
    missing,
    param,
    rule,
    rules,
    sql,
)
from migrator.model import expressions as ex
from migrator.model.errors import ConfigurationError

A, B = sql("a"), sql("b")


def test_a_bare_word_is_a_column() -> None:
    """Where an expression is wanted, a text is the name of a column and a parameter its value."""
    assert column("x") == ex.as_expression("x")
    assert given(param("p")) == ex.as_expression(param("p"))
    assert A is ex.as_expression(A)


def test_a_rule_takes_a_bare_word_as_a_value() -> None:
    """In a rule a text is the value decided for; `otherwise` again names a column."""
    tried = rules("r", rule("first", when=A, value="x"), otherwise="y")
    assert (constant("x"), column("y")) == (tried.rules[0].value, tried.otherwise)


def test_conditions_are_combined_as_values() -> None:
    """~ and & build conditions that can be taken apart again."""
    assert ex.Both(A, ex.Not(B)) == A & ~B


@pytest.mark.parametrize("combine", [lambda: A and B, lambda: A or B, lambda: not A])
def test_words_of_python_do_not_combine_conditions(combine: object) -> None:
    """`and`, `or` and `not` would drop one side in silence, and are refused."""
    assert callable(combine)
    with pytest.raises(ConfigurationError, match="M110"):
        combine()


def test_an_empty_fragment_is_refused() -> None:
    """A fragment without a word is M110."""
    with pytest.raises(ConfigurationError, match="M110"):
        sql("  ")


def test_rules_end_in_one_way() -> None:
    """A fallback and an otherwise exclude each other."""
    with pytest.raises(ConfigurationError, match=r"M110.*both"):
        rules("r", fallback=("x", "why"), otherwise="y")


def test_rules_are_asked_only_for_what_they_can_give() -> None:
    """A misspelt word would never hold, and is refused; an unknown value is given the doubt."""
    tried = rules("r", rule("first", when=A, value="x"), fallback=("z", "nothing else"))
    assert ex.RulesGive(tried, "x") == tried.equals("x")
    assert ex.RulesGive(tried, "z") == tried.equals("z")
    with pytest.raises(ConfigurationError, match=r"never give 'y'"):
        tried.equals("y")
    assert ex.RulesGive(open_ := rules("r", otherwise="c"), "y") == open_.equals("y")


def test_an_unknown_type_of_parameter_is_refused() -> None:
    """Parameters are texts, numbers, truths and files."""
    with pytest.raises(ConfigurationError, match=r"M110.*'p'"):
        param("p", list)


def test_an_expression_cannot_be_changed() -> None:
    """Expressions are values."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        column("x").name = "y"  # type: ignore[misc]


def test_every_kind_is_walked() -> None:
    """Whatever is inside an expression is found, however deep it is."""
    leaf = column("deep")
    inside = [
        missing("r", unless=given(param("p"), by=leaf)),
        lookup(leaf, {"a": "b"}),
        array("x", leaf),
        array("x", when=rules("r", otherwise=leaf).equals("w")),
        defaulted("x", leaf, reason="r"),
        estimated(leaf, reason="r"),
        discarded(leaf, when=A, reason="r"),
        rules("r", rule("n", when=A, value=leaf)),
        rules("r", rule("n", when=~(A & rules("s", otherwise=leaf).equals("w")), value="x")),
        elsewhere(rules("r", otherwise=leaf).equals("w"), "other"),
    ]
    for one in inside:
        assert leaf in ex.walk(one), one
        assert one is ex.walk(one)[0]
    for one in (A, leaf, constant(1), derived_uuid(), missing("r")):
        assert (one,) == ex.walk(one)


def test_the_reason_of_a_fallback_is_its_name() -> None:
    """A fallback is (value, reason) and holds for every row that is left."""
    last = rules("r", fallback=("x", "nothing else fits")).fallback
    assert last is not None
    assert ("nothing else fits", constant("x"), sql("true")) == (last.name, last.value, last.when)


def test_only_the_named_places_of_a_fragment_are_filled() -> None:
    """Percent signs, colons, other braces and what a value holds stay as they are."""
    made = sql("""{a} || '100% of :all {"b": 1} {c}' || {a}""", a="x")
    assert (("a", column("x")),) == made.places
    assert """'{c}' || '100% of :all {"b": 1} {c}' || '{c}'""" == made.filled({"a": "'{c}'"})
    both = sql("{a} + {b}", a="x", b="y")
    assert "{b} + {a}" == both.filled({"a": "{b}", "b": "{a}"})


def test_a_place_may_hold_a_parameter_an_expression_or_a_condition() -> None:
    """All of them are parts of the definition, found where they stand."""
    zone = param("zone")
    made = sql("{zone} {text} {when}", zone=zone, text=lookup("a", {"x": "y"}), when=~A)
    assert [given(zone), lookup("a", {"x": "y"}), ~A] == list(ex.children(made))
    assert given(zone) in ex.walk(estimated(made, reason="why"))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: sql("a", b=param("b")), "given b, which its text does not use"),
        (lambda: sql("{b}", b=param("b", File)), "the file b as a value"),
        (lambda: sql(" ", b="c"), "an empty fragment"),
    ],
)
def test_a_fragment_with_a_wrong_place_is_refused(make: Callable[[], object], said: str) -> None:
    """A place nobody uses is a typing error, and a file is no value."""
    with pytest.raises(ConfigurationError, match=f"M110.*{said}"):
        make()


def test_missing_takes_several_parameters_in_order() -> None:
    """One alone, several, or none; each may say by what its file is read."""
    one, other = param("one"), param("other", File)
    assert () == missing("why").unless
    assert (given(one),) == missing("why", unless=one).unless
    assert (given(one), given(other, by="ip")) == missing("why", unless=(one, given(other, by="ip"))).unless


def test_a_derived_text_is_neither_too_short_nor_longer_than_its_digest() -> None:
    """Short ids could meet; a digest has 32 bytes."""
    assert 23 == derived_text().length
    for length in (11, 33):
        with pytest.raises(ConfigurationError, match="M110"):
            derived_text(length=length)
    assert "DerivedUuid()" == repr(derived_uuid())
    assert derived_uuid(salt="a") != derived_uuid()
