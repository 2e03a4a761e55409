"""What home-made migration tools got wrong (T1 to T14): each test shows the failure, and that it cannot happen here."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from migrator.cli import app
from migrator.database.ddl import says_something
from migrator.engine.prepare import prepare
from migrator.engine.smoke import smoke
from migrator.model.errors import MigratorError
from migrator.model.step import Phase, State
from migrator.workflow import use_cases
from migrator.workflow.desk import Desk
from migrator.workflow.status import status
from tests.support.kills import dump
from tests.support.projects import (
    CHANGE,
    MOVE,
    back,
    check,
    definition,
    execute,
    fates,
    make_project,
    make_source,
    one_table,
    rows_of,
    run,
    terms,
)

ROOT = Path(__file__).parents[2]
APPLICATION = "--exclude-schema=migrator"
TWO = (
    ["CREATE TABLE new (id bigint PRIMARY KEY, note text)", "CREATE INDEX new_note ON new (note)"],
    ["DROP TABLE new", "DROP INDEX new_note"],
)
Tell = Callable[..., tuple[int, str]]


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """Run a command on a desk in this process: its exit code, and all it said on one line."""

    def run_it(desk: Desk, verb: str, *arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        where = ["--config", str(desk.project.root), "--database-url", desk.database.url]
        code = app.run([verb, desk.change.name, *where, *arguments])
        captured = capsys.readouterr()
        return code, " ".join(f"{captured.out} {captured.err}".split())

    return run_it


def revision(desk: Desk, number: int = 1) -> Path:
    """Find the file of a revision."""
    return desk.project.revisions / "versions" / f"{CHANGE}_{number:04}.py"


def hazards(desk: Desk) -> dict[str, str]:
    """List the hazards a plan shows, by id."""
    return {one.id: f"{one.what} | {one.cure}" for one in use_cases.plan(desk).hazards}


# --- T1: a backup that was none ------------------------------------------------------------------


def test_t1_nothing_is_called_a_backup() -> None:
    """A script said "Backup created" and had saved nothing: no word of the tool promises one."""
    texts = {one: one.read_text(encoding="utf-8") for one in (ROOT / "migrator").rglob("*.py")}
    assert len(texts) > 100
    assert [] == [str(path) for path, text in texts.items() if re.search(r"back-?\s?ups?\b", text, re.IGNORECASE)]


# --- T2: nothing moved, and a success ------------------------------------------------------------


def test_t2_what_was_foretold_is_what_was_done(database: str, tmp_path: Path) -> None:
    """The usual backfill changes 0 rows without an error where a default filled them; ours moves what the plan said."""
    rows = [(1, "a"), (2, "not a number"), (3, "3")]
    execute(database, "CREATE TABLE usual (id bigint, n int); INSERT INTO usual VALUES (1, NULL), (2, NULL)")
    execute(database, "ALTER TABLE usual ADD COLUMN copy int DEFAULT 0")
    with psycopg.connect(database) as conn:
        assert 0 == conn.execute("UPDATE usual SET copy = n WHERE copy IS NULL").rowcount
    desk = one_table(tmp_path, database, rows=rows, target="note text, n integer", fill={"n": 'sql("id * 2")'})
    planned = terms(desk, planned=True)
    (step,) = [one for one in run(desk).steps if one.phase is Phase.BACKFILL]
    assert planned == {("moved", ""): 3} == terms(desk)
    assert {"moved": 3} == {name: count for name, count in step.detail.items() if count and name != "read"}
    assert [(1, 2), (2, 4), (3, 6)] == rows_of(database, "SELECT id, n FROM new ORDER BY id")


@pytest.mark.every_server
def test_t2_rows_that_a_trigger_swallows_are_no_success(database: str, tmp_path: Path, tell: Tell) -> None:
    """INSERT reports success while a trigger lets nothing in; ours names the missing rows and ends with 4."""
    swallow = (
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        " CREATE TRIGGER swallow BEFORE INSERT ON new FOR EACH ROW EXECUTE FUNCTION swallow()"
    )
    desk = one_table(tmp_path, database, also=swallow)
    assert {("moved", ""): 3} == terms(desk, planned=True)
    run(desk, to=Phase.EXPAND)
    with psycopg.connect(database) as conn:
        assert "INSERT 0 0" == conn.execute("INSERT INTO new (id) VALUES (9)").statusmessage
    code, said = tell(desk, "apply")
    assert 4 == code, said
    assert "quarantined 3" in said
    assert {"quarantined"} == {kind for kind, _ in fates(desk).values()}


def test_t2_a_source_without_rows_is_said_to_have_none(database: str, tmp_path: Path, tell: Tell) -> None:
    """Nothing to move is no copy that went well: the report says that there was none."""
    desk = one_table(tmp_path, database, rows=[])
    code, said = tell(desk, "apply")
    assert 0 == code
    assert "nothing to move: the source has no rows" in said
    code, said = tell(desk, "apply")
    assert "Nothing to do." in said


def test_t2_a_copy_that_was_done_before_is_not_said_to_have_no_source(
    database: str, tmp_path: Path, tell: Tell
) -> None:
    """A run that goes on after a kill finds one backfill done: it moves nothing, and its source has rows."""
    desk = one_table(tmp_path, database)
    run(desk)
    execute(database, "DELETE FROM migrator.step WHERE phase = 'backfill'; UPDATE migrator.range SET done = false")
    code, said = tell(desk, "apply")
    assert 0 == code
    assert "nothing to move in this run" in said


def test_t2_a_backfill_that_leaves_every_row_behind_is_named(database: str, tmp_path: Path) -> None:
    """H133: rules that skip all there is are shown by the plan; rows that another backfill takes are no loss."""
    behind = {"parts": {"skip": "{'old news': sql('id > 0'), 'never': sql('id < 0')}"}}
    told = hazards(one_table(tmp_path, database, **behind))
    assert "would take none of the 3 rows; left behind: old news |" in told["H133"]
    filled = {"id": 'column("id")', "note": 'column("note")'}
    both = {
        "a": definition(filled, skip="{'of b': elsewhere(sql('id > 0'), 'b')}"),
        "b": definition(filled, skip="{'of a': elsewhere(sql('id < 0'), 'a')}"),
    }
    assert {} == hazards(make_project(tmp_path, database, backfills=both))


# --- T3: rollback files that were empty ----------------------------------------------------------

IDLE = {
    "pass": "def downgrade() -> None:\n    pass\n",
    "missing": "",
    "not implemented": "def downgrade() -> None:\n    raise NotImplementedError\n",
    "not implemented below": "def below():\n    raise NotImplementedError\n\n\ndef downgrade():\n    below()\n",
    "a comment": 'def downgrade() -> None:\n    op.execute("-- nothing yet; really")\n',
}


@pytest.mark.parametrize("name", IDLE)
def test_t3_a_revision_without_a_way_back_is_said_to_have_none(
    name: str, database: str, tmp_path: Path, tell: Tell
) -> None:
    """The plan names it before it runs, and rollback refuses by its id before anything is undone."""
    up, down = TWO
    desk = one_table(tmp_path, database, ddl_up=up, ddl_down=down)
    file = revision(desk, 1)
    file.write_text(file.read_text().partition("def downgrade")[0] + IDLE[name])
    told, rest = use_cases.plan(desk).undo
    assert f"revision {CHANGE}_0001: Revision 1 of {CHANGE}. cannot be undone: its downgrade" in told
    assert "every other step can be undone" == rest
    run(desk)
    before = dump(database)
    code, said = tell(desk, "rollback", "--yes")
    assert 2 == code, said
    assert "M206" in said
    assert f"{CHANGE}_0001" in said
    assert without_leases(before) == without_leases(dump(database))
    assert State.EXPANDED is back(desk, to=Phase.EXPAND).state


def without_leases(dumped: str) -> str:
    """Leave out of a dump who worked when."""
    tables = r"^COPY migrator\.(lease|heartbeat|run|event) .*?^\\\.$"
    numbers = r"^SELECT pg_catalog.setval\('migrator\.(run|event)_id_seq[^\n]*$"
    return re.sub(f"{tables}|{numbers}", "", dumped, flags=re.MULTILINE | re.DOTALL)


def test_t3_every_documented_revision_has_a_tested_downgrade(database: str) -> None:
    """One revision, one downgrade, found by its id and not by the first file whose name begins alike."""
    files = sorted((ROOT / "revisions" / "versions").glob("*.py"))
    numbers = [one.name.partition("_")[0] for one in files]
    assert len(set(numbers)) == len(numbers) > 1
    assert all("def downgrade" in one.read_text() for one in files)


def test_t3_a_script_of_comments_says_nothing() -> None:
    """Comments, blanks and semicolons are no statement."""
    assert not says_something("-- a\n/* DROP TABLE x; */ ;\n;")
    assert says_something("-- a\nDROP TABLE x")


# --- T4: rollbacks that dropped orders -----------------------------------------------------------


def test_t4_a_downgrade_never_drops_rows_that_are_not_ours(database: str, tmp_path: Path, tell: Tell) -> None:
    """DROP TABLE asks nobody; ours counts what the application wrote and refuses (M412), under lock too."""
    desk = one_table(tmp_path, database)
    run(desk)
    execute(database, "INSERT INTO new VALUES (99, 'an order')")
    code, said = tell(desk, "rollback")
    assert 5 == code, said
    assert "M412" in said
    assert 4 == rows_of(database, "SELECT count(*) FROM new")[0][0]
    assert State.NEW is back(desk, lose=["1 row of new"]).state


# --- T5: pipelines that applied the last file only -----------------------------------------------


def test_t5_a_pipeline_sees_what_is_pending_and_all_of_it_is_applied_in_order(
    database: str, tmp_path: Path, tell: Tell
) -> None:
    """`plan --exit-code`: 3 while anything is pending, 0 when nothing is; every pending revision runs, oldest first."""
    up, down = TWO
    desk = one_table(tmp_path, database, ddl_up=up, ddl_down=down)
    assert ("every step can be undone",) == use_cases.plan(desk).undo
    with psycopg.connect(database) as conn, pytest.raises(psycopg.errors.UndefinedTable):
        conn.execute(up[-1].encode())  # the last file alone
    assert 0 == tell(desk, "plan")[0]
    assert 3 == tell(desk, "plan", "--exit-code")[0]
    report = run(desk, to=Phase.VERIFY)
    assert [f"{CHANGE}_0001", f"{CHANGE}_0002"] == [one.name for one in report.steps if one.phase is Phase.EXPAND]
    assert 0 == tell(desk, "plan", "--exit-code")[0]
    execute(database, "DROP TABLE old CASCADE")
    assert 2 == tell(desk, "plan", "--exit-code")[0]


# --- T6: a version table without a memory --------------------------------------------------------


def test_t6_a_revision_edited_after_it_was_applied_is_noticed(database: str, tmp_path: Path) -> None:
    """A version number says nothing of the content: H130 in the plan and a reason in status, until the file is back."""
    desk = one_table(tmp_path, database)
    run(desk)
    assert {} == hazards(desk)
    file = revision(desk)
    written = file.read_bytes()
    file.write_bytes(written.replace(b"\n", b"\r\n"))
    assert {} == hazards(desk), "how lines end is no edit"
    file.write_bytes(written.replace(b"note text", b"note varchar"))
    assert f"revision {CHANGE}_0001 was edited" in hazards(desk)["H130"]
    (line,) = status(desk.project, url=database)
    assert [f"revision {CHANGE}_0001 was edited after it was applied (H130)"] == list(line.reasons)
    file.write_bytes(written)
    assert {} == hazards(desk)
    assert State.NEW is back(desk).state


def test_t6_each_change_has_one_row_in_a_version_table_of_our_own(database: str, tmp_path: Path) -> None:
    """An update without WHERE cannot reach the others: a row for each change, and not in the application's table."""
    execute(database, "CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('theirs')")
    up, down = TWO
    for name in ("first", "second"):
        ddl = ([one.replace("new", name) for one in up], [one.replace("new", name) for one in down])
        desk = make_project(tmp_path / name, database, change=name, ddl_up=ddl[0], ddl_down=ddl[1], backfills={})
        use_cases.apply(desk, to=Phase.EXPAND, listen=lambda _: None)
    ours = rows_of(database, "SELECT version_num FROM migrator.alembic_version ORDER BY 1")
    assert [("first_0002",), ("second_0002",)] == ours
    assert [("theirs",)] == rows_of(database, "SELECT * FROM alembic_version")


