"""What is declared against what is found: none, acts that mend it, or reasons why not. No database is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.engine.reconcile.diff import compare, diff, lines
from migrator.engine.reconcile.words import is_constant, plain, words
from migrator.model.adoption import Act, Acts, Equal, Refused
from migrator.model.anatomy import Anatomy, Beside, Column, Declaration, Part
from migrator.model.names import Relation

JOBS = Relation("public", "jobs")
USERS = Relation("auth", "users")
AT = '"public"."jobs"'
WORDS = "CHECK ((status = ANY (ARRAY['pending'::text, 'completed'::text, 'failed'::text])))"


def part(kind, name, content, columns=(), **more) -> Part:
    """Make an object of the table with the statement that makes it."""
    create = more.pop("create", f'ALTER TABLE {AT} ADD CONSTRAINT "{name}" {content}')
    return Part(kind=kind, name=name, content=content, columns=columns, create=create, **more)


PRIMARY = part("primary key", "jobs_pkey", "PRIMARY KEY (id)", ("id",))
UNIQUE = part("unique", "jobs_code_key", "UNIQUE (code)", ("code",))
CHECK = part("check", "jobs_status_check", WORDS, ("status",))
OWNER = part(
    "foreign key",
    "jobs_user_id_fkey",
    "FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE",
    ("user_id",),
    references=USERS,
    referenced=("id",),
)
INDEX = part("index", "jobs_status", "CREATE INDEX ON public.jobs USING btree (status)", ("status",))
TRIGGER = part("trigger", "touch", "CREATE TRIGGER BEFORE UPDATE ON public.jobs EXECUTE FUNCTION public.touch()")
POLICY = part("policy", "own", "AS PERMISSIVE FOR SELECT TO PUBLIC USING (true)")
REMARK = part("comment", "status", "what became of it")
GRANT = part("grant", "clerk", "INSERT, SELECT")
DECLARED = Anatomy(
    relation=JOBS,
    columns=(
        Column(name="id", type="uuid", not_null=True, default="gen_random_uuid()"),
        Column(name="user_id", type="uuid"),
        Column(name="status", type="text", not_null=True, default="'pending'::text"),
        Column(name="code", type="text"),
        Column(name="number", type="bigint"),
        Column(name="details", type="jsonb", default="'{}'::jsonb"),
        Column(name="at", type="timestamp with time zone", default="now()"),
    ),
    parts=(PRIMARY, UNIQUE, CHECK, OWNER, INDEX, TRIGGER, POLICY, REMARK, GRANT),
    row_security=True,
)
FILLED = replace(DECLARED, has_rows=True, bytes=8192)


def without(*gone: Part) -> Anatomy:
    """Find the table with rows, and without some objects."""
    return replace(FILLED, parts=tuple(one for one in FILLED.parts if one not in gone))


def beside(*more: Part) -> Anatomy:
    """Find the table with further objects."""
    return replace(FILLED, parts=(*FILLED.parts, *more))


def column(name: str, **other) -> Anatomy:
    """Find the table with a column that is otherwise."""
    columns = tuple(replace(one, **other) if one.name == name else one for one in FILLED.columns)
    return replace(FILLED, columns=columns)


def without_column(name: str) -> Anatomy:
    """Find the table without a column."""
    return replace(FILLED, columns=tuple(one for one in FILLED.columns if one.name != name))


def with_column(**said) -> Anatomy:
    """Find the table with one column more."""
    return replace(FILLED, columns=(*FILLED.columns, Column(**said)))


def did(outcome) -> list[str]:
    """List the statements of the acts."""
    assert isinstance(outcome, Acts), lines(outcome)
    return [sql for act in outcome.acts for sql in act.do]


def test_the_same_table_is_equal_whatever_its_constraints_are_called() -> None:
    """Names of constraints, indexes, triggers and policies, and the order of columns, are no difference."""
    renamed = tuple(replace(one, name=f"x{one.name}") for one in FILLED.parts if one.kind not in {"comment", "grant"})
    found = replace(FILLED, parts=(*renamed[::-1], REMARK, GRANT), columns=FILLED.columns[::-1])
    assert Equal() == diff(DECLARED, found)


@pytest.mark.parametrize(
    ("found", "first"),
    [
        (without_column("code"), f'ALTER TABLE {AT} ADD COLUMN "code" text'),
        (without_column("details"), f"""ALTER TABLE {AT} ADD COLUMN "details" jsonb DEFAULT '{{}}'::jsonb"""),
        (without_column("status"), f"""ALTER TABLE {AT} ADD COLUMN "status" text DEFAULT 'pending'::text NOT NULL"""),
        (without_column("at"), f'ALTER TABLE {AT} ADD COLUMN "at" timestamp with time zone'),
        (column("id", default=None), f'ALTER TABLE {AT} ALTER COLUMN "id" SET DEFAULT gen_random_uuid()'),
        (column("code", type="character varying(9)"), 'ALTER COLUMN "code" TYPE text'),
        (column("code", type="character varying"), 'ALTER COLUMN "code" TYPE text'),
        (column("number", type="integer"), 'ALTER COLUMN "number" TYPE bigint'),
        (column("number", type="smallint"), 'ALTER COLUMN "number" TYPE bigint'),
        (column("details", type="json", default=None), f"LOCK TABLE {AT} IN ACCESS EXCLUSIVE MODE"),
        (column("status", not_null=False), 'CHECK ("status" IS NOT NULL) NOT VALID'),
        (without(CHECK), f'ADD CONSTRAINT "jobs_status_check" {WORDS} NOT VALID'),
        (without(OWNER), "ON DELETE CASCADE NOT VALID"),
        (without(UNIQUE), f'CREATE UNIQUE INDEX CONCURRENTLY "jobs_code_key" ON {AT} (code)'),
        (without(PRIMARY), f'CREATE UNIQUE INDEX CONCURRENTLY "jobs_pkey" ON {AT} (id)'),
        (without(INDEX), 'CREATE INDEX CONCURRENTLY "jobs_status" ON public.jobs USING btree (status)'),
        (without(TRIGGER), TRIGGER.create),
        (without(POLICY), POLICY.create),
        (without(REMARK), REMARK.create),
        (without(GRANT), f"GRANT INSERT, SELECT ON {AT} TO clerk"),
        (replace(FILLED, row_security=False), f"ALTER TABLE {AT} ENABLE ROW LEVEL SECURITY"),
    ],
)
def test_what_is_missing_is_brought_over(found: Anatomy, first: str) -> None:
    """Each difference that loses nothing has its act, with an undo and a lock that is named."""
    outcome = diff(DECLARED, found)
    assert first in did(outcome)[0]
    assert isinstance(outcome, Acts)
    assert outcome.acts[0].undo
    assert all(one.lock for one in outcome.acts)


def test_a_default_that_is_worked_out_is_not_given_to_rows_that_are_there() -> None:
    """A missing `created_at` stays NULL for old rows: nobody invents a date."""
    added, then = did(diff(DECLARED, without_column("at")))
    assert "DEFAULT" not in added
    assert "SET DEFAULT now()" in then


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (column("number", type="text"), 'column "number" is text, declared: bigint'),
        (column("code", type="character(3)"), 'column "code" is character(3), declared: text'),
        (column("code", not_null=True), 'column "code" is NOT NULL, declared: nullable'),
        (column("status", default="'new'::text"), "has default 'new'::text, declared: 'pending'::text"),
        (column("code", default="'x'::text"), "has default 'x'::text, declared: none"),
        (column("number", identity="a"), "is an identity, always, declared: an ordinary column"),
        (column("code", collation='pg_catalog."C"'), 'is collated by pg_catalog."C", declared: default'),
        (column("code", type="character varying", used_by=("view v",)), "while it is used by view v"),
        (replace(column("number", type="integer"), bytes=2**31), "would be rewritten under ACCESS EXCLUSIVE"),
        (replace(column("details", type="json"), parts=()), "without a primary key"),
        (with_column(name="tenant", type="uuid", not_null=True), 'column "tenant" is not declared, is NOT NULL'),
        (without_column("id"), "no constant fills it for the rows that are there"),
        (beside(part("check", "c", "CHECK ((number > 0))", ("number",))), "may refuse our rows"),
        (beside(part("unique", "u", "UNIQUE (number)", ("number",))), "may refuse our rows"),
        (beside(part("index", "u", "CREATE UNIQUE INDEX ON x", ("number",), unique=True)), "may refuse our rows"),
        (beside(part("trigger", "mail", "CREATE TRIGGER AFTER INSERT")), "may change or refuse our rows"),
        (beside(part("rule", "r", "RULE AS ON INSERT")), "may change or refuse our rows"),
        (beside(part("policy", "all", "AS PERMISSIVE FOR ALL")), "may show our rows to more people"),
        (replace(FILLED, parts=(*without(TRIGGER).parts, replace(TRIGGER, state="DISABLED"))), "touch is DISABLED"),
        (
            replace(
                without(OWNER),
                parts=(*without(OWNER).parts, replace(OWNER, content="FOREIGN KEY (x)", columns=("x",))),
            ),
            "FOREIGN",
        ),
        (replace(FILLED, builders=(4711,)), "an index of it is being built by pid 4711"),
        (replace(FILLED, kind="p"), "it is a partitioned table, declared: an ordinary table"),
    ],
)
def test_what_would_lose_or_refuse_or_show_something_is_refused(found: Anatomy, why: str) -> None:
    """Each reason is said in the user's names."""
    outcome = diff(DECLARED, found)
    assert isinstance(outcome, Refused)
    assert why in "\n".join(outcome.reasons)


