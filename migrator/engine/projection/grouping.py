"""Groups as SQL: which source row follows which, and what becomes of a row that follows.

Before a backfill ran, the pairs are computed where they are read, so that nothing need be written for a dry run. Then
they stand in the Ledger, one line for each row that no rule takes, and are joined by key: a row in it that is its own
winner is moved or merged, the others follow their winner's provenance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from migrator.engine.projection.pieces import FOLLOWS
from migrator.engine.projection.steps import NEARBY
from migrator.engine.projection.translate import Translator
from migrator.ledger import provenance, winners
from migrator.model.groups import Group, Grouped, Paired
from migrator.model.names import key_text, ours
from migrator.model.tables import TableColumn

CANNOT = "the row it belongs to could not move"
_GROUP, _LEAD, _HELD, _RANKED = ours("group"), ours("lead"), ours("held"), ours("ranked")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """The groups of one backfill. `rows` is the SELECT of the rows that no rule takes, with what ranks them.

    `free` is that of their keys alone. `recorded` is the backfill's number in the Ledger, once its groups stand there.
    """

    rows: str
    free: str
    keys: int
    orders: int
    is_query: bool
    recorded: int | None = None

    def names(self, word: str, *, of: str = "") -> list[str]:
        """List the columns of a key that are named by a word."""
        prefix = f"{of}." if of else ""
        return [f"{prefix}{ours(f'{word}{n}')}" for n in range(1, self.keys + 1)]

    def pairs(self) -> str:
        """Write the SELECT of all rows with their winners, as if none had ever been ranked."""
        keys = self.names("key", of="rows")
        if self.is_query:
            alone = f"{ours('winner1')} IS NULL"
            won = [f"CASE WHEN {alone} THEN {a} ELSE {b} END" for a, b in zip(keys, self.names("winner"), strict=True)]
            return f"SELECT {_listed(keys, 's')}, {_listed(won, 'w')} FROM ({self.rows}) AS rows"
        won = [f"CASE WHEN {ours('by')} IS NULL THEN {one} ELSE first_value({one}) OVER ranked END" for one in keys]
        return (
            f"SELECT {_listed(keys, 's')}, {_listed(won, 'w')} FROM ({self.rows}) AS rows"
            f" WINDOW ranked AS (PARTITION BY {ours('by')} ORDER BY {', '.join([*self.order(), *keys])})"
        )

    def order(self) -> list[str]:
        """List what the rows of a group are ordered by, before their keys."""
        return [ours(f"order{n}") for n in range(1, self.orders + 1)]

    def steps(self, keys: Sequence[str]) -> list[str]:
        """Write the joins by which a row finds its winner, and what is known of that one."""
        if self.recorded is None:
            return [f"LEFT JOIN ({self.pairs()}) AS {_GROUP} ON {_same(_columns(_GROUP, 's', keys), keys)}"]
        table, keyed = winners.table(self.recorded), ours("keyed")
        won, follows = _columns(_GROUP, "w", keys), self._follows()
        texts = ", ".join(key_text(one) for one in won)
        return [
            f"LEFT JOIN (SELECT * FROM {table} AS {keyed} WHERE {NEARBY}) AS {_GROUP}"
            f" ON {_same(_columns(_GROUP, 's', keys), keys)}",
            f"LEFT JOIN {provenance.table(self.recorded)} AS {_LEAD}"
            f" ON {_same(_columns(_LEAD, 's', keys), won)} AND {follows}",
            f"LEFT JOIN migrator.quarantine AS {_HELD} ON {_HELD}.backfill = {self.recorded}"
            f" AND {_HELD}.source_key = ARRAY[{texts}] AND {follows}",
        ]

    def fate(self, decided: str, cannot: int) -> str:
        """Write the code of a row that a rule takes or that follows another; NULL for all others."""
        tests = [f"WHEN {decided} IS NOT NULL THEN {decided}"] if decided else []
        if self.recorded is not None:
            lost = f"{_LEAD}.s1 IS NULL AND ({_HELD}.backfill IS NOT NULL OR {self._is_unranked()})"
            tests.append(f"WHEN {self._follows()} AND {lost} THEN {cannot}")
        return f"CASE {' '.join([*tests, f'WHEN {self._follows()} THEN {FOLLOWS}'])} END"

    def values(self, keys: Sequence[str], identity: int) -> list[tuple[str, str]]:
        """List what the layers carry along: the key of each row's winner, and what that one became."""
        won = [f"COALESCE({a}, {b})" for a, b in zip(_columns(_GROUP, "w", keys), keys, strict=True)]
        found = [(f"~migrator winner{n}", one) for n, one in enumerate(won, 1)]
        for n in range(1, identity + 1):
            found.append((f"~migrator lead{n}", "NULL" if self.recorded is None else f"{_LEAD}.t{n}"))
        return found

    def taken(self, decided: str, *, followers: bool) -> str:
        """Write the condition for rows whose turn has come: ranked, and behind their winners if they follow one.

        Without `followers` only winners are, and what a rule takes.
        """
        if self.recorded is None:
            return "true"
        known = f"{_LEAD}.s1 IS NOT NULL OR {_HELD}.backfill IS NOT NULL OR {self._is_unranked()}"
        now = f"(NOT ({self._follows()}) OR {known})" if followers else f"NOT ({self._follows()})"
        ready = f"({_GROUP}.s1 IS NOT NULL AND {now})"
        return f"({decided} IS NOT NULL OR {ready})" if decided else ready

    def _is_unranked(self) -> str:
        """Write the condition that a row's winner was never ranked; only asked where it became nothing yet."""
        assert self.recorded is not None  # before, nothing is
        same = " AND ".join(f"{_RANKED}.s{n} = {_GROUP}.w{n}" for n in range(1, self.keys + 1))
        return f"(SELECT true FROM {winners.table(self.recorded)} AS {_RANKED} WHERE {same} LIMIT 1) IS NULL"

    def _follows(self) -> str:
        own, won = (", ".join(f"{_GROUP}.{letter}{n}" for n in range(1, self.keys + 1)) for letter in "sw")
        return f"(({own}) <> ({won}))"


