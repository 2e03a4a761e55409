"""Arguments: values given to parameters, checked against what declares them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.model import Backfill, File, array, column, defaulted, missing, moved_object, param, sql
from migrator.model import given as taken
from migrator.model.errors import ConfigurationError
from migrator.project.arguments import declare, resolve, wants
from migrator.project.faults import shown

if TYPE_CHECKING:
    from migrator.model.parameters import Arguments


def backfill(**columns: Any) -> Backfill:
    """Make a Backfill with these columns beside its id."""
    return Backfill(
        source="old",
        key="id",
        target="new",
        identity="id",
        columns={"id": column("id"), **columns},
        path="backfills/a.py",
    )


def resolved(
    *backfills: Backfill,
    given: dict[str, Any] | None = None,
    said: dict[str, Any] | None = None,
    revision: dict[str, str] | None = None,
    root: Path | None = None,
) -> Arguments:
    """Declare and resolve at once."""
    declared = declare(backfills, revision or {}, change="x")
    return resolve(declared, given or {}, said or {}, root=root or Path("/nowhere"), change="x")


def refused(*backfills: Backfill, **values: Any) -> str:
    """Give what is said about the values."""
    with pytest.raises(ConfigurationError) as caught:
        resolved(*backfills, **values)
    assert "M106" == caught.value.id
    return f"{caught.value.what} {caught.value.cure}"


def needs(kind: type) -> Backfill:
    """Make a Backfill that cannot do without parameter p."""
    return backfill(a=param("p", kind))


@pytest.mark.parametrize(("kind", "value"), [(str, "a"), (int, 3), (float, 0.5), (bool, False), (str, "")])
def test_a_typed_value_is_taken(kind: type, value: Any) -> None:
    """A value of the declared type is the argument."""
    assert {"p": value} == resolved(needs(kind), given={"p": value}).scalars


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (str, "yes", "yes"),
        (int, "-12", -12),
        (float, "1e3", 1000.0),
        (float, ".5", 0.5),
        (bool, "Yes", True),
        (bool, "off", False),
    ],
)
def test_a_spoken_value_is_read(kind: type, text: str, value: Any) -> None:
    """A value of the command line is read as the declared type."""
    assert {"p": value} == resolved(needs(kind), said={"p": text}).scalars


def test_a_whole_number_serves_as_a_float() -> None:
    """TOML writes 3 where 3.0 is meant."""
    made = resolved(needs(float), given={"p": 3}).scalars["p"]
    assert (float, 3.0) == (type(made), made)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (str, 3),
        (int, "3"),
        (int, 3.0),
        (int, True),
        (bool, 1),
        (bool, "true"),
        (float, "1"),
        (float, float("nan")),
        (float, float("inf")),
        (File, 3),
        (File, " "),
    ],
)
def test_a_value_of_another_type_is_refused(kind: type, value: Any) -> None:
    """Nothing of the file is turned into another type in silence."""
    assert "p: " in refused(needs(kind), given={"p": value})


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (int, "3.0"),
        (int, ""),
        (int, "1_000"),
        (int, "٣"),
        (float, "nan"),
        (float, "1e999"),
        (bool, "maybe"),
        (str, "a\0b"),
        (str, "a\udcffb"),
    ],
)
def test_a_spoken_value_that_is_none_is_refused(kind: type, text: str) -> None:
    """What PostgreSQL cannot take, or nobody can read, is told."""
    assert "p: " in refused(needs(kind), said={"p": text})


@pytest.mark.parametrize("text", ["banana", "-3 days", "24 hours; DROP TABLE old", "", "1 hour\n"])
def test_a_text_that_does_not_fit_is_refused(text: str) -> None:
    """What is said of a Parameter's form holds for the whole text, and an example says what would."""
    interval = backfill(a=param("p", fits="[0-9]+ (hour|day)s?", example="24 hours"))
    assert {"p": "2 days"} == resolved(interval, given={"p": "2 days"}).scalars
    assert f'p: {shown(text)} does not fit. Write for example "24 hours".' in refused(interval, said={"p": text})