# --- T7: a word that was forgotten ---------------------------------------------------------------


@pytest.mark.every_server
@pytest.mark.parametrize(
    "kind",
    [
        "text CONSTRAINT known CHECK (status IN ('pending', 'done'))",
        "text CONSTRAINT known CHECK (status = ANY (ARRAY['pending', 'done']))",
        "status",
    ],
)
def test_t7_words_the_target_forgot_are_counted_before_anything_moves(kind: str, database: str, tmp_path: Path) -> None:
    """A new CHECK or enum without `failed` fails in mid-copy; the plan counts these rows, and they are quarantined."""
    rows = [(1, "pending"), (2, "failed"), (3, "done"), (4, "failed"), (5, None)]
    execute(database, "CREATE TYPE status AS ENUM ('pending', 'done')")
    desk = one_table(tmp_path, database, columns="status text", rows=rows, target=f"status {kind}")
    planned = terms(desk, planned=True)
    assert {("moved", ""): 3} == {key: count for key, count in planned.items() if key[0] == "moved"}
    assert [2] == [count for (fate, _), count in planned.items() if fate == "quarantined"]
    run(desk)
    assert planned == terms(desk)
    with psycopg.connect(database) as conn, pytest.raises((psycopg.errors.CheckViolation, psycopg.DataError)):
        conn.execute("INSERT INTO new VALUES (9, 'failed')")


