"""Verify finds every single row that is not as declared, names it and nothing else, and never cries wolf."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from migrator.cli import app
from migrator.model.step import Phase
from migrator.workflow.desk import Desk
from migrator.workflow.use_cases import status_facts, verify
from tests.support.projects import CHANGE, check, execute, make_project, one_table, rows_of, run, settle, silent

ROWS = 20_000
MANY = 100_000  # in the soak
VICTIM, OTHER = 16_234, 16_235
DatabaseFrom = Callable[[str, Callable[[str], object]], str]

PAIR = """
CREATE TABLE public.pair_new (
    id uuid PRIMARY KEY, number bigint NOT NULL, name text, note text, tags text[], amount numeric, at timestamptz)"""

DEFINITION = """
backfill = Backfill(
    source="pair_old",
    key="number",
    target="pair_new",
    identity="id",
    columns={
        "id": derived_uuid(),
        "number": column("number"),
        "name": column("name"),
        "note": column("note"),
        "tags": array("tag"),
        "amount": column("amount"),
        "at": column("at"),
    },
)
"""

SOURCE = """
CREATE TABLE public.pair_old (
    number bigint PRIMARY KEY, name text, note text, tag text, amount numeric, at timestamptz);
INSERT INTO public.pair_old SELECT i, 'name ' || i % 5000, CASE WHEN i % 3 = 0 THEN NULL ELSE 'note ' || i END,
    CASE WHEN i % 2 = 0 THEN NULL ELSE 'tag' END, (i % 100)::numeric(10, 2),
    timestamptz '2021-01-01 00:00:00+00' + i * interval '1 s' FROM generate_series(1, {rows}) AS i;
