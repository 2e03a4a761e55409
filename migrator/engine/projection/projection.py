"""Projection: the single SELECT a Backfill compiles to, used five ways.

Its rows are (key, code, detail, marks, digest, target columns, identity of the row merged into). The code stands for
an Outcome. It is a total function of table state: it yields a fault where a value cannot be made, it never raises for
anything the catalog foretells, and every layer is fenced so that no column is pruned and no condition is reordered.

    raw     one value per target column, its own faults, the skip and quarantine rules
    cast    every value in the target's type, or a fault
    judged  NOT NULL, CHECK, foreign and unique keys, merge, and from all this the code
    gated   where objects move with rows: of a row that would move, whether its objects are there
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from migrator.engine.projection import fate, layers
from migrator.engine.projection.compiled import CODE, DIGEST, Compiled
from migrator.engine.projection.fate import Against
from migrator.engine.projection.images import digest
from migrator.engine.projection.layers import Part, Turn
from migrator.engine.projection.moving import Moving
from migrator.engine.projection.pieces import FOLLOWS, MERGED, MOVED
from migrator.model.names import key_text, literal, ours, quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection(Compiled):
    """A compiled Backfill that gives the SQL for a part of its source.

    `coming` are the Projections of earlier backfills of the change, over their rows that are still to come.
    """

    coming: tuple[Projection, ...] = ()

    def select(
        self,
        where: str = "true",
        *,
        near: str = "true",
        merging: bool = True,
        foretelling: bool = False,
        turn: Turn = "all",
        awaiting: bool = False,
    ) -> str:
        """Give the SELECT for the source rows under `where`.

        `near` says where tables with the source's key have them, as "~migrator keyed". `turn` leaves out rows of a
        group that wait for others.
        Without `merging` no row of the target is looked at: for a first copy, where an insert finds out by itself.
        `foretelling` also finds source rows that compete for one unique value, at the price of reading them all;
        once rows are in the target, the target itself tells. `awaiting` also judges foreign keys to tables that earlier
        backfills fill, by their Projections.
        """
        against = Against(
            merging=self._meets(merging),
            foretelling=foretelling,
            awaiting=awaiting,
            awaited=self._awaited() if awaiting else "",
        )
        rows = fate.judged(self, Part(where=where, near=near, turn=turn), against)
        rows = fate.weighed(self, fate.gated(self, rows), against)
        return f"SELECT judged.*, {self._digest()} AS {quote(DIGEST)} FROM ({rows}) AS judged"

    def raw(self) -> str:
        """Give the first layer over the whole source."""
        return layers.raw(self, Part())

    def objects(self, where: str = "true", *, near: str = "true", merging: bool = True, turn: Turn = "all") -> str:
        """Give the SELECT of the objects of the source rows under `where` that would move, whatever became of them.

        Its columns: source_key (of the row, as texts), name, source_bucket, source_key_ (of the object), target_bucket,
        target_key, and or_keys, under which it is looked for next. An empty bucket is that of [s3]; `{ext}` stands in a
        key where the content type decides. Without `merging` no row of the target is looked at, which is right for rows
        that moved before.
        """
        part, against = Part(where=where, near=near, turn=turn), Against(merging=self._meets(merging))
        rows = fate.judged(self, part, against, carries=self.moving)
        places = [one.columns for one in self.moving]
        nowhere = " OR ".join(f"p.{source} IS NOT NULL AND p.{target} IS NULL" for _, source, _, target, _ in places)
        columns = ("name", "source_bucket", "source_key_", "target_bucket", "target_key", "or_keys")
        return self._listed(rows, self.moving, columns, f"o.source_key_ IS NOT NULL AND NOT ({nowhere})")

    def documents(self, where: str = "true", *, near: str = "true", merging: bool = False) -> str:
        """Give the SELECT of the documents of the source rows under `where` that move.

        Its columns: source_key (of the row, as texts), name, target_bucket, target_key (NULL where no object can have
        it) and content; a row whose content is NULL has no document.
        """
        carried = [pair for one in self.written for pair in one.carried]
        whole = replace(
            self,
            raw_steps=(*self.raw_steps, *self.written_steps),
            raw_values=(*self.raw_values, *carried),
            cast_values=(*self.cast_values, *((name, f"raw.{quote(name)}") for name, _ in carried)),
        )
        part, against = Part(where=where, near=near), Against(merging=self._meets(merging))
        rows = fate.gated(self, fate.judged(whole, part, against, carries=self.written), carries=self.written)
        columns = ("name", "target_bucket", "target_key", "content")
        return self._listed(rows, self.written, columns, "o.content IS NOT NULL")

    @property
    def foreseeing(self) -> Projection:
        """The same Projection for foretelling: objects that nobody copied yet are taken to be there."""
        return replace(self, foresees=True) if self.moving else self

    def limited_to(self, provenances: Iterable[str]) -> Projection:
        """Give the same Projection knowing which provenance tables exist."""
        return replace(self, provenances=tuple(provenances))

    def awaiting(self, coming: Iterable[Projection]) -> Projection:
        """Give the same Projection knowing what earlier backfills will bring."""
        return replace(self, coming=tuple(coming))

    def without(self, condition: str) -> Projection:
        """Give the same Projection over the source rows under a condition."""
        return replace(self, excluding=condition if self.excluding == "true" else f"{self.excluding} AND {condition}")

    def _meets(self, merging: bool) -> bool:
        return merging and self.target_exists and not self.backfill.in_place

    def _awaited(self) -> str:
        """Join what the keys that are awaited can point at: rows that are there, and rows that would move there."""
        return "".join(
            one.awaited.join(
                self.target_alias,
                [
                    f"SELECT * FROM ({earlier.select(foretelling=True, awaiting=True)}) AS {ours('moved')}"
                    f" WHERE {quote(CODE)} = {MOVED}"
                    for earlier in self.coming
                    if earlier.target.relation == one.awaited.key.references and not earlier.backfill.in_place
                ],
            )
            for one in self.judgements
            if one.awaited
        )

    def _digest(self) -> str:
        """Write the digest: of a merged row that of what is compared of it; of one that follows, that of its winner."""
        whole = digest(self.compared, of="judged")
        arms = f"WHEN {MERGED} THEN {self.recognition('judged')}"
        if self.grouping is not None:  # it is as declared as long as it follows the same one
            won = ", ".join(key_text(one) for one in self.winner_columns("judged"))
            arms += f" WHEN {FOLLOWS} THEN hash_record_extended(ROW({won}), 0)"
        return f"CASE judged.{quote(CODE)} {arms} ELSE {whole} END"

    def _listed(self, rows: str, carries: Sequence[Moving], columns: Sequence[str], where: str) -> str:
        """Write one line for each object or document of the rows that move."""
        lines = ", ".join(
            f"({', '.join([literal(one.name), *(f'p.{name}' for name in one.columns)])})" for one in carries
        )
        lines = lines or f"({', '.join(['NULL::text'] * len(columns))})"
        keys = f"ARRAY[{', '.join(key_text(one) for one in self.key_columns('p'))}]"
        where = where if carries else "false"
        return (
            f"SELECT {keys} AS source_key, o.* FROM ({rows}) AS p CROSS JOIN LATERAL (VALUES {lines})"
            f" AS o({', '.join(columns)}) WHERE p.{quote(CODE)} = {MOVED} AND {where}"
        )