@pytest.mark.parametrize(
    ("found", "note"),
    [
        (with_column(name="extra", type="text"), 'column "extra" is not declared; it stays'),
        (with_column(name="extra", type="text", not_null=True, default="''::text"), "it stays"),
        (beside(part("index", "i", "CREATE INDEX ON public.jobs USING btree (at)", ("at",))), "it stays"),
        (
            beside(part("index", "u", "CREATE UNIQUE INDEX ON x", ("id", "at"), unique=True)),
            "forbids the same and more",
        ),
        (beside(part("trigger", "t", "CREATE TRIGGER WHEN (migrator.applying)")), "does not fire for our rows"),
        (beside(part("policy", "less", "AS RESTRICTIVE FOR ALL")), "shows our rows to nobody else"),
        (beside(part("check", "c", "CHECK ((extra > 0))", ("extra",))), "columns that our rows do not fill"),
        (replace(FILLED, forced=True), "row security is forced"),
        (replace(without(REMARK), parts=(*without(REMARK).parts, replace(REMARK, content="?"))), "is another one"),
    ],
)
def test_what_is_harmless_is_only_noted(found: Anatomy, note: str) -> None:
    """What neither refuses nor shows our rows stays, and is said."""
    outcome = diff(DECLARED, found)
    assert isinstance(outcome, Equal)
    assert note in outcome.notes[0]


