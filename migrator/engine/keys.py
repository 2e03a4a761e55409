"""Keys that no catalog vouches for: those of views, foreign tables and tables from which others inherit are counted.

Nothing keeps such a key unique afterwards. The primary key of the provenance table is the net under it: a second row
under one key is quarantined, and the Balance says "multiplied".
"""

from __future__ import annotations

from collections.abc import Sequence

from migrator.database.connect import Connection
from migrator.database.session import one
from migrator.engine.projection.fit import KeyDoubts
from migrator.engine.ranges import Keyset
from migrator.model.names import ours
from migrator.model.tables import Table


def doubts(conn: Connection, source: Table, keys: Sequence[str]) -> KeyDoubts | None:
    """Count the rows that lack a key or share one, in the open transaction; None where the catalog vouches for keys."""
    columns = [column for name in keys if (column := source.column(name))]
    if source.vouches or len(columns) < len(keys):
        return None
    keyset = Keyset.of_source(source, columns)
    key, rows = ours("key"), ours("rows")
    missing = " OR ".join(f"{name} IS NULL" for name in keyset.names)
    found = one(
        conn,
        f"SELECT coalesce(sum({rows}) FILTER (WHERE {rows} > 1 AND NOT missing), 0),"
        f" coalesce(sum({rows}) FILTER (WHERE missing), 0),"
        f" (array_agg(array_to_string({key}, ', ') ORDER BY {key}) FILTER (WHERE {rows} > 1 AND NOT missing))[1:3]"
        f" FROM (SELECT {keyset.texts} AS {key}, count(*) AS {rows}, ({missing}) AS missing"
        f" FROM {keyset.relation} AS {keyset.alias} GROUP BY {', '.join(keyset.names)}) AS counted",
    )
    assert found is not None  # an aggregate
    return KeyDoubts(shared=int(found[0]), nulls=int(found[1]), examples=tuple(found[2] or ()))