UPDATE public.pair_old SET amount = 1.00, note = 'kept' WHERE number = {victim}"""

Fault = tuple[str, list[dict[str, object]]]


def altered(number: int, *columns: str, kind: str = "altered") -> dict[str, object]:
    """Describe the verdict on a row whose columns differ."""
    return {"kind": kind, "number": str(number), "columns": sorted(columns)}


def gone(number: int, kind: str) -> dict[str, object]:
    """Describe the verdict on a row one side of which is missing."""
    return {"kind": kind, "number": str(number), "columns": []}


STRANGER = "'00000000-0000-4000-8000-000000000001'"
SECOND = f"""INSERT INTO pair_new SELECT {STRANGER}, number, name, note, tags, amount, at
    FROM pair_new WHERE number = {VICTIM}"""
SWAPPED = f"""UPDATE pair_new AS a SET number = b.number, name = b.name, note = b.note, tags = b.tags,
    amount = b.amount, at = b.at FROM pair_new AS b
    WHERE (a.number, b.number) IN (({VICTIM}, {OTHER}), ({OTHER}, {VICTIM}))"""

FAULTS: dict[str, Fault] = {
    "a changed value": (f"UPDATE pair_new SET name = 'another' WHERE number = {VICTIM}", [altered(VICTIM, "name")]),
    "NULL for a value": (f"UPDATE pair_new SET note = NULL WHERE number = {VICTIM}", [altered(VICTIM, "note")]),
    "a value for NULL": (f"UPDATE pair_new SET tags = '{{tag}}' WHERE number = {VICTIM}", [altered(VICTIM, "tags")]),
    "{NULL} for NULL": (f"UPDATE pair_new SET tags = '{{NULL}}' WHERE number = {VICTIM}", [altered(VICTIM, "tags")]),
    "{} for NULL": (f"UPDATE pair_new SET tags = '{{}}' WHERE number = {VICTIM}", [altered(VICTIM, "tags")]),
    "an empty text for NULL": (
        f"UPDATE pair_new SET note = '' WHERE number = {VICTIM - 1}",
        [altered(VICTIM - 1, "note")],
    ),
    "a trailing blank": (f"UPDATE pair_new SET name = name || ' ' WHERE number = {VICTIM}", [altered(VICTIM, "name")]),
    "1.0 for 1.00": (f"UPDATE pair_new SET amount = 1.0 WHERE number = {VICTIM}", [altered(VICTIM, "amount")]),
    "a time later by 1 µs": (
        f"UPDATE pair_new SET at = at + interval '1 microsecond' WHERE number = {VICTIM}",
        [altered(VICTIM, "at")],
    ),
    "two columns": (
        f"UPDATE pair_new SET name = NULL, at = NULL WHERE number = {VICTIM}",
        [altered(VICTIM, "name", "at")],
    ),
    "two rows swapped": (
        SWAPPED,
        [altered(one, "number", "name", "note", "tags", "amount", "at") for one in (VICTIM, OTHER)],
    ),
    "a lost row": (f"DELETE FROM pair_new WHERE number = {VICTIM}", [gone(VICTIM, "lost")]),
    "an extra row": (f"INSERT INTO pair_new VALUES ({STRANGER}, 0, 'nobody')", [{"kind": "extra", "columns": []}]),
    "a doubled row": (SECOND, [gone(VICTIM, "doubled")]),
    "a source row changed since": (
        f"UPDATE pair_old SET amount = 1.000 WHERE number = {VICTIM}",
        [altered(VICTIM, "amount", kind="stale")],
    ),
    "a source row deleted since": (f"DELETE FROM pair_old WHERE number = {VICTIM}", [gone(VICTIM, "extra")]),
    "a source row added since": (f"INSERT INTO pair_old VALUES ({MANY + 1}, 'late')", [gone(MANY + 1, "pending")]),
}
# These show in the Balance as well: a row of the source, or its target, is not there any more.
UNACCOUNTED = {"a lost row": [[str(VICTIM)]], "a source row deleted since": [[str(VICTIM)]]}


@pytest.fixture
def of_rows(tmp_path: Path, database_from: DatabaseFrom) -> Callable[[int], Desk]:
    """Give copies of a database in which so many rows are moved and proven; nobody else writes the target."""

    def opened(url: str) -> Desk:
        return make_project(
            tmp_path,
            url,
            ddl_up=PAIR,
            ddl_down="DROP TABLE public.pair_new",
            backfills={"pair_new_from_pair_old": DEFINITION},
            foreign="fault",
        )

    def made(rows: int) -> Desk:
        def build(url: str) -> None:
            execute(url, SOURCE.format(rows=rows, victim=VICTIM))
            assert run(opened(url), to=Phase.VERIFY).proven

        return opened(database_from(f"a proven pair of {rows}", build))

    return made


@pytest.fixture
def pair(of_rows: Callable[[int], Desk]) -> Desk:
    """Give a copy with as many rows as most tests need."""
    return of_rows(ROWS)


def verified(desk: Desk, said: pytest.CaptureFixture[str]) -> tuple[int, dict[str, object]]:
    """Run `migrator verify` and give its exit code and document."""
    said.readouterr()
    where = ["--config", str(desk.project.root), "--database-url", desk.database.url]
    code = app.run(["verify", CHANGE, *where, "--format", "json"])
    return code, json.loads(said.readouterr().out)


def named(row: dict[str, object]) -> dict[str, object]:
    """Reduce a verdict on a row to its kind, its source key and its columns."""
    key = row["source_key"]
    number = {"number": key["number"]} if key else {}
    return {"kind": row["kind"], **number, "columns": sorted(one["column"] for one in row["columns"])}


@pytest.mark.soak
@pytest.mark.parametrize("name", FAULTS)
def test_a_single_fault_is_named_among_many_rows(
    name: str, of_rows: Callable[[int], Desk], capsys: pytest.CaptureFixture[str]
) -> None:
    """One row of 100,000 is not as declared, and it alone is named."""
    test_a_single_fault_is_named_and_nothing_else(name, of_rows(MANY), capsys)


@pytest.mark.parametrize("name", FAULTS)
def test_a_single_fault_is_named_and_nothing_else(name: str, pair: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """One row is not as declared: its key, kind and columns are named, and the exit code is 4."""
    sql, expected = FAULTS[name]
    execute(pair.database.url, sql)
    code, document = verified(pair, capsys)
    (comparison,) = document["comparisons"]
    kinds = {str(one["kind"]) for one in expected}
    assert expected == sorted(map(named, comparison["rows"]), key=lambda one: str(one.get("number", "")))
    assert dict.fromkeys(kinds, len(expected)) == comparison["counts"]
    assert UNACCOUNTED.get(name, []) == [one["key"] for one in document["balances"][0]["examples"]]
    assert document["proven"] is False
    assert code == 4


def test_a_difference_is_shown_with_both_values(pair: Desk) -> None:
    """The values of a column that differs are shown exactly: found 1.0, expected 1.00."""
    execute(pair.database.url, f"UPDATE pair_new SET amount = 1.0 WHERE number = {VICTIM}")
    (comparison,) = check(pair).comparisons
    (row,) = comparison.rows
    (column,) = row.columns
    assert ("amount", "1.0", "1.00") == (column.column, column.found, column.expected)
    ((target,),) = rows_of(pair.database.url, f"SELECT id::text FROM pair_new WHERE number = {VICTIM}")
    assert {"id": target} == dict(row.target_key)


def test_the_named_rows_are_limited_and_counted_all_the_same(pair: Desk) -> None:
    """Of many faults all are counted, and as many as asked for are named."""
    execute(pair.database.url, "UPDATE pair_new SET note = 'changed' WHERE number % 20 = 0")
    (comparison,) = verify(pair, show=7, listen=silent).comparisons
    assert {"altered": ROWS // 20} == dict(comparison.counts)
    assert 7 == len(comparison.rows)


def test_a_clean_pair_is_proven_again(pair: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing was changed, so all rows are proven and the exit code is 0; and so the next time."""
    for _ in range(2):
        code, document = verified(pair, capsys)
        assert code == 0
        assert [] == document["comparisons"][0]["rows"]
        assert ROWS == document["comparisons"][0]["compared"]
        assert "verified" == document["state"]


