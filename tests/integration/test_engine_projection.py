"""What becomes of a row: the order of fates, three-valued conditions, every expression, flags, contested values."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from migrator.engine.projection.derived import NAMESPACE
from migrator.model.errors import MigratorError
from migrator.model.step import Phase
from migrator.workflow import use_cases
from tests.support.projects import MOVE, check, definition, execute, fates, make_project, one_table, rows_of, run, terms

if TYPE_CHECKING:
    from pathlib import Path

    from migrator.workflow.desk import Desk


def derived(source: str, *keys: str) -> UUID:
    """Make a derived id without the tool: SHA-256 of namespace, source name and keys, as a UUID of version 8."""
    sized = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in (source, *keys))
    made = bytearray(hashlib.sha256(NAMESPACE + sized).digest()[:16])
    made[6] = 0x80 | made[6] & 0x0F
    made[8] = 0x80 | made[8] & 0x3F
    return UUID(bytes=bytes(made))


def foretold_and_done(desk: Desk) -> dict[tuple[str, str], int]:
    """Apply after a dry run, which must have foretold exactly what then became of the rows."""
    run(desk, to=Phase.EXPAND)
    foretold = terms(desk, planned=True)
    run(desk)
    assert foretold == terms(desk)
    return foretold


def flags_of(desk: Desk) -> dict[str, int]:
    """Count the flags and deciding rules of the moved rows."""
    return dict(next(one for one in use_cases.verify_counts(desk).balances if one.backfill == MOVE).flags)


def made(desk: Desk, columns: str = "*") -> list[tuple[Any, ...]]:
    """Fetch the target rows in order of id."""
    return rows_of(desk.database.url, f"SELECT {columns} FROM new ORDER BY id")


def test_fates_are_decided_in_their_order(database: str, tmp_path: Path) -> None:
    """A skip wins over a quarantine rule, that over a fault, an earlier column's fault over a later one's."""
    desk = one_table(
        tmp_path,
        database,
        columns="skipped boolean, guarded boolean, first text, second text",
        rows=[
            (1, True, True, "x", "x"),
            (2, False, True, "x", "x"),
            (3, False, False, "x", "x"),
            (4, False, False, "1", "x"),
            (5, False, False, "1", "2"),
            (6, True, False, "1", "2"),
            (7, False, False, None, "x"),
            (8, False, False, "1", "-2"),
        ],
        target="first integer NOT NULL, second integer CHECK (second > 0)",
        parts={
            "skip": "{'left behind': sql('skipped'), 'never reached': sql('skipped')}",
            "quarantine": "{'guard': sql('guarded')}",
            "left_behind": "{'skipped': 'a rule reads it', 'guarded': 'a rule reads it'}",
        },
    )
    assert {
        ("moved", ""): 1,
        ("skipped", "left behind"): 2,
        ("quarantined", "guard"): 1,
        ("quarantined", "first: not a valid integer"): 1,
        ("quarantined", "first: NULL is not allowed"): 1,
        ("quarantined", "second: not a valid integer"): 1,
        ("quarantined", "violates check new_second_check"): 1,
    } == foretold_and_done(desk)
    assert {
        "2": ("quarantined", "guard"),
        "3": ("quarantined", "first: not a valid integer"),
        "4": ("quarantined", "second: not a valid integer"),
        "5": ("moved", "5"),
        "7": ("quarantined", "first: NULL is not allowed"),
        "8": ("quarantined", "violates check new_second_check"),
    } == fates(desk)


def test_no_expression_meets_a_row_that_a_rule_decided(database: str, tmp_path: Path) -> None:
    """What would raise for a skipped or guarded row is never asked; the row keeps the fate its rule gave it."""
    desk = one_table(
        tmp_path,
        database,
        columns="n integer",
        rows=[(1, 1), (2, 0), (3, -1)],
        target="n integer",
        fill={"n": "sql('ln(n)::integer')"},
        parts={"skip": "{'nothing': sql('n = 0')}", "quarantine": "{'negative': sql('n < 0')}"},
    )
    assert {("moved", ""): 1, ("skipped", "nothing"): 1, ("quarantined", "negative"): 1} == foretold_and_done(desk)


def test_a_wrong_rule_is_the_only_one_named(database: str, tmp_path: Path) -> None:
    """A rule that does not parse is named; the columns, which are sound, are not."""
    desk = one_table(tmp_path, database, parts={"skip": "{'unknown': sql('no_such_column > 1')}"})
    with pytest.raises(MigratorError) as caught:
        use_cases.plan(desk)
    assert ("M114", True) == (caught.value.id, "rule unknown" in caught.value.what)
    assert 'column "note"' not in caught.value.what


def test_a_fault_wins_over_a_merge(database: str, tmp_path: Path) -> None:
    """A row that is in the new table already is merged, unless it could not have been moved."""
    desk = one_table(
        tmp_path,
        database,
        columns="n text",
        rows=[(1, "1"), (2, "x"), (3, "3")],
        target="n integer",
    )
    run(desk, to=Phase.EXPAND)
    execute(database, "INSERT INTO new VALUES (1, 100), (2, 200)")
    fault = ("quarantined", "n: not a valid integer")
    assert {("moved", ""): 1, ("merged", ""): 1, fault: 1} == foretold_and_done(desk)
    assert [(1, 100), (2, 200), (3, 3)] == made(desk)


@pytest.mark.parametrize("rule", ["sql('n > 1')", "~sql('n > 1')", "sql('n > 1') & sql('true')", "contains('n', '2')"])
def test_null_neither_skips_nor_quarantines(database: str, tmp_path: Path, rule: str) -> None:
    """A condition that is NULL catches no row, whichever way round it is asked."""
    parts = {"skip": f"{{'caught': {rule}}}", "quarantine": "{'held': sql('n > 10')}"}
    desk = one_table(tmp_path, database, columns="n integer", rows=[(1, None), (2, 2)], target="n integer", parts=parts)
    run(desk)
    assert ("moved", "1") == fates(desk)["1"]
    assert bool(check(desk).proven)


def test_every_value_expression(database: str, tmp_path: Path) -> None:
    """Each expression gives the declared value, and its flags are counted."""
    (tmp_path / "owners.csv").write_text("key,value\n1,ann\n3,o'neil\n", encoding="utf-8")
    desk = one_table(
        tmp_path,
        database,
        columns="a text, b text, n integer",
        rows=[(1, "x", "p, q,,r", 1), (2, "", None, None), (3, None, "p", 30), (4, "it's :x %s $1", " ", 400)],
        target="took text, absent text, fixed text, truth boolean, gone text, owner text, scalar integer,"
        " word text, pair text[], alone text[], parts text[], chosen text[], filled text, guessed integer,"
        " dropped integer, remarked integer, made integer",
        fill={
            "took": 'column("a")',
            "absent": 'column("nowhere", absent="an older database lacks it")',
            "fixed": 'constant("it\'s 100% :x")',
            "truth": "constant(True)",
            "gone": 'missing("nobody ever knew")',
            "owner": 'missing("nobody knew", unless=param("owners", File))',
            "scalar": 'given(param("number", int, default=7))',
            "word": 'lookup("n", {"1": "one", "30": "thirty", "400": None, None: "none"})',
            "pair": 'array("a", "b")',
            "alone": 'array("a")',
            "parts": 'array("b", split=",")',
            "chosen": "array('b', when=sql('n > 5'))",
            "filled": 'defaulted("b", "nothing", reason="no b")',
            "guessed": 'estimated("n", reason="from n")',
            "dropped": "discarded('n', when=sql('n > 100'), reason='too big')",
            "remarked": "flagged('n', when=sql('n > 20'), reason='rather big')",
            "made": 'sql("n * 2")',
        },
        params={"owners": str(tmp_path / "owners.csv"), "number": 9},
    )
    assert {("moved", ""): 4} == foretold_and_done(desk)
    fixed, odd = ("it's 100% :x", True, None), "it's :x %s $1"
    assert [
        (1, "x", None, *fixed, "ann", 9, "one", ["x", "p, q,,r"], ["x"], ["p", "q", "r"], None, "p, q,,r", 1, 1, 1, 2),
        (2, "", None, *fixed, None, 9, "none", None, None, None, None, "nothing", None, None, None, None),
        (3, None, None, *fixed, "o'neil", 9, "thirty", ["p"], None, ["p"], ["p"], "p", 30, 30, 30, 60),
        (4, odd, None, *fixed, None, 9, None, [odd, " "], [odd], None, [" "], " ", 400, None, 400, 800),
    ] == made(desk)
    assert {
        "filled defaulted: no b": 1,
        "guessed estimated: from n": 3,
        "dropped discarded: too big": 1,
        "remarked rather big": 2,
    } == flags_of(desk)
    assert bool(check(desk).proven)


def test_a_lookup_never_guesses(database: str, tmp_path: Path) -> None:
    """An unknown word is quarantined with the word; NULL without a word of its own stays NULL."""
    fill = {"note": 'lookup("note", {"a": "A"})'}
    desk = one_table(tmp_path, database, rows=[(1, "a"), (2, "b"), (3, None), (4, "A"), (5, "")], fill=fill)
    assert {("moved", ""): 2, ("quarantined", "note: unknown word"): 3} == foretold_and_done(desk)
    assert [(1, "A"), (3, None)] == made(desk)
    assert [("2", "b"), ("4", "A"), ("5", "")] == rows_of(
        database, "SELECT source_key[1], message FROM migrator.quarantine ORDER BY 1"
    )


def test_named_rules_with_a_fallback(database: str, tmp_path: Path) -> None:
    """The first true rule decides and is kept with the row; the fallback is flagged; a condition can ask for a word."""
    kind = (
        "rules('kind', rule('big', when=sql('n > 10'), value='large'), rule('positive', when=sql('n > 0'),"
        " value='small'), fallback=('none', 'nothing is known'))"
    )
    source = (
        f"KIND = {kind}\n"
        "OTHER = rules('other', rule('of large', when=KIND.equals('large'), value=sql(\"n || '!'\")),"
        " otherwise=constant('-'))\n"
    )
    made_of = definition(
        {"id": 'column("id")', "kind": "KIND", "other": "OTHER"}, quarantine="{'is none': KIND.equals('none')}"
    )
    desk = one_table(
        tmp_path,
        database,
        columns="n integer",
        rows=[(1, 11), (2, 1), (3, 0), (4, None)],
        target="kind text, other text",
        backfills={MOVE: source + made_of},
    )
    assert {("moved", ""): 2, ("quarantined", "is none"): 2} == foretold_and_done(desk)
    assert [(1, "large", "11!"), (2, "small", "-")] == made(desk)
    assert {"kind: big": 1, "kind: positive": 1, "other: of large": 1} == flags_of(desk)


def test_rules_without_an_ending_quarantine_what_fits_none(database: str, tmp_path: Path) -> None:
    """Where no rule fits and nothing is said for that case, the row is quarantined; a flagged fallback moves."""
    fill = {"note": "rules('kind', rule('a', when=sql(\"note = 'a'\"), value='A'))"}
    desk = one_table(tmp_path, database, rows=[(1, "a"), (2, "b"), (3, None)], fill=fill)
    assert {("moved", ""): 1, ("quarantined", "note: no rule of kind fits"): 2} == foretold_and_done(desk)


def test_a_fault_inside_a_rule_counts_only_where_the_rule_fired(database: str, tmp_path: Path) -> None:
    """What only another rule's value would be at fault for does no harm."""
    word = "lookup('note', {'a': 'A'})"
    fill = {"note": f"rules('kind', rule('asks', when=sql('id < 3'), value={word}), otherwise=constant('-'))"}
    desk = one_table(tmp_path, database, rows=[(1, "a"), (2, "b"), (3, "b")], fill=fill)
    assert {("moved", ""): 2, ("quarantined", "note: unknown word"): 1} == foretold_and_done(desk)
    assert [(1, "A"), (3, "-")] == made(desk)


