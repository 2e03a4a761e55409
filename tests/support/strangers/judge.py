"""A second opinion: what the tool did, held against plain SQL that knows nothing of its statements."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from migrator.database import inventory
from migrator.database.connect import Database
from migrator.database.session import PINS
from migrator.ledger.quarantine import Selection
from migrator.model.errors import MigratorError
from migrator.model.names import literal, quote
from migrator.model.step import Phase
from migrator.model.verdict import Balance
from migrator.workflow import use_cases
from migrator.workflow.desk import Desk
from migrator.workflow.housekeeping import quarantine_dismiss
from migrator.workflow.status import status
from tests.support.projects import back, check, execute, make_project, run
from tests.support.strangers.draw import Expected, Stranger
from tests.support.strangers.kinds import OPTIONAL, SETUP

NAMESPACE = bytes.fromhex("8f5d0d1f5ae04c1cb2f0c1b9a2a4a5e1")


def prepare(url: str) -> frozenset[str]:
    """Make the types of strangers in a database, and say what its server has."""
    execute(url, ";\n".join(SETUP))
    found = set()
    for name, statements in OPTIONAL.items():
        try:
            for one in statements:
                execute(url, one)
        except psycopg.Error:
            continue
        found.add(name)
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        version = conn.info.server_version
        if "postgres_fdw" in found:
            parts = urlsplit(url)
            host, name = literal(parts.hostname or "localhost"), literal(parts.path[1:])
            where = f"host {host}, port '{parts.port or 5432}', dbname {name}"
            user = parts.username or "postgres"
            secret = f", password {literal(parts.password)}" if parts.password else ""
            conn.execute(f"CREATE SERVER loopback FOREIGN DATA WRAPPER postgres_fdw OPTIONS ({where})".encode())
            conn.execute(
                f"CREATE USER MAPPING FOR CURRENT_USER SERVER loopback OPTIONS (user {literal(user)}{secret})".encode()
            )
    found |= {"nulls"} if version >= 150_000 else set()
    found |= {"virtual"} if version >= 180_000 else set()
    return frozenset(found)


def live(url: str, directory: Path, strangers: list[Stranger]) -> None:
    """Take strangers through one change: there, there again, and back; and look at everything from outside."""
    try:
        for one in strangers:
            execute_each(url, one.setup)
        _live(url, directory, strangers)
    finally:
        for one in strangers:
            for schema in one.schemas:
                execute(url, f"DROP SCHEMA IF EXISTS {quote(schema)} CASCADE")


def _live(url: str, directory: Path, strangers: list[Stranger]) -> None:
    names = [f"m{number}" for number in range(len(strangers))]
    desk = make_project(
        directory,
        url,
        ddl_up="CREATE TABLE strangers_were_here ()",
        ddl_down="DROP TABLE strangers_were_here",
        backfills={name: one.definition for name, one in zip(names, strangers, strict=True)},
        settings={"batch_rows": 4, "range_rows": 6},
    )
    before = everything(url)
    try:
        _there_and_back(desk, url, names, strangers)
    except BaseException:
        execute(url, "DROP SCHEMA IF EXISTS migrator CASCADE; DROP TABLE IF EXISTS strangers_were_here")
        raise
    assert before == everything(url)


def _there_and_back(desk: Desk, url: str, names: list[str], strangers: list[Stranger]) -> None:
    planned = use_cases.plan(desk)
    foretold = {name: _terms(planned.balances, name) for name in names}
    report = run(desk, to=Phase.VERIFY)
    assert foretold == {name: _terms(report.balances, name) for name in names}
    assert status(desk.project, change=desk.change.name, url=url)
    held = 0
    with closing(psycopg.connect(url, autocommit=True, options=_pinned())) as conn:
        for name, one in zip(names, strangers, strict=True):
            held += compare(conn, one, _terms(report.balances, name))
    assert (held == 0) is bool(report.proven), [one for one in report.verdicts if not one.proven]
    if held:
        assert held == quarantine_dismiss(desk, Selection(change=desk.change.name), "looked at")
        again = check(desk)
        assert again.proven, [one for one in again.verdicts if not one.proven]
    second = run(desk, to=Phase.VERIFY)
    assert second.proven is not False
    assert [] == [one.name for one in second.steps if one.phase is not Phase.VERIFY]
    back(desk)


def refuse(url: str, directory: Path, stranger: Stranger) -> None:
    """See a stranger refused, by the id foretold, before anything is written."""
    try:
        execute_each(url, stranger.setup)
        before = everything(url)
        desk = make_project(
            directory, url, ddl_up="SELECT 1", ddl_down="SELECT 1", backfills={"m0": stranger.definition}
        )
        try:
            run(desk, to=Phase.VERIFY)
        except MigratorError as error:
            assert stranger.refused == error.id, error
        else:
            raise AssertionError(f"{stranger.refused} was expected")
        assert before == everything(url)
    finally:
        for schema in stranger.schemas:
            execute(url, f"DROP SCHEMA IF EXISTS {quote(schema)} CASCADE")


def compare(conn: psycopg.Connection, stranger: Stranger, terms: dict[str, int]) -> int:
    """Hold source and target against each other by plain SQL; gives how many rows must be in quarantine."""
    expected = stranger.expected
    source, target = (f"{quote(a)}.{quote(b)}" for a, b in (stranger.source, stranger.target))
    _ids(conn, stranger.source, source, expected)
    fate = (
        f"CASE WHEN ({expected.skipped}) THEN 'skipped' WHEN ({expected.quarantined}) THEN 'quarantined'"
        f" WHEN ({expected.merged}) THEN 'merged' ELSE 'moved' END"
    )
    own = f"WITH own(by) AS ({_own(stranger)})"
    if expected.unique:
        fate = _first_come(fate, source, expected)
    said = dict(_rows(conn, f"{own} SELECT {fate}, count(*) FROM {source} AS s GROUP BY 1"))
    assert said == terms, stranger.about
    values = [
        f'({literal(name)}, ({value})::text COLLATE "C", t.{name}::text COLLATE "C")'
        for name, value in expected.columns
    ]
    if not values:
        return int(said.get("quarantined", 0))
    differences = _rows(
        conn,
        f"{own} SELECT c.* FROM {source} AS s LEFT JOIN {target} AS t ON {_same(expected)}"
        f" CROSS JOIN LATERAL (VALUES {', '.join(values)}) AS c(name, expected, found)"
        f" WHERE {fate} = 'moved' AND (t.{expected.identity[0][0]} IS NULL OR c.expected IS DISTINCT FROM c.found)",
    )
    assert [] == differences, stranger.about
    assert said.get("moved", 0) + expected.own == _rows(conn, f"SELECT count(*) FROM {target}")[0][0]
    return int(said.get("quarantined", 0))


def _first_come(fate: str, source: str, expected: Expected) -> str:
    """Of source rows that want one value only the first by key gets it, and of those alone that could move."""
    value, key = expected.unique, ", ".join(f"s.{one}" for one in expected.key)
    before = f"SELECT {value} AS wanted, {key}, {fate} AS fate FROM {source} AS s"
    earlier = f"({', '.join(f'b.{one}' for one in expected.key)}) < ({key})"
    held = f"EXISTS (SELECT FROM ({before}) AS b WHERE b.fate = 'moved' AND b.wanted = {value} AND {earlier})"
    return f"CASE WHEN {fate} = 'moved' AND {held} THEN 'quarantined' ELSE {fate} END"


def _own(stranger: Stranger) -> str:
    """List what the application's rows are recognised by."""
    if not stranger.expected.own:
        return "SELECT NULL::text WHERE false"
    by = next(name for name, _ in reversed(stranger.expected.columns) if name in {'"email"', '"e-mail"', '"@"'})
    target = f"{quote(stranger.target[0])}.{quote(stranger.target[1])}"
    return f"SELECT {by} FROM {target} WHERE {stranger.expected.identity[0][0]}::text LIKE 'b0000000-0000-0000-0000-%'"