def test_a_proof_goes_stale_with_the_source(pair: Desk) -> None:
    """A source row written after verify makes the proof stale, and the change `copied` again."""
    assert "verified" == check(pair).state.value
    execute(pair.database.url, f"UPDATE pair_old SET name = name WHERE number = {VICTIM}")
    settle(pair.database.url)
    facts = status_facts(pair)
    assert ("copied", True) == (facts.state.value, facts.stale)


@pytest.mark.every_server
def test_what_was_loaded_just_before_makes_no_proof_stale(database: str, tmp_path: Path) -> None:
    """Writes that ended before verify began are in what it counted, also where a process collects them."""
    desk = one_table(tmp_path, database)
    run(desk)
    for number in range(10, 13):
        execute(database, f"INSERT INTO old VALUES ({number}, 'x'); DELETE FROM old WHERE id = {number}")
        assert check(desk).proven
        settle(database)
        assert not status_facts(desk).stale


# --- values of every type ------------------------------------------------------------------------

LETTERS = "aZ09 _-%'\"\\/{}:,;\n\t€ß漢字é̈\u202e\U0001f600"
FIRST = datetime(1, 1, 2, tzinfo=UTC)
Make = Callable[[random.Random], str]


def text(chance: random.Random) -> str:
    """Make a text with everything that is ever escaped."""
    return "".join(chance.choices(LETTERS, k=chance.randrange(0, 30)))


def moment(chance: random.Random) -> str:
    """Make a time with microseconds between the years 1 and 9999, or an infinity."""
    if chance.random() < 0.05:
        return chance.choice(["infinity", "-infinity"])
    after = timedelta(days=chance.randrange(3_600_000), seconds=chance.randrange(86_400))
    return (FIRST + after + timedelta(microseconds=chance.randrange(1_000_000))).isoformat()


def number(chance: random.Random) -> str:
    """Make a numeric of any scale, with zeros at the end, or a special one."""
    if chance.random() < 0.1:
        return chance.choice(["NaN", "Infinity", "-Infinity", "0", "0.0", "-0.000", "1E-20", "1E+20"])
    return (
        f"{Decimal(chance.randrange(-(10**12), 10**12)).scaleb(-chance.randrange(0, 12)):f}" + "0" * chance.randrange(3)
    )


def real(chance: random.Random) -> str:
    """Make a float, small, great, negative zero or no number."""
    special = ["NaN", "Infinity", "-Infinity", "-0", "0", "5e-324", "1.7976931348623157e308", "0.1"]
    return (
        chance.choice(special)
        if chance.random() < 0.2
        else repr(chance.uniform(-1, 1) * 10 ** chance.randrange(-300, 300))
    )


def interval(chance: random.Random) -> str:
    """Make an interval whose months, days and seconds cannot be told from each other by its length."""
    parts = [f"{chance.randrange(-40, 40)} {unit}" for unit in ("mon", "day", "hour")]
    return " ".join(chance.sample(parts, chance.randrange(1, 4))) + f" {chance.uniform(-99, 99):.6f} sec"


def document(chance: random.Random, depth: int = 2) -> object:
    """Make a JSON value."""
    kinds = [None, True, chance.randrange(-9, 9), chance.choice([1.0, 1.5, 1e30, -0.0]), text(chance)]
    if depth:
        kinds += [
            [document(chance, depth - 1) for _ in range(chance.randrange(3))],
            {text(chance): document(chance, depth - 1) for _ in range(chance.randrange(3))},
        ]
    return chance.choice(kinds)