def test_derived_ids_have_fixed_bytes(database: str, tmp_path: Path) -> None:
    """The same source name and key give the same id for ever: recomputed here with nothing but SHA-256."""
    assert UUID("80bb6ea8-5f0e-8e9a-b5b6-a5e5d3c8a0d1").version == derived("old", "1").version
    keys = ["1", "job-2", "", "ünïcödé", "it's", "a'b\\c", "x" * 300]
    execute(database, "CREATE TABLE old (id text PRIMARY KEY)")
    for key in keys:
        rows_of(database, "INSERT INTO old VALUES (%s)", [key])
    desk = make_project(
        tmp_path,
        database,
        ddl_up="CREATE TABLE new (id uuid PRIMARY KEY, key text)",
        backfills={MOVE: definition({"id": "derived_uuid()", "key": 'column("id")'})},
    )
    run(desk)
    assert {key: derived("old", key) for key in keys} == dict(rows_of(database, "SELECT key, id FROM new"))
    assert bool(check(desk).proven)


def test_composite_keys_are_told_apart(database: str, tmp_path: Path) -> None:
    """A key of several columns derives ids, walks batches and is quarantined as a whole."""
    execute(
        database,
        "CREATE TABLE old (a text, b integer, note text, PRIMARY KEY (b, a));"
        "INSERT INTO old SELECT chr(96 + a), b, CASE WHEN a = b THEN NULL ELSE a || '/' || b END"
        " FROM generate_series(1, 5) a, generate_series(1, 5) b; INSERT INTO old VALUES ('a1', 1, 'x'), ('a', 11, 'y')",
    )
    desk = make_project(
        tmp_path,
        database,
        ddl_up="CREATE TABLE new (id uuid PRIMARY KEY, note text NOT NULL)",
        backfills={MOVE: definition({"id": "derived_uuid()", "note": 'column("note")'}, key="('a', 'b')")},
        settings={"batch_rows": 3, "range_rows": 7},
    )
    assert {("moved", ""): 22, ("quarantined", "note: NULL is not allowed"): 5} == foretold_and_done(desk)
    found = dict(rows_of(database, "SELECT note, id FROM new"))
    assert (derived("old", "a1", "1"), derived("old", "a", "11")) == (found["x"], found["y"])
    held = rows_of(database, "SELECT source_key FROM migrator.quarantine ORDER BY 1")
    assert [(["a", "1"],), (["b", "2"],), (["c", "3"],), (["d", "4"],), (["e", "5"],)] == held


