"""Whatever was taken from a declared table is brought over, and undo gives back exactly what was found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrator.database.anatomy import anatomies, besides
from migrator.engine.reconcile.diff import compare, diff, lines
from migrator.engine.reconcile.words import plain
from migrator.model.adoption import Act, Acts, Equal, Rows
from migrator.model.anatomy import Anatomy, Declaration
from migrator.model.names import Relation

TARGET = Relation("public", "video_jobs")
DECLARED = """
CREATE SCHEMA auth;
CREATE TABLE auth.users (id uuid PRIMARY KEY);
CREATE TYPE public.mood AS ENUM ('good', 'bad');
CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.updated_at := now(); RETURN NEW; END';
CREATE TABLE public.video_jobs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid CONSTRAINT owner_fkey REFERENCES auth.users (id) ON DELETE CASCADE,
    "Workflow name" text NOT NULL,
    status text NOT NULL CONSTRAINT status_check CHECK (status IN ('pending', 'completed', 'failed')),
    size bigint DEFAULT 0,
    small integer,
    parameters jsonb DEFAULT '{}',
    comfy_job_id text CONSTRAINT comfy_key UNIQUE,
    mood public.mood DEFAULT 'good',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz DEFAULT now());
CREATE INDEX by_status ON public.video_jobs (status, created_at DESC);
CREATE INDEX "By workflow" ON public.video_jobs (lower("Workflow name")) WHERE status <> 'failed';
CREATE TRIGGER touching BEFORE UPDATE ON public.video_jobs FOR EACH ROW EXECUTE FUNCTION public.touch();
ALTER TABLE public.video_jobs ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON public.video_jobs FOR SELECT TO pg_monitor, public USING (user_id IS NULL);
COMMENT ON TABLE public.video_jobs IS 'One row per video''s job';
COMMENT ON COLUMN public.video_jobs.status IS 'What became of it';
GRANT SELECT, INSERT ON public.video_jobs TO pg_monitor;
"""
ROWS = """
INSERT INTO auth.users SELECT md5(i::text)::uuid FROM generate_series(1, 5) AS i;
INSERT INTO public.video_jobs (user_id, "Workflow name", status, size, small, parameters, comfy_job_id)
    SELECT md5(i::text)::uuid, 'wan', 'completed', i, i, '{"b": 1, "a": 2}', 'job ' || i FROM generate_series(1, 5) AS i