def array_of(make: Make) -> Make:
    """Make arrays, empty ones and such with NULL too."""

    def made(chance: random.Random) -> str:
        items = [None if chance.random() < 0.2 else make(chance) for _ in range(chance.randrange(4))]
        escaped = [
            "NULL" if one is None else '"' + one.replace("\\", "\\\\").replace('"', '\\"') + '"' for one in items
        ]
        return "{" + ",".join(escaped) + "}"

    return made


def whole(bits: int) -> Make:
    """Make integers up to the ends of their range."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return lambda chance: str(chance.choice([low, high, 0, -1, chance.randrange(low, high)]))


def from_words(*words: str) -> Make:
    """Make one of these."""
    return lambda chance: chance.choice(words)


def octets(chance: random.Random) -> str:
    """Make bytes."""
    return "\\x" + chance.randbytes(chance.randrange(12)).hex()


def jsonb(chance: random.Random) -> str:
    """Make a JSON text; jsonb keeps neither blanks nor the order of keys, json both."""
    return json.dumps(document(chance), indent=chance.choice([None, 2]))


def day(chance: random.Random) -> str:
    """Make a date, or an infinity."""
    return moment(chance)[:10] if chance.random() < 0.9 else chance.choice(["infinity", "4713-01-01 BC"])


TYPES: dict[str, Make] = {
    "smallint": whole(16),
    "integer": whole(32),
    "bigint": whole(64),
    "boolean": from_words("true", "false"),
    "text": text,
    "varchar": text,
    "varchar(40)": text,
    "char(40)": text,
    "numeric": number,
    "numeric(30,5)": lambda chance: str(Decimal(chance.randrange(-(10**12), 10**12)).scaleb(-5)),
    "real": lambda chance: chance.choice(["NaN", "-0", "0.1", "Infinity", f"{chance.uniform(-1e30, 1e30):e}"]),
    "double precision": real,
    "money": lambda chance: f"{chance.randrange(-(10**9), 10**9) / 100:.2f}",
    "timestamptz": moment,
    "timestamp": moment,
    "timestamptz(3)": moment,
    "date": day,
    "time": lambda chance: f"{chance.randrange(24):02}:{chance.randrange(60):02}:{chance.uniform(0, 59):09.6f}",
    "timetz": lambda chance: f"{chance.randrange(24):02}:00:00{chance.randrange(-12, 13):+03}",
    "interval": interval,
    "uuid": lambda chance: f"{chance.getrandbits(128):032x}",
    "bytea": octets,
    "json": jsonb,
    "jsonb": jsonb,
    "inet": from_words("10.0.0.1", "10.0.0.1/8", "::1", "2001:db8::/32"),
    "bit varying(8)": from_words("", "0", "00", "1010"),
    "point": from_words("(0,0)", "(-0,1)", "(1e-300,NaN)"),
    "tsvector": from_words("a b", "'a':1 'b':2", ""),
    "int4range": from_words("empty", "[1,3)", "(,5]", "[2,2]"),
    "name": from_words("a", "Name", "n n"),
    "text[]": array_of(text),
    "numeric[]": array_of(number),
    "double precision[]": array_of(real),
    "timestamptz[]": array_of(moment),
    "jsonb[]": array_of(jsonb),
    "integer[]": from_words("{}", "{1,NULL}", "{{1,2},{3,4}}", "[0:1]={1,2}", "{1,2}"),
    "mood": from_words("good", "Bad", "so so"),
    "positive": from_words("1", "2.50", "3.0"),
}
OWN_TYPES = "CREATE TYPE mood AS ENUM ('good', 'Bad', 'so so'); CREATE DOMAIN positive AS numeric CHECK (VALUE > 0);"
NAMES = {f"c{place}": name for place, name in enumerate(TYPES)}

# What is stored otherwise though it is called equal, by type: a digest that is too coarse sees no difference.
NEAR: dict[str, tuple[str, str]] = {
    "numeric": ("1.10", "1.1"),
    "double precision": ("-0", "0"),
    "real": ("-0", "0"),
    "char(40)": ("a", "a\u00a0"),
    "text": ("é", "e\u0301"),
    "varchar": ("a", "a "),
    "interval": ("1 mon", "30 days"),
    "jsonb": ("1.0", "1.00"),
    "json": ('{"a":1}', '{"a": 1}'),
    "point": ("(0,0)", "(-0,0)"),
    "timetz": ("12:00:00+00", "13:00:00+01"),
    "inet": ("10.0.0.1/32", "10.0.0.1/31"),
    "bit varying(8)": ("0", "00"),
    "text[]": ('{""}', "{NULL}"),
    "numeric[]": ("{1.10}", "{1.1}"),
    "double precision[]": ("{-0}", "{0}"),
    "jsonb[]": ("{1.0}", "{1.00}"),
    "integer[]": ("[0:1]={1,2}", "{1,2}"),
    "timestamptz": ("2024-01-01 00:00:00.000001+00", "2024-01-01 00:00:00+00"),
    "bytea": ("\\x00", "\\x0000"),
    "positive": ("2.50", "2.5"),
    "boolean": ("true", "false"),
    "smallint": ("0", "1"),
}


def all_types(keys: str, *, definition: bool = False) -> str:
    """List the columns of every type, as DDL or as the lines of a definition."""
    if definition:
        return "".join(f'        "{name}": column("{name}"),\n' for name in NAMES)
    return ", ".join([keys, *(f"{name} {kind}" for name, kind in NAMES.items())])


ALL_TYPES = f"""
backfill = Backfill(
    source="values_old",
    key="id",
    target="values_new",
    identity="id",
    columns={{
        "id": column("id"),
{all_types("", definition=True)}    }},
)
"""


@pytest.fixture
def values(tmp_path: Path, database: str) -> Desk:
    """Make the tables with a column of every type, and their project."""
    execute(database, f"{OWN_TYPES} CREATE TABLE values_old ({all_types('id int PRIMARY KEY')})")
    return make_project(
        tmp_path,
        database,
        ddl_up=f"CREATE TABLE public.values_new ({all_types('id int PRIMARY KEY')})",
        ddl_down="DROP TABLE public.values_new",
        backfills={"values_new_from_values_old": ALL_TYPES},
        foreign="fault",
        settings={"batch_rows": 100},
    )


def fill(url: str, rows: Sequence[Sequence[str | None]]) -> None:
    """Insert rows of texts, each read as its column's type."""
    casts = ", ".join(f"(v ->> {place})::{kind}" for place, kind in enumerate(NAMES.values(), 1))
    sql = f"INSERT INTO values_old SELECT (v ->> 0)::int, {casts} FROM jsonb_array_elements(%s::jsonb) AS v"
    with closing(psycopg.connect(url)) as conn, conn:
        conn.execute(sql.encode(), [json.dumps([(number, *row) for number, row in enumerate(rows, 1)])])