def test_elsewhere_must_be_kept(database: str, tmp_path: Path) -> None:
    """A row skipped for another backfill must be taken by it; one that neither takes is named."""
    backfills = {
        "even": definition(
            {"id": 'column("id")', "note": 'column("note")'},
            skip="{'odd': elsewhere(sql('id % 2 = 1'), 'odd')}",
        ),
        "odd": definition(
            {"id": 'column("id")', "note": 'column("note")'},
            target="'other'",
            skip="{'even': elsewhere(sql('id % 2 = 0'), 'even'), 'too big': sql('id > 4')}",
        ),
    }
    desk = one_table(
        tmp_path,
        database,
        rows=[(number, "x") for number in range(1, 7)],
        backfills=backfills,
        ddl_up="CREATE TABLE new (id bigint PRIMARY KEY, note text);"
        "CREATE TABLE other (id bigint PRIMARY KEY, note text)",
    )
    run(desk)
    (source,) = use_cases.verify_counts(desk).sources
    assert (6, 5, 1) == (source.source_rows, source.taken, source.unaccounted)
    assert [("5",)] == [one.key for one in source.examples]
    assert False is check(desk).proven


def test_values_contested_in_the_source_go_to_the_first_key(database: str, tmp_path: Path) -> None:
    """Of rows that share a unique value the first key holds it; the dry run foretells the others' fate."""
    desk = one_table(
        tmp_path,
        database,
        rows=[(5, "a"), (1, "b"), (3, "a"), (4, "a"), (2, None), (6, None), (7, "c")],
        target="note text UNIQUE",
        settings={"batch_rows": 2},
    )
    assert {("moved", ""): 5, ("quarantined", "note: another row holds this value"): 2} == foretold_and_done(desk)
    assert [(1, "b"), (2, None), (3, "a"), (6, None), (7, "c")] == made(desk)
    found = fates(desk)
    assert ["4", "5"] == sorted(key for key, (kind, _) in found.items() if kind == "quarantined")