def test_a_number_that_does_not_fit_is_refused() -> None:
    """Also what stands in the file as a number."""
    number = backfill(a=param("p", int, default=60, fits="[0-9]{1,5}", example="60"))
    assert {"p": 5} == resolved(number, said={"p": "+5"}).scalars
    for spoken in ({"said": {"p": "-1"}}, {"given": {"p": -1}}):
        assert 'does not fit. Write for example "60".' in refused(number, **spoken)


def test_an_example_fits_itself() -> None:
    """A declaration that contradicts itself is a fault of the definition."""
    with pytest.raises(ConfigurationError, match="M110"):
        param("p", fits="[0-9]+", example="many")
    with pytest.raises(ConfigurationError, match="M110"):
        param("p", float, fits="[0-9]+", example="1")


def test_the_spoken_value_wins() -> None:
    """`--param` replaces the file's value, which is then not even looked at."""
    assert {"p": 4} == resolved(needs(int), given={"p": "x"}, said={"p": "4"}).scalars


def test_a_default_holds_where_nobody_speaks() -> None:
    """The declared default is the argument until somebody gives another."""
    one = backfill(a=param("p", int, default=7))
    assert {"p": 7} == resolved(one).scalars


@pytest.mark.parametrize(
    "expression",
    [
        missing("never recorded", unless=param("p")),
        defaulted(taken(param("p")), "x", reason="nobody said"),
    ],
)
def test_a_value_that_something_stands_in_for_may_be_left_out(expression: Any) -> None:
    """A parameter behind `missing` or in front of a default is optional."""
    assert {"p": None} == resolved(backfill(a=expression)).scalars


def test_a_file_that_may_be_left_out_is_no_argument() -> None:
    """An optional file that is not given is nowhere."""
    one = backfill(a=missing("never recorded", unless=param("p", File)))
    assert ({}, {}) == (resolved(one).files, resolved(one).scalars)


@pytest.mark.parametrize("expression", [param("p"), taken(param("p")), array(taken(param("p"))), param("p", File)])
def test_a_value_nothing_stands_in_for_is_needed(expression: Any) -> None:
    """A column is never NULL only because a parameter was forgotten."""
    assert "p: a value is needed and none is given." in refused(backfill(a=expression))


def test_a_parameter_needed_once_is_needed() -> None:
    """One use that can do without does not excuse another that cannot."""
    one = backfill(a=missing("never", unless=param("p")), b=param("p"))
    assert "p: a value is needed" in refused(one, backfill())


def test_an_unknown_name_gets_what_was_meant() -> None:
    """A value for what nobody declares is a fault, wherever it was given."""
    said = refused(needs(str), given={"p": "x", "user_mpa": "y"}, said={"q": "1"})
    assert "user_mpa: nothing declares this parameter." in said
    assert "q: nothing declares this parameter." in said
    assert "Did you mean p?" in refused(needs(str), given={"p": "x", "pp": "y"})


def test_a_revision_parameter_is_declared_in_the_file() -> None:
    """What only a revision reads is declared by name and kind, and typed the same."""
    made = resolved(revision={"allow": "bool", "other": "int"}, said={"allow": "true"})
    assert {"allow": True, "other": None} == made.scalars
    assert "allow: 'perhaps' is no bool." in refused(revision={"allow": "bool"}, said={"allow": "perhaps"})


def test_two_declarations_of_one_name_must_agree() -> None:
    """One name with two types or two defaults is told with both."""
    one, two = needs(str), backfill(a=param("p", int, default=3))
    assert "it is a int (default 3) in backfills/a.py, but a str elsewhere." in refused(one, two)
    assert "p: it is" in refused(needs(str), revision={"p": "bool"})


def test_a_shared_declaration_is_one_parameter() -> None:
    """Two backfills with the same parameter share its value."""
    assert {"p": "v"} == resolved(needs(str), needs(str), given={"p": "v"}).scalars


def test_all_faults_are_told_at_once() -> None:
    """Every wrong, unknown and forgotten value is in one error."""
    one = backfill(a=param("a", int), b=param("b"), c=param("c", File))
    said = refused(one, given={"a": "x", "d": 1, "c": "none.csv"})
    assert "parameters of x has 4 faults:" in said