@pytest.mark.parametrize("seed", range(4))
def test_a_thousand_clean_pairs_give_no_false_alarm(seed: int, values: Desk) -> None:
    """Random rows of every type, NULLs among them, are all moved and proven, whatever the session is set to."""
    url = values.database.url
    chance = random.Random(seed)
    rows = [tuple(None if chance.random() < 0.1 else make(chance) for make in TYPES.values()) for _ in range(1_000)]
    fill(url, rows)
    report = run(values, to=Phase.VERIFY)
    assert 1_000 == report.balances[0].rows("moved")
    assert report.proven
    odd = {"DateStyle": "German", "IntervalStyle": "iso_8601", "TimeZone": "Asia/Kathmandu", "extra_float_digits": "-5"}
    name = url.rpartition("/")[2]
    for setting, value in {**odd, "bytea_output": "escape"}.items():
        execute(url, f"ALTER DATABASE \"{name}\" SET {setting} = '{value}'")
    again = check(values)
    assert again.proven
    assert 1_000 == again.comparisons[0].compared


def test_what_is_called_equal_and_is_not_is_told(values: Desk) -> None:
    """For every type a value that equals another in PostgreSQL, or nearly, is told from it by row and column."""
    url = values.database.url
    names = {kind: name for name, kind in NAMES.items()}
    places = {kind: place for place, kind in enumerate(TYPES)}
    rows: list[list[str | None]] = []
    for kind, (kept, _) in NEAR.items():
        rows.append([None] * len(TYPES))
        rows[-1][places[kind]] = kept
    fill(url, rows)
    assert run(values, to=Phase.VERIFY).proven
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        for number, (kind, (_, other)) in enumerate(NEAR.items(), 1):
            conn.execute(
                f"UPDATE values_new SET {names[kind]} = %s::text::{kind} WHERE id = %s".encode(), (other, number)
            )
    (comparison,) = verify(values, show=100, listen=silent).comparisons
    found = {int(row.source_key["id"]): (row.kind, [one.column for one in row.columns]) for row in comparison.rows}
    assert {number: ("altered", [names[kind]]) for number, kind in enumerate(NEAR, 1)} == found
