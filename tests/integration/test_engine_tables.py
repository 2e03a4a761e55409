"""What makes a stranger's table strange, one thing at a time: names, collations, keys nobody vouches for, sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from migrator.model.errors import MigratorError
from migrator.model.names import quote
from migrator.model.step import Phase
from migrator.workflow import use_cases
from tests.support.projects import (
    MOVE,
    back,
    check,
    definition,
    execute,
    extension,
    fates,
    make_project,
    one_table,
    rows_of,
    run,
    terms,
)

if TYPE_CHECKING:
    from pathlib import Path

OURS = ("p", "known", "held", "raised")
THEIRS = ("holder", "pointed", "candidate")
COLUMNS = ("~code", "~k1", "key", "value", "state", "hex", "recognised")


@pytest.mark.parametrize("name", OURS)
def test_a_source_may_be_called_as_we_call_things(database: str, tmp_path: Path, name: str) -> None:
    """Whatever a source is called, its rows are moved, quarantined, proven and found done."""
    execute(database, f'CREATE TABLE {quote(name)} (id text COLLATE "C" PRIMARY KEY, {quote(name)} text)')
    execute(database, f"INSERT INTO {quote(name)} VALUES ('1', 'one'), ('2', NULL), ('3', 'three')")
    columns = {"id": 'column("id")', "note": f"sql({f'{quote(name)}.{quote(name)}'!r})"}
    desk = make_project(
        tmp_path,
        database,
        ddl_up="CREATE TABLE new (id text PRIMARY KEY, note text NOT NULL)",
        backfills={MOVE: definition(columns, source=repr(name))},
        settings={"batch_rows": 1},
    )
    run(desk)
    run(desk)
    assert {("moved", ""): 2, ("quarantined", "note: NULL is not allowed"): 1} == terms(desk)
    held = rows_of(database, "SELECT source_row FROM migrator.quarantine")
    assert [({"id": "2", name: None},)] == held
    assert {} == {kind: number for one in check(desk).comparisons for kind, number in one.counts.items()}


@pytest.mark.parametrize("name", THEIRS)
def test_a_target_may_be_called_as_we_call_things(database: str, tmp_path: Path, name: str) -> None:
    """Whatever a target is called, dangling and doubled values are foretold against the right tables."""
    execute(database, "CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1)")
    execute(database, "CREATE TABLE old (id int PRIMARY KEY, at int, tag text)")
    execute(database, "INSERT INTO old VALUES (1, 1, 'a'), (2, 7, 'b'), (3, 1, 'a'), (4, 1, NULL), (5, 1, 'c')")
    execute(
        database,
        f"CREATE TABLE {quote(name)} (id int PRIMARY KEY, at int REFERENCES other, tag text UNIQUE, CHECK (tag > ''))",
    )
    execute(database, f"INSERT INTO {quote(name)} VALUES (100, 1, 'c')")
    columns = {"id": 'column("id")', "at": 'column("at")', "tag": 'column("tag")'}
    desk = make_project(
        tmp_path,
        database,
        ddl_up="SELECT 1",
        ddl_down="SELECT 1",
        backfills={MOVE: definition(columns, target=repr(name))},
    )
    expected = {
        ("moved", ""): 2,
        ("quarantined", "at: no such row in other"): 1,
        ("quarantined", "tag: another row holds this value"): 2,
    }
    assert expected == terms(desk, planned=True)
    run(desk)
    assert {"moved": 2, "quarantined": 3} == _sums(terms(desk))


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_may_be_called_as_we_call_things(database: str, tmp_path: Path, name: str) -> None:
    """Whatever a key and a column are called, plan, copy, proof and rollback tell them from ours."""
    column = quote(name)
    execute(database, f"CREATE TABLE old ({column} int PRIMARY KEY); INSERT INTO old VALUES (1), (2)")
    made = {
        name: f"sql({column!r})",
        "id": "derived_uuid()",
        "kind": f"rules('r', rule('x', when=sql({f'{column} = 1'!r}), value='y'), otherwise=constant('z'))",
    }
    desk = make_project(
        tmp_path,
        database,
        ddl_up=f"CREATE TABLE new (id uuid PRIMARY KEY, {column} int UNIQUE CHECK ({column} > 0), kind text)",
        backfills={MOVE: definition(made, key=repr(name))},
    )
    assert {("moved", ""): 2} == terms(desk, planned=True)
    assert run(desk, to=Phase.VERIFY).proven
    back(desk)


def test_a_name_that_begins_like_ours_is_refused(database: str, tmp_path: Path) -> None:
    """The one beginning that we keep for ourselves is refused by name, before anything is written."""
    desk = one_table(tmp_path, database, columns='"~migrator code" text')
    with pytest.raises(MigratorError, match='"~migrator code" begins with ~migrator') as caught:
        run(desk)
    assert "M140" == caught.value.id


@pytest.mark.parametrize("name", ["a.b.c", "a.", ".b", ""])
def test_what_is_no_name_of_a_table_is_refused(database: str, tmp_path: Path, name: str) -> None:
    """A source by three names, or by an empty one, is refused in words."""
    columns = {"id": 'column("id")'}
    desk = make_project(tmp_path, database, backfills={MOVE: definition(columns, source=repr(name or '""'))})
    with pytest.raises(MigratorError, match="is not the name of a table") as caught:
        run(desk)
    assert "M141" == caught.value.id


def test_a_check_beside_competing_rows_names_its_columns_plainly(database: str, tmp_path: Path) -> None:
    """Rows that compete for a unique value are foretold although a CHECK names the same column."""
    rows = [(1, "a"), (2, "a"), (3, "z"), (4, "b")]
    unique = "ALTER TABLE new ADD UNIQUE (note), ADD CHECK (note <> 'z')"
    desk = one_table(tmp_path, database, rows=rows, also=unique)
    run(desk, to=Phase.EXPAND)
    assert {"moved": 2, "quarantined": 2} == _sums(terms(desk, planned=True))


def _sums(found: dict[tuple[str, str], int]) -> dict[str, int]:
    return {fate: sum(n for (one, _), n in found.items() if one == fate) for fate, _ in found}


MOMENTS = {
    "domain": ("CREATE DOMAIN day AS date", "day", "now", "2024-02-29"),
    "domain of a domain": ("CREATE DOMAIN d AS date; CREATE DOMAIN day AS d", "day", "tomorrow", "2024-02-29"),
    "domain over an array": ("CREATE DOMAIN days AS date[]", "days", "{today}", "{2024-02-29}"),
    "composite": ("CREATE TYPE event AS (at timestamptz, what text)", "event", "(now,x)", "(2024-02-29,x)"),
    "multirange": ("SELECT 1", "datemultirange", "{[yesterday,today]}", "{[2024-02-28,2024-02-29]}"),
}


@pytest.mark.parametrize("kind", MOMENTS)
def test_finding_17_a_clock_word_is_no_value_however_deep(database: str, tmp_path: Path, kind: str) -> None:
    """A word that means another moment at every look is a fault, also inside a domain, an array or a composite."""
    before, made, word, fixed = MOMENTS[kind]
    desk = one_table(tmp_path, database, before=before, rows=[(1, word), (2, fixed)], target=f"note {made}")
    run(desk)
    assert {"moved": 1, "quarantined": 1} == _sums(terms(desk))


LOST = {
    "domain over numeric": ("CREATE DOMAIN cents AS numeric(6, 2)", "numeric", "1.005", "cents"),
    "date": ("SELECT 1", "timestamp", "2024-02-29 12:00", "date"),
    "interval": ("SELECT 1", "interval", "1 mon 00:00:00.5", "interval(0)"),
    "cidr": ("SELECT 1", "inet", "10.0.0.1/24", "cidr"),
}


@pytest.mark.parametrize("kind", LOST)
def test_finding_17_what_an_assignment_drops_in_silence_is_flagged(database: str, tmp_path: Path, kind: str) -> None:
    """Digits, hours and bits of an address that do not fit the target are flagged on the row."""
    before, of, value, to = LOST[kind]
    desk = one_table(tmp_path, database, before=before, columns=f"note {of}", rows=[(1, value)], target=f"note {to}")
    run(desk)
    (flags,) = (one.flags for one in use_cases.verify_counts(desk).balances)
    assert [1] == [number for name, number in flags.items() if "rounded" in name]


@pytest.mark.parametrize(("of", "to"), [("bit(4)", "bit(3)"), ("bit(4)", "bit(5)"), ("bit varying", "bit varying(3)")])
def test_finding_17_bits_are_neither_cut_off_nor_added(database: str, tmp_path: Path, of: str, to: str) -> None:
    """Bits of another length are a fault, as they are for an INSERT; a cast would change them in silence."""
    desk = one_table(tmp_path, database, columns=f"note {of}", rows=[(1, "1010"), (2, None)], target=f"note {to}")
    run(desk)
    assert {"moved": 1, "quarantined": 1} == _sums(terms(desk))


def test_a_merge_recognises_rows_as_the_unique_index_does(database: str, tmp_path: Path) -> None:
    """An address in other letters, and a number with other noughts, are the same: merged, and proven so."""
    extension(database, "citext")
    execute(database, "CREATE TABLE old (id int PRIMARY KEY, mail text, price numeric)")
    execute(database, "INSERT INTO old VALUES (1, 'Ann@X', 1.10), (2, 'bob@x', 2)")
    execute(database, "CREATE TABLE new (id int PRIMARY KEY, mail citext, price numeric, UNIQUE (mail, price))")
    execute(database, "INSERT INTO new VALUES (100, 'ann@x', 1.1000)")
    columns = {"id": 'column("id")', "mail": 'column("mail")', "price": 'column("price")'}
    moving = definition(columns, merge="('mail', 'price')")
    desk = make_project(tmp_path, database, ddl_up="SELECT 1", ddl_down="SELECT 1", backfills={MOVE: moving})
    assert run(desk, to=Phase.VERIFY).proven
    assert {"1": ("merged", "100"), "2": ("moved", "2")} == fates(desk)


def test_a_foreign_key_may_join_two_collations(database: str, tmp_path: Path) -> None:
    """A column and what it points at may be of different collations: who points at nothing is found all the same."""
    before = "CREATE TABLE words (word text COLLATE \"C\" PRIMARY KEY); INSERT INTO words VALUES ('one')"
    desk = one_table(
        tmp_path,
        database,
        before=before,
        rows=[(1, "one"), (2, "two")],
        target='note text COLLATE "POSIX" REFERENCES words',
    )
    run(desk)
    assert {("moved", ""): 1, ("quarantined", "note: no such row in words"): 1} == terms(desk)


def test_a_fragment_may_join_two_collations(database: str, tmp_path: Path) -> None:
    """A value made of two collations, which has none of its own, takes that of its column."""
    columns = 'note text COLLATE "C", more text COLLATE "POSIX"'
    desk = one_table(
        tmp_path,
        database,
        columns=columns,
        rows=[(1, "a", "b")],
        target="note text UNIQUE",
        fill={"note": 'sql("note || more")'},
    )
    assert {("moved", ""): 1} == terms(desk, planned=True)
    assert run(desk, to=Phase.VERIFY).proven


def test_a_text_of_a_megabyte_arrives_whole(database: str, tmp_path: Path) -> None:
    """What is stored out of line is moved and compared like anything else."""
    desk = one_table(tmp_path, database)
    execute(
        database,
        "UPDATE old SET note = (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 32768) n) WHERE id = 1",
    )
    assert run(desk, to=Phase.VERIFY).proven
    assert [(1048576, True)] == rows_of(
        database, "SELECT length(n.note), n.note = o.note FROM new n JOIN old o USING (id) WHERE id = 1"
    )


UNKEPT = {
    "view": "CREATE VIEW old AS SELECT * FROM base",
    "materialised view": "CREATE MATERIALIZED VIEW old AS SELECT * FROM base",
    "parent": "CREATE TABLE old (id bigint UNIQUE, note text); ALTER TABLE base INHERIT old",
}


@pytest.mark.parametrize("kind", UNKEPT)
def test_a_key_that_nobody_keeps_is_counted(database: str, tmp_path: Path, kind: str) -> None:
    """A view or a parent is taken, with a hazard, while its keys are unique, and refused once they are not."""
    execute(
        database,
        f"CREATE TABLE base (id bigint, note text); INSERT INTO base VALUES (1, 'a'), (2, 'b'); {UNKEPT[kind]}",
    )
    desk = make_project(tmp_path, database)
    assert ["H140"] == [one.id for one in use_cases.plan(desk).hazards]
    assert run(desk, to=Phase.VERIFY).proven
    execute(database, "INSERT INTO base VALUES (2, 'second'), (NULL, 'none')")
    if kind == "materialised view":
        execute(database, "REFRESH MATERIALIZED VIEW old")
    with pytest.raises(
        MigratorError, match="2 rows share their key with another, for example 2 and 1 rows have NULL"
    ) as caught:
        run(desk, to=Phase.VERIFY)
    assert "M142" == caught.value.id


NO_TARGET = {
    "view": "CREATE VIEW new AS SELECT * FROM base",
    "foreign table": "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER s FOREIGN DATA WRAPPER nothing;"
    "CREATE FOREIGN TABLE new (id bigint, note text) SERVER s",
    "heirs": "CREATE TABLE new (id bigint UNIQUE, note text); ALTER TABLE base INHERIT new",
}


@pytest.mark.parametrize("kind", NO_TARGET)
def test_what_cannot_be_a_target_is_refused(database: str, tmp_path: Path, kind: str) -> None:
    """A view, a foreign table, and a table whose heirs' rows look like its own take no rows."""
    execute(
        database,
        f"CREATE TABLE base (id bigint, note text); {NO_TARGET[kind]}; CREATE TABLE old (id int PRIMARY KEY)",
    )
    desk = make_project(tmp_path, database, ddl_up="SELECT 1", ddl_down="SELECT 1")
    with pytest.raises(MigratorError) as caught:
        run(desk)
    assert "M144" == caught.value.id
    assert [(None,)] == rows_of(database, "SELECT to_regclass('migrator.backfill')")


