"""Backfill and Change: what they refuse, what they say, and when their digest changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from migrator.model import Backfill, File, column, constant, elsewhere, missing, pace, param, sql
from migrator.model.change import Change, Settings
from migrator.model.errors import ConfigurationError
from migrator.model.parameters import Arguments, Mapping

MAP = param("user_map", File)
FACTS: dict[str, Any] = {
    "source": "old",
    "key": "id",
    "target": "new",
    "identity": "id",
    "columns": {"id": "id", "b": column("b"), "user": missing("never recorded", unless=MAP)},
}


def made(**changes: Any) -> Backfill:
    """Make a Backfill with some facts changed."""
    return Backfill(**{**FACTS, **changes})


def test_names_take_one_form() -> None:
    """One name and a tuple of one are the same; a bare column is an Expression."""
    one = made(merge=("b",))
    assert (("id",), ("id",), ("b",)) == (one.keys, one.identities, one.merges)
    assert made(key=("id",)) == made()
    assert column("id") == one.expressions["id"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"source": ""}, "source is empty."),
        ({"key": ""}, "key is empty."),
        ({"key": ()}, "key is empty."),
        ({"columns": {}}, "columns is empty."),
        ({"identity": "x"}, "identity names x, which columns does not fill."),
        ({"only_if": MAP}, "only_if is no parameter of type bool"),
        ({"only_if": "captions"}, "only_if is no parameter of type bool"),
        ({"merge": ("b", "x", "y")}, "merge names x, y, which columns does not fill."),
        ({"volatile": "id"}, "a column of the identity cannot be volatile."),
        ({"columns": {"id": 3}}, "3 is no expression; write constant(…) or sql(…)."),
        ({"skip": {"s": "a = 1"}}, "'a = 1' is no expression"),
        ({"quarantine": {"q": True}}, "True is no expression"),
    ],
)
def test_a_contradiction_is_refused(changes: dict[str, Any], expected: str) -> None:
    """What cannot be is M110 while the definition is read."""
    with pytest.raises(ConfigurationError, match="M110") as caught:
        made(**changes)
    assert expected in caught.value.what


def test_all_contradictions_are_told_at_once() -> None:
    """One fault does not hide another."""
    with pytest.raises(ConfigurationError) as caught:
        made(source="", target="", merge="x")
    assert "source is empty. target is empty. merge names x" in caught.value.what


def test_rules_keep_their_order_and_their_goal() -> None:
    """Skips and guards come in declared order; elsewhere is kept with its rule."""
    one = made(skip={"a": sql("a"), "b": elsewhere(sql("b"), "other")}, quarantine={"c": sql("c")})
    assert [("a", None), ("b", "other")] == [(skip.name, skip.elsewhere) for skip in one.skips]
    assert [("c", sql("c"))] == [(guard.name, guard.when) for guard in one.guards]


def test_what_is_volatile_is_not_compared() -> None:
    """Every other column is, in declared order."""
    assert ("id", "user") == made(volatile="b").compared


def test_parameters_and_missing_columns_are_found() -> None:
    """A Backfill names what it may be given and what it leaves NULL."""
    assert {"user_map": MAP} == made().parameters()
    assert ["user"] == list(made().missing())


def test_columns_cannot_be_changed_afterwards() -> None:
    """A definition is frozen with what is inside it."""
    with pytest.raises(TypeError):
        made().columns["b"] = column("c")  # type: ignore[index]


def change(one: Backfill, **files: str) -> Change:
    """Make a change of one backfill with files given by their digests."""
    given = {name: Mapping(path=Path(name), rows=(), digest=text) for name, text in files.items()}
    return Change(name="x", backfills=(one,), arguments=Arguments(files=given))


def digest(one: Backfill, **files: str) -> str:
    """Give the digest of a backfill's definition."""
    return change(one, **files).definition_digest(one)


def test_a_digest_covers_facts_and_arguments_and_no_places() -> None:
    """Moving a file changes nothing; another expression, rule or argument changes the digest."""
    plain = digest(made())
    assert plain == digest(replace(made(), name="n", path="p", doc="d"))
    assert plain == digest(made(), nobody_reads_this="1")
    others = [
        digest(made(columns={**FACTS["columns"], "b": constant(1)})),
        digest(made(skip={"s": sql("true")})),
        digest(made(merge="b")),
        digest(made(), user_map="1"),
        digest(made(), user_map="2"),
    ]
    assert len({plain, *others}) == len(others) + 1


def test_a_change_finds_its_parts() -> None:
    """Backfills are found by name, settings fall back to the defaults."""
    one = made(name="one")
    whole = change(one)
    assert one is whole.backfill("one")
    assert whole.backfill("other") is None
    assert Settings() == whole.settings_of(one)
    assert (("old",), ("new",)) == (whole.sources, whole.targets)


def test_arguments_are_digested_in_order_of_name() -> None:
    """The order in which arguments were given does not matter."""
    one = Arguments(scalars={"b": 1, "a": "x"})
    assert ["a='x'", "b=1"] == one.digest_lines()


def in_place(**more: object) -> Backfill:
    """Make a definition that writes where it reads."""
    return Backfill(**{"source": "t", "key": ("a", "b"), "target": "t", "columns": {"c": constant(1)}, **more})


def test_in_place_the_identity_is_the_key() -> None:
    """Neither is written, nothing merges, and no digest of another definition changes by it."""
    assert ("a", "b") == in_place().identities
    assert in_place() == in_place(identity=("a", "b"))
    assert "handed_over" not in in_place().facts()
    assert digest(in_place()) != digest(in_place(handed_over=True))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"identity": "c"}, "the identity is the key"),
        ({"columns": {"a": constant(1), "c": constant(1)}}, "columns names a, the key"),
        ({"merge": "c"}, "nothing to merge with"),
        ({"pace": 3}, "pace is none"),
    ],
)
def test_what_cannot_be_in_place_is_refused(more: dict[str, object], said: str) -> None:
    """Each contradiction is named."""
    with pytest.raises(ConfigurationError, match=f"M110.*{said}"):
        in_place(**more)


def test_a_pace_is_no_part_of_the_definition() -> None:
    """Its parameters are declared by it, and another number makes no other definition."""
    slow = in_place(pace=pace(at_most=param("most", int, default=5), open=sql("SELECT {n}", n=param("n", int))))
    assert {"most", "n"} == set(slow.parameters())
    assert {} == slow.parameters(pacing=False)
    assert digest(slow) == digest(in_place())
    assert slow.pace is not None
    assert (5, 7) == (slow.pace.cap(Arguments()), slow.pace.cap(Arguments(scalars={"most": 7})))


@pytest.mark.parametrize("at_most", ["5", True, param("most", int), param("most", default="5")])
def test_a_pace_wants_a_number(at_most: object) -> None:
    """A parameter without a default, or of another type, is none."""
    with pytest.raises(ConfigurationError, match="M110 pace"):
        pace(at_most=at_most, open=sql("SELECT 1"))  # type: ignore[arg-type]


def test_only_a_text_names_labels() -> None:
    """A Parameter that names labels of an enum is a str."""
    with pytest.raises(ConfigurationError, match="M110 parameter 'done' is to name labels of status"):
        param("done", int, labels_of="status")