def plan(
    group: Group, translator: Callable[[], Translator], keys: Sequence[TableColumn], recorded: int | None
) -> Grouping:
    """Write how the rows of a source are grouped; `translator` gives one that has decided by its rules.

    Raises what translating the group's expressions raises.
    """
    made = translator()
    ruled, free = list(made.steps.written), f" WHERE {made.steps.decided} IS NULL" if made.steps.decided else ""
    own = [made.key(one.name) for one in keys]
    named = [f"{value} AS {ours(f'key{n}')}" for n, value in enumerate(own, 1)]
    source = f"FROM {made.source.relation.sql} AS {made.alias}\n  "
    values, join = _ranked(group, made, keys, own)
    rows = f"SELECT {', '.join([*named, *values])} {source}" + "\n  ".join([*made.steps.written, join]) + free
    if join:
        rows = f"SELECT * FROM ({rows} OFFSET 0) AS rows WHERE {ours('key1')} IS NOT NULL"
    return Grouping(
        rows=rows,
        free=f"SELECT {', '.join(named)} {source}" + "\n  ".join(ruled) + free,
        keys=len(keys),
        orders=len(group.order) if isinstance(group, Grouped) else 0,
        is_query=isinstance(group, Paired),
        recorded=recorded,
    )


def _ranked(group: Group, made: Translator, keys: Sequence[TableColumn], own: Sequence[str]) -> tuple[list[str], str]:
    """Write what ranks the rows, and the join that it needs."""
    match group:
        case Grouped(by=by, order=order):
            values = [f"{made.value(by).sql} AS {ours('by')}"]
            return [*values, *(f"{made.value(one).sql} AS {ours(f'order{n}')}" for n, one in enumerate(order, 1))], ""
        case Paired(query=query):
            pair = ours("pair")
            values = [f"{pair}.winner{n}::{one.type.name} AS {ours(f'winner{n}')}" for n, one in enumerate(keys, 1)]
            same = _same([f"{pair}.key{n}" for n in range(1, len(keys) + 1)], own)
            # FULL, for it is never a loop in a loop: nobody can tell the planner how many rows a query gives.
            return values, f"FULL JOIN {made.value(query).sql} AS {pair} ON {same}"


def _columns(of: str, letter: str, keys: Sequence[str]) -> list[str]:
    return [f"{of}.{letter}{n}" for n in range(1, len(keys) + 1)]


def _same(one: Sequence[str], other: Sequence[str]) -> str:
    return " AND ".join(f"{a} = {b}" for a, b in zip(one, other, strict=True))


def _listed(values: Sequence[str], letter: str) -> str:
    return ", ".join(f"{value} AS {letter}{n}" for n, value in enumerate(values, 1))
