"""`--only objects`: the whole Step that copies the objects of rows, as a ratio to a bare pool doing the same copies.

The Step lists what rows name, claims records, looks, copies from the very object that was seen to a key that must be
free, and writes down what came of it. Bare is looking and copying under the same conditions, by as many threads. The
memory is that of `migrator objects copy` as a process of its own, whose rows name the same few sources.
"""

from __future__ import annotations

import statistics
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import psycopg

from benchmarks.running import Finished, migrator, timed
from migrator.model.names import quote
from migrator.model.objects import StoredObject
from migrator.model.step import Phase
from migrator.servers.postgres import Postgres
from migrator.workflow import objects as workflow
from migrator.workflow.desk import Desk, open_desk
from tests.support.objects import Objects
from tests.support.projects import CHANGE, MOVE, definition, make_project, run

TARGET: Final = "CREATE TABLE new (id bigint PRIMARY KEY, key text)"


def against_bare(
    objects: Objects, server: Postgres, seen: list[StoredObject], threads: int, pairs: int, bare: Any
) -> None:
    """Measure bare, ours, bare, ours …; `bare(to)` copies what was seen to keys that begin so."""
    count, ratios, speeds = len(seen), [], []
    for pair in range(pairs + 1):
        theirs = timed(lambda to=f"bare step/{pair}": bare(to))
        with tempfile.TemporaryDirectory() as directory:
            desk = _project(Path(directory), server, objects, seen, f"step {pair}", count, threads)
            (step,) = workflow.copy(desk, listen=lambda _: None).steps
        assert {"copied": count} == step.detail, step.detail
        if pair:  # the first is for warming up
            ratios.append(theirs / step.seconds)
            speeds.append((count / theirs, count / step.seconds))
    for side, name in enumerate(("bare, looking", "the whole Step")):
        said = f"   ratio {statistics.median(ratios):.2f} (goal 0.9)" if side else ""
        print(f"objects, {name:20} {statistics.median(one[side] for one in speeds):7,.0f} a second{said}", flush=True)


def memory(objects: Objects, server: Postgres, seen: list[StoredObject], threads: int, counts: list[int]) -> None:
    """See how the peak of memory grows with the number of objects."""
    for count in counts:
        with tempfile.TemporaryDirectory() as directory:
            desk = _project(Path(directory), server, objects, seen, f"memory {count}", count, threads)
            found: Finished = migrator(desk.database.url, "objects", "copy", CHANGE, "--config", directory)
        print(
            f"objects, migrator objects copy: {count:,} in {found.seconds:,.0f} s"
            f" ({count / found.seconds:,.0f} a second), peak of memory {found.megabytes:.0f} MB",
            flush=True,
        )


def _project(
    path: Path, server: Postgres, objects: Objects, seen: list[StoredObject], name: str, count: int, threads: int
) -> Desk:
    """Make a database whose rows name the sources in turn, and a project that is expanded."""
    bucket, url = seen[0].name.bucket, server.url(name)
    with closing(psycopg.connect(server.url(), autocommit=True)) as conn:
        conn.execute(f"CREATE DATABASE {quote(name)}".encode())
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        conn.execute("CREATE TABLE old (id bigint PRIMARY KEY, key text)")
        with conn.cursor() as cursor, cursor.copy("COPY old FROM STDIN") as copy:
            for number in range(count):
                copy.write_row((number, seen[number % len(seen)].name.key))
        conn.execute("VACUUM ANALYZE old")
    moved = f"{{'picture': moved_object('key', to='{name}/{{id}}{{ext}}')}}"
    written = definition({"id": "column('id')", "key": "object_key('picture')"}, objects=moved)
    make_project(path, url, ddl_up=TARGET, backfills={MOVE: written}, settings={"object_workers": threads})
    with (path / "migrator.toml").open("a", encoding="utf-8") as file:
        file.write(f'[s3]\nendpoint = "{objects.endpoint}"\nregion = "us-east-1"\nbucket = "{bucket}"\n')
    desk = open_desk(CHANGE, config=str(path), url=url)
    run(desk, to=Phase.EXPAND)
    return desk
