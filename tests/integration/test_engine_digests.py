"""Finding 22: values whose own equality or hash agrees, and whose images differ, are told apart by verify."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.support.projects import check, execute, make_project, one_table, rows_of, run
from tests.support.projects import extension as make

if TYPE_CHECKING:
    from pathlib import Path

# Column type, what the source holds, and what somebody made of it in the target.
PAIRS = {
    "numeric scale": ("numeric", "1.0", "1.00"),
    "negative zero": ("double precision", "0", "-0"),
    "negative zero of four bytes": ("real", "0", "-0"),
    "interval of a month": ("interval", "1 mon", "30 days"),
    "interval of a day": ("interval", "1 day", "24:00"),
    "number in jsonb": ("jsonb", '{"a": 1.0}', '{"a": 1.00}'),
    "json": ("json", '{"a":1}', '{"a": 1}'),
    "dimensions": ("integer[]", "{1,2}", "{{1,2}}"),
    "bounds": ("integer[]", "[1:2]={1,2}", "[2:3]={1,2}"),
    "null element": ("text[]", "{NULL}", '{"NULL"}'),
    "array of numeric": ("numeric[]", "{1.0}", "{1.00}"),
    "array of zeroes": ("double precision[]", "{0}", "{-0}"),
    "point": ("point", "(1,2)", "(1,3)"),
    "point of zero": ("point", "(0,0)", "(-0,0)"),
    "box": ("box", "(2,2),(0,0)", "(1,4),(0,0)"),  # equal areas
    "circle": ("circle", "<(0,0),1>", "<(1,1),1>"),
    "blank-padded": ("bpchar", "a", "a  "),
    "money": ("money", "1.00", "1.01"),
    "bits": ("bit varying", "101", "1010"),
    "tsvector": ("tsvector", "'a':1", "'a':2"),
    "jsonpath": ("jsonpath", "$.a", "$.b"),
    "time zone": ("timetz", "12:00+00", "13:00+01"),
    "range of numeric": ("numrange", "[1.0,2)", "[1.00,2)"),
    "domain": ("amount", "1.0", "1.00"),
    "composite": ("pair", "(1.0,a)", "(1.00,a)"),
    "enum": ("mood", "sad", "ok"),
    "null": ("text", "", None),
    "blank": ("text", "a", "a "),
    "unicode form": ("text", "é", "e\u0301"),
    "address": ("inet", "10.0.0.1/8", "10.0.0.1/9"),
    "uuid": ("uuid", "00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000001"),
    "bytes": ("bytea", r"\x00", r"\x0000"),
    "moment": ("timestamptz", "2024-01-01 00:00+00", "2024-01-01 00:00:00.000001+00"),
    "whole number": ("bigint", "1", "2"),
}
TYPES = (
    "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN amount AS numeric;CREATE TYPE pair AS (n numeric, t text);"
)
# What PostgreSQL's own equality takes for the same, though its stored images differ.
SAME_TO_POSTGRES = [
    *("numeric scale", "negative zero", "interval of a month", "interval of a day", "number in jsonb"),
    *("array of numeric", "blank-padded", "domain"),
]


def test_finding_22_a_hash_of_the_value_is_coarser_than_what_is_stored(database: str) -> None:
    """Equality and hash say that nothing changed, and for other types the hash of a row fails."""
    execute(database, TYPES)
    for name in SAME_TO_POSTGRES:
        kind, one, other = PAIRS[name]
        same = f"SELECT %s::{kind} = %s::{kind}, hash_record_extended(ROW(%s::{kind}), 0)"
        same += f" = hash_record_extended(ROW(%s::{kind}), 0)"
        assert [(True, True)] == rows_of(database, same, [one, other, one, other]), name
    for name in ("json", "point", "money", "bits", "tsvector", "jsonpath"):
        kind, one, _ = PAIRS[name]
        with closing(psycopg.connect(database)) as conn, pytest.raises(psycopg.errors.UndefinedFunction):
            conn.execute(f"SELECT hash_record_extended(ROW(%s::{kind}), 0)".encode(), [one])


def test_finding_22_every_image_is_told_apart(database: str, tmp_path: Path) -> None:
    """Each changed value is found, as altered, in exactly its column; put back, the proof holds again."""
    kinds = {f"c{number}": (name, *pair) for number, (name, pair) in enumerate(PAIRS.items())}
    columns = ", ".join(f"{column} {kind}" for column, (_, kind, _, _) in kinds.items())
    values = [one for _, _, one, _ in kinds.values()]
    desk = one_table(tmp_path, database, before=TYPES, columns=columns, rows=[(1, *values), (2, *values)])
    run(desk)
    assert bool(check(desk).proven)
    found = {}
    for column, (name, kind, one, other) in kinds.items():
        change = f"UPDATE new SET {column} = %s::{kind} WHERE id = 2"
        rows_of(database, change, [other])
        verdicts = [row for comparison in check(desk).comparisons for row in comparison.rows]
        found[name] = [(row.kind, row.source_key["id"], [c.column for c in row.columns]) for row in verdicts]
        rows_of(database, change, [one])
    assert {name: [("altered", "2", [column])] for column, (name, _, _, _) in kinds.items()} == found
    assert bool(check(desk).proven)


def test_finding_22_a_source_that_changed_only_its_image_is_stale(database: str, tmp_path: Path) -> None:
    """Also on the source's side a change that equality does not see is found."""
    columns = "a numeric, b interval, c jsonb"
    desk = one_table(tmp_path, database, columns=columns, rows=[(1, "1.0", "1 mon", '{"a": 1.0}')])
    run(desk)
    for column, other in {"a": "1.00", "b": "30 days", "c": '{"a": 1.00}'}.items():
        execute(database, f"UPDATE old SET {column} = '{other}'")
        (verdict,) = [row for comparison in check(desk).comparisons for row in comparison.rows]
        assert ("stale", [column]) == (verdict.kind, [one.column for one in verdict.columns])
        execute(database, "UPDATE old SET a = '1.0', b = '1 mon', c = '{\"a\": 1.0}'")
    assert bool(check(desk).proven)


