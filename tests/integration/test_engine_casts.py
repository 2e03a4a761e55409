"""Finding 17: a Projection is total. It gives a fault where a value cannot be made, and never raises."""

from __future__ import annotations

import string
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrator.database.session import rows as fetch
from migrator.database.session import transaction
from migrator.engine.prepare import prepare
from migrator.model.step import Phase
from migrator.workflow import use_cases
from tests.support.kills import dump
from tests.support.projects import MOVE, check, execute, fates, one_table, rows_of, run, terms

if TYPE_CHECKING:
    from pathlib import Path

    from migrator.workflow.desk import Desk

# What an INSERT of one row does with each text: the value it stores, or NULL where it raises.
STORES = """
CREATE TABLE held (v {kind});
CREATE FUNCTION stores(texts text[]) RETURNS TABLE (n integer, stored text) LANGUAGE plpgsql AS $$
DECLARE one text;
BEGIN
  n := 0;
  FOREACH one IN ARRAY texts LOOP
    n := n + 1; stored := NULL;
    BEGIN
      EXECUTE format('INSERT INTO held VALUES (%L) RETURNING v::text', one) INTO stored;
    EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN stored := NULL;
    END;
    RETURN NEXT;
  END LOOP;
END $$
"""
ANY_TEXT = st.text(
    st.characters(exclude_characters="\x00", exclude_categories=("Cs",)) | st.sampled_from(string.printable),
    max_size=12,
)
NUMBERS = (
    st.integers(-(2**33), 2**33).map(str)
    | st.decimals(allow_nan=True, allow_infinity=True, places=3).map(str)
    | st.floats().map(repr)
    | st.sampled_from(["999.994", "999.995", "-999.995", "1e2", "1e-2", " 7 ", "0x1F", "1_000", "+5", "--5", ".", "1."])
)
ODD_MOMENTS = [
    *("2024-02-30", "infinity", "-infinity", "epoch", "24:00", "2024-01-01 24:00", "2024-01-01 00:00+25", "1.2.2024"),
    *("Jan 8, 1999", "99999-01-01", "0044-03-15 BC", "2024-06-31", "20240101", "J2451187", "2024-01-01 10:00 CEST"),
]
MOMENTS = st.datetimes().map(str) | st.dates().map(str) | st.sampled_from(ODD_MOMENTS)
ODD_WORDS = ["true", "t", "YES", "on", " off ", "2", "1", "0", "sad", "SAD", "ok", "ok ", "abc", "abcd", "ab ", "äöü"]
WORDS = st.sampled_from([*ODD_WORDS, ""])
UUIDS = st.uuids().map(str) | st.uuids().map(lambda one: "{" + one.hex + "}") | st.just("a0eebc99-9c0b")
KINDS = ["integer", "smallint", "numeric(5,2)", "date", "uuid", "boolean", "timestamptz", "mood", "varchar(3)", "small"]


def expanded(tmp_path: Path, url: str, kind: str) -> Desk:
    """Make a text source and a target of the given type."""
    before = "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN small AS integer CHECK (VALUE < 100)"
    desk = one_table(tmp_path, url, columns="v text", target=f"v {kind}", rows=[], before=before)
    run(desk, to=Phase.EXPAND)
    return desk


def projected(desk: Desk) -> dict[int, tuple[str, str | None]]:
    """Read the Projection as verify does: for each key the disposition and the value in the target's type."""
    (backfill,) = desk.change.backfills
    with desk.database.connect() as conn, transaction(conn, read_only=True):
        projection = prepare(conn, desk.change, backfill, search_path="public").projection
        found = fetch(conn, f'SELECT "~migrator k1", "~migrator code", v::text FROM ({projection.select()}) AS p')
    return {int(key): (projection.outcome(code).disposition, value) for key, code, value in found}