def test_a_twin_that_is_quarantined_itself_holds_nothing(database: str, tmp_path: Path) -> None:
    """A first key that cannot be moved for another reason leaves the value to the next one."""
    desk = one_table(
        tmp_path,
        database,
        columns="note text, n integer",
        rows=[(1, "a", -1), (2, "a", 1), (3, "a", 1)],
        target="note text UNIQUE, n integer CHECK (n > 0)",
    )
    assert {
        ("moved", ""): 1,
        ("quarantined", "violates check new_n_check"): 1,
        ("quarantined", "note: another row holds this value"): 1,
    } == foretold_and_done(desk)
    assert [(2, "a", 1)] == made(desk)


def test_unique_values_of_the_application_are_respected(database: str, tmp_path: Path) -> None:
    """A unique value that an application's row holds is not taken from it: our row waits in quarantine."""
    desk = one_table(tmp_path, database, rows=[(1, "a"), (2, "b")], target="note text UNIQUE")
    run(desk, to=Phase.EXPAND)
    execute(database, "INSERT INTO new VALUES (100, 'a')")
    assert {("moved", ""): 1, ("quarantined", "note: another row holds this value"): 1} == foretold_and_done(desk)
    assert [(2, "b"), (100, "a")] == made(desk)


def test_names_of_every_kind(database: str, tmp_path: Path) -> None:
    """Names with quotes, percent signs, colons, dollars, umlauts and 63 bytes are moved, proven and undone."""
    names = ['a"b', "50%", "%s", ":x", "$1", "it's", "größe", "select", "UPPER", "with space", "ü" * 31 + "x"]
    quoted = {name: '"' + name.replace('"', '""') + '"' for name in names}
    columns = ", ".join(f"{one} text" for one in quoted.values())
    table, target = '"old ""%s"" :t $1"', '"new ü%"'
    values = ", ".join(f"'v{number}'" for number in range(len(names)))
    execute(database, f'CREATE TABLE {table} ("the ""key""" text PRIMARY KEY, {columns})')
    execute(database, f"INSERT INTO {table} VALUES ('k 1%', {values}), ('k''2', {values})")
    desk = make_project(
        tmp_path,
        database,
        ddl_up=f'CREATE TABLE {target} ("i%d" uuid PRIMARY KEY, {columns})',
        ddl_down=f"DROP TABLE {target}",
        backfills={
            MOVE: definition(
                {"i%d": "derived_uuid()", **{name: f"column({name!r})" for name in names}},
                source=repr(table),
                key=repr('the "key"'),
                target=repr(target),
                identity="'i%d'",
            )
        },
        settings={"batch_rows": 1},
    )
    run(desk)
    assert {("moved", ""): 2} == terms(desk)
    assert bool(check(desk).proven)
    row = rows_of(database, f"SELECT * FROM {target}")[0]
    assert [f"v{number}" for number in range(len(names))] == list(row[1:])


