"""Total casts by pair of types: which are foreseen, and which are refused."""

import pytest

from migrator.engine.projection.casts import Cast, CastContext, total_cast
from migrator.model.tables import TypeOf


def type_of(base: str, **facts: object) -> TypeOf:
    """Make a type of the server."""
    whole = {"oid": sum(base.encode()), "name": base, "base": base, "schema": "pg_catalog", "kind": "b", **facts}
    return TypeOf(**whole)


TEXT, INT4, INT8, JSONB, JSON, DATE = (type_of(one) for one in ("text", "int4", "int8", "jsonb", "json", "date"))


def cast(source: TypeOf, target: TypeOf, context: CastContext = None, *, exists: bool = True) -> Cast | None:
    """Choose a cast of the value `v`."""
    return total_cast("v", source, target, context=context, input_check="check_input", exists=exists)


def test_the_same_type_is_left_alone() -> None:
    """Nothing is cast, nothing can fail."""
    assert Cast("v") == cast(INT4, INT4)


def test_a_wider_number_cannot_fail() -> None:
    """From int4 to int8 there is nothing to foresee."""
    assert Cast("(v)::int8") == cast(INT4, INT8)


def test_a_narrower_number_is_checked() -> None:
    """From int8 to int4 the range is checked."""
    assert Cast("(v)::int4", "(v) BETWEEN -2147483648 AND 2147483647", "out of range for int4") == cast(INT8, INT4)


def test_text_is_tested_before_it_is_read() -> None:
    """Text becomes any type by its input function, asked first."""
    made = cast(TEXT, INT4)
    assert ("(v)::int4", "check_input((v)::text, 'int4')", "not a valid int4") == (made.sql, made.valid, made.reason)


@pytest.mark.parametrize("base", ["date", "timestamptz", "time"])
def test_a_moment_is_read_from_no_clock(base: str) -> None:
    """A word such as now is no valid moment, though the server would read the clock for it."""
    made = cast(TEXT, type_of(base))
    assert made is not None
    assert "now|today|tomorrow|yesterday" in str(made.valid)


def test_text_that_is_rounded_is_marked() -> None:
    """A scale that cuts digits off is foreseen only for texts that can be read."""
    made = cast(TEXT, type_of("numeric", name="numeric(5,2)", modifier=327686))
    valid = "check_input((v)::text, 'numeric(5,2)')"
    assert f"CASE WHEN {valid} THEN (v)::numeric(5,2) <> (v)::numeric END" == made.rounds


@pytest.mark.parametrize(
    ("source", "target", "context"),
    [(INT4, DATE, None), (DATE, INT4, None), (INT4, JSONB, "e"), (type_of("bool"), INT4, "e")],
)
def test_types_that_do_not_fit_are_refused(source: TypeOf, target: TypeOf, context: CastContext) -> None:
    """Where an INSERT would need an explicit cast, the definition must write it."""
    assert cast(source, target, context) is None


def test_a_type_still_to_be_made_is_held_as_text() -> None:
    """Words of an enum that a revision will create are checked against its labels."""
    mood = type_of("mood", name="public.mood", schema="public", kind="e", labels=("sad", "it's ok"))
    made = cast(TEXT, mood, exists=False)
    assert "(v)::text COLLATE pg_catalog.\"C\" = ANY (ARRAY['sad', 'it''s ok']::text[])" == made.valid
    assert Cast("(v)::text") == cast(INT4, mood, exists=False)


def test_json_is_read_again() -> None:
    """Not all json is jsonb: the text is tested."""
    assert "check_input((v)::text, 'jsonb')" == cast(JSON, JSONB, "i").valid
