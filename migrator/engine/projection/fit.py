"""What a definition must fit before it is compiled: the columns and keys of its two tables, and every fault at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from migrator.engine.projection.awaited import Awaited
from migrator.model.backfill import Backfill
from migrator.model.errors import ConfigurationError, MigratorError
from migrator.model.names import RESERVED, Relation
from migrator.model.parameters import Arguments
from migrator.model.tables import Table, TypeOf


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDoubts:
    """What counting the keys of a source found: rows without a key, and rows that share one."""

    nulls: int = 0
    shared: int = 0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedRows:
    """What another backfill did with the rows of the source: its provenance once it ran, and its identity's type."""

    provenance: str | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is compiled: the definition, the tables as they are (or will be), and what is special to this run."""

    backfill: Backfill
    source: Table
    target: Table
    target_exists: bool
    doubts: KeyDoubts | None = None  # of a source whose key no catalog vouches for: what counting it found
    arguments: Arguments = field(default_factory=Arguments)
    stored_for: str | None = None
    unready: frozenset[Relation] = frozenset()
    reads: str = ""  # where the source's rows are read, as SQL, where that is not the source itself
    recorded: int | None = None  # the backfill's number in the Ledger, once it ran
    grouped: int | None = None  # the backfill's number, once its groups stand in the Ledger
    moved: dict[str, MovedRows] = field(default_factory=dict)  # what other backfills did with the source, by name
    awaited: Mapping[str, Awaited | None] = field(default_factory=dict)  # by the foreign key's name
    objects_of: str | None = None  # the change whose objects the Ledger has; None where it has none of any

    def type_of(self, name: str) -> TypeOf:
        """Give the type of a target column that the definition fills."""
        column = self.target.column(name)
        assert column is not None  # check_fit refuses a definition that names another column
        return column.type


@dataclass(slots=True)
class Faults:
    """The faults of one definition, collected to be said all at once."""

    backfill: Backfill
    found: list[MigratorError] = field(default_factory=list)

    def add(self, id: str, what: str, cure: str) -> None:
        """Keep one fault."""
        self.found.append(ConfigurationError(id, what, cure))

    def raise_if_any(self) -> None:
        """Raise the faults found so far as one error, under the id of the first."""
        if not self.found:
            return
        first, *others = self.found
        lines = [first.what, *(f"{one.id} {one.what}" for one in others)]
        cures = list(dict.fromkeys(one.cure for one in self.found))
        where = self.backfill.path or self.backfill.name or self.backfill.target
        raise ConfigurationError(first.id, f"{where}: " + "\n".join(lines), "\n".join(cures))


def check_fit(subject: Subject, faults: Faults) -> None:
    """Collect what the tables say against the definition: M107, M113, M118, M119."""
    backfill, source, target = subject.backfill, subject.source, subject.target
    _check_names(source, faults)
    _check_names(target, faults)
    _check_writable(target, faults)
    for name in backfill.keys:
        if source.column(name) is None:
            faults.add("M113", f'{source.relation} has no column "{name}".', _did_you_mean(name, source))
    for name in backfill.columns:
        _check_target_column(name, target, faults)
    if source.relation == target.relation and not backfill.in_place:
        faults.add(
            "M145",
            f"{backfill.source} and {backfill.target} are one table.",
            f'Where its rows are to be written in place, write source="{backfill.source}", target="{backfill.source}".',
        )
    for column in () if backfill.in_place else target.columns:
        if column.not_null and not column.fills_itself and column.name not in backfill.columns:
            faults.add(
                "M107",
                f'column "{column.name}" is NOT NULL in {target.relation} and nothing fills it.',
                f'Add it to columns, for example:    "{column.name}": column("{column.name}")',
            )
    if faults.found:
        return
    _check_uniqueness(subject, faults)


def _check_target_column(name: str, target: Table, faults: Faults) -> None:
    column = target.column(name)
    if column is None:
        faults.add("M113", f'{target.relation} has no column "{name}".', _did_you_mean(name, target))
    elif column.generated:
        faults.add(
            "M113", f'column "{name}" of {target.relation} is generated by the database.', "Leave it out of columns."
        )


def _check_names(table: Table, faults: Faults) -> None:
    for name in (table.relation.name, *table.names):
        if name.startswith(RESERVED.rstrip()):
            faults.add(
                "M140",
                f'{table.relation}: the name "{name}" begins with {RESERVED.rstrip()}, as names of the tool do.',
                "Rename it, or give the table a view in which it has another name.",
            )


def _check_writable(target: Table, faults: Faults) -> None:
    """Refuse targets into which no row can be put so that it is known again."""
    if target.kind not in _WRITABLE:
        faults.add("M144", f"{target.relation} is {_KINDS[target.kind]}.", "Name the table that holds the rows.")
    elif target.rules:
        faults.add(
            "M143",
            f"{target.relation} has rules that rewrite what is written to it: {', '.join(target.rules)}.",
            f'Drop them, for example DROP RULE "{target.rules[0]}" ON {target.relation}; a trigger can do the same.',
        )
    elif target.heirs:
        faults.add(
            "M144",
            f"other tables inherit from {target.relation}, and their rows would look like its own:"
            f" {', '.join(target.heirs)}.",
            "End it (ALTER TABLE … NO INHERIT …), make them partitions, or name a table nobody inherits from.",
        )


def _check_uniqueness(subject: Subject, faults: Faults) -> None:
    _check_key(subject, faults)
    backfill, target = subject.backfill, subject.target
    wanted = set(backfill.identities)
    arbiters = [one for one in target.uniques if set(one.columns) == wanted and not one.partial]
    # The server takes all keys over these columns for arbiters, and none of them may be deferrable.
    later = [one.name for one in arbiters if one.deferrable]
    if later or not arbiters:
        why = f"is deferrable ({later[0]}), so it cannot decide a conflict" if later else "is not a unique key of it"
        faults.add(
            "M119",
            f"the identity ({', '.join(backfill.identities)}) of {target.relation} {why}.",
            f"Name its primary key or another full, immediate unique key. It has: {_keys_of(target)}.",
        )


def _check_key(subject: Subject, faults: Faults) -> None:
    backfill, source, doubts = subject.backfill, subject.source, subject.doubts
    if doubts is not None:
        if doubts.nulls or doubts.shared:
            faults.add("M142", _doubtful(subject, doubts), "Name columns by which every row is told from all others.")
        return
    keyed = any(set(one.columns) <= set(backfill.keys) and not one.partial for one in source.uniques)
    nullable = [one for one in backfill.keys if not (found := source.column(one)) or not found.not_null]
    if not keyed or nullable:
        faults.add(
            "M118",
            f"the key ({', '.join(backfill.keys)}) of {source.relation} is not unique and NOT NULL.",
            f"Name its primary key. It has: {_keys_of(source)}.",
        )


def _doubtful(subject: Subject, doubts: KeyDoubts) -> str:
    source = subject.source
    shown = f", for example {'; '.join(doubts.examples)}" if doubts.examples else ""
    found = [f"{doubts.shared:,} rows share their key with another{shown}"] if doubts.shared else []
    found += [f"{doubts.nulls:,} rows have NULL in it"] if doubts.nulls else []
    kind = "a table from which others inherit" if source.heirs else _KINDS[source.kind]
    key = ", ".join(subject.backfill.keys)
    return f"{source.relation} is {kind}, so nothing keeps ({key}) unique: {' and '.join(found)}."


_WRITABLE: Final = frozenset({"r", "p"})
_KINDS: Final = {"v": "a view", "m": "a materialised view", "f": "a foreign table", "r": "a table", "p": "a table"}


def _keys_of(table: Table) -> str:
    return "; ".join(f"{one.name} ({', '.join(one.columns)})" for one in table.uniques) or "no unique key"


def _did_you_mean(name: str, table: Table) -> str:
    close = get_close_matches(name, table.names, 1)
    return f'Did you mean "{close[0]}"?' if close else f"It has: {', '.join(table.names)}."