# --- T8: NOT NULL by wiping the table ------------------------------------------------------------


def test_t8_not_null_at_once_on_a_used_table_is_named(database: str, tmp_path: Path) -> None:
    """H110 names it with the safer way; added as a CHECK, validated, then set, it is not named."""
    execute(database, "CREATE TABLE busy (id bigint PRIMARY KEY, at timestamptz)")
    told = hazards(one_table(tmp_path, database, also="ALTER TABLE busy ALTER COLUMN at SET NOT NULL"))
    assert "ALTER TABLE busy ALTER COLUMN at SET NOT NULL" in told["H110"]
    assert "adding-not-nullable-field" in told["H110"]
    safe = [
        "CREATE TABLE new (id bigint PRIMARY KEY, note text);"
        " ALTER TABLE busy ADD CONSTRAINT at_known CHECK (at IS NOT NULL) NOT VALID",
        "ALTER TABLE busy VALIDATE CONSTRAINT at_known",
    ]
    undone = ["DROP TABLE new; ALTER TABLE busy DROP CONSTRAINT at_known", "SELECT 1"]
    assert {} == hazards(make_project(tmp_path, database, ddl_up=safe, ddl_down=undone))


# --- T9, T10: what fails only when it is used ----------------------------------------------------

BROKEN = {
    "a trigger on insert": (
        "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO nowhere.users VALUES (new.id); RETURN new; END';"
        " CREATE TRIGGER broken BEFORE INSERT ON new FOR EACH ROW {guard} EXECUTE FUNCTION broken()",
        "H132",
        'an insert into new as the application\'s own fails: relation "nowhere.users" does not exist (42P01)',
    ),
    "a trigger on update of one column": (
        "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN IF gen_random_uuid() = new.note THEN RETURN new; END IF; RETURN new; END';"
        " CREATE TRIGGER broken BEFORE UPDATE OF note ON new FOR EACH ROW EXECUTE FUNCTION broken()",
        "H132",
        "an update of new as the application's own fails: operator does not exist: uuid = text (42883)",
    ),
    "a trigger at COMMIT": (
        "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM 1 / 0; RETURN NULL; END';"
        " CREATE CONSTRAINT TRIGGER broken AFTER INSERT ON new DEFERRABLE INITIALLY DEFERRED FOR EACH ROW {guard}"
        " EXECUTE FUNCTION broken()",
        "H132",
        "an insert into new as the application's own fails: division by zero (22012)",
    ),
    "a default": (
        "ALTER TABLE new ADD token text DEFAULT encode(sha256(random()::text::bytea), 'base46')",
        "H131",
        "the default of new.token fails when it is used",
    ),
    "the default of a column that is filled": (
        "ALTER TABLE new ALTER note SET DEFAULT encode(sha256(random()::text::bytea), 'base46')",
        "H131",
        "the default of new.note fails when it is used: unrecognized encoding",
    ),
}
GUARD = "WHEN (coalesce(current_setting('migrator.applying', true), '') = '')"


