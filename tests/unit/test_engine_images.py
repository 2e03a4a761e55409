"""Which image of a value is digested: the value itself only where its hash is exact."""

from dataclasses import replace

import pytest

from migrator.engine.projection.images import digest, image
from migrator.model.tables import TableColumn, TypeOf


def column(base: str, **type_facts: object) -> TableColumn:
    """Make a column of a type."""
    facts = {"oid": 1, "name": base, "base": base, "schema": "pg_catalog", "kind": "b", **type_facts}
    return TableColumn(name="c", type=TypeOf(**facts))


@pytest.mark.parametrize(
    "base", ["int2", "int4", "int8", "bool", "uuid", "bytea", "date", "timestamp", "timestamptz", "text", "varchar"]
)
def test_exact_types_are_hashed_as_they_are(base: str) -> None:
    """For these types two unequal images are unequal values."""
    assert "v" == image(column(base), "v")


@pytest.mark.parametrize("base", ["numeric", "float8", "interval", "jsonb", "json", "point", "xml", "money", "inet"])
def test_every_other_type_is_hashed_by_its_text(base: str) -> None:
    """Their own equality is coarser than what is stored, or they have no hash."""
    assert '(v)::text COLLATE "C"' == image(column(base), "v")


@pytest.mark.parametrize("facts", [{"kind": "d"}, {"element": "int4"}, {"schema": "public"}, {"kind": "e"}])
def test_domains_arrays_enums_and_strangers_are_hashed_by_their_text(facts: dict[str, object]) -> None:
    """A type of the same name that is no plain type of the server is not trusted."""
    assert '(v)::text COLLATE "C"' == image(column("int4", **facts), "v")


def test_text_that_calls_cases_equal_is_hashed_by_its_bytes() -> None:
    """Under a collation that is not deterministic, equal text may have other bytes."""
    assert '(v)::text COLLATE "C"' == image(replace(column("text"), deterministic=False), "v")


def test_blank_padded_text_is_hashed_with_its_blanks() -> None:
    """The text of bpchar leaves its blanks out."""
    assert "bpcharsend(v)" == image(column("bpchar"), "v")


def test_a_digest_covers_its_columns_in_order() -> None:
    """The digest is one hash over a row of images."""
    columns = [replace(column("int4"), name="a"), replace(column("numeric"), name='b"')]
    assert 'hash_record_extended(ROW(t."a", (t."b""")::text COLLATE "C"), 0)' == digest(columns, of="t")