def test_finding_25_a_sequence_that_only_a_default_names_is_set_right(database: str, tmp_path: Path) -> None:
    """The sequence behind a default need not belong to the column: the next number is free all the same."""
    ddl = "CREATE SEQUENCE numbers; CREATE TABLE new (id bigint PRIMARY KEY DEFAULT nextval('numbers'), note text)"
    desk = one_table(
        tmp_path, database, rows=[(1, "one"), (2, "two")], ddl_up=ddl, ddl_down="DROP TABLE new; DROP SEQUENCE numbers"
    )
    run(desk)
    assert [(3,)] == rows_of(database, "INSERT INTO new (note) VALUES ('of the application') RETURNING id")


def test_rows_that_a_collation_brings_together_are_foretold(database: str, tmp_path: Path) -> None:
    """Two keys of the source are one key of the target: the first has it, the second is named."""
    extension(database, "citext")
    execute(database, "CREATE TABLE old (id text PRIMARY KEY, note text)")
    execute(database, "INSERT INTO old VALUES ('A', 'first'), ('a', 'second'), ('b', 'other')")
    desk = make_project(tmp_path, database, ddl_up="CREATE TABLE new (id citext PRIMARY KEY, note text)")
    run(desk, to=Phase.EXPAND)
    assert {"moved": 2, "quarantined": 1} == _sums(terms(desk, planned=True))
    run(desk)
    assert {"moved": 2, "quarantined": 1} == _sums(terms(desk))
    assert ["second"] == [
        note for (note,) in rows_of(database, "SELECT source_row ->> 'note' FROM migrator.quarantine")
    ]


def test_two_unique_keys_over_the_same_columns_are_foretold_once(database: str, tmp_path: Path) -> None:
    """A target may say twice that a value is unique; rows that compete for it are named once."""
    rows = [(1, "a"), (2, "a"), (3, "b")]
    also = "ALTER TABLE new ADD UNIQUE (note); CREATE UNIQUE INDEX once_more ON new (note)"
    desk = one_table(tmp_path, database, rows=rows, also=also)
    run(desk, to=Phase.EXPAND)
    assert {"moved": 2, "quarantined": 1} == _sums(terms(desk, planned=True))
    run(desk)
    assert {"moved": 2, "quarantined": 1} == _sums(terms(desk))


def test_an_identity_with_a_deferrable_key_beside_its_own_is_refused(database: str, tmp_path: Path) -> None:
    """Every key over the identity decides conflicts, and a deferrable one cannot: it is named before rows are moved."""
    desk = one_table(tmp_path, database, also="ALTER TABLE new ADD CONSTRAINT late UNIQUE (id) DEFERRABLE")
    with pytest.raises(MigratorError, match=r"is deferrable \(late\)") as caught:
        run(desk)
    assert "M119" == caught.value.id
    assert [] == rows_of(database, "SELECT * FROM new")
