"""Names and literals: what goes into SQL text comes out as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.model.errors import ConfigurationError
from migrator.model.names import Relation, columns, first_schema, literal, quote, text_array

NAME = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1)


@given(NAME, NAME)
def test_a_quoted_name_is_read_back(schema: str, name: str) -> None:
    """A relation written as SQL is parsed as the same relation."""
    relation = Relation(schema, name)
    assert relation == Relation.parse(relation.sql)


@given(NAME)
def test_a_quoted_name_takes_the_default_schema(name: str) -> None:
    """One quoted part is a table, whatever dots and quotes are in it."""
    assert Relation("app", name) == Relation.parse(quote(name), default_schema="app")


def test_a_plain_name_keeps_its_case() -> None:
    """Outside quotes nothing is folded: names are as the catalog spells them."""
    assert Relation("public", "Image") == Relation.parse("Image")
    assert Relation("App", "Image") == Relation.parse("App.Image")
    assert Relation("a.b", "c") == Relation.parse('"a.b".c')


def test_public_is_not_said() -> None:
    """People read a table's name with its schema only where that is another than public."""
    assert ("jobs", "app.jobs") == (str(Relation("public", "jobs")), str(Relation("app", "jobs")))


def test_columns_are_quoted_and_qualified() -> None:
    """A list of columns carries its alias on every column."""
    assert '"a", "B"' == columns(["a", "B"])
    assert 't."a", t."B"' == columns(["a", "B"], of="t")


def test_literals_mean_the_same_everywhere() -> None:
    """Backslashes take the form that no setting changes; what is no plain number is a text."""
    assert ["NULL", "true", "false", "3", "-0.5"] == [literal(one) for one in (None, True, False, 3, -0.5)]
    assert "'it''s'" == literal("it's")
    assert "E'a\\\\b''c'" == literal("a\\b'c")
    assert ["'nan'::float8", "'-inf'::float8"] == [literal(float(one)) for one in ("nan", "-inf")]
    assert "ARRAY['a', '''']::text[]" == text_array(["a", "'"])


@given(st.text(st.characters(blacklist_characters="\0")))
def test_a_literal_text_is_read_back(value: str) -> None:
    """Undoing the quotes by the rules of PostgreSQL gives the text again."""
    text = literal(value)
    if text.startswith("E"):
        assert value == text[2:-1].replace("''", "'").replace("\\\\", "\\")
    else:
        assert value == text[1:-1].replace("''", "'")


@pytest.mark.parametrize("text", ["", "a.", ".a", "a.b.c", '"a"."b"."c"', '""'])
def test_what_names_no_table_is_refused(text: str) -> None:
    """An empty part and a third one are said to be wrong, not read as something else."""
    with pytest.raises(ConfigurationError, match="is not the name of a table") as caught:
        Relation.parse(text)
    assert "M141" == caught.value.id


def test_the_first_schema_of_a_search_path_is_read_as_the_server_reads_it() -> None:
    """A comma inside double quotes is part of a name."""
    found = [first_schema(one) for one in ("public", ' "my, schema" , public', '"a""b"')]
    assert ["public", "my, schema", 'a"b'] == found