def test_a_path_of_the_file_is_relative_to_it(tmp_path: Path) -> None:
    """A file named in migrator.toml lies beside it, wherever the command is run."""
    (tmp_path / "m.csv").write_text("k,v\na,1\n", encoding="utf-8")
    made = resolved(needs(File), given={"p": "m.csv"}, root=tmp_path)
    assert (tmp_path / "m.csv", (("a", "1"),)) == (made.files["p"].path, tuple(made.files["p"].rows))


def test_a_spoken_path_is_relative_to_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file named on the command line is found as the shell completes it."""
    (tmp_path / "m.csv").write_text("k,v\na,1\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert "p" in resolved(needs(File), said={"p": "m.csv"}).files


@given(st.integers())
def test_a_spoken_integer_is_read_back(value: int) -> None:
    """An integer written out is the same integer."""
    assert {"p": value} == resolved(needs(int), said={"p": str(value)}).scalars


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_spoken_float_is_read_back(value: float) -> None:
    """A finite number written out is the same number."""
    assert {"p": value} == resolved(needs(float), said={"p": repr(value)}).scalars


@given(st.sampled_from([str, int, float, bool, File]), st.text(max_size=8))
def test_no_spoken_text_makes_the_reader_fail(kind: type, text: str) -> None:
    """Any text is an argument or a ConfigurationError."""
    try:
        resolved(needs(kind), said={"p": text})
    except ConfigurationError as error:
        assert "M106" == error.id


def test_the_home_of_nobody_is_a_file_that_is_not_there() -> None:
    """A name such as ~nobody-here, which no user has, is looked up as it stands, and not found."""
    assert "~nobody-here/map.csv" in refused(needs(File), said={"p": "~nobody-here/map.csv"})


def test_a_backfill_left_out_needs_nothing() -> None:
    """What only a left-out backfill reads need not be given, and must be once it takes part."""
    optional = Backfill(
        source="old",
        key="id",
        target="new",
        identity="id",
        columns={"id": column("id"), "a": param("p")},
        only_if=param("wanted", bool, default=False),
        path="backfills/b.py",
    )
    assert {"wanted": False, "p": None} == resolved(optional).scalars
    assert not wants(optional, resolved(optional))
    assert "a value is needed" in refused(optional, given={"wanted": True})
    assert wants(optional, resolved(optional, given={"wanted": True, "p": "x"}))
    assert "a value is needed" in refused(optional, needs(str))


def test_a_parameter_of_a_fragment_is_needed_where_it_says_so() -> None:
    """A backfill that is wanted cannot do without; the message has an example of what is missing."""
    moment = param("p", fits="[0-9-]+", example="2026-02-01", needed=True)
    optional = replace(backfill(a=sql("{p}::date", p=moment)), only_if=param("wanted", bool, default=False))
    assert not wants(optional, resolved(optional))
    said = refused(optional, given={"wanted": True})
    assert "p: a value is needed and none is given. Set p = '2026-02-01' in params" in said
    assert wants(optional, resolved(optional, given={"wanted": True, "p": "2026-02-01"}))


def test_objects_that_are_not_wanted_need_nothing() -> None:
    """A bucket that is a parameter must be given once its objects are wanted: no other one is taken for it."""
    picture = moved_object("a", to="{id}", to_bucket=param("p"), only_if=param("wanted", bool, default=False))
    one = replace(backfill(), objects={"picture": picture})
    assert {"wanted": False, "p": None} == resolved(one).scalars
    assert "p: a value is needed" in refused(one, given={"wanted": True})
    assert {"wanted": True, "p": "b"} == resolved(one, given={"wanted": True, "p": "b"}).scalars
    always = replace(backfill(), objects={"picture": moved_object("a", to="{id}", bucket=param("p"))})
    assert "p: a value is needed" in refused(always)


def test_a_parameter_of_a_fragment_may_be_missing() -> None:
    """It is NULL there, and the definition's digest holds what is given."""
    one = backfill(a=sql("{p}::text", p=param("p")))
    assert {"p": None} == resolved(one).scalars
    assert {"p": "x"} == resolved(one, said={"p": "x"}).scalars
    assert {"p"} == set(one.parameters())
