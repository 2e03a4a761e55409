"""A migration that is killed: a small project with rows of every fate, and processes to kill.

The crowd is a table whose rows are moved, merged, skipped and quarantined in every way there is:
foretold by the catalog, raised by a trigger, swallowed by a trigger, lost to a twin.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from queue import Empty, Queue
from typing import Self

import psycopg

from migrator.ledger.quarantine import Selection
from migrator.model.step import Phase
from migrator.servers import Postgres, binaries
from migrator.workflow.desk import Desk
from migrator.workflow.housekeeping import quarantine_dismiss
from tests.support.projects import check, execute, make_project, rows_of, run

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0  # seconds until a process that says nothing more is given up
CHANGE = "crowd"

# --- what there is -------------------------------------------------------------------------------


def dump(url: str, *options: str) -> str:
    """Dump a database as SQL text: byte for byte the same for the same content, but for a token."""
    (number,) = rows_of(url, "SHOW server_version_num")[0]
    command = [str(binaries.find_dump(int(number) // 10_000)), *options, f"--dbname={url}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return "\n".join(line for line in said.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


def as_it_was(url: str) -> str:
    """Describe everything outside schema `migrator`: what a rollback must bring back."""
    return dump(url, "--exclude-schema=migrator")


# --- the crowd -----------------------------------------------------------------------------------

TARGET = """
CREATE TABLE public.jobs (
    id uuid PRIMARY KEY,
    ref text NOT NULL UNIQUE,
    status text NOT NULL CHECK (status IN ('pending', 'completed', 'failed')),
    amount numeric(12, 2),
    happened timestamptz,
    tags text[],
    note text,
    code text UNIQUE
)"""

TROUBLE = """
CREATE FUNCTION public.refuse_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.note = 'refused' THEN RAISE EXCEPTION 'this note is refused'; END IF;
    IF NEW.note = 'swallowed' THEN RETURN NULL; END IF;
    RETURN NEW;
END $$"""

TRIGGER = """
CREATE TRIGGER refuse_note BEFORE INSERT ON public.jobs
    FOR EACH ROW EXECUTE FUNCTION public.refuse_note()"""

DEFINITION = """
backfill = Backfill(
    source="old_jobs",
    key="id",
    target="jobs",
    identity="id",
    merge="ref",
    skip={"a test job": sql("status = 'test'")},
    columns={
        "id": derived_uuid(),
        "ref": column("ref"),
        "status": lookup("status", {"new": "pending", "done": "completed", "error": "failed"}),
        "amount": column("amount"),
        "happened": column("happened"),
        "tags": array("tags", split=","),
        "note": column("note"),
        "code": sql("lower(code)"),
    },
)
"""

SOURCE = """
CREATE TABLE public.old_jobs (
    id bigint PRIMARY KEY, ref text NOT NULL UNIQUE, status text, amount text, happened timestamptz,
    tags text, note text, code text);
INSERT INTO public.old_jobs SELECT i, 'ref-' || i,
    CASE WHEN i % 50 = 0 THEN 'test' WHEN i % 997 = 0 THEN 'nobody knows'
         WHEN i % 1301 = 0 THEN NULL ELSE (ARRAY['new', 'done', 'error'])[1 + i % 3] END,
    CASE WHEN i % 1009 = 0 THEN 'a lot' WHEN i % 11 = 0 THEN NULL ELSE (i * 7 % 10000 / 100.0)::text END,
    timestamptz '2020-01-01 00:00:00+00' + i * interval '61.000001 s',
    CASE i % 4 WHEN 0 THEN '' WHEN 1 THEN 'a' WHEN 2 THEN 'a, b,, c' END,
    CASE i % {often} WHEN 7 THEN 'refused' WHEN 11 THEN 'swallowed' ELSE 'note ' || i END,
    CASE WHEN i % {often} = 13 THEN 'CODE-' || (i - 1) ELSE 'code-' || i END
