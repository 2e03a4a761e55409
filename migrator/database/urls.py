"""Addresses of databases: read in any of the usual spellings, shown without their secrets."""

from __future__ import annotations

import os
import re
from urllib.parse import quote

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from migrator.model.errors import UsageError

HIDDEN = "***"
# What may be shown of a query string; everything else could be a secret.
SHOWN = frozenset(
    {
        "sslmode",
        "sslrootcert",
        "target_session_attrs",
        "application_name",
        "service",
        "connect_timeout",
    }
)
# Parameters by which other tools size their own pools; libpq refuses them, and they mean nothing
# to us.
FOREIGN_POOLS = frozenset({"pgbouncer", "connection_limit", "pool_timeout"})

_SCHEME = re.compile(r"^postgres(?:ql)?(?:\+\w+)?://", re.IGNORECASE)
_KEYWORD_SECRET = re.compile(
    r"(\w*(?:password|passphrase|secret|key)\w*\s*=\s*)('(?:[^'\\]|\\.)*'?|\S+)", re.IGNORECASE
)


def normalise(url: str) -> str:
    """Bring a URL or a key=value string to the form that psycopg takes; M313 for all else."""
    text = _for_libpq(url)
    try:
        parts = conninfo_to_dict(text)
    except ProgrammingError as error:
        raise _unreadable(url) from error
    # A password with a bare @ or / is read as something else, by libpq too: better to ask than to
    # guess.
    if "@" in str(parts.get("host", "")) or not re.fullmatch(r"[\d,]*", str(parts.get("port", ""))):
        raise _unreadable(url)
    if _SCHEME.match(text) and "@" in text.partition("?")[0].partition("//")[2].partition("/")[2]:
        raise _unreadable(url)
    return text


def parts_of(url: str) -> dict[str, str]:
    """Take an address apart, by the names that libpq gives to its parts."""
    return {name: str(value) for name, value in conninfo_to_dict(normalise(url)).items() if value is not None}


def for_sqlalchemy(url: str) -> str:
    """Write an address as SQLAlchemy wants it, with psycopg 3 named as the driver."""
    parts = parts_of(url)
    login = quote(parts.pop("user", ""), safe="")
    if "password" in parts:
        login += ":" + quote(parts.pop("password"), safe="")
    database = quote(parts.pop("dbname", ""), safe="")
    host = ""
    if re.fullmatch(r"[\w.-]+", parts.get("host", "")) and "," not in parts.get("port", ""):
        host = parts.pop("host") + (f":{parts.pop('port')}" if "port" in parts else "")
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in parts.items())
    at, mark = "@" if login else "", "?" if query else ""
    return f"postgresql+psycopg://{login}{at}{host}/{database}{mark}{query}"


def masked(url: str) -> str:
    """Show an address without its password and other secrets; never fails."""
    try:
        parts = parts_of(url)
    except UsageError:
        return _crudely_masked(url)
    login = parts.pop("user", "") + (f":{HIDDEN}" if parts.pop("password", None) else "")
    host, port = parts.pop("host", parts.pop("hostaddr", "")), parts.pop("port", "")
    place = f"{host}:{port}" if port else host
    database = parts.pop("dbname", "")
    query = "&".join(f"{name}={value if name in SHOWN else HIDDEN}" for name, value in parts.items())
    return f"postgresql://{login}{'@' if login else ''}{place}/{database}{'?' if query else ''}{query}"


def database_name(url: str) -> str:
    """Name the database as libpq would choose it; empty where a service file says."""
    parts = parts_of(url)
    if "dbname" in parts or "service" in parts:
        return parts.get("dbname", "")
    return os.environ.get("PGDATABASE") or parts.get("user") or os.environ.get("PGUSER", "")


def _for_libpq(url: str) -> str:
    text = url.strip()
    if not _SCHEME.match(text):
        return text
    text = _SCHEME.sub("postgresql://", text)
    base, mark, query = text.partition("?")
    kept = [one for one in query.split("&") if one.partition("=")[0] not in FOREIGN_POOLS]
    return f"{base}?{'&'.join(kept)}" if mark and any(kept) else base


def _unreadable(url: str) -> UsageError:
    return UsageError(
        "M313",
        f"{_crudely_masked(url)} is not an address of a PostgreSQL database.",
        "Write postgresql://user:password@host:5432/database; characters such as @ : / ? # % in"
        " the user or"
        " password are percent-encoded (@ is %40).",
    )


def _crudely_masked(url: str) -> str:
    text = url.strip()
    scheme = _SCHEME.match(text)
    if not scheme:
        return _KEYWORD_SECRET.sub(rf"\1{HIDDEN}", text) if "=" in text else HIDDEN
    login, at, place = text[scheme.end() :].rpartition("@")
    user, colon, _ = login.partition(":")
    place = place.partition("?")[0]
    return f"postgresql://{user}{f':{HIDDEN}' if colon else ''}{at}{place}"
