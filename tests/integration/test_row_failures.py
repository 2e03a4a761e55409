"""Rows that cannot move, of every class PostgreSQL knows: each stays behind under its own true reason, alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from migrator.ledger.quarantine import Entry, Selection
from migrator.model.errors import UsageError
from migrator.model.step import Phase
from migrator.model.verdict import Balance
from migrator.workflow import use_cases
from migrator.workflow.desk import Desk, open_desk
from migrator.workflow.housekeeping import quarantine_dismiss, quarantine_entries, quarantine_retry
from tests.support.databases import Databases
from tests.support.projects import (
    CHANGE,
    check,
    column_names,
    definition,
    execute,
    fates,
    make_project,
    one_table,
    rows_of,
    run,
    terms,
)

BAD = (3, 6)  # of eight rows; the first is mended, the second is dismissed
FORETOLD = ""  # the SQLSTATE of a fault that the catalogs foretell: no statement failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One class of failures: two tables, a value that moves and one that does not, and what is said of it."""

    columns: str
    good: Any
    bad: Any
    reason: str
    state: str = FORETOLD
    constraint: str = ""
    target: str | None = None
    before: str = ""
    also: str = ""
    fill: dict[str, str] = field(default_factory=dict)
    planned: bool | None = None  # whether a plan counts it; otherwise only where no statement has to fail
    made: str | None = None  # the statements that make the target, where CREATE TABLE with the columns does not do
    room: str | None = None  # the values of the partition that the first bad row lacks

    @property
    def is_planned(self) -> bool:
        """Whether a plan counts these rows as they will be."""
        return self.planned if self.planned is not None else self.state == FORETOLD


def raising(what: str, when: str = "NEW.v = 'bad'", timing: str = "BEFORE INSERT ON new") -> str:
    """Write a trigger that raises."""
    return (
        f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$BEGIN IF {when} THEN RAISE EXCEPTION {what}; END IF; RETURN NEW; END$$;"
        f" CREATE {'CONSTRAINT TRIGGER' if 'DEFER' in timing else 'TRIGGER'} refuse {timing}"
        " FOR EACH ROW EXECUTE FUNCTION refuse()"
    )


BIG = "(SELECT string_agg(md5(g::text || {}), '') FROM generate_series(1, 2000) AS g)"
HALF = "CREATE FUNCTION half(t text) RETURNS int IMMUTABLE LANGUAGE sql AS $$SELECT 10 / (length(t) - 3)$$"

