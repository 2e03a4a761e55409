"""Connecting: one way in, and a clear word when there is none."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import psycopg
from psycopg.conninfo import make_conninfo

from migrator.database import urls
from migrator.model.errors import MigratorError, UsageError, WorldError

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

# What holds unless the address says otherwise. No `options`: PgBouncer refuses the startup parameter.
DEFAULTS = {"connect_timeout": "10", "application_name": "migrator"}
KEEPALIVES = {
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}

_REFUSED = re.compile(r"FATAL:\s+(.*)")
_PREFIX = re.compile(r"^(?:connection failed: )?(?:connection to server .*? failed: )?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A database that can be reached: its address, what it is called, the application's search_path.

    `direct_url` is the address past a pooler, for what does not work through one.
    """

    url: str = field(repr=False)
    name: str = "default"
    search_path: str = "public"
    direct_url: str | None = field(default=None, repr=False)

    def connect(self, *, autocommit: bool = True) -> Connection:
        """Open a connection; raises UsageError or WorldError that says what is wrong and what to do."""
        try:
            return psycopg.connect(
                self.conninfo(),
                autocommit=autocommit,
                # A statement prepared behind a pooler would meet another server connection.
                prepare_threshold=None,
            )
        except psycopg.Error as error:
            raise _explained(error, self) from error

    def conninfo(self) -> str:
        """Write the whole connection string, secrets included."""
        said = urls.parts_of(self.url)
        added = {name: value for name, value in {**DEFAULTS, **KEEPALIVES}.items() if name not in said}
        if "PGCONNECT_TIMEOUT" in os.environ:
            added.pop("connect_timeout", None)
        return make_conninfo(urls.normalise(self.url), **added, client_encoding="utf8")

    @property
    def shown(self) -> str:
        """The address without its secrets."""
        return urls.masked(self.url)

    @property
    def direct(self) -> Database:
        """The same database past the pooler, where an address for that was given."""
        return replace(self, url=self.direct_url) if self.direct_url else self


def _explained(error: psycopg.Error, database: Database) -> MigratorError:
    """Say in the user's names why the server did not let us in."""
    text = str(error)
    reason = _reason(text)
    parts = urls.parts_of(database.url)
    user = parts.get("user") or "the user"
    where = database.shown
    for words, make in _CAUSES:
        if re.search(words, text, re.IGNORECASE):
            return make(where, user, urls.database_name(database.url), reason)
    return _unreachable(where, user, "", reason)


def _reason(text: str) -> str:
    """Find what the server said, or else what kept us from reaching it."""
    said = _REFUSED.findall(text)
    first = said[0] if said else _PREFIX.sub("", text.strip().partition("\n")[0])
    return str(first).strip().rstrip(".") or "no answer"


def _unreachable(where: str, user: str, name: str, reason: str) -> MigratorError:
    del user, name
    return WorldError(
        "M302",
        f"The server of {where} cannot be reached: {reason}.",
        "Look whether the server runs and whether host, port, firewall and sslmode are right; then run the"
        " same command again.",
    )


def _starting(where: str, user: str, name: str, reason: str) -> MigratorError:
    del user, name
    return WorldError(
        "M302",
        f"The server of {where} does not take connections at the moment: {reason}.",
        "Wait until it is up, and run the same command again.",
    )


def _full(where: str, user: str, name: str, reason: str) -> MigratorError:
    del user, name
    return WorldError(
        "M309",
        f"The server of {where} has no connection left: {reason}.",
        "Close connections or raise max_connections (or the pool's size), and run the same command again.",
    )


def _refused(where: str, user: str, name: str, reason: str) -> MigratorError:
    del name
    return UsageError(
        "M303",
        f"The server of {where} does not let {user} in: {reason}.",
        "Correct the password in the address, in PGPASSWORD or in PGPASSFILE; where the server names"
        " pg_hba.conf, it needs an entry for this user, database and host.",
    )


def _no_database(where: str, user: str, name: str, reason: str) -> MigratorError:
    del user, reason
    return UsageError(
        "M304",
        f"The database {name!r} does not exist on the server of {where}.",
        "Correct the name in the address, or create the database.",
    )


def _no_role(where: str, user: str, name: str, reason: str) -> MigratorError:
    del name, reason
    return UsageError(
        "M306",
        f"The role {user!r} does not exist on the server of {where}, or may not log in.",
        f'Correct the user in the address, or CREATE ROLE "{user}" LOGIN.',
    )


def _not_allowed(where: str, user: str, name: str, reason: str) -> MigratorError:
    return UsageError(
        "M306",
        f"The role {user!r} may not connect to {where}: {reason}.",
        f'GRANT CONNECT ON DATABASE "{name}" TO "{user}".',
    )


# Read from the text because libpq hands out no SQLSTATE before a connection stands. The first match decides;
# a password that is refused looks the same for a role that does not exist, by the server's own choice.
_CAUSES = (
    (r'role "[^"]*" does not exist|is not permitted to log in|no such user|Tenant or user not found', _no_role),
    (r'database "[^"]*" does not exist|no such database', _no_database),
    (r"permission denied for database", _not_allowed),
    (r"password authentication failed|no password supplied|no pg_hba\.conf entry|pg_hba\.conf rejects"
     r"|authentication failed|SASL authentication|requires a valid client certificate", _refused),
    (r"too many clients|remaining connection slots|too many connections|no more connections allowed", _full),
    (r"is starting up|is shutting down|in recovery mode|not yet accepting|not accepting connections", _starting),
)
