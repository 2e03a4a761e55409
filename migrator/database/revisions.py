"""Running revisions: one at a time, each in one transaction under our settings."""

from __future__ import annotations

import io
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psycopg

from migrator.database.connect import Connection, Database
from migrator.database.revision_failures import revision_explained
from migrator.database.revision_files import RevisionInfo, declared
from migrator.database.session import execute, pins, rows, settings_with, value
from migrator.model.errors import ConfigurationError, RefusedError

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from sqlalchemy import Connection as Alchemy

Direction = Literal["up", "down", "stamp", "unstamp"]
BACK = frozenset({"down", "unstamp"})

VERSION_TABLE = "migrator.alembic_version"

# Alembic keeps its context in a module: two runs in one process would take each other's.
_ALONE = threading.Lock()
Guard = Callable[[Connection], Callable[[], None] | None]


def heads(conn: Connection) -> frozenset[str]:
    """Read the last applied revision of every change; none where there is no version table."""
    if value(conn, f"SELECT pg_catalog.to_regclass('{VERSION_TABLE}')::text") is None:
        return frozenset()
    return frozenset(str(one[0]) for one in rows(conn, f"SELECT version_num FROM {VERSION_TABLE}"))


def applied(conn: Connection, revisions: Sequence[RevisionInfo]) -> frozenset[str]:
    """Say which of these revisions, from base to head, are applied."""
    found = heads(conn)
    last = max((at for at, one in enumerate(revisions) if one.id in found), default=-1)
    return frozenset(one.id for one in revisions[: last + 1])


def upgrade(
    database: Database,
    directory: Path,
    change: str,
    revision_id: str,
    parameters: Mapping[str, Any] | None = None,
    lock_timeout_ms: int = 2_000,
    guard: Guard | None = None,
) -> None:
    """Apply exactly this revision in one transaction; the schema of the version table must exist.

    Raises M201 (its SQL failed), M202 (an object is there already), M203 (it refused by itself),
    M208 (not its turn); a lock not got leaves as an error of psycopg, for `with_lock_retries`.
    `guard` runs first in the same transaction and may refuse by raising.
    """
    _run(database, directory, change, revision_id, parameters or {}, lock_timeout_ms, "up", guard)


def downgrade(
    database: Database,
    directory: Path,
    change: str,
    revision_id: str,
    parameters: Mapping[str, Any] | None = None,
    lock_timeout_ms: int = 2_000,
    guard: Guard | None = None,
) -> None:
    """Undo exactly this revision in one transaction.

    Raises as `upgrade` does, and M206 where the revision has no way back. What `guard` returns runs last.
    """
    _run(database, directory, change, revision_id, parameters or {}, lock_timeout_ms, "down", guard)


def stamp(
    database: Database,
    directory: Path,
    change: str,
    revision_id: str,
    guard: Guard,
    lock_timeout_ms: int = 2_000,
    *,
    back: bool = False,
) -> None:
    """Record a revision as applied, or `back` as not applied, and run nothing of it.

    Raises as `upgrade` does; `guard` runs first in the same transaction.
    """
    direction: Direction = "unstamp" if back else "stamp"
    _run(database, directory, change, revision_id, {}, lock_timeout_ms, direction, guard)


def offline_sql(
    directory: Path,
    change: str,
    revision_id: str,
    parameters: Mapping[str, Any] | None = None,
    direction: Direction = "up",
) -> str:
    """Write the SQL of one revision without any database; without the bookkeeping of Alembic."""
    info = _chosen(directory, change, revision_id, direction)
    said = io.StringIO()
    config = _config(directory, change, parameters or {}, said)
    start = info.down if direction == "up" else info.id
    with revision_explained(info):
        doubled = _with_alembic(config, info, direction, as_sql=True, starting_rev=start)
    written = said.getvalue().replace("%%", "%") if doubled else said.getvalue()
    return _without_bookkeeping(written)


def _chosen(directory: Path, change: str, revision_id: str, direction: Direction) -> RevisionInfo:
    chain = declared(directory, change)
    info = next((one for one in chain if one.id == revision_id), None)
    if info is None:
        known = ", ".join(one.id for one in chain)
        raise ConfigurationError("M204", f"{change} has no revision {revision_id}.", f"It has: {known}.")
    if direction == "down" and not info.reversible:
        raise ConfigurationError(
            "M206",
            f"Revision {info.id} ({info.doc or info.path.name}) has no downgrade that does anything.",
            f"Write downgrade() in {info.path}: it must take away what upgrade() made.",
        )
    return info