def _same(expected: Expected) -> str:
    if not expected.derived:
        return " AND ".join(f"t.{name} = {value}" for name, value in expected.identity)
    key = ", ".join(f"s.{one}::text" for one in expected.derived)
    return f"t.{expected.identity[0][0]} = (SELECT id FROM pg_temp.ids WHERE key = to_jsonb(ARRAY[{key}]))"


def _ids(conn: psycopg.Connection, named: tuple[str, str], source: str, expected: Expected) -> None:
    """Compute the derived ids in Python, as the glossary says."""
    conn.execute("DROP TABLE IF EXISTS pg_temp.ids")
    conn.execute("CREATE TEMP TABLE ids (key jsonb PRIMARY KEY, id uuid)")
    if not expected.derived:
        return
    declared = f"{quote(named[0])}.{quote(named[1])}"
    for (key,) in _rows(
        conn, f"SELECT ARRAY[{', '.join(f's.{one}::text' for one in expected.derived)}] FROM {source} AS s"
    ):
        parts = b"".join(len(one.encode()).to_bytes(4, "big") + one.encode() for one in (declared, *key))
        raw = bytearray(hashlib.sha256(NAMESPACE + parts).digest()[:16])
        raw[6], raw[8] = raw[6] & 0x0F | 0x80, raw[8] & 0x3F | 0x80
        conn.execute("INSERT INTO ids VALUES (%s, %s::uuid)", (json.dumps(key), raw.hex()))


def _terms(balances: Sequence[Balance], backfill: str) -> dict[str, int]:
    balance = next(one for one in balances if one.backfill == backfill)
    found: dict[str, int] = {}
    for one in balance.terms:
        if one.rows:
            found[one.disposition] = found.get(one.disposition, 0) + one.rows
    return found


def everything(url: str) -> tuple[dict[str, str], dict[str, str]]:
    """Describe every object outside the Ledger, and digest every table."""
    with Database(url=url).connect() as conn:
        described = inventory.objects(conn)
        tables = conn.execute(
            b"SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c"
            b" JOIN pg_namespace n ON n.oid = c.relnamespace"
            b" WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'migrator')"
            b" AND n.nspname NOT LIKE 'pg\\_%'"
        ).fetchall()
        digests = {
            name: conn.execute(
                f"SELECT md5(string_agg(ROW(t.*)::text, '~' ORDER BY ROW(t.*)::text)) FROM {name} AS t".encode()
            ).fetchone()
            for (name,) in tables
        }
    return described, {name: str(found) for name, found in digests.items()}


def execute_each(url: str, statements: tuple[str, ...]) -> None:
    """Execute statements on one connection."""
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        for one in statements:
            conn.execute(one.encode())


def _rows(conn: psycopg.Connection, query: str) -> list[tuple]:
    return conn.execute(query.encode()).fetchall()


def _pinned() -> str:
    wanted = {name: value for name, value in PINS.items() if name != "row_security"}
    return " ".join(
        "-c " + f"{name}={value}".replace("\\", "\\\\").replace(" ", "\\ ") for name, value in wanted.items()
    )


__all__ = ["live", "prepare", "refuse", "sql"]
