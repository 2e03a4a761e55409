"""Foreign rows: rows of a target that no provenance knows. They are counted; where they are a fault they are named.

One that carries the content of a row of ours is a second copy of it, whoever wrote it.
"""

from __future__ import annotations

from dataclasses import dataclass

from migrator.database.connect import Connection
from migrator.database.session import rows, value
from migrator.engine.projection.images import digest
from migrator.engine.projection.projection import Projection
from migrator.engine.ranges import Keyset
from migrator.engine.statements import Writing
from migrator.engine.verdicts import verdict
from migrator.model.change import Foreign
from migrator.model.expressions import Column, DerivedText, DerivedUuid
from migrator.model.names import key_text, quote
from migrator.model.tables import TableColumn
from migrator.model.verdict import RowVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignRows:
    """The foreign rows of one target. `provenances` are those of all backfills into it."""

    writing: Writing
    foreign: Foreign
    provenances: tuple[str, ...]

    @property
    def _projection(self) -> Projection:
        return self.writing.projection

    def found(self, conn: Connection) -> tuple[int, list[RowVerdict]]:
        """Count them, inside the open transaction, and name those that are a fault."""
        foreign = int(value(conn, f"SELECT count(*) FROM ({self._strangers()}) AS t"))
        if foreign == 0:
            return 0, []
        doubled = self._doubled(conn)
        if self.foreign == "count":
            return foreign, doubled
        known = {tuple(one.target_key.values()) for one in doubled}
        return foreign, doubled + [one for one in self._extra(conn) if tuple(one.target_key.values()) not in known]

    def _strangers(self) -> str:
        identity = self._projection.identity
        tests = [
            f"NOT EXISTS (SELECT FROM {table} AS known WHERE "
            + " AND ".join(f"known.t{n} = t.{quote(one.name)}" for n, one in enumerate(identity, 1))
            + ")"
            for table in self.provenances
        ]
        return f"SELECT t.* FROM {self._projection.target.relation.sql} AS t WHERE {' AND '.join(tests) or 'true'}"

    def _extra(self, conn: Connection) -> list[RowVerdict]:
        found = rows(conn, f"SELECT {self._key('t')} FROM ({self._strangers()}) AS t ORDER BY 1")
        return [verdict(self._projection, "extra: nobody moved it here", [], list(key)) for (key,) in found]

    def _doubled(self, conn: Connection) -> list[RowVerdict]:
        """Find strangers that carry the content of a row of ours."""
        telling = self._telling()
        if not telling or self._projection.backfill.handed_over:
            return []
        found = rows(conn, self._doubled_sql(telling))
        kind = "doubled: a second row with the same content"
        return [verdict(self._projection, kind, list(a), list(b)) for a, b in found]

    def _doubled_sql(self, telling: tuple[TableColumn, ...]) -> str:
        strange, ours = digest(telling, of="stranger"), digest(telling, of="ours")
        alone = self._projection.grouping is None
        walked = Keyset.of_provenance(self.writing.recorded.provenance, self._projection.keys)
        same = " AND ".join(
            f"ours.{quote(one.name)} = walked.t{n}" for n, one in enumerate(self._projection.identity, 1)
        )
        given = " OR ".join(f"stranger.{quote(one.name)} IS NOT NULL" for one in telling)
        return (
            f"SELECT {walked.texts}, {self._key('stranger')} FROM ({self._strangers()}) AS stranger"
            f" JOIN {self._projection.target.relation.sql} AS ours ON {strange} = {ours}"
            f" JOIN {walked.relation} AS walked ON {same}{'' if alone else ' AND NOT walked.follows'}"
            f" WHERE {given} ORDER BY 2, 1"
        )

    def _key(self, of: str) -> str:
        return f"ARRAY[{', '.join(key_text(f'{of}.{quote(one.name)}') for one in self._projection.identity)}]"

    def _telling(self) -> tuple[TableColumn, ...]:
        """Choose the columns by which a second copy is told: all content, or what only the source key can give."""
        projection = self._projection
        identity = {one.name for one in projection.identity}
        unique = {name for one in projection.target.uniques for name in one.columns} | identity
        content = tuple(one for one in projection.compared if one.name not in unique)
        if self.foreign == "fault":
            return content
        return tuple(one for one in content if self._only_from_key(one.name))

    def _only_from_key(self, name: str) -> bool:
        made = self._projection.backfill.expressions[name]
        if isinstance(made, DerivedUuid | DerivedText):
            return True
        return isinstance(made, Column) and self._projection.source.unique_over((made.name,)) is not None
