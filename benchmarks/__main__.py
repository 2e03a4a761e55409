"""`python -m benchmarks [--rows N] [--pairs K] [--only PART]`: figures as ratios, medians of pairs.

The legacy table of the documented change is built with N rows. "raw" is one INSERT … SELECT with the same mapping and
all indexes in place; "ours" is `migrator backfill` as a process of its own, with provenance, digests and checkpoints.
"objects" are copies inside an S3 store against a bare pool of boto3 (at most 2,000 objects a run), by our pool and by
the whole Step, and the memory that this takes (at most 100,000 objects).
"faults" is a copy of which 1 % of the rows are bad in ten ways, against a clean one of the same size (at most 200,000).
"artworks" is artworks_v2 with its twins, orders and dirty rows (at most 500,000), and the memory it takes.
"""

from __future__ import annotations

import argparse
import statistics

import psycopg

from benchmarks.artworks import artworks
from benchmarks.faults import faults
from benchmarks.objects import objects
from benchmarks.running import ROOT, SCRIPTS, migrator, process, timed
from migrator.database.session import execute, transaction
from migrator.demo.output_type_tables import build_legacy
from migrator.engine.prepare import prepare
from migrator.engine.projection.compiled import RULE
from migrator.model.names import quote
from migrator.model.step import Phase
from migrator.servers.postgres import Postgres
from migrator.workflow.desk import Desk, open_desk
from migrator.workflow.undoing import rollback
from migrator.workflow.use_cases import apply

CHANGE = "output_type_tables"
NAME = "video_jobs_from_multitalk_jobs"
SETTINGS = {"shared_buffers": "2GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min", "autovacuum": "off"}


def main() -> None:
    """Run the benchmarks that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the legacy table (default 1,000,000)")
    parser.add_argument("--pairs", type=int, default=3, help="pairs of raw and ours (default 3)")
    parser.add_argument("--workers", type=int, default=1, help="workers of the copy (default 1)")
    parser.add_argument("--only", choices=["copy", "faults", "objects", "start", "artworks"], help="run only these")
    asked = parser.parse_args()
    if asked.only in {None, "objects"}:
        objects(min(asked.rows, 2_000), asked.pairs, min(asked.rows, 100_000))
    if asked.only == "objects":
        return
    with Postgres.start(durable=True, settings=SETTINGS) as server:
        if asked.only in {None, "copy"}:
            copy_against_raw(server, asked.rows, asked.pairs, asked.workers)
        if asked.only in {None, "faults"}:
            faults(server, min(asked.rows, 200_000), asked.pairs)
        if asked.only in {None, "start"}:
            start_up(server)
        if asked.only in {None, "artworks"}:
            artworks(server, min(asked.rows, 500_000))


def copy_against_raw(server: Postgres, rows: int, pairs: int, workers: int) -> None:
    """Measure raw, ours, raw, ours …; then the proof and the way back."""
    url = server.url()
    with psycopg.connect(url) as conn:
        build_legacy(conn, rows=rows)
    desk = open_desk(CHANGE, config=str(ROOT), url=url)
    raws, ours = [], []
    for _ in range(pairs):
        apply(desk, to=Phase.EXPAND, listen=lambda _: None)
        raws.append(timed(lambda: insert_select(desk)))
        fresh(desk)
        ours.append(migrator(url, "backfill", CHANGE, "--only", NAME, "--workers", str(workers)))
        fresh(desk)
    raw, our = statistics.median(raws), statistics.median(one.seconds for one in ours)
    print(f"raw INSERT … SELECT   {raw:8.1f} s   {rows / raw:10,.0f} rows/s")
    print(f"migrator backfill     {our:8.1f} s   {rows / our:10,.0f} rows/s   ratio {our / raw:.2f}")
    print(f"peak memory of the client {max(one.megabytes for one in ours):.0f} MB at {rows:,} rows")
    migrator(url, "apply", CHANGE)
    proof = migrator(url, "verify", CHANGE)
    print(f"migrator verify       {proof.seconds:8.1f} s   ratio to raw {proof.seconds / raw:.2f}")
    back = timed(lambda: rollback(desk, listen=lambda _: None))
    print(f"rollback              {back:8.1f} s   ratio to raw {back / raw:.2f}")


def insert_select(desk: Desk) -> None:
    """Copy by one statement: the definition's expressions and casts, and nothing else."""
    with desk.database.connect() as conn:
        with transaction(conn, read_only=True):
            projection = prepare(conn, desk.change, desk.change.backfills[0], search_path="public").projection
        names = ", ".join(quote(one.name) for one in projection.columns)
        plain = ", ".join(f"{text} AS {quote(name)}" for name, text in projection.cast_values if name[0] != "~")
        skip = f"raw.{quote(RULE)} IS NULL"
        with transaction(conn):
            execute(
                conn,
                f"INSERT INTO {projection.target.relation.sql} ({names})"
                f" SELECT {plain} FROM ({projection.raw()}) AS raw WHERE {skip}",
            )


def fresh(desk: Desk) -> None:
    """Go back to empty tables, everything checkpointed."""
    with desk.database.connect() as conn:
        execute(conn, "TRUNCATE video_jobs, image_jobs")
    rollback(desk, listen=lambda _: None)
    apply(desk, to=Phase.EXPAND, listen=lambda _: None)
    with desk.database.connect() as conn:
        execute(conn, "VACUUM ANALYZE multitalk_jobs")
        execute(conn, "CHECKPOINT")


def start_up(server: Postgres) -> None:
    """Compare start-up with Alembic's, in turn."""
    url = server.url("postgres")
    alembic = [str(SCRIPTS / "alembic"), "-c", str(ROOT / "pyproject.toml"), "-x", f"change={CHANGE}"]
    pairs: list[tuple[str, list[str], list[str], float]] = [
        ("--help", [str(SCRIPTS / "migrator"), "--help"], [*alembic[:1], "--help"], 0.5),
        ("status", [str(SCRIPTS / "migrator"), "status"], [*alembic, "current"], 1.2),
    ]
    for label, ours, theirs, goal in pairs:
        taken: list[tuple[float, float]] = []
        for _ in range(9):
            taken.append((process(ours, url).seconds, process(theirs, url).seconds))
        mine, other = (statistics.median(one[side] for one in taken) for side in (0, 1))
        print(
            f"migrator {label:7} {mine * 1000:5.0f} ms   alembic {other * 1000:5.0f} ms"
            f"   ratio {mine / other:.2f} (goal {goal})"
        )


if __name__ == "__main__":
    main()