@pytest.mark.every_server
@pytest.mark.parametrize("name", BROKEN)
def test_t9_t10_what_fails_only_when_it_is_used_is_found_before_rows_move(
    name: str, database: str, tmp_path: Path
) -> None:
    """Triggers, functions and defaults are accepted as they are made; the report names those that fail, and goes on."""
    also, id, what = BROKEN[name]
    down = "DROP TABLE new; DROP FUNCTION IF EXISTS broken"
    given = {"target": "note text", "fill": {"note": 'sql("upper(note)")'}}
    desk = one_table(tmp_path, database, also=also.format(guard=GUARD), ddl_down=down, **given)
    heard = []
    report = use_cases.apply(desk, listen=lambda event: heard.append((event.kind, event.title)))
    assert id in {one.id for one in report.hazards}
    assert any(what in one.what for one in report.hazards), report.hazards
    kinds = [kind for kind, _ in heard]
    assert any(what in title for kind, title in heard if kind == "note")
    assert kinds.index("note") < kinds.index("progress")
    if name != "a default":  # without it no row can be moved
        assert {"1": ("moved", "1"), "2": ("moved", "2"), "3": ("moved", "3")} == fates(desk)
        assert check(desk).proven
    assert () == use_cases.apply(desk, listen=lambda _: None).hazards


