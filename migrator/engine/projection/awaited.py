"""Foreign keys to tables that earlier backfills of the same change fill: judged by what is there and what will come."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from migrator.model.names import ours, quote
from migrator.model.tables import ForeignKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """A foreign key whose rows are partly still to come; `stands` says that the table it points at is there already."""

    place: int  # of the key among those of the table
    key: ForeignKey
    stands: bool

    @property
    def name(self) -> str:
        """The name under which the rows pointed at are joined, quoted."""
        return ours(f"awaited{self.place}")

    @property
    def when(self) -> str:
        """The condition that a row with a value for the key points at none of them."""
        return f"{self.name}.{ours('by1')} IS NULL"

    def join(self, alias: str, coming: Iterable[str]) -> str:
        """Join what the key can point at to the rows aliased so; `coming` are SELECTs of rows still to come.

        It is joined and not looked up row by row, because a Projection stands behind each of them.
        """
        places = [ours(f"by{n}") for n in range(1, len(self.key.columns) + 1)]
        named = ", ".join(
            f"{quote(there)} AS {place}" for there, place in zip(self.key.referenced_columns, places, strict=True)
        )
        rows = [f"SELECT {named} FROM {self.key.references.sql} AS {ours('pointed')}"] if self.stands else []
        rows += [f"SELECT {named} FROM ({one}) AS {ours('coming')}" for one in coming]
        collations = self.key.collations or (None,) * len(places)
        on = " AND ".join(
            f"{self.name}.{place} = {alias}.{quote(here)}{f' COLLATE {collation}' if collation else ''}"
            for place, here, collation in zip(places, self.key.columns, collations, strict=True)
        )
        united = " UNION ALL ".join(rows)
        return f"\n LEFT JOIN (SELECT DISTINCT * FROM ({united}) AS {ours('pointed')}) AS {self.name} ON {on}"
