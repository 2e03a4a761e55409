"""Finding 24: whatever role and database are set to, the same rows give the same values, digests and proof."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from migrator.model.step import Phase
from tests.support.projects import MOVE, back, check, definition, make_project, rows_of, run, terms

if TYPE_CHECKING:
    from pathlib import Path

    from migrator.workflow.desk import Desk

HOSTILE = {
    "DateStyle": "German, DMY",
    "TimeZone": "Asia/Kathmandu",
    "IntervalStyle": "sql_standard",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "search_path": "evil, public",
    "standard_conforming_strings": "off",
    "transform_null_equals": "on",
    "array_nulls": "off",
    "quote_all_identifiers": "on",
    "default_transaction_isolation": "serializable",
    "row_security": "on",
    "statement_timeout": "50ms",
    "lock_timeout": "1ms",
    "client_min_messages": "debug1",
    "xmlbinary": "hex",
}
LEGACY = r"""
CREATE TABLE old (id bigint PRIMARY KEY, f double precision, d date, at timestamptz, i interval, b bytea, t text,
  moment text, number text, a text[]);
INSERT INTO old SELECT n, 1.0 / n, DATE '2024-01-01' + n::integer,
  TIMESTAMPTZ '2024-01-01 12:00+00' + n * interval '1 s',
  n * interval '1 mon 1 s', decode('00ff', 'hex'), 'a\b' || n, '2024-02-01 10:00', '1.5', ARRAY['x', NULL]
  FROM generate_series(1, 50) AS n;
INSERT INTO old (id, t, moment) VALUES (51, NULL, '13/12/2024'), (52, 'x', '2024-13-01');
CREATE SCHEMA evil;
CREATE TABLE evil.old AS SELECT * FROM public.old LIMIT 1;
CREATE FUNCTION evil.lower(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT 'evil'$$;
"""
UP = """
CREATE TABLE new (id bigint PRIMARY KEY, f double precision, d date, at timestamptz, i interval, b bytea, t text,
  moment timestamptz, number numeric(5,2), a text[], made text, day date, plain boolean)
"""
COLUMNS = {
    **{name: f"column({name!r})" for name in ("id", "f", "d", "at", "i", "b", "t", "moment", "number", "a")},
    "made": r"""sql("concat_ws('|', f, d, at, i, b, lower('A\\b'), a)")""",
    "day": 'sql("at::date")',
    "plain": 'sql("t = NULL")',
}


def project(tmp_path: Path, url: str) -> Desk:
    """Make a project whose values depend on every setting that is not pinned."""
    return make_project(tmp_path, url, ddl_up=UP, backfills={MOVE: definition(COLUMNS)}, settings={"batch_rows": 20})


def set_all(url: str, of: str) -> None:
    """Set everything to something hostile for the database, or for the role in it."""
    parts = urlsplit(url)
    database, role = sql.Identifier(parts.path[1:]), sql.Identifier(parts.username or "postgres")
    whose = sql.SQL("DATABASE {}").format(database)
    if of == "role":
        whose = sql.SQL("ROLE {} IN DATABASE {}").format(role, database)
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        for name, value in HOSTILE.items():
            words = sql.SQL(value) if name in {"DateStyle", "search_path"} else sql.Literal(value)
            conn.execute(sql.SQL("ALTER {} SET {} TO {}").format(whose, sql.Identifier(name), words))


def everything(url: str) -> list[list[tuple[object, ...]]]:
    """Read target, provenance and quarantine under one plain session."""
    with closing(psycopg.connect(url)) as conn:
        conn.execute("SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'")
        conn.execute("SET extra_float_digits = 1; SET bytea_output = 'hex'; SET statement_timeout = 0")
        queries = (
            "SELECT t::text FROM public.new AS t ORDER BY id",
            "SELECT s1, t1, kind, marks, digest FROM migrator.provenance_1 ORDER BY 1",
            "SELECT source_key, reason, message, source_row::text FROM migrator.quarantine ORDER BY 1",
        )
        return [conn.execute(query.encode()).fetchall() for query in queries]


@pytest.mark.parametrize("of", ["database", "role"])
def test_finding_24_hostile_settings_change_nothing(database: str, tmp_path: Path, databases: object, of: str) -> None:
    """Rows, digests and quarantine are those of a plain database; a proof holds under settings set afterwards."""
    with databases.fresh() as plain:
        for url in (plain, database):
            rows_of(url, LEGACY)
        expected_desk = project(tmp_path / "plain", plain)
        run(expected_desk)
        assert {
            ("moved", ""): 50,
            ("quarantined", "moment: not a valid timestamp with time zone"): 2,
        } == terms(expected_desk)
        expected = everything(plain)
        set_all(plain, of)
        assert {} == differences(expected_desk)
    set_all(database, of)
    desk = project(tmp_path / "hostile", database)
    run(desk, to=Phase.EXPAND)
    foretold = terms(desk, planned=True)
    run(desk)
    assert expected == everything(database)
    assert foretold == terms(desk)
    assert {} == differences(desk)
    back(desk)
    assert [(None,)] == rows_of(database, "SELECT to_regclass('public.new')")


def differences(desk: Desk) -> dict[str, int]:
    """Count what verify finds wrong."""
    return {name: number for one in check(desk).comparisons for name, number in one.counts.items()}
