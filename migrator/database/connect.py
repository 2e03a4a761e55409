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

# What holds unless the address says otherwise. No `options`: PgBouncer refuses the startup
# parameter.
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
    """A database to reach: its address, what it is called, the application's search_path.

    `direct_url` is the address past a pooler, for what does not work through one.
    """

    url: str = field(repr=False)
    name: str = "default"
    search_path: str = "public"
    direct_url: str | None = field(default=None, repr=False)

    def connect(self, *, autocommit: bool = True) -> Connection:
        """Open a connection, or raise what is wrong and what to do about it."""
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


@dataclass(frozen=True, slots=True)
class _Cause:
    """A reason why nobody is let in: how it is recognised, and what is said."""

    pattern: str
    kind: type[MigratorError]
    id: str
    what: str
    cure: str


# Read from the text because libpq hands out no SQLSTATE before a connection stands. The first
# match decides; for a role that does not exist the server may ask for a password all the same.
_CAUSES = (
    _Cause(
        r'role ".*" does not exist|not permitted to log in|no such user|Tenant or user not found',
        UsageError,
        "M306",
        "The role {user!r} does not exist on the server of {where}, or may not log in.",
        'Correct the user in the address, or CREATE ROLE "{user}" LOGIN.',
    ),
    _Cause(
        r'database ".*" does not exist|no such database',
        UsageError,
        "M304",
        "The database {name!r} does not exist on the server of {where}.",
        "Correct the name in the address, or create the database.",
    ),
    _Cause(
        r"permission denied for database",
        UsageError,
        "M306",
        "The role {user!r} may not connect to {where}: {reason}.",
        'GRANT CONNECT ON DATABASE "{name}" TO "{user}".',
    ),
    _Cause(
        r"authentication failed|no password supplied|no pg_hba\.conf entry|pg_hba\.conf rejects"
        r"|SASL authentication|requires a valid client certificate",
        UsageError,
        "M303",
        "The server of {where} does not let {user} in: {reason}.",
        "Correct the password in the address, in PGPASSWORD or in PGPASSFILE; where the server"
        " names pg_hba.conf, it needs an entry for this user, database and host.",
    ),
    _Cause(
        r"too many clients|remaining connection slots|too many connections|no more connections",
        WorldError,
        "M309",
        "The server of {where} has no connection left: {reason}.",
        "Close connections or raise max_connections (or the size of the pool), and run the same command again.",
    ),
    _Cause(
        r"is starting up|is shutting down|in recovery mode|not (?:yet )?accepting",
        WorldError,
        "M302",
        "The server of {where} does not take connections at the moment: {reason}.",
        "Wait until it is up, and run the same command again.",
    ),
    _Cause(
        "",
        WorldError,
        "M302",
        "The server of {where} cannot be reached: {reason}.",
        "Look whether the server runs and whether host, port, firewall and sslmode are right;"
        " then run the same command again.",
    ),
)


def _explained(error: psycopg.Error, database: Database) -> MigratorError:
    """Say in the user's names why the server did not let us in."""
    text = str(error)
    cause = next(one for one in _CAUSES if re.search(one.pattern, text, re.IGNORECASE))
    facts = {
        "where": database.shown,
        "user": urls.parts_of(database.url).get("user", "the user of this session"),
        "name": urls.database_name(database.url),
        "reason": _reason(text),
    }
    return cause.kind(cause.id, cause.what.format(**facts), cause.cure.format(**facts))


def _reason(text: str) -> str:
    """Find what the server said, or else what kept us from reaching it."""
    said = _REFUSED.findall(text)
    first = said[0] if said else _PREFIX.sub("", text.strip().partition("\n")[0])
    return str(first).strip().rstrip(".") or "no answer"
