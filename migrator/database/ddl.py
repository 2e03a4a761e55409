"""Which tables a script of DDL makes, which it locks, which columns it drops; read from its text, without a server."""

from __future__ import annotations

import re

from migrator.model.names import Relation

_PART = r'(?:"(?:[^"]|"")+"|[\w$]+)'
_NAME = rf"({_PART}(?:\.{_PART})?)"
_FLAGS = re.IGNORECASE | re.MULTILINE
_MAKES = re.compile(rf"^\s*CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?{_NAME}", _FLAGS)
_LOCKS = re.compile(
    rf"\bREFERENCES\s+{_NAME}|^\s*ALTER TABLE (?:IF EXISTS )?(?:ONLY )?{_NAME}"
    rf"|^\s*DROP TABLE (?:IF EXISTS )?{_NAME}"
    rf"|^\s*CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY ).*?\bON (?:ONLY )?{_NAME}"
    rf"|^\s*CREATE (?:OR REPLACE )?(?:CONSTRAINT )?TRIGGER .*?\bON {_NAME}",
    _FLAGS,
)
_ALTERED = re.compile(rf"^\s*ALTER TABLE (?:IF EXISTS )?(?:ONLY )?{_NAME}", _FLAGS)
_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_BARE = re.compile(r'"(?:[^"]|"")+"|[^"]+')


def says_something(sql: str) -> bool:
    """Whether a script holds more than comments and blanks."""
    return bool(_COMMENTS.sub("", sql).strip(" \t\r\n;"))


def tables_made(sql: str) -> tuple[Relation, ...]:
    """List the tables that a script creates."""
    return tuple(dict.fromkeys(_relation(name) for name in _MAKES.findall(sql)))


_BESIDE = re.compile(rf"^\s*CREATE (?:OR REPLACE )?(TYPE|FUNCTION|PROCEDURE) {_NAME}", _FLAGS)


def beside_made(sql: str) -> tuple[tuple[str, Relation], ...]:
    """List the types and functions that a script creates, each as its kind and its name."""
    return tuple(dict.fromkeys((kind.lower(), _relation(name)) for kind, name in _BESIDE.findall(sql)))


_ALTERS = re.compile(
    rf"(?:^|;)\s*ALTER TABLE (?:IF EXISTS )?(?:ONLY )?{_NAME}\s+((?:\"[^\"]*\"|'[^']*'|[^;\"'])*)", _FLAGS
)
_ACTIONS = re.compile(r"""\s*,\s*(?=(?:[^()"']|"[^"]*"|'[^']*'|\((?:[^()]|\([^()]*\))*\))*\Z)""")
_DROPS = re.compile(rf"DROP\s+(?!CONSTRAINT\b)(?:COLUMN\s+)?(?:IF\s+EXISTS\s+)?({_PART})", _FLAGS)


def columns_dropped(sql: str) -> tuple[tuple[Relation, str], ...]:
    """List the columns that a script drops from tables, in words: ALTER TABLE … DROP COLUMN."""
    found = []
    for table, actions in _ALTERS.findall(_COMMENTS.sub("", sql)):
        for action in _ACTIONS.split(actions.strip()):
            if dropped := _DROPS.match(action):
                found.append((_relation(table), _relation(dropped[1]).name))
    return tuple(dict.fromkeys(found))


def tables_locked(sql: str) -> tuple[Relation, ...]:
    """List the tables in use that a script alters or points at: a foreign key locks both ends."""
    made = set(tables_made(sql))
    named = [_relation("".join(found)) for found in _LOCKS.findall(sql)]
    return tuple(one for one in dict.fromkeys(named) if one not in made)


LOCKS = ("SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "ACCESS EXCLUSIVE")  # from the weakest
_INDEXES = re.compile(
    rf"^\s*CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY ).*?\bON (?:ONLY )?{_NAME}"
    rf"|^\s*DROP TABLE (?:IF EXISTS )?{_NAME}",
    _FLAGS,
)
_POINTED = re.compile(
    rf"\bREFERENCES\s+{_NAME}|^\s*CREATE (?:OR REPLACE )?(?:CONSTRAINT )?TRIGGER .*?\bON {_NAME}", _FLAGS
)
_WEAKER = (
    (re.compile(r"VALIDATE\s+CONSTRAINT\b|ALTER\s.*\bSET\s+STATISTICS\b|(?:RE)?SET\s*\(", _FLAGS), LOCKS[0]),
    (re.compile(rf"ADD\s+(?:CONSTRAINT\s+{_PART}\s+)?FOREIGN\s+KEY\b|(?:EN|DIS)ABLE\s+TRIGGER\b", _FLAGS), LOCKS[2]),
)


def locks(sql: str) -> dict[Relation, str]:
    """Say for each table in use the strongest lock that a script takes on it."""
    plain, made = _COMMENTS.sub("", sql), set(tables_made(sql))
    found = [
        (_relation(index or dropped), LOCKS[1] if index else LOCKS[3]) for index, dropped in _INDEXES.findall(plain)
    ]
    found += [(_relation("".join(names)), LOCKS[2]) for names in _POINTED.findall(plain)]
    for table, actions in _ALTERS.findall(plain):
        found += [(_relation(table), _lock_of(action)) for action in _ACTIONS.split(actions.strip())]
    strongest: dict[Relation, str] = {}
    for one, lock in found:
        if one not in made:
            strongest[one] = max(strongest.get(one, lock), lock, key=LOCKS.index)
    return strongest


def _lock_of(action: str) -> str:
    """Say what lock an action of ALTER TABLE takes: the strongest, but for a few."""
    return next((lock for said, lock in _WEAKER if said.match(action)), LOCKS[3])


def tables_altered(sql: str) -> tuple[Relation, ...]:
    """List the tables in use that a script alters, in the order in which it does."""
    made = set(tables_made(sql))
    return tuple(one for one in dict.fromkeys(map(_relation, _ALTERED.findall(sql))) if one not in made)


def _relation(name: str) -> Relation:
    """Read a name as PostgreSQL does: what stands without quotes is in lower case."""
    folded = _BARE.sub(lambda one: one[0] if one[0].startswith('"') else one[0].lower(), name)
    return Relation.parse(folded)