@pytest.mark.parametrize("kind", KINDS)
def test_finding_17_any_text_has_the_fate_an_insert_gives_it(database: str, tmp_path: Path, kind: str) -> None:
    """For any text the Projection never raises, and moves exactly what a single INSERT stores, with that value."""
    desk = expanded(tmp_path, database, kind)
    execute(database, STORES.format(kind=kind))

    @settings(
        max_examples=12,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.lists(ANY_TEXT | NUMBERS | MOMENTS | WORDS | UUIDS, min_size=1, max_size=60))
    def agrees(texts: list[str]) -> None:
        with closing(psycopg.connect(database)) as conn, conn.transaction():
            conn.execute("SET LOCAL TimeZone = 'UTC'")
            conn.execute("SET LOCAL DateStyle = 'ISO, YMD'")
            conn.execute("TRUNCATE old")
            conn.execute("INSERT INTO old SELECT n, v FROM unnest(%s::text[]) WITH ORDINALITY AS t(v, n)", (texts,))
            stored = dict(conn.execute("SELECT * FROM stores(%s::text[])", (texts,)).fetchall())
        if kind == "varchar(3)":  # where an INSERT cuts blanks off, the row is held back
            stored = {n: value if value == texts[n - 1] else None for n, value in stored.items()}
        expected = {n: ("quarantined", None) if value is None else ("moved", value) for n, value in stored.items()}
        assert expected == projected(desk)

    agrees()


def test_finding_17_a_clock_word_in_the_data_is_no_date(database: str, tmp_path: Path) -> None:
    """Texts such as now and tomorrow would be another moment at every look, so they are held back."""
    texts = ["now", "today", "Tomorrow", "yesterday 10:00", "TODAY allballs", " now ", "epoch", "infinity", "2024-1-1"]
    desk = expanded(tmp_path, database, "timestamptz")
    for number, text in enumerate(texts):
        rows_of(database, "INSERT INTO old VALUES (%s, %s)", [number, text])
    kept = {texts[number] for number, (disposition, _) in projected(desk).items() if disposition == "moved"}
    assert {"epoch", "infinity", "2024-1-1"} == kept


def test_finding_17_a_dry_run_evaluates_every_column(database: str, tmp_path: Path) -> None:
    """Counting a SELECT with a cast prunes the cast and says 3; our dry run foretells the row that cannot be cast."""
    desk = one_table(tmp_path, database, columns="n text", rows=[(1, "1"), (2, "x"), (3, "3")], target="n integer")
    with closing(psycopg.connect(database)) as conn:
        naive = conn.execute("SELECT count(*) FROM (SELECT id, n::integer FROM old) AS moved").fetchone()
        assert (3,) == naive
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            conn.execute("SELECT id, n::integer FROM old")
    run(desk, to=Phase.EXPAND)
    expected = {("moved", ""): 2, ("quarantined", "n: not a valid integer"): 1}
    assert expected == terms(desk, planned=True)
    run(desk)
    assert expected == terms(desk)
    # A quarantined row stays in the source, and verify reads it without an error.
    assert {} == {name: number for one in check(desk).comparisons for name, number in one.counts.items()}


def test_finding_17_a_fragment_that_raises_stops_no_other_row(database: str, tmp_path: Path) -> None:
    """A definition's own SQL that raises for a row is that row's fault, in the copy, the Balance and the proof."""
    desk = one_table(
        tmp_path,
        database,
        columns="n integer",
        rows=[(number, number % 4) for number in range(1, 13)],
        target="n integer",
        fill={"n": 'sql("12 / n")'},
        settings={"batch_rows": 5},
    )
    run(desk)
    assert {("moved", ""): 9, ("quarantined", "division by zero"): 3} == terms(desk)
    proof = check(desk)
    assert {} == {name: number for one in proof.comparisons for name, number in one.counts.items()}


def test_finding_17_a_check_that_raises_stops_no_other_row(database: str, tmp_path: Path) -> None:
    """A CHECK of the target that raises instead of being false is one row's fault too, in every reading."""
    desk = one_table(
        tmp_path,
        database,
        columns="n integer",
        rows=[(1, 5), (2, 0), (3, 20), (4, None), (5, 1)],
        target="n integer CHECK (10 / n > 1)",
    )
    run(desk)
    assert ("quarantined", "2", "3") == ("quarantined", *sorted(k for k, v in fates(desk).items() if v[0] != "moved"))
    proof = check(desk)
    assert {} == {name: number for one in proof.comparisons for name, number in one.counts.items()}
    assert (5, 0) == (proof.balances[0].source_rows, proof.balances[0].unaccounted)


ROUNDS = [
    ("numeric", "numeric(5,2)", ["1.005", "1.5", "999.994", "-0.001", "7"], 3),
    ("text", "numeric(5,2)", ["1.005", "1.5", "999.994", "-0.001", "7"], 3),
    ("double precision", "integer", ["1.5", "2.5", "3", "-0.4"], 3),
    ("numeric", "bigint", ["1.5", "2", "0.5"], 2),
    ("timestamptz", "timestamptz(0)", ["2024-01-01 00:00:00.5+00", "2024-01-01 00:00:01+00"], 1),
    ("text", "timestamptz(0)", ["2024-01-01 00:00:00.5+00", "2024-01-01 00:00:01+00"], 1),
]


