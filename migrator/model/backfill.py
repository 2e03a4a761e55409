"""Backfill: the frozen declaration that rows of one source become rows of one target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from migrator.model import moved_objects
from migrator.model.errors import ConfigurationError
from migrator.model.expressions import (
    Elsewhere,
    Expression,
    Given,
    Missing,
    MovedTo,
    ObjectKey,
    Predicate,
    as_expression,
    walk,
)
from migrator.model.groups import Group, Grouped, Paired
from migrator.model.moved_objects import Document, MovedObject, uses_objects
from migrator.model.pace import Pace
from migrator.model.parameters import Parameter

Names = str | tuple[str, ...]
_BEFORE = ("identity", "merge", "fill")  # columns whose values must be known before anything is copied


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """A named rule by which a row is left behind, or taken by another backfill of the same source."""

    name: str
    when: Predicate
    elsewhere: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A named rule by which a row is quarantined."""

    name: str
    when: Predicate


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """How rows of `source` become rows of `target`: facts only, no loop.

    `key`: the source's unique column(s). `identity`: the target's unique column(s) which the source key determines.
    `merge`: target column(s) by which a row of the new application is recognised, each with the expression through
    which both sides are compared where that is not the value itself; `fill`: columns of such a row that are completed
    where they are NULL. `group`: which source rows become one target row together. `skip` and `quarantine`: named
    conditions. `columns`: an Expression for each target column. `left_behind`: why a source column is not read.
    `volatile`: target columns that may differ between runs and are not compared. `only_if`: a Parameter of type bool;
    while it is not true, the change goes without this backfill.
    Where source and target are one table, rows are written *in place*: `columns` are those that are written, and the
    identity is the key. `handed_over`: what is written is an order to the application, whose row it is from then on.
    `pace`: how many such orders may be open at once. `cohort`: what rows that go together have in common.
    `objects`: the objects that a row names and that move with it. `documents`: what is written beside a row that moved.
    """

    source: str
    key: Names
    target: str
    identity: Names = ()
    columns: Mapping[str, Expression | Parameter | str]
    merge: Names | Mapping[str, Expression | str] = ()
    fill: Names = ()
    group: Group | None = None
    skip: Mapping[str, Predicate | Elsewhere] = field(default_factory=dict)
    quarantine: Mapping[str, Predicate] = field(default_factory=dict)
    left_behind: Mapping[str, str] = field(default_factory=dict)
    volatile: Names = ()
    only_if: Parameter | None = None
    handed_over: bool = False
    pace: Pace | None = None
    cohort: Expression | Parameter | str | None = None
    objects: Mapping[str, MovedObject] = field(default_factory=dict)
    documents: Mapping[str, Document] = field(default_factory=dict)
    name: str = ""
    path: str = ""
    doc: str = ""

    def __post_init__(self) -> None:
        """Bring every field to one form and refuse what contradicts itself."""
        if isinstance(self.merge, Mapping):
            folds = {name: as_expression(one) for name, one in self.merge.items()}
            object.__setattr__(self, "merge", MappingProxyType(folds))
        for name in ("key", "identity", "fill", "volatile", *(() if self.folds else ("merge",))):
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        if self.in_place and not self.identity:
            object.__setattr__(self, "identity", self.key)
        if self.cohort is not None:
            object.__setattr__(self, "cohort", as_expression(self.cohort))
        made = {name: as_expression(value) for name, value in self.columns.items()}
        object.__setattr__(self, "columns", MappingProxyType(made))
        if faults := list(moved_objects.faults(self.objects, self.documents)):
            raise ConfigurationError("M270", " ".join(faults), "Mend the definition; see docs/definitions.md.")
        for name in ("objects", "documents"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        faults = list(self._faults())
        if faults:
            raise ConfigurationError("M110", " ".join(faults), "Mend the definition; see docs/definitions.md.")
        self._refuse_misplaced_objects()

    def _faults(self) -> list[str]:
        found = []
        for name in ("source", "target", "key", "identity", "columns"):
            value = getattr(self, name)
            if not value or (isinstance(value, tuple) and not all(value)):
                found.append(f"{name} is empty.")
        found += [
            f"{part!r} is no expression; write constant(…) or sql(…)."
            for part in self.parts()
            if not isinstance(part, Expression | Predicate | Elsewhere)
        ]
        found += self._faults_in_place() if self.in_place else []
        for name in ("identity", "merge", "fill", "volatile")[1 if self.in_place else 0 :]:
            unknown = [one for one in tuple(getattr(self, name)) if one not in self.columns]
            if unknown:
                found.append(f"{name} names {', '.join(unknown)}, which columns does not fill.")
        if set(self.fill) & {*self.identity, *self.merges}:
            found.append("a column of identity or merge is there already and cannot be filled.")
        if set(self.identity) & set(self.volatile):
            found.append("a column of the identity cannot be volatile.")
        if self.pace is not None and not isinstance(self.pace, Pace):
            found.append("pace is none; write pace(at_most=…, open=sql(…)).")
        if not isinstance(self.group, Grouped | Paired | None):
            found.append(f"group is {self.group!r}; write grouped(by=…, order=…) or paired(sql(…)).")
        if self.only_if is not None and (not isinstance(self.only_if, Parameter) or self.only_if.kind is not bool):
            found.append("only_if is no parameter of type bool; write param(…, bool, default=False).")
        return found

    def _faults_in_place(self) -> list[str]:
        found = []
        if self.identity != self.key:
            found.append("in place the identity is the key; leave it out.")
        if keys := [one for one in self.key if one in self.columns]:
            found.append(f"columns names {', '.join(keys)}, the key, which is not written in place.")
        if self.merge or self.fill:
            found.append("in place there is nothing to merge with; leave merge and fill out.")
        if self.group:
            found.append("in place every row stays a row of its own; leave group out.")
        return found

    def _refuse_misplaced_objects(self) -> None:
        """Raise ConfigurationError M270 for keys of objects where none can be, M273 for what does not go together."""
        found = []
        for part in self.parts():
            if isinstance(part, ObjectKey) and part.name not in self.objects:
                known = f"It has: {', '.join(self.objects)}." if self.objects else "It declares none."
                found.append(f"object_key({part.name!r}) names no object of this definition. {known}")
        apart: list[tuple[str, Any]] = [("the cohort", self.cohort)]
        apart += [("the group", one) for one in (self.group.parts() if self.group else ())]
        apart += [(f"rule {name!r}", one) for name, one in (*self.skip.items(), *self.quarantine.items())]
        apart += [(f"merge {name!r}", one) for name, one in self.folds.items()]
        apart += [(f"{what} {one!r}", self.columns.get(one)) for what in _BEFORE for one in tuple(getattr(self, what))]
        found += [
            f"{where} takes the key of an object, which is known only when it is copied."
            for where, one in apart
            if uses_objects(one)
        ]
        if found:
            cure = "Take object_key(…) for columns alone, of an object that the definition declares."
            raise ConfigurationError("M270", " ".join(dict.fromkeys(found)), cure)
        if self.cohort is not None and (self.objects or self.documents):
            raise ConfigurationError(
                "M273",
                "a definition with objects has a cohort.",
                "Leave the cohort out: objects go over with all of their rows, and are taken back with all of them.",
            )

    @property
    def in_place(self) -> bool:
        """Whether the rows of one table are written where they are."""
        return bool(self.source) and self.source == self.target

    @property
    def keys(self) -> tuple[str, ...]:
        """The source key's columns."""
        return tuple(self.key)

    @property
    def identities(self) -> tuple[str, ...]:
        """The target identity's columns."""
        return tuple(self.identity)

    @property
    def merges(self) -> tuple[str, ...]:
        """The target columns by which an application's row is recognised."""
        return tuple(self.merge)

    @property
    def folds(self) -> Mapping[str, Expression]:
        """The expressions over a target row through which merge columns are compared; none: by their values."""
        return self.merge if isinstance(self.merge, Mapping) else {}  # type: ignore[return-value]  # see __post_init__

    @property
    def fills(self) -> tuple[str, ...]:
        """The target columns that are completed in an application's row."""
        return tuple(self.fill)

    @property
    def expressions(self) -> dict[str, Expression]:
        """The target columns in declared order, each with its Expression."""
        return {name: as_expression(value) for name, value in self.columns.items()}

    @property
    def compared(self) -> tuple[str, ...]:
        """The target columns which a digest covers: all but the volatile ones."""
        return tuple(name for name in self.columns if name not in self.volatile)

    @property
    def skips(self) -> tuple[Skip, ...]:
        """The skip rules in declared order."""
        return tuple(
            Skip(name=name, when=one.when, elsewhere=one.backfill)
            if isinstance(one, Elsewhere)
            else Skip(name=name, when=one)
            for name, one in self.skip.items()
        )

    @property
    def guards(self) -> tuple[Guard, ...]:
        """The quarantine rules in declared order."""
        return tuple(Guard(name=name, when=when) for name, when in self.quarantine.items())

    @property
    def moving(self) -> tuple[MovedObject | Document, ...]:
        """The objects and documents that it declares."""
        return (*self.objects.values(), *self.documents.values())

    def parts(self, *, moving: bool = True) -> tuple[Any, ...]:
        """List every expression and predicate of the definition, with all that is inside them.

        Without `moving` those of objects and documents are left out.
        """
        tops: list[Any] = [*self.expressions.values(), *self.skip.values(), *self.quarantine.values()]
        tops += [] if self.cohort is None else [self.cohort]
        tops += [*self.folds.values(), *(self.group.parts() if isinstance(self.group, Grouped | Paired) else ())]
        tops += [part for one in self.moving for part in one.parts()] if moving else []
        return tuple(part for top in tops for part in walk(top))

    def parameters(self, *, pacing: bool = True) -> dict[str, Parameter]:
        """Name the parameters which the definition reads, and those that say whether and how fast it is wanted."""
        read = [part.parameter for part in self.parts() if isinstance(part, Given)]
        paced = () if self.pace is None or not pacing else self.pace.parameters
        switches = [one.only_if for one in (self, *self.moving) if one.only_if is not None]
        return {one.name: one for one in (*read, *switches, *paced)}

    def followed(self) -> tuple[str, ...]:
        """Name the backfills whose rows this one looks up by moved_to."""
        return tuple(dict.fromkeys(part.backfill for part in self.parts() if isinstance(part, MovedTo)))

    def missing(self) -> dict[str, Missing]:
        """Name the columns that are left NULL for a reason."""
        return {name: one for name, one in self.expressions.items() if isinstance(one, Missing)}

    def facts(self) -> str:
        """Give the canonical text of the definition, from which its digest is made; names and places excluded."""
        leave = {"name", "path", "doc", "columns", "pace", "cohort", *(() if self.handed_over else ("handed_over",))}
        leave |= {one for one in ("group", "objects", "documents") if not getattr(self, one)}
        plain = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in leave}
        lines = [f"{name} = {dict(value) if isinstance(value, Mapping) else value!r}" for name, value in plain.items()]
        return "\n".join(lines + [f"{name}: {one!r}" for name, one in self.expressions.items()])
