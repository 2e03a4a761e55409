"""What every writing act of the engine shares: its transactions, its locks, and trying again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Final, TypeVar

from migrator.database.connect import Connection, Database
from migrator.database.failures import SqlError
from migrator.database.locks import with_lock_retries
from migrator.database.session import execute, transaction
from migrator.ledger.lease import Lease
from migrator.model.change import Settings
from migrator.model.names import Relation

WORK_MEM: Final = "64MB"
_FIRST_WITH_FLUSH: Final = 150_000

Result = TypeVar("Result")


class Line:
    """A connection that is opened again after its end was survived."""

    def __init__(self, database: Database) -> None:
        """Open it at the first use."""
        self._database = database
        self._conn: Connection | None = None

    @property
    def conn(self) -> Connection:
        """The connection, open."""
        if self._conn is None or self._conn.closed:
            self._conn = self._database.connect()
        return self._conn

    def close(self) -> None:
        """Close it; what it wrote is then in the server's counters, which a proof reads next."""
        if self._conn is None:
            return
        if not self._conn.closed and self._conn.info.server_version >= _FIRST_WITH_FLUSH:
            with suppress(SqlError):
                execute(self._conn, "SELECT pg_catalog.pg_stat_force_next_flush()")
        self._conn.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Writing on behalf of one backfill under one lease. `relations` are those whose locks it may wait for."""

    database: Database
    lease: Lease
    settings: Settings
    backfill: str
    doing: str
    relations: tuple[Relation, ...]

    def transaction(self, line: Line) -> AbstractContextManager[Connection]:
        """Open a transaction under our settings, whose COMMIT is proven even when its answer is lost."""
        return transaction(
            line.conn,
            search_path=self.database.search_path,
            lock_timeout_ms=self.settings.lock_timeout_ms,
            applying=self.backfill,
            work_mem=WORK_MEM,
            reconnect=self.database.connect,
        )

    def retrying(self, fn: Callable[[], Result]) -> Result:
        """Call a whole transaction, again where somebody else was merely in the way."""
        return with_lock_retries(
            fn,
            doing=self.doing,
            tries=self.settings.lock_tries,
            relations=self.relations,
            connect=self.database.connect,
        )
