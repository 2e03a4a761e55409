"""Failures of the world in the middle of a copy: each ends in an error that names the way on; then it goes on."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from migrator.ledger import lease
from migrator.ledger.quarantine import Selection
from migrator.model.errors import MigratorError
from migrator.model.step import Event, Phase
from migrator.servers import Postgres, binaries
from migrator.workflow.desk import Desk, open_desk
from migrator.workflow.housekeeping import quarantine_retry
from migrator.workflow.use_cases import apply
from tests.support.databases import Databases
from tests.support.kills import CHANGE, build_expanded, crowd, dump, fingerprint, is_sound
from tests.support.projects import check, definition, execute, make_project, make_source, rows_of, run
from tests.support.proxy import Proxy, Side

ROWS, BATCH = 1_000, 100
Fingerprint = dict[str, tuple[int, str]]
DatabaseFrom = Callable[[str, Callable[[str], object]], str]
ON = ""  # the run goes on, as if nothing had happened


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give locks up soon, and take over from the dead quickly."""
    monkeypatch.setenv("MIGRATOR_LOCK_TIMEOUT", "50ms")
    monkeypatch.setenv("MIGRATOR_LOCK_TRIES", "2")
    monkeypatch.setattr(lease, "BEAT", 0.1)
    monkeypatch.setattr(lease, "SILENCE_OF_THE_DEAD", 0.4)


def build(url: str, root: Path) -> None:
    """Make the small crowd, expanded."""
    build_expanded(crowd(root, url, batch=BATCH), ROWS)


@pytest.fixture
def expanded(tmp_path: Path, database_from: DatabaseFrom) -> Desk:
    """Give a copy of the crowd that nothing was moved of yet."""
    url = database_from("the small crowd", lambda url: build(url, tmp_path))
    return crowd(tmp_path, url, batch=BATCH)


