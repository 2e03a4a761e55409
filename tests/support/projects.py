"""Small projects in a temporary directory, ready to be worked on: a `Desk` for one change.

    desk = one_table(tmp_path, url, columns="note text", rows=[(1, "a"), (2, None)])
    run(desk); proof = check(desk); back(desk)

`one_table` makes the source `old` with its rows; the project's revision makes the target `new`.
`make_project` takes every part as it is: the DDL of the revisions, the source of the definitions.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from importlib.util import cache_from_source
from pathlib import Path
from textwrap import dedent
from typing import Any

import psycopg
import pytest
from psycopg import sql

from migrator import model
from migrator.model.step import Event, Phase, Report
from migrator.workflow import undoing, use_cases
from migrator.workflow.desk import Desk, open_desk

ENV = Path(__file__).parents[2] / "revisions" / "env.py"
CHANGE = "moving"
MOVE = "move_old_to_new"
COLLECTING = 1.2  # seconds; a collector of 14 hands out numbers half a second old
WORDS = f"from migrator.model import {', '.join(model.__all__)}"


def silent(event: Event) -> None:
    """Listen to nothing."""


def make_project(
    tmp_path: Path,
    url: str,
    *,
    change: str = CHANGE,
    ddl_up: str | Sequence[str] = "CREATE TABLE new (id bigint PRIMARY KEY, note text)",
    ddl_down: str | Sequence[str] = "DROP TABLE new",
    backfills: Mapping[str, str] | None = None,
    foreign: str = "count",
    params: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    search_path: str = "public",
    scratch_url: str | None = None,
    archive: Mapping[str, str] | None = None,
    keep: str = "14d",
    consumers: Mapping[str, str] | None = None,
) -> Desk:
    """Write a project into `tmp_path` and open its change on the database of `url`.

    A sequence of DDL makes one revision each, undone in the opposite order; `ddl_down` pairs with `ddl_up`. The source
    of a definition finds the words of `migrator.model` imported; a name that begins with `_` is a shared file.
    `settings` are those of the change, such as `batch_rows`. Called again for the same directory, it is written anew.
    """
    ups = [ddl_up] if isinstance(ddl_up, str) else list(ddl_up)
    downs = [ddl_down] if isinstance(ddl_down, str) else list(ddl_down)
    simple = {"id": 'column("id")', "note": 'column("note")'}
    sources = {MOVE: definition(simple)} if backfills is None else backfills
    _write_revisions(tmp_path / "revisions", change, ups, downs)
    (tmp_path / "backfills").mkdir(parents=True, exist_ok=True)
    for name, source in sources.items():
        written = f'"""{name}."""\n{WORDS}\n{dedent(source)}'
        (tmp_path / "backfills" / f"{name}.py").write_text(written, encoding="utf-8")
    config = _config(
        change=change,
        backfills=[name for name in sources if not name.startswith("_")],
        foreign=foreign,
        settings=settings or {},
        database={"search_path": search_path, **({"scratch_url": scratch_url} if scratch_url else {})},
    )
    config += _archive(change, archive or {}, keep, consumers or {})
    (tmp_path / "migrator.toml").write_text(config, encoding="utf-8")
    spoken = {name: value if isinstance(value, str) else json.dumps(value) for name, value in (params or {}).items()}
    return open_desk(change, config=str(tmp_path), url=url, params=spoken)


def definition(columns: Mapping[str, str], **parts: str) -> str:
    """Write a definition from `old` to `new` by `id`; `columns` and `parts` hold Python source."""
    filled = ", ".join(f"{name!r}: {source}" for name, source in columns.items())
    usual = {"source": "'old'", "key": "'id'", "target": "'new'", "identity": "'id'"}
    said = {**usual, **parts, "columns": f"{{{filled}}}"}
    return f"backfill = Backfill({', '.join(f'{name}={source}' for name, source in said.items())})\n"


def one_table(
    tmp_path: Path,
    url: str,
    *,
    columns: str = "note text",
    rows: Iterable[Sequence[Any]] = ((1, "one"), (2, "two"), (3, None)),
    target: str | None = None,
    fill: Mapping[str, str] | None = None,
    before: str = "",
    also: str = "",
    parts: Mapping[str, str] | None = None,
    **project: Any,
) -> Desk:
    """Make `old(id bigint primary key, columns)` with its rows, and a project that moves it to `new`.

    `target` are the columns of `new` beside its `id` (the same as of `old`), `fill` their expressions (Python source;
    a column of the same name where nothing is said), `before` is DDL ahead of both tables, `also` DDL that the revision
    runs after it made `new`, `parts` are further parts of the definition. The rest goes to `make_project`.
    """
    make_source(url, columns=columns, rows=rows, before=before)
    names = column_names(target or columns)
    filled = {"id": 'column("id")', **{name: f"column({name!r})" for name in names}, **(fill or {})}
    project.setdefault("backfills", {MOVE: definition(filled, **(parts or {}))})
    made = f"CREATE TABLE new (id bigint PRIMARY KEY, {target or columns})"
    return make_project(tmp_path, url, **{"ddl_up": f"{made};\n{also}" if also else made, **project})


def make_source(url: str, *, columns: str = "note text", rows: Iterable[Sequence[Any]] = (), before: str = "") -> None:
    """Make the table `old(id bigint primary key, columns)` and insert the rows, the id first."""
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        if before:
            conn.execute(before.encode())
        conn.execute(f"CREATE TABLE old (id bigint PRIMARY KEY, {columns})".encode())
        for row in rows:
            conn.execute(sql.SQL("INSERT INTO old VALUES ({})").format(sql.SQL(", ").join(map(sql.Literal, row))))


def column_names(columns: str) -> list[str]:
    """Read the names of a list of columns such as `note text, price numeric(5, 2)`."""
    top = re.sub(r"\([^()]*\)", "", columns)
    parts = [one.strip() for one in top.split(",")]
    constraints = ("CONSTRAINT", "CHECK", "UNIQUE", "FOREIGN", "PRIMARY", "EXCLUDE")
    return [one.split()[0].strip('"') for one in parts if one and not one.upper().startswith(constraints)]


def run(desk: Desk, *, to: Phase = Phase.BACKFILL) -> Report:
    """Apply a change as far as `to`, in silence."""
    return use_cases.apply(desk, to=to, listen=silent)


def check(desk: Desk, *accepted: str) -> Report:
    """Verify a change, in silence; `accepted` are objects of its tables that a test changed on purpose."""
    return use_cases.verify(desk, accept=accepted, listen=silent)


def back(desk: Desk, *, to: Phase | None = None, lose: Sequence[str] = (), keep_new: bool = False) -> Report:
    """Roll a change back, in silence."""
    return undoing.rollback(desk, to=to, lose=lose, keep_new=keep_new, listen=silent)


def terms(desk: Desk, backfill: str = MOVE, *, planned: bool = False) -> dict[tuple[str, str], int]:
    """Count the rows of a backfill by (disposition, reason), as verify-counts does, or as a dry run foretells."""
    made = use_cases.plan(desk) if planned else use_cases.verify_counts(desk)
    balance = next(one for one in made.balances if one.backfill == backfill)
    return {(one.disposition, one.reason): one.rows for one in balance.terms if one.rows}


def fates(desk: Desk, backfill: str = MOVE) -> dict[str, tuple[str, str]]:
    """Say what became of each source row by its key: ('moved' or 'merged', target key) or ('quarantined', reason)."""
    with closing(psycopg.connect(desk.database.url)) as conn:
        asked = conn.execute("SELECT id FROM migrator.backfill WHERE name = %s", (backfill,)).fetchone()
        assert asked is not None
        number = int(asked[0])
        written = f"SELECT s1::text, kind, t1::text FROM migrator.provenance_{number}"
        moved = conn.execute(written.encode()).fetchall()
        held = conn.execute(
            "SELECT array_to_string(source_key, ','), 'quarantined', reason FROM migrator.quarantine"
            " WHERE backfill = %s",
            (number,),
        ).fetchall()
    return {str(key): (str(kind), str(said)) for key, kind, said in [*moved, *held]}


def rows_of(url: str, query: str, params: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
    """Fetch all rows of a query on a connection of its own."""
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        cursor = conn.execute(query.encode(), params)
        return cursor.fetchall() if cursor.description else []


def execute(url: str, statements: str) -> None:
    """Execute statements, each for itself as psql does, on a connection of its own."""
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        conn.execute(statements.encode())


def _archive(change: str, tables: Mapping[str, str], keep: str, consumers: Mapping[str, str]) -> str:
    """Write the tables of the file that an archive reads."""
    named = ", ".join(f"{json.dumps(old)} = {json.dumps(new)}" for old, new in tables.items())
    who = [f"{json.dumps(name)} = {json.dumps(what)}" for name, what in consumers.items()]
    head = f"change.{json.dumps(change)}"
    archive = [f"[{head}.archive]", f"keep = {json.dumps(keep)}", f"tables = {{ {named} }}"] if tables else []
    return "\n".join([*archive, *([f"[{head}.consumers]", *who] if who else []), ""]) if archive or who else ""


def extension(url: str, name: str) -> None:
    """Make an extension; a test of a server that does not bring it is skipped, saying so."""
    if not rows_of(url, "SELECT 1 FROM pg_available_extensions WHERE name = %s", [name]):
        pytest.skip(f"the server has no extension {name}")
    execute(url, f"CREATE EXTENSION IF NOT EXISTS {name}")


def settle(url: str) -> None:
    """Wait until the server's counters of writes know of those before: 14 collects them in a process of its own."""
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        if conn.info.server_version < 15_00_00:
            time.sleep(COLLECTING)
        else:
            conn.execute("SELECT pg_stat_force_next_flush()")


