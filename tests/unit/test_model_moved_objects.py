"""Objects that move with rows, as a definition declares them: keys with fields, buckets, switches, where keys go."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.model import (
    Backfill,
    column,
    constant,
    document,
    flagged,
    grouped,
    moved_object,
    object_key,
    param,
    rule,
    rules,
    sql,
)
from migrator.model.change import Change
from migrator.model.errors import ConfigurationError
from migrator.model.moved_objects import Template, is_wanted, own_extension
from migrator.model.parameters import Arguments

WANTED = param("copy_objects", bool, default=False)
PICTURE = moved_object("url", to="restored/{job_id}/{id}{ext}", only_if=WANTED)
FACTS: dict[str, Any] = {
    "source": "old",
    "key": "id",
    "target": "new",
    "identity": "id",
    "columns": {"id": "id", "mail": "mail", "s3_key": object_key("picture", otherwise="url")},
    "objects": {"picture": PICTURE},
}
FIELDS = st.text(st.characters(exclude_characters="{}\0", exclude_categories=("Cs",)), min_size=1)
LITERALS = st.text(st.characters(exclude_characters="{}\0", exclude_categories=("Cs",)))


def made(**changes: Any) -> Backfill:
    """Make a Backfill with some facts changed."""
    return Backfill(**{**FACTS, **changes})


@given(st.lists(st.tuples(LITERALS, FIELDS), min_size=1), LITERALS)
def test_a_key_is_read_as_it_is_written(parts: list[tuple[str, str]], last: str) -> None:
    """What stands between braces is a field, everything else stands in the key as it is."""
    text = "".join(f"{literal}{{{name}}}" for literal, name in parts) + last
    if {name for _, name in parts} == {"ext"}:
        return
    read = Template.parse(text)
    assert (*(literal for literal, _ in parts), last) == read.literals
    assert tuple(name for _, name in parts) == read.fields
    assert read.has_extension == ("{ext}" in text)
    assert "ext" not in read.columns


@given(st.text())
def test_any_text_is_a_key_or_refused(text: str) -> None:
    """Never anything else: what is read gives the text back, piece by piece."""
    try:
        read = Template.parse(text)
    except ConfigurationError as error:
        assert error.id == "M271"
        return
    pairs = zip(read.literals, [*(f"{{{one}}}" for one in read.fields), ""], strict=True)
    assert text == "".join(part for pair in pairs for part in pair)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no text"),
        (None, "is no text"),
        ("a/{id", "has a brace without its other one"),
        ("a/id}", "has a brace without its other one"),
        ("a/{{id}}", "has a brace without its other one"),
        ("a/{}", "has a field without a name"),
        ("a/b.jpg", "names the same key for every row"),
        ("a/b{ext}", "names the same key for every row"),
        ("a/{id}\0", "has a character that no text of PostgreSQL has"),
    ],
)
def test_a_key_that_cannot_be_read_is_refused(text: Any, why: str) -> None:
    """M271 says what is wrong with it."""
    with pytest.raises(ConfigurationError, match="M271") as caught:
        moved_object("url", to=text)
    assert why in caught.value.what


def test_a_document_says_its_extension() -> None:
    """There is nothing whose type could be found out."""
    with pytest.raises(ConfigurationError, match="M271"):
        document("meta/{id}{ext}", "a")


@pytest.mark.parametrize("switch", [param("copy", str), "copy_objects", True])
def test_a_switch_is_a_parameter_of_type_bool(switch: Any) -> None:
    """Anything else is M270."""
    with pytest.raises(ConfigurationError, match="M270"):
        moved_object("a", to="{id}", only_if=switch)
    with pytest.raises(ConfigurationError, match="M270"):
        document("{id}", "a", only_if=switch)


def test_a_text_for_a_bucket_is_its_name_and_for_a_source_a_column() -> None:
    """An expression and a parameter are what they are."""
    one = moved_object("url", to="{id}", bucket="here", to_bucket=param("archive"))
    assert (column("url"), constant("here")) == (one.source, one.bucket)
    assert "here: url → archive: {id}" == one.sentence
    assert "job_id → meta/{id}.json" == document("meta/{id}.json", "job_id").sentence
    short = flagged(sql("lower( url )"), when=sql("true"), reason="why")
    assert "lower( url ) → {id}" == moved_object(short, to="{id}").sentence
    long = moved_object(sql("{a}", a=sql("x" * 60)), to="{id}", bucket=sql(f"lower({'b' * 60})"))
    assert "an expression → {id}" == long.sentence


def test_objects_are_wanted_always_or_where_their_parameter_is_true() -> None:
    """What nobody gives is its default."""
    always = moved_object("url", to="{id}")
    assert is_wanted(always, Arguments())
    assert not is_wanted(PICTURE, Arguments())
    assert is_wanted(PICTURE, Arguments(scalars={"copy_objects": True}))
    assert not is_wanted(PICTURE, Arguments(scalars={"copy_objects": None}))


@pytest.mark.parametrize(
    ("key", "extension"),
    [
        ("a/b.JPG", ".jpg"),
        ("b.tar.gz", ".gz"),
        ("a.b/c", ""),
        (".hidden", ""),
        ("a/.hidden", ""),
        ("a.", ""),
        ("a.jp g", ""),
        ("a.jpeg?x=1", ""),
        ("ä.heic", ".heic"),
        ("a.jpg\n", ""),
        ("a.12345678901", ""),
        ("", ""),
    ],
)
def test_the_extension_that_a_key_has(key: str, extension: str) -> None:
    """With its dot, in lower case, letters and digits alone; of a name that is more than an extension."""
    assert extension == own_extension(key)


def test_objects_are_facts_of_a_definition_and_read_parameters() -> None:
    """Whether they are wanted, and what their keys are made of, is in its digest; without objects nothing is added."""
    one = made(objects={"picture": PICTURE, "sound": moved_object("sound", to="{id}", bucket=param("tapes"))})
    assert {"copy_objects", "tapes"} == set(one.parameters())
    assert column("sound") in one.parts()
    assert "objects" in one.facts()
    plain = made(objects={}, columns={"id": "id", "mail": "mail"})
    assert "objects" not in plain.facts()
    assert "documents" not in plain.facts()
    digests = {
        Change(name="c", arguments=Arguments(scalars={"copy_objects": wanted})).definition_digest(one)
        for wanted in (True, False)
    }
    digests.add(Change(name="c").definition_digest(made()))
    assert 3 == len(digests)
    assert made().facts() != made(documents={"meta": document("m/{id}", "url")}).facts()


KEY = object_key("picture")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"objects": [PICTURE]}, "objects and documents are given by name"),
        ({"documents": "meta"}, "objects and documents are given by name"),
        ({"objects": {"picture": "url"}}, "'url' is no object; write moved_object(…)."),
        ({"objects": {"picture": document("{id}", "a")}}, "is no object"),
        ({"documents": {"meta": PICTURE}}, "is no document"),
        ({"objects": {"a picture": PICTURE}}, "'a picture' is no name of an object or document"),
        ({"objects": {"": PICTURE}}, "'' is no name of an object or document"),
        ({"documents": {"picture": document("{id}", "a")}}, "picture names an object and a document."),
        ({"objects": {"picture": moved_object(KEY, to="{id}")}}, "the object picture takes the key of an object"),
        ({"objects": {}}, "object_key('picture') names no object of this definition. It declares none."),
        ({"objects": {"sound": PICTURE}}, "object_key('picture') names no object of this definition. It has: sound."),
        ({"identity": "s3_key"}, "identity 's3_key' takes the key of an object"),
        ({"merge": "s3_key"}, "merge 's3_key' takes the key of an object"),
        ({"merge": "mail", "fill": "s3_key"}, "fill 's3_key' takes the key of an object"),
        ({"merge": {"mail": sql("lower({k})", k=KEY)}}, "merge 'mail' takes the key of an object"),
        ({"skip": {"why": sql("{k} IS NULL", k=KEY)}}, "rule 'why' takes the key of an object"),
        (
            {"quarantine": {"why": rules("r", rule("x", when=sql("true"), value=KEY)).equals("x")}},
            "rule 'why' takes the key of an object",
        ),
        ({"group": grouped(by=KEY)}, "the group takes the key of an object"),
    ],
)
def test_what_contradicts_itself_is_refused(changes: dict[str, Any], said: str) -> None:
    """M270, while the definition is read."""
    with pytest.raises(ConfigurationError, match="M270") as caught:
        made(**changes)
    assert re.search(re.escape(said), caught.value.what)


def test_a_cohort_has_no_objects() -> None:
    """They go over and back with all rows: M273."""
    with pytest.raises(ConfigurationError, match="M273"):
        made(cohort="mail")
    with pytest.raises(ConfigurationError, match="M273"):
        made(objects={}, columns={"id": "id"}, documents={"meta": document("{id}", "mail")}, cohort="mail")