def test_t7_a_check_that_forgot_a_word_is_refused_by_that_word() -> None:
    """T7: the replaced check no longer allows `failed`, which is declared; one that allows more is noted."""
    fewer = replace(CHECK, content=WORDS.replace(", 'failed'::text", ""))
    outcome = diff(DECLARED, replace(FILLED, parts=(*without(CHECK).parts, fewer)))
    assert isinstance(outcome, Refused)
    assert ["it forbids 'failed', which is declared"] == [one.rpartition(": ")[2] for one in outcome.reasons]
    more = replace(CHECK, content=WORDS.replace("]", ", 'new'::text]"))
    outcome = diff(DECLARED, replace(FILLED, parts=(*without(CHECK).parts, more)))
    assert f'ADD CONSTRAINT "jobs_status_check_declared" {WORDS} NOT VALID' in did(outcome)[0]
    assert "it allows every declared word" in outcome.notes[0]


def test_the_whole_difference_is_said_with_what_could_be_mended() -> None:
    """A refusal also lists what would have been brought over, and what is harmless."""
    found = replace(column("number", type="text"), parts=without(INDEX).parts)
    found = replace(found, columns=(*found.columns, Column(name="extra", type="text")))
    assert [
        'column "number" is text, declared: bigint',
        f"index jobs_status is missing: {INDEX.content} [could be brought over]",
        'column "extra" is not declared; it stays, and our rows do not fill it [harmless]',
    ] == lines(diff(DECLARED, found))


def test_what_a_later_revision_declares_is_not_undeclared() -> None:
    """A column and a constraint that come with a revision after this one are no difference now."""
    later = replace(DECLARED, columns=(*DECLARED.columns, Column(name="more", type="text")), parts=(*DECLARED.parts,))
    earlier = replace(DECLARED, parts=tuple(one for one in DECLARED.parts if one is not OWNER))
    found = replace(FILLED, columns=later.columns)
    assert isinstance(diff(earlier, found), Refused)
    assert Equal() == diff(earlier, found, later)


@pytest.mark.parametrize(("major", "concurrent"), [(17, False), (18, True)])
def test_a_foreign_key_of_a_partitioned_table_before_18_is_added_at_once(major: int, concurrent: bool) -> None:
    """PostgreSQL below 18 takes no NOT VALID there; the plan warns of it."""
    partitioned = replace(DECLARED, kind="p")
    outcome = diff(partitioned, replace(partitioned, parts=without(OWNER).parts), major=major)
    assert concurrent == ("NOT VALID" in did(outcome)[0])
    assert ([] if concurrent else ["H115"]) == [one.hazard.id for one in outcome.acts if one.hazard]


