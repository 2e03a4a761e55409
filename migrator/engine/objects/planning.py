"""What a copy would find, by name: what rows name, what is copied already, and what looking at the rest foretells."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from migrator.database.connect import Connection
from migrator.engine.objects.foretelling import TO_COPY, Foretold, Listed
from migrator.engine.prepare import Prepared
from migrator.ledger import objects
from migrator.model.checked_objects import Astray, PlannedObjects
from migrator.model.objects import ObjectName, Outcome


@dataclass(slots=True, kw_only=True)
class Planned:
    """What is known so far of the objects of one name."""

    backfill: str
    name: str
    sentence: str
    unwanted: str | None
    show: int
    objects: int = 0
    copied: int = 0
    foretold: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    examples: list[Astray] = field(default_factory=list)

    def add(self, one: Foretold) -> None:
        """Count one more."""
        self.foretold[one.word] += 1
        self.bytes[one.word] += one.size
        if one.word not in {TO_COPY, Outcome.THERE.value} and len(self.examples) < self.show:
            listed = one.listed
            self.examples.append(Astray(row=listed.row, object=str(listed.source), why=one.word, detail=one.detail))

    def told(self) -> PlannedObjects:
        """Give what is known in the end."""
        return PlannedObjects(
            backfill=self.backfill,
            name=self.name,
            sentence=self.sentence,
            unwanted=self.unwanted,
            objects=self.objects,
            copied=self.copied,
            foretold=dict(self.foretold.most_common()),
            bytes={word: self.bytes[word] for word, _ in self.foretold.most_common()},
            examples=tuple(self.examples),
        )


def list_named(
    conn: Connection, prepared: Prepared, default: str, plans: Mapping[str, Planned], aside: IO[str]
) -> None:
    """Count what rows name and what is copied of it; what is to be looked at is written into a file, line by line."""
    for row, name, bucket, key, to_bucket, to_key, others, place, outcome in _rows(conn, prepared):
        plans[name].objects += 1
        if outcome is not None and outcome != Outcome.CONTESTED.value:
            good = Outcome(outcome).good
            plans[name].copied += good
            if good:
                continue
        source, target = ObjectName(bucket or default, key), ObjectName(to_bucket or default, to_key)
        listed = Listed(name=name, row=tuple(row), source=source, target=target)
        if place > 1:
            plans[name].add(Foretold(listed=listed, word=Outcome.CONTESTED.value, detail=f"{to_bucket}/{to_key}"))
            continue
        said = [name, list(row), source.bucket, source.key, target.bucket, target.key, others]
        aside.write(json.dumps(said) + "\n")
    aside.seek(0)


def listed_in(aside: IO[str]) -> Iterator[Listed]:
    """Read what is to be looked at."""
    for line in aside:
        name, row, bucket, key, to_bucket, to_key, others = json.loads(line)
        source, target = ObjectName(bucket, key), ObjectName(to_bucket, to_key)
        or_else = tuple(ObjectName(bucket, other) for other in others)
        yield Listed(name=name, row=tuple(row), source=source, target=target, or_else=or_else)


def _rows(conn: Connection, prepared: Prepared) -> Iterator[Sequence[Any]]:
    """Read what the Projection lists, with what the Ledger knows of it, a part at a time."""
    known = "SELECT NULL::text AS outcome WHERE false"
    if objects.is_kept(conn):
        known = (
            f"SELECT outcome FROM {objects.TABLE} AS k WHERE k.change = %(change)s AND k.backfill = %(backfill)s"
            " AND k.name = o.name AND k.source_key = o.source_key"
            " AND (k.from_bucket, k.to_bucket, k.to_key) = (o.source_bucket, o.target_bucket, o.target_key)"
            " AND k.from_key = ANY (o.source_key_ || o.or_keys)"
        )
    place = "row_number() OVER (PARTITION BY o.target_bucket, o.target_key ORDER BY o.source_key)"
    ran = prepared.recorded is not None
    listed = (prepared.writing().objects(None, None) if ran else prepared.projection.objects()).replace("%", "%%")
    asked = (
        "SELECT o.source_key, o.name, o.source_bucket, o.source_key_, o.target_bucket, o.target_key,"
        f" coalesce(o.or_keys, '{{}}'), {place}, k.outcome FROM ({listed}) AS o"
        f" LEFT JOIN LATERAL ({known}) AS k ON true"
    )
    with conn.cursor(name="migrator_objects") as cursor:
        cursor.itersize = 2_000
        given = {"change": prepared.change.name, "backfill": prepared.projection.backfill.name}
        cursor.execute(asked.encode(), given)
        yield from cursor