def _write_revisions(directory: Path, change: str, ups: Sequence[str], downs: Sequence[str]) -> None:
    (directory / "versions").mkdir(parents=True, exist_ok=True)
    (directory / "env.py").write_text(ENV.read_text(encoding="utf-8"), encoding="utf-8")
    before = None
    for number, (up, down) in enumerate(zip(ups, downs, strict=True), 1):
        revision = f"{change[:24]}_{number:04}"
        label = (change,) if before is None else None
        at = directory / "versions" / f"{revision}.py"
        Path(cache_from_source(str(at))).unlink(missing_ok=True)  # of the same second and size, it would be believed
        at.write_text(
            f'"""Revision {number} of {change}."""\n\nfrom alembic import op\n\n'
            f"revision = {revision!r}\ndown_revision = {before!r}\nbranch_labels = {label!r}\ndepends_on = None\n\n\n"
            f"def upgrade() -> None:\n    op.execute({_escaped(up)!r})\n\n\n"
            f"def downgrade() -> None:\n    op.execute({_escaped(down)!r})\n",
            encoding="utf-8",
        )
        before = revision


def _escaped(ddl: str) -> str:
    """Keep SQLAlchemy from taking `:name` for a parameter."""
    return re.sub(r"(?<![:\w\\]):(\w+)(?!:)", r"\\:\1", ddl)


def _config(
    *,
    change: str,
    backfills: Sequence[str],
    foreign: str,
    settings: Mapping[str, Any],
    database: Mapping[str, str],
) -> str:
    table = {"title": change, "backfills": list(backfills), "foreign": foreign, **settings}
    return "\n".join(
        [
            "[database.default]",
            *(f"{name} = {json.dumps(value)}" for name, value in database.items()),
            f"[change.{json.dumps(change)}]",
            *(f"{name} = {json.dumps(value)}" for name, value in table.items()),
            "",
        ]
    )