def test_t9_the_first_row_that_moves_may_be_a_later_one(database: str, tmp_path: Path) -> None:
    """Where the first rows all stay behind, the smoke test goes on looking."""
    also, id, what = BROKEN["a trigger on insert"]
    desk = one_table(
        tmp_path,
        database,
        rows=[(number, None if number < 30 else "said") for number in range(1, 31)],
        also=also.format(guard=GUARD),
        ddl_down="DROP TABLE new; DROP FUNCTION broken",
        parts={"skip": '{"silent": sql("note IS NULL")}'},
    )
    (found,) = use_cases.apply(desk, listen=lambda _: None).hazards
    assert (id, True) == (found.id, what in found.what)


@pytest.mark.every_server
def test_t10_a_smoke_test_leaves_nothing_behind(database: str, tmp_path: Path) -> None:
    """Rows, sequences and what triggers wrote are as before, although a row was inserted and updated."""
    also = (
        "ALTER TABLE new ADD number bigserial; ALTER TABLE new ADD counted int GENERATED ALWAYS AS IDENTITY;"
        " CREATE TABLE audit (what text); CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO audit VALUES (tg_op); PERFORM 1 / 0; RETURN NULL; END';"
        " CREATE TRIGGER tell AFTER INSERT OR UPDATE ON new FOR EACH ROW EXECUTE FUNCTION tell()"
    )
    desk = one_table(tmp_path, database, also=also, ddl_down="DROP TABLE new, audit; DROP FUNCTION tell")
    run(desk, to=Phase.EXPAND)
    before = dump(database)
    with desk.database.connect() as conn:
        prepared = prepare(conn, desk.change, desk.change.backfills[0], search_path="public")
        (found,) = smoke(conn, prepared, "public")
    assert "division by zero" in found.what
    assert before == dump(database), "no row, and no number is used up"


def test_t10_a_target_in_order_has_no_finding(database: str, tmp_path: Path, tell: Tell) -> None:
    """Sound defaults and triggers, and a foreign key to a row that is still to come, are not named."""
    also = "ALTER TABLE new ADD at timestamptz DEFAULT now(); ALTER TABLE new ADD FOREIGN KEY (parent) REFERENCES new"
    rows = [(1, 3), (2, 1), (3, None)]
    desk = one_table(tmp_path, database, columns="parent bigint", rows=rows, also=also)
    code, said = tell(desk, "apply", "--format", "json")
    assert 0 == code, said
    assert '"hazards": []' in said


# --- T11: dropped before copied ------------------------------------------------------------------


def test_t11_no_verb_of_today_drops_a_source(database: str, tmp_path: Path, tell: Tell) -> None:
    """Legacy tables were dropped before the copy; ours is as it was after every verb, there and back."""
    desk = one_table(tmp_path, database)
    before = dump(database, "--table=old")
    for verb in ("plan", "apply", "verify", "verify-counts", "status", "apply"):
        assert 0 == tell(desk, verb)[0]
        assert before == dump(database, "--table=old")
    for phase in ("archive", "drop"):
        code, said = tell(desk, "apply", "--to", phase)
        assert code in {2, 5}, said
        assert before == dump(database, "--table=old")
    assert 0 == tell(desk, "rollback")[0]
    assert before == dump(database, "--table=old")