def test_functions_and_types_beside_the_tables_are_compared_whole() -> None:
    """Labels that differ are refused, and shown; a missing function is made before the trigger that calls it."""
    states = Beside(kind="type", name="public.state", content="ENUM ('a', 'b')", create="CREATE TYPE", drop="DROP TYPE")
    touch = Beside(
        kind="function", name="public.touch()", content="body", create="CREATE FUNCTION", drop="DROP FUNCTION"
    )
    declared = Declaration(made=(DECLARED,), beside=(states, touch))
    outcome = compare(declared, {JOBS: without(TRIGGER)}, {"type public.state": states})
    assert ["CREATE FUNCTION", TRIGGER.create] == did(outcome)
    other = replace(states, content="ENUM ('A', 'B')")
    outcome = compare(declared, {JOBS: FILLED}, {"type public.state": other, "function public.touch()": touch})
    assert isinstance(outcome, Refused)
    assert ("type public.state is ENUM ('A', 'B'), declared: ENUM ('a', 'b')",) == outcome.reasons


def test_a_table_that_is_missing_beside_others_is_made() -> None:
    """Where one table of a revision is there and another is not, that one is made, and undone by dropping it."""
    outcome = diff(DECLARED, None)
    assert did(outcome)[0].startswith(f'CREATE TABLE {AT} ("id" uuid DEFAULT gen_random_uuid() NOT NULL, ')
    assert (f"DROP TABLE {AT}",) == outcome.acts[0].undo
    assert JOBS == outcome.acts[0].makes


def test_an_act_comes_back_from_json() -> None:
    """What the Ledger keeps of an act is all that undo needs."""
    partitioned = replace(DECLARED, kind="p")
    every = [
        act
        for found in (without(OWNER, UNIQUE), column("details", type="json"), without_column("code"))
        for act in diff(DECLARED, found).acts
    ]
    every += diff(partitioned, replace(partitioned, parts=without(OWNER).parts), major=15).acts
    assert every == [Act.from_json(one.as_json()) for one in every]


MUTATIONS = st.lists(
    st.one_of(
        st.sampled_from([one for one in FILLED.parts if one.kind != "comment"]),
        st.sampled_from([("id", "default"), ("status", "not_null"), ("code", "type"), ("number", "type")]),
    ),
    unique_by=str,
)
NARROWER = {"code": "character varying(9)", "number": "integer"}


@given(MUTATIONS)
def test_whatever_is_lost_is_brought_over_in_an_order_that_works(mutations: list) -> None:
    """Any objects together, lost from a declared table: each has its act, types first and grants last."""
    found = without(*[one for one in mutations if isinstance(one, Part)])
    for name, what in (one for one in mutations if isinstance(one, tuple)):
        new = {"default": None, "not_null": False, "type": NARROWER.get(name)}[what]
        columns = tuple(replace(one, **{what: new}) if one.name == name else one for one in found.columns)
        found = replace(found, columns=columns)
    outcome = diff(DECLARED, found)
    if not mutations:
        assert isinstance(outcome, Equal)
        return
    assert isinstance(outcome, Acts)
    assert [one.stage for one in outcome.acts] == sorted(one.stage for one in outcome.acts)
    assert len(mutations) == len({one.difference for one in outcome.acts})


def test_casts_around_words_are_no_difference() -> None:
    """What varchar and text print for the same words is the same; a cast of another column is not."""
    of_varchar = "CHECK (((s)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))"
    of_text = "CHECK ((s = ANY (ARRAY['a'::text, 'b'::text])))"
    assert plain(of_varchar, {"s"}) == plain(of_text, {"s"})
    assert ("s", frozenset({"'a'", "'b'"})) == words(of_varchar, {"s"})
    assert plain("CHECK ((n)::text = 'x'::text)", set()) != plain("CHECK (n = 'x'::text)", set())
    assert words("CHECK ((n > 1))", {"n"}) is None


@pytest.mark.parametrize(
    "default", ["'x'::text", "5", "-1.5", "true", "'{}'::text[]", "'a'::character varying(3)", "''"]
)
def test_constants_are_known(default: str) -> None:
    """A literal, cast or not, is a constant."""
    assert is_constant(default)


@pytest.mark.parametrize("default", [None, "now()", "nextval('s'::regclass)", "'a'::text || 'b'::text", "CURRENT_DATE"])
def test_what_is_worked_out_is_no_constant(default: str | None) -> None:
    """A call, an operator or nothing is none."""
    assert not is_constant(default)