@pytest.mark.parametrize("collation", ["C", "POSIX", "default", "en_US.utf8", "C.UTF-8"])
def test_text_keys_in_every_collation(database: str, tmp_path: Path, collation: str) -> None:
    """Batches walk a text key in the order of its own collation, and meet each row once."""
    if not rows_of(database, "SELECT 1 FROM pg_collation WHERE collname = %s", [collation]):
        pytest.skip(f"the server has no collation {collation}")
    keys = ["a", "B", "b", "A", "ä", "Z", "z", "-", "_", "a b", "ab", "a-b", "1", "10", "2", "", "é", "É", "ß", "ss"]
    execute(database, f'CREATE TABLE old (id varchar(40) COLLATE "{collation}" PRIMARY KEY, note text)')
    for key in keys:
        rows_of(database, "INSERT INTO old VALUES (%s, %s)", [key, key])
    desk = make_project(
        tmp_path,
        database,
        ddl_up="CREATE TABLE new (id text PRIMARY KEY, note text)",
        settings={"batch_rows": 3, "range_rows": 7},
    )
    assert {("moved", ""): len(keys)} == foretold_and_done(desk)
    assert sorted(keys) == sorted(key for (key,) in rows_of(database, "SELECT id FROM new"))
    assert bool(check(desk).proven)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("timestamptz", ["2024-01-01 00:00:00.000001+00", "2024-01-01 00:00+05:45", "infinity", "0044-03-15 BC"]),
        ("mood", ["sad", "ok", "happy"]),
        ("uuid", ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]),
        ("numeric", ["1", "1.5", "-3", "100000000000000000000.25"]),
        ("date", ["2024-02-29", "infinity", "0001-01-01 BC"]),
        ("bytea", [r"\x", r"\x00", r"\x27ff"]),
        ("interval", ["1 mon", "31 days", "-1 day"]),
        ("boolean", ["false", "true"]),
        ("inet", ["10.0.0.1/8", "::1"]),
        ("float8", ["-Infinity", "-1e-300", "0.1", "NaN"]),
    ],
)
def test_keys_of_every_type(database: str, tmp_path: Path, kind: str, values: list[str]) -> None:
    """A key of any ordered type is walked, recorded, proven and quarantined under its own text."""
    execute(database, "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')")
    execute(database, f"CREATE TABLE old (id {kind} PRIMARY KEY, note text)")
    for number, value in enumerate(values):
        rows_of(database, f"INSERT INTO old VALUES (%s::{kind}, %s)", [value, str(number) if number else None])
    desk = make_project(
        tmp_path,
        database,
        ddl_up=f"CREATE TABLE new (id {kind} PRIMARY KEY, note text NOT NULL)",
        settings={"batch_rows": 1, "range_rows": 2},
    )
    expected = {("moved", ""): len(values) - 1, ("quarantined", "note: NULL is not allowed"): 1}
    assert expected == foretold_and_done(desk)
    assert [] == rows_of(database, "SELECT id FROM new EXCEPT SELECT id FROM old")
    proof = check(desk)
    assert {} == {name: number for one in proof.comparisons for name, number in one.counts.items()}


