"""Fragments with named places: parameters, expressions and conditions inside a definition's own SQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.model.errors import ConfigurationError
from migrator.workflow import use_cases
from migrator.workflow.desk import Desk, open_desk
from tests.support.projects import MOVE, check, one_table, rows_of, run, silent, terms

ODD = 'it\'s 100% of :all \\ {value} "quoted" $$ -- no comment'


def test_a_value_arrives_as_it_was_given(tmp_path: Path, database: str) -> None:
    """Quotes, percent signs, colons, backslashes and braces of a value mean nothing to the statement around it."""
    fill = {"note": "sql(\"note || ' ' || {value} || '100% {note} :x'\", value=param('value'))"}
    desk = one_table(tmp_path, database, rows=[(1, "a")], fill=fill, params={"value": ODD})
    run(desk)
    assert [(1, f"a {ODD}100% {{note}} :x")] == rows_of(database, "SELECT * FROM new")
    assert check(desk).proven


def test_a_parameter_nobody_gives_is_null(tmp_path: Path, database: str) -> None:
    """So a fragment may ask whether it was given; numbers and truth values keep their types."""
    shared = "sql('CASE WHEN {on} THEN coalesce({add}, 0) + id ELSE -id END', on=param('on', bool, default=False),"
    fill = {"n": f"{shared} add=param('add', int))"}
    desk = one_table(tmp_path, database, columns="n bigint", rows=[(1, 0), (2, 0)], fill=fill)
    assert use_cases.apply(desk, listen=silent).proven
    assert [(-1,), (-2,)] == rows_of(database, "SELECT n FROM new ORDER BY id")
    # Given later, moved rows follow; taken away again, they go back.
    for params, wanted in (
        ({"on": "true", "add": "7"}, [(8,), (9,)]),
        ({"on": "true"}, [(1,), (2,)]),
        ({}, [(-1,), (-2,)]),
    ):
        desk = reopened(tmp_path, database, params)
        assert use_cases.apply(desk, listen=silent).proven
        assert wanted == rows_of(database, "SELECT n FROM new ORDER BY id")


def reopened(tmp_path: Path, url: str, params: dict[str, str]) -> Desk:
    """Open the project again with other parameters."""
    return open_desk("moving", config=str(tmp_path), url=url, params=params)


def test_reading_what_cannot_be_read_raises_nothing(tmp_path: Path, database: str) -> None:
    """`readable` says of every text whether it is JSON, on every server, so that a fragment may read those that are."""
    texts = ["{}", '{"a": "x"}', '{"a":', "[object Object]", "", None, '{"a": "\\u0000"}', '["a"]', '"a"', "\t\n 7 "]
    fill = {"note": "sql(\"CASE WHEN {ok} THEN note::jsonb ->> 'a' END\", ok=readable('note', 'jsonb'))"}
    desk = one_table(tmp_path, database, rows=list(enumerate(texts, 1)), fill=fill)
    before = terms(desk, planned=True)
    assert use_cases.apply(desk, listen=silent).proven
    assert {("moved", ""): len(texts)} == terms(desk) == before
    assert [(2, "x")] == rows_of(database, "SELECT * FROM new WHERE note IS NOT NULL")


def test_what_stands_in_a_place_keeps_its_faults_and_flags(tmp_path: Path, database: str) -> None:
    """An unknown word inside a fragment is quarantined, and a default inside one is flagged."""
    word = "lookup(defaulted('note', 'one', reason='none was given'), {'one': 'eins', 'two': 'zwei'})"
    fill = {"note": f"sql('upper({{word}})', word={word})"}
    desk = one_table(tmp_path, database, rows=[(1, "one"), (2, None), (3, "odd")], fill=fill)
    run(desk)
    assert {("moved", ""): 2, ("quarantined", "note: unknown word"): 1} == terms(desk)
    assert [("EINS",), ("EINS",)] == rows_of(database, "SELECT note FROM new ORDER BY id")
    (balance,) = use_cases.verify_counts(desk).balances
    assert (MOVE, {"note defaulted: none was given": 1}) == (balance.backfill, dict(balance.flags))


def test_conditions_are_put_into_fragments(tmp_path: Path, database: str) -> None:
    """A condition may stand in a value or in another condition, negated or joined."""
    odd = "sql('id % 2 = 1')"
    fill = {"note": f"sql(\"CASE WHEN {{odd}} THEN 'odd' ELSE 'even' END\", odd={odd})"}
    parts = {"skip": f"{{'neither': sql('NOT {{both}}', both=~{odd} & sql('id > 2')) & sql('id > 1')}}"}
    desk = one_table(tmp_path, database, rows=[(n, "") for n in range(1, 5)], fill=fill, parts=parts)
    run(desk)
    assert [(1, "odd"), (4, "even")] == rows_of(database, "SELECT * FROM new ORDER BY id")


@pytest.mark.parametrize("moment", ["now", " Today "])
def test_a_clock_does_not_come_in_by_a_value(tmp_path: Path, database: str, moment: str) -> None:
    """A value that PostgreSQL reads as the present moment is refused like a clock in the fragment."""
    fill = {"at": "sql('{moment}::timestamptz', moment=param('moment'))"}
    desk = one_table(
        tmp_path, database, columns="note text", target="at timestamptz", fill=fill, params={"moment": moment}
    )
    with pytest.raises(ConfigurationError, match="M120"):
        use_cases.plan(desk)


def test_a_value_that_fits_nowhere_is_a_fault_of_the_definition(tmp_path: Path, database: str) -> None:
    """It is told before a row is read, by its column; not a thousand times, by row."""
    fill = {"note": "sql(\"(id * '1 s'::interval + {wait}::interval)::text\", wait=param('wait'))"}
    desk = one_table(tmp_path, database, fill=fill, params={"wait": "a while"})
    with pytest.raises(ConfigurationError, match=r'M114.*"note".*invalid input syntax for type interval'):
        use_cases.plan(desk)


def test_another_table_that_is_read_is_part_of_the_proof(tmp_path: Path, database: str) -> None:
    """Rows that another table decides follow it, though their source did not change."""
    fill = {"note": "sql('(SELECT word FROM words WHERE words.id = old.id)')"}
    before = "CREATE TABLE words AS SELECT n AS id, 'w' || n AS word FROM generate_series(1, 3) AS n"
    desk = one_table(tmp_path, database, fill=fill, before=before)
    assert {("moved", ""): 3} == terms(desk, planned=True)
    assert use_cases.apply(desk, listen=silent).proven
    assert use_cases.apply(desk, listen=silent).nothing_done
    rows_of(database, "UPDATE words SET word = 'new' WHERE id = 2")
    rows_of(database, "SELECT pg_stat_force_next_flush()")
    assert use_cases.apply(desk, listen=silent).proven
    assert [("w1",), ("new",), ("w3",)] == rows_of(database, "SELECT note FROM new ORDER BY id")
