"""Fragments of SQL as words: which columns they read, which functions they call (nothing is executed).

A Projection must be a function of table state. Clocks, chance and sequences are refused before anything runs; the
READ ONLY transaction of a dry run and of verify is the net under it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from migrator.engine.projection.fit import Faults
from migrator.engine.projection.translate import Translator
from migrator.model import expressions as ex
from migrator.model.backfill import Backfill

_SKIPPED: Final = re.compile(
    r"""
    --[^\n]*                                  # comment
  | /\*.*?\*/                                 # block comment
  | (?:\b[eE])'(?:[^'\\]|\\.|'')*'            # escape string
  | '(?:[^']|'')*'                            # string
  | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$           # dollar string
    """,
    re.VERBOSE | re.DOTALL,
)
_STRING: Final = re.compile(r"'((?:[^']|'')*)'")
_MOMENTS: Final = frozenset({"now", "today", "tomorrow", "yesterday"})
_WORD: Final = re.compile(r'"(?P<quoted>(?:[^"]|"")+)"|(?P<plain>[^\W\d][\w$]*)')
_CALL: Final = re.compile(r'(?:"(?P<quoted>(?:[^"]|"")+)"|(?P<plain>[^\W\d][\w$]*))\s*\(')

CLOCKS: Final = frozenset(
    {
        "now", "current_timestamp", "current_date", "current_time", "localtime", "localtimestamp", "clock_timestamp",
        "statement_timestamp", "transaction_timestamp", "timeofday", "current_user", "session_user", "user",
        "current_role", "current_setting", "inet_client_addr", "pg_backend_pid", "txid_current",
        "pg_current_xact_id",
    }
)  # fmt: skip


def words(fragment: str) -> set[str]:
    """List the identifiers of a fragment as PostgreSQL folds them; strings and comments are passed over."""
    return _names(_WORD.finditer(_SKIPPED.sub(" ", fragment)))


def calls(fragment: str) -> set[str]:
    """List the names that are called like functions."""
    return _names(_CALL.finditer(_SKIPPED.sub(" ", fragment)))


def clocks(fragment: str) -> set[str]:
    """List what a fragment reads of the session or of a clock; a column called "user" is quoted in SQL."""
    bare = {"current_timestamp", "current_date", "current_time", "localtime", "localtimestamp"}
    bare |= {"current_user", "session_user", "current_role", "user"}
    plain = {match["plain"].lower() for match in _WORD.finditer(_SKIPPED.sub(" ", fragment)) if match["plain"]}
    moments = {f"'{word}'" for word in _STRING.findall(fragment) if word.strip().lower() in _MOMENTS}
    return (plain & bare) | (calls(fragment) & CLOCKS) | moments | _age_of_today(_SKIPPED.sub("''", fragment))


def _age_of_today(fragment: str) -> set[str]:
    """Find age() with one argument: the time since today's midnight."""
    for match in re.finditer(r"\bage\s*\(", fragment, re.IGNORECASE):
        depth, commas = 1, 0
        for char in fragment[match.end() :]:
            depth += {"(": 1, ")": -1}.get(char, 0)
            commas += char == "," and depth == 1
            if depth == 0:
                break
        if not commas:
            return {"age() of one argument"}
    return set()


def _names(found: Iterable[re.Match[str]]) -> set[str]:
    return {
        match["quoted"].replace('""', '"') if match["quoted"] is not None else match["plain"].lower() for match in found
    }


def check(backfill: Backfill, translator: Translator, volatile: Callable[[set[str]], set[str]], faults: Faults) -> None:
    """Collect the fragments that can differ between runs, M120; `volatile` tells which functions are."""
    fragments = [(part, translator.bare(part)) for part in backfill.parts() if isinstance(part, ex.Sql)]
    changing = volatile({name for _, text in fragments for name in calls(text)})
    for part, text in fragments:
        reads = clocks(text) | (calls(text) & changing)
        if reads:
            faults.add(
                "M120",
                f"the fragment {part.text.strip()!r} reads {', '.join(sorted(reads))}: it can differ between runs.",
                "Use only what the source row says; a fixed value belongs in a parameter.",
            )
    for name in _misread_clocks(backfill):
        faults.add("M120", f"{name} reads the clock.", "clock() is only for columns that volatile names.")


def _misread_clocks(backfill: Backfill) -> list[str]:
    """Name the rules, and the columns that are compared, which read the clock."""
    made: dict[str, Any] = {
        f'column "{name}"': one for name, one in backfill.expressions.items() if name in backfill.compared
    }
    made |= {f"rule {name}": when for name, when in (*backfill.skip.items(), *backfill.quarantine.items())}
    made |= {f"object {name}": ex.Array(one.parts()) for name, one in backfill.objects.items()}
    return [name for name, one in made.items() if any(isinstance(part, ex.Clock) for part in ex.walk(one))]