FROM generate_series(1, {rows}) AS i;
ANALYZE public.old_jobs"""

# What the new application wrote before the copy: of some old rows, and rows of its own.
APPLICATION = """
INSERT INTO public.jobs (id, ref, status, note)
    SELECT ('00000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid, 'ref-' || i, 'pending', 'of the application'
    FROM generate_series(1, {rows} / 5) AS i WHERE i % 501 = 0 AND i % 50 <> 0
    UNION ALL SELECT ('00000000-0000-4000-9000-' || lpad(i::text, 12, '0'))::uuid, 'own-' || i, 'completed', 'its own'
    FROM generate_series(1, 10) AS i"""

EVERYTHING = {
    "the target": "SELECT t::text FROM public.jobs AS t",
    "the source": "SELECT t::text FROM public.old_jobs AS t",
    "provenance": "SELECT (p.s1, p.t1, p.kind, p.digest, (SELECT array_agg(d.marks[m] ORDER BY m)"
    " FROM unnest(p.marks) AS m))::text FROM migrator.provenance_{number} AS p"
    " JOIN migrator.definition AS d ON (d.backfill, d.number) = ({number}, p.definition)",
    "the quarantine": "SELECT (source_key, reason, sqlstate, constraint_name, message, source_row, status, note)::text"
    " FROM migrator.quarantine",
    "the change log": "SELECT source_key::text FROM migrator.change_log",
    "the steps": "SELECT (phase, name, status, origin)::text FROM migrator.step WHERE phase <> 'verify'",
    "open ranges": "SELECT r::text FROM migrator.range AS r WHERE NOT done",
}


def crowd(
    root: Path, url: str, *, batch: int = 500, ranges: int = 10_000, workers: int = 1, competing: bool = True
) -> Desk:
    """Write the project of the crowd, or write it anew, and open it on a database.

    Where rows are competing for a unique value one worker does it all, however many were asked for.
    """
    target = TARGET if competing else TARGET.replace("code text UNIQUE", "code text")
    return make_project(
        root,
        url,
        change=CHANGE,
        ddl_up=f"{target}; {TROUBLE}; {TRIGGER}",
        ddl_down="DROP TABLE public.jobs; DROP FUNCTION public.refuse_note()",
        backfills={"jobs_from_old_jobs": DEFINITION},
        settings={"batch_rows": batch, "range_rows": ranges, "workers": workers},
    )


def build_source(url: str, rows: int) -> None:
    """Make the old table with so many rows."""
    execute(url, SOURCE.format(rows=rows, often=max(rows // 4, 20)))


def build_expanded(desk: Desk, rows: int) -> None:
    """Make the old table and, by the tool, the new one, in which the application has written."""
    build_source(desk.database.url, rows)
    run(desk, to=Phase.EXPAND)
    execute(desk.database.url, APPLICATION.format(rows=rows))


def fingerprint(url: str) -> dict[str, tuple[int, str]]:
    """Digest all that a migration leaves but run ids, clocks and the bounds of its batches."""
    ((number,),) = rows_of(url, "SELECT id FROM migrator.backfill")
    whole = "md5(coalesce(string_agg(row, chr(10) ORDER BY row COLLATE \"C\"), ''))"
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        conn.execute(b"SET TimeZone = 'UTC'")
        asked = {name: f"SELECT count(*), {whole} FROM ({sql}) AS r(row)" for name, sql in EVERYTHING.items()}
        return {name: conn.execute(sql.format(number=number).encode()).fetchone() for name, sql in asked.items()}


def is_sound(url: str) -> bool:
    """Say whether target rows and their provenance stand or fall together, at whatever instant it is asked."""
    ((known,),) = rows_of(url, "SELECT to_regclass('migrator.backfill') IS NOT NULL")
    number = rows_of(url, "SELECT id FROM migrator.backfill") if known else []
    if not number:
        return True
    odd = rows_of(
        url,
        f"SELECT count(*) FROM public.jobs AS t FULL JOIN migrator.provenance_{number[0][0]} AS p ON p.t1 = t.id"
        " WHERE t.id IS NULL OR (p.t1 IS NULL AND t.id::text NOT LIKE '00000000-0000-4000-%')",
    )
    return odd == [(0,)]


def ends_as(desk: Desk, undisturbed: dict[str, tuple[int, str]]) -> None:
    """Assert that going on ends as it would have ended, proven, and that a further run finds nothing to do."""
    url = desk.database.url
    (comparison,) = run(desk, to=Phase.VERIFY).comparisons
    assert undisturbed == fingerprint(url)
    assert comparison.proven
    quarantine_dismiss(desk, Selection(change=CHANGE), "looked at by the test")
    assert check(desk).proven
    before = fingerprint(url)
    for _ in range(2):
        again = run(desk, to=Phase.VERIFY)
        assert again.nothing_done
        assert "verified" == again.state.value
    assert before == fingerprint(url)


def is_copying(desk: Desk) -> bool:
    """Say whether the copy has begun and is not at its end."""
    read = "SELECT sum(read) > 0 AND bool_or(NOT done) FROM migrator.range"
    return rows_of(desk.database.url, read) == [(True,)]


# --- processes -----------------------------------------------------------------------------------

# A process of the tool that says on stdout what it hears, so that others know when to strike. It
# beats and takes over faster than usual, and its undo works in batches as small as those of a copy.
LAUNCHER = """
import sys
from migrator.engine import undo
from migrator.ledger import lease
from migrator.model.errors import MigratorError
from migrator.workflow.desk import open_desk
from migrator.workflow.undoing import losses, rollback
from migrator.workflow.use_cases import apply

lease.BEAT, lease.SILENCE_OF_THE_DEAD, lease.SILENCE = 0.1, 0.4, 5.0
undo.BATCH_ROWS = 500
verb, root, change, url = sys.argv[1:5]

def say(event):
    print(event.kind, event.phase.value, event.rows, flush=True)

desk = open_desk(change, config=root, url=url)
print("ready", flush=True)
try:
    if verb == "apply":
        report = apply(desk, listen=say)
    else:
        report = rollback(desk, lose=[one.sentence for one in losses(desk) if one.rows], listen=say)
except MigratorError as error:
    print("failed", error.id, " ".join(error.what.split()), flush=True)
    raise SystemExit(error.exit_code)
print("ended", report.state.value, report.proven, flush=True)
"""


class Child:
    """A process that applies or rolls back a change, and can be killed at any instant."""

    def __init__(self, verb: str, root: Path, url: str, change: str = CHANGE) -> None:
        """Start it."""
        command = [sys.executable, "-c", LAUNCHER, verb, str(root), change, url]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        self._said: Queue[str | None] = Queue()
        self.lines: list[str] = []
        self._stderr: list[str] = []
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._listen, self._complain)]
        for one in self._threads:
            one.start()

    def __enter__(self) -> Self:
        """Hand over the running process."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""
        self.kill()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(line.strip())
        self._said.put(None)

    def _complain(self) -> None:
        assert self._process.stderr is not None
        self._stderr += list(self._process.stderr)

    def heard(self, word: str, times: int = 1) -> bool:
        """Wait until it has said a word so many times; False when it ended before."""
        while times:
            try:
                line = self._said.get(timeout=PATIENCE)
            except Empty:
                raise AssertionError(f"silent after {self.lines[-3:]}: {''.join(self._stderr)}") from None
            if line is None:
                self._said.put(None)
                return False
            self.lines.append(line)
            times -= line.startswith(word)
        return True

    def kill(self) -> bool:
        """Kill it with SIGKILL; False when it had ended by itself."""
        struck = self._process.poll() is None
        if struck:
            self._process.kill()
        ended = self._process.wait(PATIENCE)
        for one in self._threads:
            one.join(PATIENCE)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        return struck and ended < 0

    def wait(self) -> int:
        """Wait until it ends by itself, and give the exit code."""
        while self.heard(""):
            pass
        return self._process.wait(PATIENCE)

    def settled(self, still: Callable[[], object]) -> bool:
        """Do something to its server, then wait for its next word; False when it ended instead."""
        still()
        self._drain()
        return self.heard("")

    def _drain(self) -> None:
        """Forget what it said before."""
        time.sleep(0.05)
        while not self._said.empty():
            line = self._said.get()
            if line is None:
                self._said.put(None)
                return
            self.lines.append(line)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def last(self) -> str:
        """What it said last, and what it complained of."""
        self._drain()
        return " ".join([*self.lines[-1:], *self._stderr])


def kill_clients(desk: Desk, chance: random.Random, kills: int, *, verb: str = "apply", most: int = 9) -> None:
    """Let processes begin or go on, and kill each with SIGKILL after a few batches, somewhere in the next."""
    root, url = desk.project.root, desk.database.url
    for number in range(1, kills + 1):
        with Child(verb, root, url) as child:
            assert child.heard("ready"), child.last
            batches = chance.randrange(most)
            assert child.heard("progress backfill", batches), f"kill {number} came too late: {child.last}"
            time.sleep(chance.uniform(0, 0.03 if batches else 0.4))
            assert child.kill(), f"kill {number} came too late: {child.last}"
        assert is_sound(url), f"after kill {number}"


def kill_servers(desk: Desk, server: Postgres, chance: random.Random, kills: int, *, most: int = 9) -> None:
    """Kill the server with SIGKILL while a process copies, and start it again; the process stops or goes on."""
    struck = 0
    while struck < kills:
        with Child("apply", desk.project.root, desk.database.url) as child:
            while struck < kills and child.heard("progress backfill", chance.randrange(1, most)):
                time.sleep(chance.uniform(0, 0.03))
                server.kill()
                struck += 1
                if not child.settled(server.restart):
                    break
            if struck < kills:
                assert child.wait() == 1, child.last
                assert child.last.startswith(("failed M302", "failed M307")), child.last
        assert is_sound(desk.database.url), f"after kill {struck}"