"""
LOST = {
    "the default of the key": "ALTER TABLE video_jobs ALTER id DROP DEFAULT",
    "the owner": "ALTER TABLE video_jobs DROP CONSTRAINT owner_fkey",
    "the owner, not validated": "ALTER TABLE video_jobs DROP CONSTRAINT owner_fkey, ADD CONSTRAINT another"
    " FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE NOT VALID",
    "the words": "ALTER TABLE video_jobs DROP CONSTRAINT status_check",
    "one name": "ALTER TABLE video_jobs RENAME CONSTRAINT status_check TO checked",
    "NOT NULL": 'ALTER TABLE video_jobs ALTER "Workflow name" DROP NOT NULL',
    "the key": "ALTER TABLE video_jobs DROP CONSTRAINT video_jobs_pkey",
    "the unique key": "ALTER TABLE video_jobs DROP CONSTRAINT comfy_key",
    "an index": "DROP INDEX by_status",
    "an index of an expression": 'DROP INDEX "By workflow"',
    "the trigger": "DROP TRIGGER touching ON video_jobs",
    "the function": "DROP FUNCTION touch() CASCADE",
    "row security": "ALTER TABLE video_jobs DISABLE ROW LEVEL SECURITY",
    "the policy": "DROP POLICY own ON video_jobs",
    "a comment": "COMMENT ON COLUMN video_jobs.status IS NULL",
    "the comment": "COMMENT ON TABLE video_jobs IS NULL",
    "a right": "REVOKE INSERT ON video_jobs FROM pg_monitor",
    "a length": 'ALTER TABLE video_jobs ALTER "Workflow name" TYPE varchar(40)',
    "all words as varchar": "ALTER TABLE video_jobs DROP CONSTRAINT status_check; ALTER TABLE video_jobs"
    " ALTER status TYPE varchar, ADD CONSTRAINT status_check CHECK (status IN ('pending', 'completed', 'failed'))",
    "the width": "ALTER TABLE video_jobs ALTER size TYPE integer",
    "jsonb": "ALTER TABLE video_jobs ALTER parameters DROP DEFAULT, ALTER parameters TYPE json",
    "jsonb with a default": "ALTER TABLE video_jobs ALTER parameters DROP DEFAULT, ALTER parameters TYPE json,"
    " ALTER parameters SET DEFAULT '{}'",
    "a column": "ALTER TABLE video_jobs DROP small",
    "a column with a default": "ALTER TABLE video_jobs DROP updated_at",
    "a column with a type of its own": "ALTER TABLE video_jobs DROP mood; DROP TYPE mood",
}  # fmt: skip
EXCLUDES = [
    {"the owner", "the owner, not validated"},
    {"the words", "one name", "all words as varchar"},
    {"the trigger", "the function"},
    {"jsonb", "jsonb with a default"},
    {"the key", "jsonb"},
    {"the key", "jsonb with a default"},
    {"a column with a default", "the function"},
]
HISTORY = "SELECT t::text FROM public.video_jobs AS t ORDER BY 1"


@contextmanager
def undone(conn: psycopg.Connection) -> Iterator[None]:
    """Roll back whatever the block did."""
    with conn.transaction(force_rollback=True):
        conn.execute("SET LOCAL search_path = public")
        yield


def walk(conn: psycopg.Connection, statements: tuple[str, ...]) -> None:
    """Run statements in one transaction, those meant for none as well."""
    for sql in statements:
        conn.execute(sql.replace(" CONCURRENTLY", "").encode())


def counted(conn: psycopg.Connection, rows: Rows) -> int:
    """Count the rows that stand in the way of an act."""
    found = conn.execute(f"SELECT count(*) FROM {rows.relation.sql} AS t WHERE {rows.where}".encode()).fetchone()
    return int(found[0])


def look(conn: psycopg.Connection) -> Anatomy:
    """Read the table as it is."""
    return anatomies(conn, [TARGET], rows=True)[TARGET]


def content(conn: psycopg.Connection) -> tuple[dict[str, str], list[str], set[str]]:
    """Give everything that undo must bring back: objects, columns in order, rows, functions and types."""
    found = look(conn)
    rows = [row for (row,) in conn.execute(HISTORY.encode()).fetchall()]
    names = [one.name for one in found.columns]
    # PostgreSQL prints the words of a varchar otherwise once the column was a text, as it does after a restore.
    listed = {name: plain(said, names) if name.startswith("check") else said for name, said in found.listed.items()}
    return listed, [*names, *rows], set(besides(conn))


@pytest.fixture(scope="module")
def declared(databases) -> Iterator[tuple[psycopg.Connection, Declaration]]:
    """Make the table once, with rows, and what a scratch server would have said of it."""
    with databases.fresh() as url, closing(psycopg.connect(url, autocommit=True)) as conn:
        conn.execute("CREATE SCHEMA migrator")
        conn.execute(DECLARED.encode())
        beside = tuple(besides(conn).values())
        table = anatomies(conn, [TARGET])[TARGET]
        conn.execute(ROWS.encode())
        yield conn, Declaration(made=(table,), final=(table,), beside=beside)


def compared(conn: psycopg.Connection, declaration: Declaration):
    """Compare with what is there now."""
    return compare(declaration, {TARGET: look(conn)}, besides(conn))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lost=st.lists(st.sampled_from(sorted(LOST)), unique=True, max_size=6))
def test_whatever_is_lost_comes_back_and_goes_again(declared, lost: list[str]) -> None:
    """G1, T14: after the acts the table is equal to the declared one; after their undo, to the one that was found."""
    conn, declaration = declared
    kept = [one for at, one in enumerate(lost) if not any({one, x} <= each for each in EXCLUDES for x in lost[:at])]
    with undone(conn):
        for one in sorted(kept, key=list(LOST).index):
            conn.execute(LOST[one].encode())
        before = content(conn)
        outcome = compared(conn, declaration)
        assert isinstance(outcome, (Equal, Acts)), lines(outcome)
        acts = () if isinstance(outcome, Equal) else outcome.acts
        for act in acts:
            for rows in act.first:
                assert not counted(conn, rows)
            walk(conn, act.do)
        after = compared(conn, declaration)
        assert isinstance(after, Equal), lines(after)
        for act in reversed([Act.from_json(one.as_json()) for one in acts]):
            walk(conn, act.undo)
        assert before == content(conn)


@pytest.mark.parametrize("one", sorted(LOST))
def test_each_loss_is_found(declared, one: str) -> None:
    """A single loss is a difference with one meaning, or a name only."""
    conn, declaration = declared
    with undone(conn):
        conn.execute(LOST[one].encode())
        outcome = compared(conn, declaration)
    assert isinstance(outcome, Equal if one == "one name" else Acts), lines(outcome)


def test_json_texts_come_back_byte_by_byte(declared) -> None:
    """Order, spaces and doubled keys of a json text survive jsonb and back; a change by the application stays."""
    conn, declaration = declared
    texts = ['{"b":1,"a":2,  "a": 3}', "[1 ,2]", ' "x"', "1.50", "1E2", "null"]
    with undone(conn):
        conn.execute(LOST["jsonb"].encode())
        conn.execute("DELETE FROM video_jobs")
        for text in texts:
            conn.execute(
                'INSERT INTO video_jobs ("Workflow name", status, parameters) VALUES (%s, %s, %s)',
                (text, "pending", text),
            )
        outcome = compared(conn, declaration)
        assert isinstance(outcome, Acts)
        for act in outcome.acts:
            walk(conn, act.do)
        conn.execute("""UPDATE video_jobs SET parameters = '{"z": 1}' WHERE "Workflow name" = '[1 ,2]'""")
        for act in reversed(outcome.acts):
            walk(conn, act.undo)
        found = dict(conn.execute('SELECT "Workflow name", parameters::text FROM video_jobs').fetchall())
    assert {**{text: text for text in texts}, "[1 ,2]": '{"z": 1}'} == found


@pytest.mark.parametrize(
    ("change", "where", "number"),
    [
        ("ALTER TABLE video_jobs DROP CONSTRAINT owner_fkey; UPDATE video_jobs SET user_id = gen_random_uuid()"
         " WHERE size < 3", "points at no row of auth.users", 2),
        ("ALTER TABLE video_jobs DROP CONSTRAINT status_check; UPDATE video_jobs SET status = '?' WHERE size < 4",
         "is false", 3),
        ('ALTER TABLE video_jobs ALTER "Workflow name" DROP NOT NULL;'
         ' UPDATE video_jobs SET "Workflow name" = NULL WHERE size = 1', "Workflow name is NULL", 1),
        ("ALTER TABLE video_jobs DROP CONSTRAINT comfy_key; UPDATE video_jobs SET comfy_job_id = 'twice'"
         " WHERE size < 3; UPDATE video_jobs SET comfy_job_id = NULL WHERE size > 3", "more than once", 2),
    ],
)  # fmt: skip
def test_rows_that_break_a_constraint_are_counted(declared, change: str, where: str, number: int) -> None:
    """Each constraint knows its rows before it is added."""
    conn, declaration = declared
    with undone(conn):
        conn.execute(change.encode())
        outcome = compared(conn, declaration)
        assert isinstance(outcome, Acts), lines(outcome)
        (rows,) = [one for act in outcome.acts for one in act.first]
        assert number == counted(conn, rows)
    assert where in rows.what


@pytest.mark.parametrize("index", ["CREATE INDEX", "CREATE UNIQUE INDEX"])
def test_partitioned_tables_are_brought_over_without_concurrently(database: str, index: str, tmp_path: Path) -> None:
    """A partitioned table gets its key and index in ordinary transactions, and the plan warns of it."""
    ddl = "CREATE TABLE {0} (id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at);"
    with closing(psycopg.connect(database, autocommit=True)) as conn:
        conn.execute((ddl.format("video_jobs") + "ALTER TABLE video_jobs ADD PRIMARY KEY (id, at);").encode())
        conn.execute(f"{index} parted ON video_jobs (at, id)".encode())
        table = look(conn)
        conn.execute(("DROP TABLE video_jobs;" + ddl.format("video_jobs")).encode())
        conn.execute("CREATE TABLE one PARTITION OF video_jobs FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')")
        outcome = diff(table, look(conn))
        assert isinstance(outcome, Acts), lines(outcome)
        assert ["H116", "H116"] == [one.hazard.id for one in outcome.acts if one.hazard]
        for act in outcome.acts:
            for sql in act.do:
                conn.execute(sql.encode())
        assert isinstance(diff(table, look(conn)), Equal)
        for act in reversed(outcome.acts):
            for sql in act.undo:
                conn.execute(sql.encode())
        assert () == look(conn).of_kind("index", "primary key")
