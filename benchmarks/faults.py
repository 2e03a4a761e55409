"""`--only faults`: what rows at fault cost, as a ratio to a clean run of the same size.

One row in a hundred is bad, spread evenly, of ten kinds: *half* of them foretold by the catalogs and half found by the
attempt alone, or all ten found by the attempt. Every bad row must end in quarantine under its own reason.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

from migrator.database.session import execute, rows
from migrator.model.step import Phase
from migrator.servers.postgres import Postgres
from migrator.workflow.desk import Desk
from migrator.workflow.use_cases import apply
from tests.support.projects import definition, make_project

COLUMNS: Final = "day text, amount bigint, name text, level int, owner text, note text, spot int, code text"
TARGET: Final = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
    IF NEW.note = 'refused' THEN RAISE 'this note is refused'; END IF;
    IF NEW.note = 'closed' THEN RAISE 'the shop is closed' USING ERRCODE = 'SHOP1'; END IF;
    IF NEW.note = 'emptied' THEN NEW.owner := NULL; END IF;
    RETURN NEW; END$$;
CREATE FUNCTION refuse_late() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'too late'; END$$;
CREATE TABLE new (
    id bigint PRIMARY KEY, day date, amount int, name varchar(20), level int CHECK (level >= 0), owner text NOT NULL,
    note text, spot int, code text, divisor int, size int, half int GENERATED ALWAYS AS (100 / size) STORED, weight int,
    EXCLUDE USING gist (int4range(spot, spot + 1) WITH &&) WHERE (spot > 0));
CREATE UNIQUE INDEX new_code ON new (lower(code)); CREATE INDEX new_weight ON new ((100 / weight));
CREATE INDEX new_note ON new (note) WHERE length(note) > 100;
CREATE TRIGGER refuse BEFORE INSERT ON new FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON new DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.note = 'late') EXECUTE FUNCTION refuse_late()"""
FORETOLD: Final = {
    "day: not a valid date": ("day", "'2021-02-29'"),
    "amount: out of range for integer": ("amount", "3000000000"),
    "name: longer than character varying(20)": ("name", "repeat('n', 21)"),
    "violates check new_level_check": ("level", "-1"),
    "owner: NULL is not allowed": ("owner", "NULL"),
}
FOUND: Final = {
    "this note is refused": ("note", "'refused'"),
    'conflicting key value violates exclusion constraint "new_int4range_excl"': ("spot", "1"),
    'duplicate key value violates unique constraint "new_code"': ("code", "'CODE-1'"),
    "division by zero (definition)": ("divisor", "0"),
    "division by zero (generated column)": ("size", "0"),
    "the shop is closed": ("note", "'closed'"),
    'null value in column "owner" of relation "new" violates not-null constraint': ("note", "'emptied'"),
    "too late": ("note", "'late'"),
    "division by zero (index)": ("weight", "0"),
    "index row requires 12816 bytes, maximum size is 8191": (
        "note",
        "(SELECT string_agg(md5(g::text || i), '') FROM generate_series(1, 400) AS g)",
    ),
}
KINDS: Final = {
    "clean": {},
    "half foretold": FORETOLD | dict(list(FOUND.items())[:5]),
    "none foretold": FOUND,
}


def faults(server: Postgres, rows_: int, pairs: int) -> None:
    """Measure clean, half foretold, none foretold, clean …, and print the ratios."""
    server_url = server.url()
    taken: dict[str, list[float]] = {name: [] for name in KINDS}
    for number in range(pairs):
        for name, kinds in KINDS.items():
            database = f"faults_{number}_{name.replace(' ', '_')}"
            with tempfile.TemporaryDirectory() as root:
                desk = _built(server, server_url, database, Path(root), rows_, kinds)
                begun = time.monotonic()
                apply(desk, to=Phase.BACKFILL, listen=lambda _: None)
                taken[name].append(time.monotonic() - begun)
                _check(desk, rows_, kinds)
    clean = statistics.median(taken["clean"])
    for name, seconds in taken.items():
        took = statistics.median(seconds)
        bad = rows_ // 100 if KINDS[name] else 0
        print(f"faults, {name:14} {took:8.1f} s   {bad:6,} of {rows_:,} rows quarantined   ratio {took / clean:.2f}")


def _built(
    server: Postgres, url: str, database: str, root: Path, rows_: int, kinds: dict[str, tuple[str, str]]
) -> Desk:
    """Make the source with its bad rows, and the project that moves it."""
    desk = _project(root, url)
    with desk.database.connect() as conn:
        execute(conn, f"CREATE DATABASE {database}")
    desk = _project(root, server.url(database))
    cases = list(kinds.values())
    plain = {
        "day": "'2020-02-29'",
        "amount": "i",
        "name": "'name ' || i",
        "level": "i % 100",
        "owner": "'owner'",
        "note": "'note ' || i",
        "spot": "CASE WHEN i = 1 THEN 1 END",
        "code": "'code-' || i",
        "divisor": "7",
        "size": "7",
        "weight": "7",
    }
    values = []
    for column, good in plain.items():
        bad = [f"WHEN {n} THEN {value}" for n, (name, value) in enumerate(cases) if name == column]
        kind = f"CASE WHEN i % 100 = 50 THEN (i / 100) % {max(1, len(cases))} END"
        values.append(f"CASE {kind} {' '.join(bad)} ELSE {good} END" if bad else good)
    with desk.database.connect() as conn:
        execute(conn, f"CREATE TABLE old (id bigint PRIMARY KEY, {COLUMNS}, divisor int, size int, weight int)")
        execute(conn, f"INSERT INTO old SELECT i, {', '.join(values)} FROM generate_series(1, {rows_}) AS i")
        execute(conn, "VACUUM ANALYZE old")
        execute(conn, "CHECKPOINT")
    apply(desk, to=Phase.EXPAND, listen=lambda _: None)
    return desk


def _project(root: Path, url: str) -> Desk:
    names = ["id", *(one.split()[0] for one in COLUMNS.split(", ")), "size", "weight"]
    columns = {name: f"column({name!r})" for name in names} | {"divisor": "sql('100 / divisor')"}
    return make_project(root, url, ddl_up=TARGET, ddl_down="DROP TABLE new", backfills={"move": definition(columns)})


def _check(desk: Desk, rows_: int, kinds: dict[str, tuple[str, str]]) -> None:
    """Hold what is in quarantine against what was planted; a wrong figure is no figure."""
    expected: dict[str, int] = {}
    for number, reason in enumerate(kinds):
        planted = sum(1 for i in range(50, rows_ + 1, 100) if (i // 100) % len(kinds) == number)
        said = reason.partition(" (")[0] if reason.startswith("division") else reason
        expected[said] = expected.get(said, 0) + planted
    with desk.database.connect() as conn:
        found = rows(conn, "SELECT reason, count(*) FROM migrator.quarantine GROUP BY 1")
        moved = rows(conn, "SELECT count(*) FROM new")
    assert expected == {str(reason): int(number) for reason, number in found}, found
    assert [(rows_ - sum(expected.values()),)] == moved