@pytest.fixture(scope="module")
def undisturbed(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Fingerprint:
    """Digest what becomes of the crowd when nothing happens."""
    root = tmp_path_factory.mktemp("undisturbed")
    with databases.fresh(databases.template("the small crowd", lambda url: build(url, root))) as url:
        run(crowd(root, url, batch=BATCH), to=Phase.VERIFY)
        return fingerprint(url)


def struck(desk: Desk, act: Callable[[], object], *, after: int = 3) -> str:
    """Apply, let something happen after so many batches, and give the id of the error it ended with, if any."""
    heard: list[Event] = []

    def listen(event: Event) -> None:
        if event.kind == "progress" and event.phase is Phase.BACKFILL:
            heard.append(event)
            if len(heard) == after:
                act()

    try:
        apply(desk, listen=listen)
    except MigratorError as error:
        assert len(error.what) > 20, error.what
        assert len(error.cure or "") > 20, error.cure
        return error.id
    finally:
        assert len(heard) >= after
    return ON


def ends_undisturbed(desk: Desk, undisturbed: Fingerprint, *, but: str = "") -> None:
    """Assert that the same command now ends as it would have ended, in every row of target and Ledger."""
    (comparison,) = run(desk, to=Phase.VERIFY).comparisons
    found = fingerprint(desk.database.url)
    assert undisturbed | {name: found[name] for name in [but] if name} == found
    assert comparison.proven


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that happens to the database, how a run may end, and how the database is mended."""

    does: str
    ends: tuple[str, ...]
    mended: str = "SELECT 1"
    but: str = ""  # what rightly differs: quarantine shows a row as it was


def as_dba(url: str, statements: str) -> None:
    """Execute statements untouched by what was set for the database."""
    free = " ".join(f"-c {one}=0" for one in ("default_transaction_read_only", "statement_timeout", *IDLE))
    with closing(psycopg.connect(url, autocommit=True, options=free)) as conn:
        conn.execute(statements.encode())


IDLE = ("idle_session_timeout", "idle_in_transaction_session_timeout")

SESSIONS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'migrator'"
END = f"SELECT pg_terminate_backend(pid, 5000) {SESSIONS}"
DATABASE = "DO $$BEGIN EXECUTE format('ALTER DATABASE %I {}', current_database()); END$$"

TROUBLES = {
    "every session is ended": Trouble(does=END, ends=("M307",)),
    "the database only reads": Trouble(
        does=f"{DATABASE.format('SET default_transaction_read_only = on')}; {END}",
        ends=("M305", "M307"),
        mended=DATABASE.format("RESET default_transaction_read_only"),
    ),
    "a short statement_timeout": Trouble(
        does=f"{DATABASE.format('SET statement_timeout = 1')}; {END}",
        ends=("M307", "M310"),
        mended=DATABASE.format("RESET statement_timeout"),
    ),
    "a short idle_in_transaction_session_timeout": Trouble(
        does=f"{DATABASE.format('SET idle_in_transaction_session_timeout = 1')}; {END}",
        ends=("M307",),
        mended=DATABASE.format("RESET idle_in_transaction_session_timeout"),
    ),
    "a short idle_session_timeout": Trouble(
        does=f"{DATABASE.format('SET idle_session_timeout = 1')}; {END}",
        ends=("M307",),
        mended=DATABASE.format("RESET idle_session_timeout"),
    ),
    "a source column added": Trouble(
        does="ALTER TABLE old_jobs ADD more text DEFAULT 'more'",
        ends=(ON,),
        mended="ALTER TABLE old_jobs DROP more",
        but="the quarantine",
    ),
    "a source column renamed": Trouble(
        does="ALTER TABLE old_jobs RENAME amount TO sum",
        ends=("M312", "M113"),
        mended="ALTER TABLE old_jobs RENAME sum TO amount",
    ),
    "a source column dropped": Trouble(
        does="CREATE TABLE kept AS SELECT id, note, code FROM old_jobs; ALTER TABLE old_jobs DROP note",
        ends=("M312", "M113"),
        mended="ALTER TABLE old_jobs DROP code; ALTER TABLE old_jobs ADD note text, ADD code text;"
        " UPDATE old_jobs SET note = kept.note, code = kept.code FROM kept WHERE kept.id = old_jobs.id;"
        " DROP TABLE kept",
    ),
    "a source column of another type": Trouble(
        does="ALTER TABLE old_jobs ALTER tags TYPE varchar(100)",
        ends=(ON,),
        mended="ALTER TABLE old_jobs ALTER tags TYPE text",
    ),
    "a source column of a type that does not fit": Trouble(
        does="ALTER TABLE old_jobs ALTER happened TYPE bytea USING happened::text::bytea",
        ends=("M312", "M115"),
        mended="SET TimeZone = 'UTC'; ALTER TABLE old_jobs ALTER happened TYPE timestamptz"
        " USING convert_from(happened, 'UTF8')::timestamptz",
    ),
    "the source renamed": Trouble(
        does="ALTER TABLE old_jobs RENAME TO older_jobs",
        ends=("M312", "M113"),
        mended="ALTER TABLE older_jobs RENAME TO old_jobs",
    ),
    "the source truncated": Trouble(
        does="CREATE TABLE kept AS TABLE old_jobs; TRUNCATE old_jobs",
        ends=(ON,),
        mended="INSERT INTO old_jobs TABLE kept; DROP TABLE kept",
    ),
    "a target column renamed": Trouble(
        does="ALTER TABLE jobs RENAME note TO remark",
        ends=("M312", "M113"),
        mended="ALTER TABLE jobs RENAME remark TO note",
    ),
    "a target column added": Trouble(
        does="ALTER TABLE jobs ADD more text", ends=(ON,), mended="ALTER TABLE jobs DROP more"
    ),
    "a target column added that nobody fills": Trouble(
        does="ALTER TABLE jobs ADD more text NOT NULL DEFAULT 'x'; ALTER TABLE jobs ALTER more DROP DEFAULT",
        ends=("M107", "M312"),
        mended="ALTER TABLE jobs DROP more; DELETE FROM migrator.quarantine WHERE reason LIKE '%\"more\"%'",
    ),
    "the target's unique index dropped": Trouble(
        does="ALTER TABLE jobs DROP CONSTRAINT jobs_ref_key",
        ends=(ON,),
        mended="ALTER TABLE jobs ADD CONSTRAINT jobs_ref_key UNIQUE (ref)",
    ),
    "the target's key dropped": Trouble(
        does="ALTER TABLE jobs DROP CONSTRAINT jobs_pkey",
        ends=("M119", "M312"),
        mended="ALTER TABLE jobs ADD CONSTRAINT jobs_pkey PRIMARY KEY (id)",
    ),
    "the target renamed": Trouble(
        does="ALTER TABLE jobs RENAME TO job", ends=("M312", "M206"), mended="ALTER TABLE job RENAME TO jobs"
    ),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_trouble_in_the_middle_of_a_copy_changes_nothing_of_its_end(
    name: str, expanded: Desk, undisturbed: Fingerprint
) -> None:
    """After the fourth batch something happens to the database; mended, the same command ends as undisturbed."""
    trouble, desk = TROUBLES[name], expanded
    url = desk.database.url
    ended = struck(desk, lambda: as_dba(url, trouble.does), after=4)
    assert ended in trouble.ends
    as_dba(url, trouble.mended)
    assert is_sound(url)
    ends_undisturbed(desk, undisturbed, but=trouble.but)


@contextmanager
def held(url: str, statement: str) -> Iterator[psycopg.Connection]:
    """Hold what a statement locks until the end of the block."""
    with closing(psycopg.connect(url)) as conn:
        conn.execute(statement.encode())
        yield conn


@pytest.mark.parametrize("table", ["jobs", "old_jobs", "migrator.lease"])
def test_a_table_locked_by_somebody_is_waited_for_and_named(
    table: str, expanded: Desk, undisturbed: Fingerprint
) -> None:
    """A lock held on source, target or Ledger ends in M301 that names its holder; released, the end is undisturbed."""
    desk = expanded
    holder = psycopg.connect(desk.database.url, application_name="the shop")
    with closing(holder):
        ended = struck(desk, lambda: holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode()))
    assert ended == "M301"
    assert is_sound(desk.database.url)
    ends_undisturbed(desk, undisturbed)


def test_a_cancelled_statement_is_explained(expanded: Desk, undisturbed: Fingerprint) -> None:
    """pg_cancel_backend while a batch runs: M310, and going on ends as undisturbed."""
    desk = expanded
    url = desk.database.url
    cancelling = threading.Thread(target=lambda: cancel_when_waiting(url))
    with closing(psycopg.connect(url)) as holder:

        def strike() -> None:
            holder.execute(b"LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
            cancelling.start()

        patient = open_desk(CHANGE, config=str(desk.project.root), url=url, flags={"lock_timeout": "60s"})
        ended = struck(patient, strike)
        cancelling.join(30)
    assert ended == "M310"
    ends_undisturbed(desk, undisturbed)


def cancel_when_waiting(url: str) -> None:
    """Cancel the statement of the tool that waits for a lock."""
    asked = f"SELECT pg_cancel_backend(pid) {SESSIONS} AND wait_event_type = 'Lock'"
    end = time.monotonic() + 30
    while not rows_of(url, asked):
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def as_role(tmp_path: Path, database: str) -> Iterator[Callable[[], tuple[Desk, str, str]]]:
    """Give the crowd as a role has it that owns the database and is no superuser: the desk, the role, our own URL."""
    role = f"mover_{database.rpartition('/')[2]}"
    name = database.rpartition("/")[2]
    execute(
        database,
        f"CREATE ROLE {role} LOGIN; ALTER DATABASE {name} OWNER TO {role}; ALTER SCHEMA public OWNER TO {role}",
    )
    desk = crowd(tmp_path, database.replace("postgres@", f"{role}@", 1), batch=BATCH)
    build_expanded(desk, ROWS)
    yield lambda: (desk, role, database)
    execute(database, f"REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}")


ROLES = {
    "the right to insert": ("REVOKE INSERT ON jobs FROM {r}", "GRANT INSERT ON jobs TO {r}", ("M306",)),
    "the right to read": ("REVOKE SELECT ON old_jobs FROM {r}", "GRANT SELECT ON old_jobs TO {r}", ("M306",)),
    "the right to use the schema": (
        "ALTER SCHEMA public OWNER TO postgres; REVOKE ALL ON SCHEMA public FROM {r}, PUBLIC",
        "ALTER SCHEMA public OWNER TO {r}; GRANT ALL ON SCHEMA public TO {r}, PUBLIC",
        ("M306",),
    ),
    "the right to log in": ("ALTER ROLE {r} NOLOGIN; SELECT END", "ALTER ROLE {r} LOGIN", ("M306", "M307")),
    "all its connections": (
        "ALTER ROLE {r} CONNECTION LIMIT 0; SELECT END",
        "ALTER ROLE {r} CONNECTION LIMIT -1",
        ("M309", "M307"),
    ),
}


@pytest.mark.parametrize("name", ROLES)
def test_a_role_that_loses_something_on_the_way_is_told_what(
    name: str, undisturbed: Fingerprint, as_role: Callable[[], tuple[Desk, str, str]]
) -> None:
    """A right or a connection lost in the middle: the error names it, now and when asked again; then it goes on."""
    desk, role, url = as_role()
    taken, given, ids = ROLES[name]
    taken = taken.format(r=role).replace("SELECT END", END)
    assert struck(desk, lambda: execute(url, taken)) in ids
    with pytest.raises(MigratorError) as again:
        run(desk)
    assert again.value.id in ids
    assert again.value.cure
    execute(url, given.format(r=role))
    ends_undisturbed(desk, undisturbed)


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_server_restarted_in_the_middle_loses_nothing(how: str, killable: Postgres, tmp_path: Path) -> None:
    """A fast and an immediate restart end in M307 or M302; the same command then ends as undisturbed."""
    execute(killable.url(), "CREATE DATABASE disturbed")
    desk = crowd(tmp_path, killable.url("disturbed"), batch=BATCH)
    build_expanded(desk, ROWS)
    execute(killable.url(), "CREATE DATABASE undisturbed TEMPLATE disturbed")
    run(crowd(tmp_path, killable.url("undisturbed"), batch=BATCH))

    def restart() -> None:
        if how == "immediate":
            killable.kill()
        killable.restart()

    assert struck(desk, restart) in {"M307", "M302"}
    assert is_sound(desk.database.url)
    ends_undisturbed(desk, fingerprint(killable.url("undisturbed")))


def test_a_dump_taken_in_the_middle_is_a_whole_that_goes_on(
    expanded: Desk, undisturbed: Fingerprint, databases: Databases, tmp_path: Path
) -> None:
    """pg_dump meanwhile disturbs nobody; what it took is sound, and a copy restored from it ends as undisturbed."""
    desk = expanded
    taken: list[str] = []
    assert struck(desk, lambda: taken.append(dump(desk.database.url))) == ON
    assert undisturbed == fingerprint(desk.database.url)
    with databases.fresh() as url:
        psql = [str(binaries.find().program("psql")), "-qX", "-v", "ON_ERROR_STOP=1", f"--dbname={url}"]
        subprocess.run(psql, input=taken[0], text=True, check=True, stdout=subprocess.DEVNULL)
        assert is_sound(url)
        time.sleep(0.5)  # the dumped lease is that of a run that lives elsewhere
        ends_undisturbed(crowd(tmp_path, url, batch=BATCH), undisturbed)


def test_a_definition_edited_between_two_runs_ends_as_the_new_one(
    expanded: Desk, database_from: DatabaseFrom, tmp_path: Path
) -> None:
    """Rows moved by the old words are brought up to date: the target is that of a run by the new ones alone."""
    assert struck(expanded, lambda: execute(expanded.database.url, END)) == "M307"
    file = tmp_path / "backfills" / "jobs_from_old_jobs.py"
    kept = file.read_text(encoding="utf-8")
    edited = kept.replace('"note": column("note")', '"note": sql("note || \'!\'")')
    assert edited != kept
    ends = []
    for url in (expanded.database.url, database_from("the small crowd", lambda url: build(url, tmp_path))):
        file.write_text(edited, encoding="utf-8")
        desk = open_desk(CHANGE, config=str(tmp_path), url=url)
        if url == expanded.database.url:
            quarantine_retry(desk, Selection(change=CHANGE))  # what the old words refused
        run(desk, to=Phase.VERIFY)
        assert check(desk).comparisons[0].proven
        ends.append(fingerprint(url)["the target"])
    assert ends[0] == ends[1]


def test_a_parameter_file_changed_between_two_runs_ends_as_the_new_one(tmp_path: Path, database: str) -> None:
    """Rows moved by the old file are brought up to date by the run with the new one, and the proof is of that."""
    make_source(database, rows=[(number, None) for number in range(1, 301)])
    file = tmp_path / "notes.csv"
    columns = {"id": 'column("id")', "note": 'given(param("notes", File, help="id and note"))'}

    def opened() -> Desk:
        return make_project(
            tmp_path,
            database,
            backfills={"move": definition(columns)},
            params={"notes": str(file)},
            settings={"batch_rows": 50},
        )

    for word in ("old", "new"):
        lines = [f"{number},{word} {number}" for number in range(1, 301)]
        file.write_text("\n".join(["id,note", *lines]), encoding="utf-8")
        ended = struck(opened(), lambda: execute(database, END)) if word == "old" else ON
        assert ended == ("M307" if word == "old" else ON)
    assert [(True,)] == rows_of(database, "SELECT count(*) BETWEEN 1 AND 299 FROM new WHERE note LIKE 'old %'")
    run(opened(), to=Phase.VERIFY)
    assert [(300,)] == rows_of(database, "SELECT count(*) FROM new WHERE note = 'new ' || id")
    assert check(opened()).proven


def test_a_full_disk_is_named_and_room_on_it_is_enough(killable: Postgres, tmp_path: Path) -> None:
    """ENOSPC in the target's tablespace ends in M309 with the cure; with more room it ends undisturbed."""
    with small_disk(tmp_path / "disk", "1m", killable.data) as (place, grow):
        execute(killable.url(), f"CREATE TABLESPACE small LOCATION '{place}'")
        for name in ("disturbed", "undisturbed"):
            execute(killable.url(), f"CREATE DATABASE {name}")
            build_expanded(crowd(tmp_path, killable.url(name), batch=BATCH), ROWS)
        run(crowd(tmp_path, killable.url("undisturbed"), batch=BATCH))
        url = killable.url("disturbed")
        execute(url, "ALTER TABLE jobs SET TABLESPACE small; CREATE TABLE fills (t text) TABLESPACE small")
        desk = crowd(tmp_path, url, batch=BATCH)
        assert struck(desk, lambda: fill(place), after=2) == "M309"
        assert is_sound(url)
        grow("64m")
        ends_undisturbed(desk, fingerprint(killable.url("undisturbed")))
        execute(url, "ALTER TABLE jobs SET TABLESPACE pg_default; DROP TABLE fills")
        execute(killable.url(), "DROP TABLESPACE small")


def fill(place: Path) -> None:
    """Write until there is no room."""
    with suppress(OSError), (place / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


@contextmanager
def small_disk(place: Path, size: str, like: Path) -> Iterator[tuple[Path, Callable[[str], object]]]:
    """Mount a disk of so many bytes with a place whose owner is that of another one; only root can."""
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0777", "tmpfs", str(place)], check=False)
    if mounted.returncode:
        pytest.skip("a small disk can be mounted by root only")
    try:
        inner = place / "space"
        inner.mkdir()
        shutil.chown(inner, like.stat().st_uid, like.stat().st_gid)
        place.parent.chmod(0o755)
        yield inner, lambda size: subprocess.run(["mount", "-o", f"remount,size={size}", str(place)], check=True)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("seed", range(3))
def test_a_connection_cut_at_any_byte_is_survived(
    seed: int, expanded: Desk, undisturbed: Fingerprint, tmp_path: Path
) -> None:
    """A proxy cuts after a random number of bytes, in a question or in an answer; the end is undisturbed."""
    url = expanded.database.url
    chance = random.Random(seed)
    with Proxy(url) as proxy:
        proxied = crowd(tmp_path, proxy.url, batch=BATCH)
        side: Side = chance.choice(["questions", "answers"])
        ended = struck(proxied, lambda: proxy.cut(side, after=chance.randrange(60_000)), after=2)
        assert ended in {ON, "M307", "M302"}
    assert is_sound(url)
    ends_undisturbed(crowd(tmp_path, url, batch=BATCH), undisturbed)


def test_no_clock_of_the_client_decides_anything(
    expanded: Desk, undisturbed: Fingerprint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that jumps by days at every look changes nothing; leases are watched by one that only goes forward."""
    desk = expanded
    chance = random.Random(7)
    monkeypatch.setattr(time, "time", lambda: chance.uniform(0, 4e9))
    assert struck(desk, lambda: execute(desk.database.url, END)) == "M307"
    ends_undisturbed(desk, undisturbed)


@pytest.mark.parametrize("revision", ["the same", "a foreign one"])
def test_alembic_at_the_same_time(revision: str, expanded: Desk, undisturbed: Fingerprint, tmp_path: Path) -> None:
    """Alembic by hand in the middle of a copy, at our revision or at another's, disturbs nothing."""
    desk = expanded
    if revision == "a foreign one":
        foreign = (
            'revision = "foreign_1"\ndown_revision = None\nbranch_labels = ("foreign",)\ndepends_on = None\n'
            "def upgrade():\n    op.execute('CREATE TABLE foreign_table (id int)')\n\ndef downgrade():\n    pass\n"
        )
        made = tmp_path / "revisions" / "versions" / "foreign_1.py"
        made.write_text(f"from alembic import op\n{foreign}", encoding="utf-8")
    label = CHANGE if revision == "the same" else "foreign"
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = revisions\n", encoding="utf-8")
    command = [str(Path(sys.executable).parent / "alembic"), "-x", f"change={label}", "upgrade", f"{label}@head"]
    environment = {**os.environ, "DATABASE_URL": desk.database.url}

    def alembic() -> None:
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)

    assert struck(desk, alembic) == ON
    assert undisturbed == fingerprint(desk.database.url)