@pytest.mark.parametrize(
    ("extension", "kind", "one", "other"),
    [("citext", "citext", "Ann", "ann"), ("hstore", "hstore", "a=>1", "a=>2"), ("vector", "vector", "[1,0]", "[1,1]")],
)
def test_finding_22_types_of_extensions(
    database: str, tmp_path: Path, extension: str, kind: str, one: str, other: str
) -> None:
    """A type that came with an extension is compared by its text, whatever it calls equal."""
    make(database, extension)
    desk = one_table(tmp_path, database, columns=f"v {kind}", rows=[(1, one)])
    run(desk)
    assert bool(check(desk).proven)
    rows_of(database, f"UPDATE new SET v = %s::{kind}", [other])
    (verdict,) = [row for comparison in check(desk).comparisons for row in comparison.rows]
    assert ("altered", ["v"]) == (verdict.kind, [column.column for column in verdict.columns])


def test_finding_22_xml_and_collations_that_call_cases_equal(database: str, tmp_path: Path) -> None:
    """XML, and text under a collation that is not deterministic, are compared by their text."""
    kinds = {"x xml": ("<a/>", "<a></a>")}
    execute(database, "CREATE TABLE probe (t text)")
    try:
        rows_of(database, "SELECT '<a/>'::xml")
    except psycopg.errors.FeatureNotSupported:
        kinds.clear()
    try:
        execute(database, "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
        kinds['y text COLLATE "ci"'] = ("Ann", "ann")
    except psycopg.errors.FeatureNotSupported:
        pass
    if not kinds:
        pytest.skip("the server has neither XML nor ICU")
    execute(database, "DROP TABLE probe")
    ones = [one for one, _ in kinds.values()]
    desk = one_table(tmp_path, database, columns=", ".join(kinds), rows=[(1, *ones)])
    run(desk)
    assert bool(check(desk).proven)
    for column, (one, other) in kinds.items():
        name = column[0]
        rows_of(database, f"UPDATE new SET {name} = %s", [other])
        (verdict,) = [row for comparison in check(desk).comparisons for row in comparison.rows]
        assert ("altered", [name]) == (verdict.kind, [found.column for found in verdict.columns])
        rows_of(database, f"UPDATE new SET {name} = %s", [one])


def test_finding_22_volatile_columns_are_left_out(database: str, tmp_path: Path) -> None:
    """A column declared volatile may differ; all others may not."""
    desk = one_table(tmp_path, database, columns="a text, b text", rows=[(1, "a", "b")], parts={"volatile": "'b'"})
    run(desk)
    execute(database, "UPDATE new SET b = 'other'")
    assert bool(check(desk).proven)
    execute(database, "UPDATE new SET a = 'other'")
    assert False is check(desk).proven


def test_finding_22_every_kind_of_difference_has_its_name(database: str, tmp_path: Path) -> None:
    """Altered, stale, lost, extra, doubled and pending rows are each found, named by key, and nothing else is."""
    rows = [(number, f"note {number}") for number in range(1, 9)]
    desk = one_table(tmp_path, database, rows=rows, foreign="fault")
    run(desk)
    execute(
        database,
        "UPDATE new SET note = 'other' WHERE id = 1; UPDATE old SET note = 'other' WHERE id = 2;"
        "DELETE FROM new WHERE id = 3; DELETE FROM old WHERE id = 4; INSERT INTO new VALUES (50, 'note 5');"
        "INSERT INTO old VALUES (60, 'late'); INSERT INTO new VALUES (70, 'nobody''s')",
    )
    (comparison,) = check(desk).comparisons
    found = {(row.kind, row.source_key.get("id"), row.target_key.get("id")) for row in comparison.rows}
    assert {
        ("altered", "1", "1"),
        ("stale", "2", "2"),
        ("lost", "3", "3"),
        ("extra", "4", "4"),
        ("doubled", "5", "50"),
        ("pending", "60", None),
        ("extra", None, "70"),
    } == found
    assert {"altered": 1, "stale": 1, "lost": 1, "extra": 2, "doubled": 1, "pending": 1} == dict(comparison.counts)
    assert False is check(make_project(tmp_path, database)).proven
