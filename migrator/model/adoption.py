"""Adoption: what is to be done with a table that is there already, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from migrator.model.names import Relation
from migrator.model.step import Hazard


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows that stand in the way of an act: those of `relation` (as t) for which `where` is true.

    Where the table `needs` is still to be made, `alone` takes the place of `where`.
    """

    what: str
    relation: Relation
    where: str
    key: tuple[str, ...] = ()
    needs: Relation | None = None
    alone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One act that brings a found table over: a transaction, or, `concurrent`, a statement in none.

    `difference` is what it mends. `undo` is written backwards from what was found. `index` is the index that a
    concurrent act builds, `makes` the relation that was not there before. `first` and `first_back` are the rows that
    must not be there before it is done and before it is undone; `loses` those that undo takes something from.
    """

    difference: str
    do: tuple[str, ...]
    undo: tuple[str, ...] = ()
    relation: Relation
    stage: int = 0
    lock: str = ""
    concurrent: bool = False
    index: str = ""
    makes: Relation | None = None
    first: tuple[Rows, ...] = ()
    first_back: tuple[Rows, ...] = ()
    loses: tuple[Rows, ...] = ()
    hazard: Hazard | None = None

    def as_json(self) -> dict[str, Any]:
        """Write what undo and a run that goes on need."""
        return asdict(self)

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Act:
        """Read what `as_json` wrote."""
        makes, hazard = said["makes"], said["hazard"]
        plain = {name: said[name] for name in ("difference", "stage", "lock", "concurrent", "index")}
        return cls(
            **plain,
            do=tuple(said["do"]),
            undo=tuple(said["undo"]),
            relation=Relation(**said["relation"]),
            makes=Relation(**makes) if makes else None,
            first=tuple(_rows(one) for one in said["first"]),
            first_back=tuple(_rows(one) for one in said["first_back"]),
            loses=tuple(_rows(one) for one in said["loses"]),
            hazard=Hazard(**hazard) if hazard else None,
        )


def _rows(said: Mapping[str, Any]) -> Rows:
    relation, needs = Relation(**said["relation"]), said["needs"]
    given = {**said, "relation": relation, "key": tuple(said["key"]), "needs": Relation(**needs) if needs else None}
    return Rows(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Equal:
    """What was found is what is declared; `notes` are harmless differences."""

    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Acts:
    """What was found becomes what is declared by these acts, in order."""

    acts: tuple[Act, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """What was found cannot be made what is declared: why, and what could have been mended."""

    reasons: tuple[str, ...]
    acts: tuple[Act, ...] = ()
    notes: tuple[str, ...] = ()


Outcome: TypeAlias = Equal | Acts | Refused