@pytest.mark.parametrize(("source", "target", "values", "rounded"), ROUNDS)
def test_finding_17_lost_digits_are_flagged(
    database: str, tmp_path: Path, source: str, target: str, values: list[str], rounded: int
) -> None:
    """A value that the target's type rounds is moved as an INSERT would, and counted under a flag."""
    rows: list[tuple[Any, ...]] = [(number, value) for number, value in enumerate(values)]
    desk = one_table(tmp_path, database, columns=f"v {source}", rows=rows, target=f"v {target}")
    run(desk)
    (balance,) = use_cases.verify_counts(desk).balances
    assert len(values) == balance.rows("moved")
    assert [rounded] == [number for name, number in balance.flags.items() if "rounded" in name]
    assert bool(check(desk).proven)


OUT_OF_RANGE = [
    ("bigint", "smallint", ["32767", "32768", "-32768", "-32769"], [0, 2]),
    ("numeric", "money", ["1.005", "NaN", "7", "Infinity", "-0.01"], [0, 2, 4]),
    ("numeric", "integer", ["2147483647.4", "2147483647.5", "NaN", "-2147483648.4"], [0, 3]),
    ("double precision", "bigint", ["1e18", "1e19", "Infinity", "NaN", "9223372036854775807"], [0]),
    ("numeric", "real", ["1e38", "1e39", "1e-50", "0", "NaN"], [0, 3, 4]),
    ("double precision", "real", ["3.4028235e38", "3.5e38", "Infinity", "1e-60", "0", "NaN"], [0, 2, 4, 5]),
    ("numeric", "double precision", ["1.7976931348623157e308", "1e309", "1e-400", "-1e309"], [0]),
    ("numeric", "numeric(5,2)", ["999.99", "999.994", "999.995", "NaN", "Infinity"], [0, 1, 3]),
    ("double precision", "numeric(3,0)", ["999.4", "999.5", "NaN", "-Infinity"], [0, 2]),
    ("text", "char(2)", ["ab", "abc", "a", ""], [0, 2, 3]),
    ("text", "varchar(2)", ["äö", "äöü", "a", ""], [0, 2, 3]),
]


@pytest.mark.parametrize(("source", "target", "values", "fit"), OUT_OF_RANGE)
def test_finding_17_what_does_not_fit_is_foreseen(
    database: str, tmp_path: Path, source: str, target: str, values: list[str], fit: list[int]
) -> None:
    """Between numbers and between texts, exactly what an INSERT takes is moved, and the dry run knew."""
    rows: list[tuple[Any, ...]] = [(number, value) for number, value in enumerate(values)]
    desk = one_table(tmp_path, database, columns=f"v {source}", rows=rows, target=f"v {target}")
    run(desk, to=Phase.EXPAND)
    inserted = []
    for number in range(len(values)):
        with closing(psycopg.connect(database)) as conn:
            try:
                conn.execute("INSERT INTO new SELECT id, v FROM old WHERE id = %s", (number,))
            except (psycopg.errors.DataError, psycopg.errors.FeatureNotSupported):
                continue
            inserted.append(number)
    assert fit == inserted
    foretold = terms(desk, planned=True)
    run(desk)
    assert foretold == terms(desk)
    assert fit == sorted(int(key) for key, (kind, _) in fates(desk, MOVE).items() if kind == "moved")


def test_many_texts_that_are_no_value_are_counted_before_there_is_a_ledger(database: str, tmp_path: Path) -> None:
    """A plan tests each text on every version; the server it looked at has nothing of ours afterwards."""
    rows = [(n, "12" if n % 4 else "twelve") for n in range(1, 6_001)]
    desk = one_table(tmp_path, database, rows=rows, target="note integer")
    before = dump(database)
    planned = terms(desk, planned=True)
    assert {("moved", ""): 4_500, ("quarantined", "note: not a valid integer"): 1_500} == planned
    assert before == dump(database)
    assert [(None,)] == rows_of(database, "SELECT to_regnamespace('migrator')::text")
    run(desk)
    assert planned == terms(desk)