def test_a_definition_is_told_all_its_faults(database: str, tmp_path: Path) -> None:
    """Unknown columns, unfilled NOT NULL columns and clocks are refused with every fault named."""
    target = "note text, needed text NOT NULL, extra text"
    fill = {"needed": "constant('')", "extra": "constant('')"}
    run(one_table(tmp_path, database, target=target, fill=fill), to=Phase.EXPAND)
    ddl = f"CREATE TABLE new (id bigint PRIMARY KEY, {target})"
    wrong = definition({"id": 'column("id")', "note": 'column("note")', "extr": 'column("nte")'})
    with pytest.raises(MigratorError) as caught:
        run(make_project(tmp_path, database, ddl_up=ddl, backfills={MOVE: wrong}))
    assert ("M113", True, True) == (caught.value.id, '"extr"' in caught.value.what, '"needed"' in caught.value.what)
    clock = definition({"id": 'column("id")', "note": """sql("now() || note")""", "needed": "constant('')"})
    with pytest.raises(MigratorError) as caught:
        run(make_project(tmp_path, database, ddl_up=ddl, backfills={MOVE: clock}))
    assert ("M120", True) == (caught.value.id, "now" in caught.value.what)
    filled = {"id": 'column("id")', "note": "clock()", "needed": "constant('')"}
    rule = definition(filled, volatile="'note'", skip="{'late': sql('{c} > now()', c=clock())}")
    for wrong in (definition(filled), rule):
        with pytest.raises(MigratorError, match=r"M120.*the clock"):
            run(make_project(tmp_path, database, ddl_up=ddl, backfills={MOVE: wrong}))
    twice = definition({"note": "constant('x')"}, source="'public.old'", target="'old'", identity="'note'")
    with pytest.raises(MigratorError, match=r"M145.*one table"):
        run(make_project(tmp_path, database, ddl_up=ddl, backfills={MOVE: twice}))


def test_a_dry_run_before_expand_knows_types_of_ones_own(database: str, tmp_path: Path) -> None:
    """Enums, domains and composite types have other numbers on the scratch server, and are the same types."""
    before = (
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN small AS integer CHECK (VALUE < 100);"
        "CREATE TYPE pair AS (a integer, b text)"
    )
    desk = one_table(
        tmp_path,
        database,
        before=before,
        columns="m mood, ms mood[], p pair, s small, word text, number integer",
        rows=[(1, "ok", "{sad}", "(1,x)", 5, "sad", 5), (2, None, None, None, None, "glad", 100)],
        target="m mood, ms mood[], p pair, s small, word mood, number small",
    )
    foretold = terms(desk, planned=True)
    assert {("moved", ""): 1, ("quarantined", "word: not a valid public.mood"): 1} == foretold
    run(desk)
    assert foretold == terms(desk)
