"""What one table of `migrator.toml` says about another; reads the raw document, whatever its state.

So a wrong type in one place does not hide a wrong name in another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from migrator.model.errors import ConfigurationError
from migrator.project.faults import Fault, did_you_mean, key, shown

LONGEST_NAME: Final = 63
SECRET: Final = re.compile(r"secret|password|token|credential|access_?key|key_?id", re.IGNORECASE)
SIGNED: Final = re.compile(r"[a-z0-9]+://[^/]*@", re.IGNORECASE)  # a URL with a user, and perhaps his password


def crosscheck(document: dict[str, Any]) -> Iterator[Fault]:
    """Find names that are none, and names that nothing answers to."""
    databases = _table(document, "database")
    for name, database in databases.items():
        if isinstance(database, dict):
            yield from _database(name, database)
    for name, change in _table(document, "change").items():
        yield from _change_name(name)
        if isinstance(change, dict):
            yield from _change_database(name, change, ["default", *databases])
            yield from _backfills(name, change)


def refuse_secrets(file: str, document: dict[str, Any]) -> None:
    """Refuse what opens a store of objects: such a file is shown, copied and kept for ever.

    Raises ConfigurationError M250, in which no value is shown.
    """
    table = _table(document, "s3")
    named = [key("s3", name) for name in table if SECRET.search(name)]
    named += [key("s3", name) for name, value in table.items() if isinstance(value, str) and SIGNED.match(value)]
    if named:
        raise ConfigurationError(
            "M250",
            f"{file}: {' and '.join(named)} would hold a secret, which does not belong into a file.",
            "Take it out, and give another one to whom it belongs. Credentials come by the standard AWS chain:"
            " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the role of the machine.",
        )


def wrong_name(name: str) -> str | None:
    """Say why a name cannot be one, if so."""
    if len(name) > LONGEST_NAME:
        return f"is longer than {LONGEST_NAME} characters."
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        return "is no name: letters, digits and underscores, no digit first."
    return None


def _table(table: dict[str, Any], name: str) -> dict[str, Any]:
    found = table.get(name)
    return found if isinstance(found, dict) else {}


def _database(name: str, database: dict[str, Any]) -> Iterator[Fault]:
    for plain in ("url", "direct_url"):
        if plain in database and f"{plain}_env" in database:
            what = f"both {plain} and {plain}_env are set."
            yield Fault(where=key("database", name), what=what, cure="Keep one of them.")


def _change_name(name: str) -> Iterator[Fault]:
    if why := wrong_name(name):
        better = re.sub(r"[^A-Za-z0-9_]", "_", name)[:LONGEST_NAME]
        cure = "" if wrong_name(better) else f"Write [{key('change', better)}]."
        yield Fault(where=key("change", name), what=f"{shown(name)} {why}", cure=cure)


def _change_database(name: str, change: dict[str, Any], known: list[str]) -> Iterator[Fault]:
    database = change.get("database", "default")
    if isinstance(database, str) and database not in known:
        cure = f"{did_you_mean(database, known)} Or add [{key('database', database)}]."
        what = f"no database is called {shown(database)}."
        yield Fault(where=key("change", name, "database"), what=what, cure=cure)


def _backfills(change: str, table: dict[str, Any]) -> Iterator[Fault]:
    listed = table.get("backfills", [])
    names = [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []
    where = key("change", change, "backfills")
    for name in dict.fromkeys(names):
        if why := wrong_name(name):
            cure = f"Write {name[:-3]!r}, without .py." if name.endswith(".py") else ""
            yield Fault(where=where, what=f"{shown(name)} {why}", cure=cure)
        elif name.startswith("_"):
            what = f"{shown(name)} holds shared rules, no backfill."
            yield Fault(where=where, what=what, cure="List the files that import it.")
        if names.count(name) > 1:
            yield Fault(where=where, what=f"{shown(name)} is listed twice.", cure="List it once.")
    for name in _table(table, "backfill"):
        if name not in names:
            yield Fault(
                where=key("change", change, "backfill", name),
                what=f"{shown(name)} is not listed in {where}.",
                cure=did_you_mean(name, names),
            )