CASES = {
    "a cast": Case(
        columns="v text", target="v date", good="2020-02-29", bad="2021-02-29", reason="v: not a valid date"
    ),
    "an overflow": Case(columns="v bigint", target="v int", good=7, bad=2**31, reason="v: out of range for integer"),
    "a length": Case(
        columns="v text",
        target="v varchar(4)",
        good="four",
        bad="fives",
        reason=r"v: longer than character varying\(4\)",
    ),
    "a CHECK": Case(columns="v int", target="v int CHECK (v > 0)", good=1, bad=-1, reason="violates check new_v_check"),
    "a CHECK with a function": Case(
        columns="v text",
        before="CREATE FUNCTION fine(t text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS"
        " $$BEGIN IF t = 'bad' THEN RAISE 'not fine'; END IF; RETURN true; END$$",
        target="v text CHECK (fine(v))",
        good="a",
        bad="bad",
        reason="not fine",
        state="P0001",
        planned=True,
    ),
    "a foreign key": Case(
        columns="v int",
        before="CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1)",
        target="v int REFERENCES parent",
        good=1,
        bad=2,
        reason=r"v: no such row in \w+\.parent",
    ),
    "a foreign key decided at COMMIT": Case(
        columns="v int",
        before="CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1)",
        target="v int REFERENCES parent DEFERRABLE INITIALLY DEFERRED",
        good=1,
        bad=2,
        reason=r"v: no such row in \w+\.parent",
    ),
    "another row's value": Case(
        columns="v text",
        target="v text",
        also="CREATE UNIQUE INDEX ON new (v) WHERE v LIKE 'one%'; INSERT INTO new VALUES (-1, 'one')",
        good="a",
        bad="one",
        reason='duplicate key value violates unique constraint "new_v_idx"',
        state="23505",
        constraint="new_v_idx",
    ),
    "a unique expression": Case(
        columns="v text",
        target="v text",
        also="CREATE UNIQUE INDEX ON new (lower(v)) WHERE v ILIKE 'one%'; INSERT INTO new VALUES (-1, 'ONE')",
        good="a",
        bad="one",
        reason='duplicate key value violates unique constraint "new_lower_idx"',
        state="23505",
        constraint="new_lower_idx",
    ),
    "an exclusion constraint": Case(
        columns="v int",
        target="v int, EXCLUDE USING gist (int4range(v, v + 10) WITH &&) WHERE (v > 0)",
        also="INSERT INTO new VALUES (-1, 105)",
        good=0,
        bad=100,
        reason='conflicting key value violates exclusion constraint "new_int4range_excl"',
        state="23P01",
        constraint="new_int4range_excl",
    ),
    "an exclusion constraint decided at COMMIT": Case(
        columns="v int",
        target="v int, EXCLUDE USING gist (int4range(v, v + 10) WITH &&) WHERE (v > 0) DEFERRABLE INITIALLY DEFERRED",
        also="INSERT INTO new VALUES (-1, 105)",
        good=0,
        bad=100,
        reason='conflicting key value violates exclusion constraint "new_int4range_excl"',
        state="23P01",
        constraint="new_int4range_excl",
    ),
    "a missing value": Case(
        columns="v text", target="v text NOT NULL", good="a", bad=None, reason="v: NULL is not allowed"
    ),
    "a missing value of a column that nobody fills": Case(
        columns="v text",
        target="v text, w text NOT NULL DEFAULT 'w'",
        also="CREATE FUNCTION empty_w() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN IF NEW.v = 'bad' THEN NEW.w := NULL; END IF; RETURN NEW; END$$;"
        " CREATE TRIGGER empty_w BEFORE INSERT ON new FOR EACH ROW EXECUTE FUNCTION empty_w()",
        fill={"w": "constant('w')"},
        good="a",
        bad="bad",
        reason='null value in column "w"',
        state="23502",
        constraint="w",
    ),
    "a domain": Case(
        columns="v text",
        before="CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
        target="v positive",
        good="5",
        bad="-5",
        reason=r"v: not a valid \w+\.positive",
    ),
    "a length of a domain": Case(
        columns="v text",
        before="CREATE DOMAIN short AS varchar(4)",
        target="v short",
        good="four",
        bad="fives",
        reason=r"v: not a valid \w+\.short",
    ),
    "a trigger": Case(
        columns="v text", also=raising("'not %', NEW.v"), good="a", bad="bad", reason="not bad", state="P0001"
    ),
    "a trigger with an SQLSTATE of its own": Case(
        columns="v text",
        also=raising("'shop is closed' USING ERRCODE = 'SHOP1'"),
        good="a",
        bad="bad",
        reason="shop is closed",
        state="SHOP1",
    ),
    "a trigger decided at COMMIT": Case(
        columns="v text",
        also=raising("'too late'", timing="AFTER INSERT ON new DEFERRABLE INITIALLY DEFERRED"),
        good="a",
        bad="bad",
        reason="too late",
        state="P0001",
    ),
    "a failed ASSERT": Case(
        columns="v text",
        also="CREATE FUNCTION sure() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN ASSERT NEW.v <> 'bad', 'unsure';"
        " RETURN NEW; END$$; CREATE TRIGGER sure BEFORE INSERT ON new FOR EACH ROW EXECUTE FUNCTION sure()",
        good="a",
        bad="bad",
        reason="unsure",
        state="P0004",
    ),
    "text that is no json": Case(
        columns="v text", target="v jsonb", good='{"a": 1}', bad="{a: 1}", reason="v: not a valid jsonb"
    ),
    "an escaped NUL": Case(
        columns="v json", target="v jsonb", good='{"a": "b"}', bad='{"a": "\\u0000"}', reason="v: not a valid jsonb"
    ),
    "json too deep": Case(
        columns="v text",
        target="v jsonb",
        good="[1]",
        bad="[" * 200_000,
        reason="stack depth limit exceeded",
        state="54001",
        planned=True,
    ),
    "a generated column": Case(
        columns="v int",
        target="v int",
        also="ALTER TABLE new ADD w int GENERATED ALWAYS AS (10 / v) STORED",
        good=2,
        bad=0,
        reason="division by zero",
        state="22012",
    ),
    "an index expression": Case(
        columns="v text",
        target="v text",
        before=HALF,
        also="CREATE INDEX ON new (half(v))",
        good="a",
        bad="bad",
        reason="division by zero",
        state="22012",
    ),
    "no partition for it": Case(
        columns="v int",
        target="v int",
        made="CREATE TABLE new (id bigint PRIMARY KEY, v int) PARTITION BY RANGE (id);"
        " CREATE TABLE new_1 PARTITION OF new FOR VALUES FROM (0) TO (3);"
        " CREATE TABLE new_2 PARTITION OF new FOR VALUES FROM (4) TO (6);"
        " CREATE TABLE new_3 PARTITION OF new FOR VALUES FROM (7) TO (100)",
        room="FROM (3) TO (4)",
        good=2,
        bad=2,
        reason="violates check the partitions of new",
        state=FORETOLD,
    ),
    "no partition for its hash": Case(
        columns="v int",
        target="v int",
        made="CREATE TABLE new (id bigint PRIMARY KEY, v int) PARTITION BY HASH (id); "
        + "; ".join(
            f"CREATE TABLE new_{n + 1} PARTITION OF new FOR VALUES WITH (MODULUS 15, REMAINDER {n})"
            for n in (0, 3, 5, 6, 7)  # of 3 it is 1, of 6 it is 12
        ),
        room="WITH (MODULUS 15, REMAINDER 1)",
        good=2,
        bad=2,
        reason='no partition of relation "new" found for row',
        state="23514",
    ),
    "a row too big for an index": Case(
        columns="v text",
        target="v text",
        also="CREATE INDEX ON new (v)",
        fill={"v": f"sql(\"CASE WHEN v = 'bad' THEN {BIG.format('v')} ELSE v END\")"},
        good="a",
        bad="bad",
        reason="index row requires",
        state="54000",
    ),
    "a division in the definition": Case(
        columns="v int",
        fill={"v": "sql('100 / v')"},
        good=2,
        bad=0,
        reason="division by zero",
        state="22012",
        planned=True,
    ),
    "an argument in the definition": Case(
        columns="v text",
        fill={"v": 'sql("substr(v, 1, length(v) - 2)")'},
        good="four",
        bad="a",
        reason="negative substring length not allowed",
        state="22011",
        planned=True,
    ),
    "a word outside an enum": Case(
        columns="v text",
        before="CREATE TYPE mood AS ENUM ('sad', 'happy')",
        target="v mood",
        good="sad",
        bad="odd",
        reason=r"v: not a valid \w+\.mood",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What became of the rows of one case: planned, moved once, and after one bad row was mended and tried again."""

    planned: Balance
    moved: Balance
    waiting: tuple[Entry, ...]
    fates: dict[str, tuple[str, str]]
    settled: Balance


@pytest.fixture(scope="module")
def stories(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Story]]:
    """Let one change move the rows of all cases, each between two tables of a schema of its own."""
    with databases.fresh() as url:
        for number, case in enumerate(CASES.values()):
            make_old(url, f"s{number}", case)
        desk = make_project(
            tmp_path_factory.mktemp("stories"),
            url,
            ddl_up="; ".join(ddl(f"s{number}", case) for number, case in enumerate(CASES.values())),
            ddl_down="; ".join(f"DROP TABLE s{number}.new" for number in range(len(CASES))),
            backfills={f"move_{number}": moving(f"s{number}", case) for number, case in enumerate(CASES.values())},
            settings={"batch_rows": 5},
        )
        yield dict(zip(CASES, told(desk), strict=True))


def told(desk: Desk) -> list[Story]:
    """Plan, move, mend the first bad row of each case and try it again, dismiss the second."""
    run(desk, to=Phase.EXPAND)
    planned = use_cases.plan(desk).balances
    moved = run(desk, to=Phase.VERIFY).balances
    waiting = quarantine_entries(desk, Selection(change=CHANGE))
    for number, case in enumerate(CASES.values()):
        mend(desk.database.url, f"s{number}", case)
    mended = [one.id for one in waiting if one.key == (str(BAD[0]),)]
    missing = set(range(len(CASES))) - {int(one.backfill.removeprefix("move_")) for one in waiting}
    assert not missing, [list(CASES)[number] for number in missing]
    assert len(CASES) == quarantine_retry(desk, Selection(change=CHANGE, ids=tuple(mended)))
    run(desk, to=Phase.VERIFY)
    assert len(CASES) == quarantine_dismiss(desk, Selection(change=CHANGE), "it may stay")
    proof = check(desk)
    assert proof.proven, [one for one in proof.verdicts if not one.proven]
    return [
        Story(
            planned=planned[n],
            moved=moved[n],
            waiting=tuple(one for one in waiting if one.backfill == f"move_{n}"),
            fates=fates(desk, f"move_{n}"),
            settled=proof.balances[n],
        )
        for n in range(len(CASES))
    ]


def make_old(url: str, schema: str, case: Case) -> None:
    """Make the source of a case, eight rows of which two are bad."""
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        conn.execute(f"CREATE SCHEMA {schema}; SET search_path = {schema}; {case.before}".encode())
        conn.execute(f"CREATE TABLE old (id bigint PRIMARY KEY, {case.columns})".encode())
        for number in range(1, 9):
            row = sql.SQL(", ").join(map(sql.Literal, (number, case.bad if number in BAD else case.good)))
            conn.execute(sql.SQL("INSERT INTO old VALUES ({})").format(row))


def ddl(schema: str, case: Case) -> str:
    """Write the statements that make the target of a case."""
    made = case.made or f"CREATE TABLE new (id bigint PRIMARY KEY, {case.target or case.columns})"
    return "; ".join([f"SET LOCAL search_path = {schema}", made, *filter(None, [case.also]), "RESET search_path"])


def moving(schema: str, case: Case) -> str:
    """Write the definition of a case."""
    names = ["id", *column_names(case.target or case.columns)]
    columns = {name: f"column({name!r})" for name in names} | case.fill
    return definition(columns, source=f"'{schema}.old'", target=f"'{schema}.new'")


def mend(url: str, schema: str, case: Case) -> None:
    """Mend the first bad row at its source, or make room for it."""
    if case.room:
        execute(url, f"CREATE TABLE {schema}.new_0 PARTITION OF {schema}.new FOR VALUES {case.room}")
    else:
        execute(url, f"UPDATE {schema}.old SET v = (SELECT v FROM {schema}.old WHERE id = 1) WHERE id = {BAD[0]}")


def disposed(balance: Balance) -> dict[str, int]:
    """Count the rows of a Balance by what became of them."""
    return {one.disposition: balance.rows(one.disposition) for one in balance.terms if one.rows}


@pytest.mark.parametrize("name", CASES)
def test_rows_at_fault_stay_behind_alone_under_their_own_reason(name: str, stories: dict[str, Story]) -> None:
    """Two bad rows among eight wait, by key, reason, SQLSTATE and constraint, with the row itself; the rest moved."""
    case, story = CASES[name], stories[name]
    assert {(str(one),) for one in BAD} == {one.key for one in story.waiting}
    assert set(BAD) == {one.row["id"] for one in story.waiting}
    assert {(case.state, case.constraint)} == {(one.sqlstate or "", one.constraint or "") for one in story.waiting}
    assert all(re.match(case.reason, one.reason) for one in story.waiting), story.waiting
    assert ({"moved": 6, "quarantined": 2}, 0) == (disposed(story.moved), story.moved.unaccounted)


@pytest.mark.parametrize("name", CASES)
def test_what_the_catalogs_tell_is_foretold(name: str, stories: dict[str, Story]) -> None:
    """A plan counts what the catalogs tell and where the definition raises; the copy finds the others."""
    foretold = {"moved": 6, "quarantined": 2} if CASES[name].is_planned else {"moved": 8}
    assert (foretold, 0) == (disposed(stories[name].planned), stories[name].planned.unaccounted)


@pytest.mark.parametrize("name", CASES)
def test_a_mended_row_moves_and_a_dismissed_one_is_accounted_for(name: str, stories: dict[str, Story]) -> None:
    """What was mended moves once it is tried again; what was dismissed stays behind by name, and all is proven."""
    story = stories[name]
    assert "moved" == story.fates[str(BAD[0])][0]
    assert ({"moved": 7, "dismissed": 1}, 0) == (disposed(story.settled), story.settled.unaccounted)


@pytest.mark.parametrize("state", ["40001", "40P01", "55P03"])
def test_what_another_transaction_did_is_tried_again_and_never_held_against_a_row(
    state: str, tmp_path: Path, database: str
) -> None:
    """A serialization failure, a deadlock and a lock not got end in a further try, beside a row that is at fault."""
    body = (
        "IF NEW.id = 5 AND nextval('public.tries') < 5 THEN RAISE 'not now' USING ERRCODE = '" + state + "'; END IF;"
        " IF NEW.id = 7 THEN RAISE 'never'; END IF"
    )
    also = (
        f"CREATE FUNCTION busy() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {body}; RETURN NEW; END$$;"
        " CREATE TRIGGER busy BEFORE INSERT ON new FOR EACH ROW EXECUTE FUNCTION busy()"
    )
    rows = [(number, "a") for number in range(1, 9)]
    desk = one_table(tmp_path, database, rows=rows, before="CREATE SEQUENCE tries", also=also)
    run(desk)
    assert {("moved", ""): 7, ("quarantined", "never"): 1} == terms(desk)
    assert [(True,)] == rows_of(database, "SELECT last_value >= 5 FROM tries")


def test_row_security_on_the_target_stops_the_run_and_holds_nothing_against_rows(tmp_path: Path, database: str) -> None:
    """A policy's WITH CHECK is about us, not about a row: M311 names the way on, and nothing is written."""
    desk = one_table(
        tmp_path,
        database,
        also="ALTER TABLE new ENABLE ROW LEVEL SECURITY; ALTER TABLE new FORCE ROW"
        " LEVEL SECURITY; CREATE POLICY few ON new USING (true) WITH CHECK (id < 2)",
    )
    run(desk, to=Phase.EXPAND)
    role = f"bound_{database.rpartition('/')[2]}"
    execute(
        database,
        f"CREATE ROLE {role} LOGIN; GRANT ALL ON SCHEMA migrator, public TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA"
        f" migrator, public TO {role}; GRANT ALL ON ALL SEQUENCES IN SCHEMA migrator TO {role}",
    )
    try:
        bound = open_desk(config=str(tmp_path), url=database.replace("postgres@", f"{role}@", 1))
        with pytest.raises(UsageError) as caught:
            run(bound)
        assert ("M311", True) == (caught.value.id, "BYPASSRLS" in caught.value.cure)
        assert [(0, 0)] == rows_of(
            database, "SELECT (SELECT count(*) FROM new), (SELECT count(*) FROM migrator.quarantine)"
        )
        execute(database, f"ALTER ROLE {role} BYPASSRLS")
        run(bound)
        assert check(desk, f"grants to {role} on new").proven
    finally:
        execute(database, f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


def test_every_second_row_at_fault_is_found_and_each_row_counted_once(tmp_path: Path, database: str) -> None:
    """More rows at fault than one look may hold savepoints for: several looks find them all, and the counters agree."""
    desk = one_table(
        tmp_path,
        database,
        rows=[],
        columns="v int",
        fill={"v": "sql('100 / (v % 10)')"},
        also="CREATE FUNCTION odd() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.id % 2 = 1 THEN RAISE 'odd';"
        " END IF; RETURN NEW; END$$; CREATE TRIGGER odd BEFORE INSERT ON new FOR EACH ROW EXECUTE FUNCTION odd()",
        settings={"batch_rows": 500},
    )
    execute(database, "INSERT INTO old SELECT i, i FROM generate_series(1, 1200) AS i")
    run(desk)
    assert {("moved", ""): 480, ("quarantined", "division by zero"): 120, ("quarantined", "odd"): 600} == terms(desk)
    counted = "SELECT sum(read)::int, sum(moved)::int, sum(quarantined)::int FROM migrator.range"
    assert [(1200, 480, 720)] == rows_of(database, counted)
