"""The inventory of the tables that revisions made: how expand left them, and what differs now."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence

from migrator.database.anatomy import anatomies
from migrator.database.connect import Connection
from migrator.database.session import one
from migrator.ledger import steps
from migrator.model.errors import UsageError
from migrator.model.names import Relation
from migrator.model.step import Phase
from migrator.model.verdict import Verdict

Inventory = Mapping[str, Mapping[str, str]]  # by table, by name of the object: what it is
KEY = "inventory"


def drift(conn: Connection, change: str) -> Inventory:
    """Give what expand left of every object that is not so now; nothing where that was not recorded."""
    found = _recorded(conn, change)
    if found is None:
        return {}
    was, now = found[1], _live(conn, [_relation(name) for name in found[1]])
    return {table: {name: said for name, said in was[table].items() if now[table].get(name) != said} for table in was}


def record(conn: Connection, change: str, step: str, tables: Sequence[Relation], drifted: Inventory) -> None:
    """Record how the tables are now, with the last Step of expand, in the open transaction.

    What had drifted before this expand is no work of expand: it stays recorded as it was.
    """
    now = _live(conn, tables)
    steps.keep(conn, change, Phase.EXPAND, step, {KEY: {name: {**now[name], **drifted.get(name, {})} for name in now}})


def verdict(conn: Connection, change: str) -> Verdict | None:
    """Compare the tables with how expand left them; None where that was not recorded."""
    found = _recorded(conn, change)
    if found is None:
        return None
    _, was = found
    said = differences(was, _live(conn, [_relation(name) for name in was]))
    number = sum(map(len, was.values()))
    return Verdict(
        claim="the tables are as expand left them",
        proven=not said,
        evidence="; ".join(f"{name} {how}" for name, how in said.items())
        or f"{number:,} objects of {len(was)} table{'' if len(was) == 1 else 's'}",
    )


def accept(conn: Connection, change: str, names: Sequence[str]) -> None:
    """Take what these objects are now for what they should be, with all that is theirs, in the open transaction.

    Raises UsageError M215 for a name of nothing that differs.
    """
    found = _recorded(conn, change)
    step, was = found or ("", {})
    now = _live(conn, [_relation(name) for name in was])
    differ = differences(was, now)
    meant = [one for one in differ if any(one == name or one.endswith(f" of {name}") for name in names)]
    unknown = [name for name in names if not any(one == name or one.endswith(f" of {name}") for one in meant)]
    if unknown:
        exact = ", ".join(f'"{one}"' for one in differ) or "nothing"
        raise UsageError("M215", f"--accept {unknown[0]!r} is nothing that differs.", f"What differs: {exact}.")
    gone = [name for name in was if f"table {_relation(name)}" in meant]
    merged = {name: {} if name in gone else _merged(was[name], now[name], meant) for name in was}
    steps.keep(conn, change, Phase.EXPAND, step, {KEY: merged})


def digest(conn: Connection, change: str) -> str | None:
    """Digest how the tables are now; None where it was not recorded how expand left them."""
    found = _recorded(conn, change)
    if found is None:
        return None
    now = _live(conn, [_relation(name) for name in found[1]])
    return hashlib.sha256(json.dumps(now, sort_keys=True).encode()).hexdigest()


def differences(was: Inventory, now: Inventory) -> dict[str, str]:
    """Say of each object that is not as it was how it differs, by name."""
    return {name: how for table in was for name, how in _of_table(table, was[table], now.get(table, {}))}


def _of_table(table: str, was: Mapping[str, str], now: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if was and not now:
        yield f"table {_relation(table)}", "is gone"
        return
    for name in sorted(was.keys() | now.keys()):
        if name not in now:
            yield name, f"is gone (it was {was[name]})"
        elif name not in was:
            yield name, f"is new ({now[name]})"
        elif was[name] != now[name]:
            yield name, f"is {now[name]} (it was {was[name]})"


def _merged(was: Mapping[str, str], now: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    kept = {name: said for name, said in was.items() if name not in names}
    return kept | {name: said for name, said in now.items() if name in names}


def _recorded(conn: Connection, change: str) -> tuple[str, Inventory] | None:
    row = one(
        conn,
        "SELECT name, undo -> 'inventory' FROM migrator.step"
        " WHERE change = %s AND phase = 'expand' AND undo ? 'inventory' ORDER BY at DESC LIMIT 1",
        (change,),
    )
    return None if row is None else (str(row[0]), row[1])


def _live(conn: Connection, tables: Sequence[Relation]) -> dict[str, dict[str, str]]:
    found = anatomies(conn, tables)
    return {json.dumps([one.schema, one.name]): dict(found[one].listed) if one in found else {} for one in tables}


def _relation(name: str) -> Relation:
    schema, table = json.loads(name)
    return Relation(schema, table)