# --- T12: owners at random -----------------------------------------------------------------------


def test_t12_no_owner_is_invented(database: str, tmp_path: Path) -> None:
    """What nobody recorded is NULL with its reason; where the target demands an owner, rows wait in quarantine."""
    execute(database, "CREATE TABLE users (id bigint PRIMARY KEY); INSERT INTO users VALUES (7)")
    owner = "note text, owner bigint REFERENCES users"
    desk = one_table(tmp_path, database, target=owner, fill={"owner": "missing('nobody recorded an owner')"})
    assert {"owner": "nobody recorded an owner"} == use_cases.plan(desk).missing[MOVE]
    assert run(desk, to=Phase.VERIFY).proven
    assert [(None,)] == rows_of(database, "SELECT DISTINCT owner FROM new")
    back(desk)
    demanded = {"ddl_up": f"CREATE TABLE new (id bigint PRIMARY KEY, {owner} NOT NULL)"}
    filled = {"id": 'column("id")', "note": 'column("note")', "owner": "missing('nobody recorded an owner')"}
    strict = make_project(tmp_path, database, backfills={MOVE: definition(filled)}, **demanded)
    assert [3] == [count for (fate, _), count in terms(strict, planned=True).items() if fate == "quarantined"]


# --- T13: SQL split at semicolons ----------------------------------------------------------------

SEMICOLONS = """CREATE TABLE new (id bigint PRIMARY KEY, note text DEFAULT 'a;b' CHECK (note <> ';'));
COMMENT ON TABLE new IS 'one; two -- three; $$';
CREATE FUNCTION twice(text) RETURNS text LANGUAGE plpgsql AS $body$
DECLARE said text := 'x;'; BEGIN said := $1 || ';' || $1; RETURN said; END; $body$;
CREATE FUNCTION atomic(text) RETURNS text AS $$ SELECT 'a;'; SELECT $1 || ';'; $$ LANGUAGE sql"""


@pytest.mark.every_server
def test_t13_sql_is_never_split_at_semicolons(database: str, tmp_path: Path) -> None:
    """Strings, comments and bodies with semicolons in revisions and definitions mean what PostgreSQL reads."""
    assert any(part.count("$body$") == 1 for part in SEMICOLONS.split(";")), "the naive way cuts a body in two"
    filled = {"id": 'column("id")', "note": "sql(\"note || ';' || $q$;--$q$ /* ; */\")"}
    down = "DROP FUNCTION atomic; DROP FUNCTION twice; DROP TABLE new"
    make_source(database, rows=[(1, "a"), (2, "b;")])
    desk = make_project(
        tmp_path,
        database,
        ddl_up=SEMICOLONS,
        ddl_down=down,
        backfills={MOVE: definition(filled, skip="{'a; b': sql(\"note = 'c;'\")}")},
    )
    use_cases.plan(desk)
    assert run(desk, to=Phase.VERIFY).proven
    assert [("a;;--",), ("b;;;--",)] == rows_of(database, "SELECT note FROM new ORDER BY id")
    assert [("x;x", "y;")] == rows_of(database, "SELECT twice('x'), atomic('y')")
    assert [("one; two -- three; $$",)] == rows_of(database, "SELECT obj_description('new'::regclass)")
    assert State.NEW is back(desk).state


# --- T14: "already exists" ignored ---------------------------------------------------------------


def test_t14_what_is_there_already_is_compared_and_not_ignored(database: str, tmp_path: Path) -> None:
    """IF NOT EXISTS passes over a table of another shape without an error; ours names the difference (M209)."""
    execute(database, "CREATE TABLE new (id bigint PRIMARY KEY, note integer, extra text)")
    execute(database, "CREATE TABLE IF NOT EXISTS new (id bigint PRIMARY KEY, note text)")
    desk = one_table(tmp_path, database, ddl_up="CREATE TABLE IF NOT EXISTS new (id bigint PRIMARY KEY, note text)")
    before = dump(database, APPLICATION)
    with pytest.raises(MigratorError, match="M209") as caught:
        run(desk)
    assert 'column "note" is integer, declared: text' in caught.value.what
    assert 'column "extra" is not declared' in caught.value.what
    assert before == dump(database, APPLICATION)