def _run(
    database: Database,
    directory: Path,
    change: str,
    revision_id: str,
    parameters: Mapping[str, Any],
    lock_timeout_ms: int,
    direction: Direction,
    guard: Guard | None,
) -> None:
    info = _chosen(directory, change, revision_id, direction)
    config = _config(directory, change, parameters, io.StringIO())
    with revision_explained(info), _transaction(database, lock_timeout_ms) as (connection, driver):
        after = None if guard is None else guard(driver)
        _check_turn(info, heads(driver), direction)
        config.attributes["connection"] = connection
        _with_alembic(config, info, direction)
        if (info.id in heads(driver)) == (direction in BACK):
            raise ConfigurationError(
                "M203",
                f"{directory / 'env.py'} did not run revision {info.id}.",
                "env.py must use config.attributes['connection'] and version_table_schema='migrator'.",
            )
        if after is not None:
            after()


@contextmanager
def _transaction(database: Database, lock_timeout_ms: int) -> Iterator[tuple[Alchemy, Connection]]:
    """Open a transaction that SQLAlchemy and psycopg share, under our settings."""
    from sqlalchemy import NullPool, create_engine  # noqa: PLC0415 slow, and for these verbs only

    engine = create_engine(
        "postgresql+psycopg://",
        # Ours knows services, several hosts and sockets, and says in words why it cannot connect.
        creator=lambda: database.connect(autocommit=False),
        poolclass=NullPool,
        use_native_hstore=False,
    )
    settings = settings_with(search_path=database.search_path, lock_timeout_ms=lock_timeout_ms)
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        if not isinstance(driver, psycopg.Connection):
            raise TypeError(f"not a connection of psycopg: {driver!r}")
        driver.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        with connection.begin():
            execute(driver, pins(settings))
            yield connection, driver


def _config(directory: Path, change: str, parameters: Mapping[str, Any], said: io.StringIO) -> Config:
    from alembic.config import Config  # noqa: PLC0415 slow, and for these verbs only

    config = Config(output_buffer=said, stdout=io.StringIO())
    config.set_main_option("script_location", str(directory.absolute()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes.update({"change": change, "parameters": dict(parameters)})
    return config


def _with_alembic(config: Config, info: RevisionInfo, direction: Direction, **options: Any) -> bool:
    """Let env.py run exactly one step, and keep whatever it prints off stdout.

    Says whether SQLAlchemy doubled every percent sign, for a driver that would halve them again.
    """
    from alembic.runtime.environment import EnvironmentContext  # noqa: PLC0415
    from alembic.runtime.migration import MigrationStep, RevisionStep, StampStep  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    with _ALONE, redirect_stdout(sys.stderr):
        script = ScriptDirectory.from_config(config)
        revision = script.get_revision(info.id)
        step: MigrationStep = RevisionStep(script.revision_map, revision, is_upgrade=direction not in BACK)
        if direction in {"stamp", "unstamp"}:
            forward, first = direction == "stamp", info.down is None
            start, end = (info.down, info.id) if forward else (info.id, info.down)
            step = StampStep(start, end, forward, first, script.revision_map)

        def only_this(*_: Any) -> list[MigrationStep]:
            return [step]

        with EnvironmentContext(config, script, fn=only_this, **options) as environment:
            script.run_env()
            return _doubles_percents(environment)


def _doubles_percents(environment: EnvironmentContext) -> bool:
    try:
        dialect = environment.get_context().dialect
    except Exception as error:  # Alembic raises nothing more special where env.py did nothing
        raise RuntimeError("env.py configured no context.") from error
    return dialect.paramstyle in {"format", "pyformat"}


def _check_turn(info: RevisionInfo, found: frozenset[str], direction: Direction) -> None:
    if direction in BACK and info.id not in found:
        raise RefusedError(
            "M208",
            f"Revision {info.id} is not the last applied one of its change, so it cannot be undone now.",
            "Undo the revisions after it first.",
        )
    if direction not in BACK and (info.id in found or (info.down is not None and info.down not in found)):
        done = f"{info.id} is applied already" if info.id in found else f"{info.down} is not the last applied one"
        raise RefusedError(
            "M208",
            f"It is not the turn of revision {info.id}: {done}.",
            "Run the same command again; look at `status`.",
        )


_BOOKKEEPING = re.compile(
    r"\ABEGIN;\n+|^COMMIT;\s*\Z|^-- Running [^\n]*\n+"
    r"|^(?:CREATE TABLE|INSERT INTO|UPDATE|DELETE FROM) migrator\.alembic_version\b.*?;\n+",
    re.MULTILINE | re.DOTALL,
)


def _without_bookkeeping(said: str) -> str:
    return _BOOKKEEPING.sub("", said).strip() + "\n"
