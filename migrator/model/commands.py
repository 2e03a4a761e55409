"""Commands: what a screen or an error tells a person to type is written here, with the options this run was given.

A command that was printed can be pasted: it carries the project, the database and the parameters that its writer had to
give. One process carries out one verb, and its errors are raised in rooms and threads that never see the command line;
so what was given is kept here for the length of a run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

PLACEHOLDERS: Final = frozenset({"…", "NAME"})  # what the reader puts in
_PLAIN: Final = re.compile(r"[\w@%+=:,./-]+", re.ASCII)
_HARMLESS: Final = re.compile(r'[^"$`\\!]*')


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """The options of this run that its commands need too.

    `shared`: those that say where the work is, for every command. `params`: those of `change`. `part`: the cohorts that
    are worked on. `own`: others of the same verb.
    """

    shared: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    change: str = ""
    part: tuple[str, ...] = ()
    own: tuple[str, ...] = ()


_typed = Typed()


@contextmanager
def typed(options: Typed) -> Iterator[None]:
    """Write commands with these options within the block."""
    global _typed  # noqa: PLW0603 -- one run at a time, see above
    before, _typed = _typed, options
    try:
        yield
    finally:
        _typed = before


def also(*, change: str | None = None, part: tuple[str, ...] = (), own: tuple[str, ...] = ()) -> None:
    """Learn more about the run within the block of `typed`."""
    global _typed  # noqa: PLW0603 -- as above
    known = _typed.change if change is None else change
    _typed = replace(_typed, change=known, part=part or _typed.part, own=own or _typed.own)


def command(verb: str, change: str = "", *words: str) -> str:
    """Write a command about a change, or about none, with its further words."""
    params = _typed.params if change and change == _typed.change else ()
    named = (change,) if change else ()
    return " ".join(["migrator", verb, *map(quoted, (*named, *words, *params, *_typed.shared))])


def within(verb: str, change: str, *words: str) -> str:
    """Write a command about the rows this run is about: its cohorts, where it was given any."""
    return command(verb, change, *words, *_typed.part)


def again(verb: str, change: str, *words: str) -> str:
    """Write this run's own command with further words: it does the same, and what these say."""
    return within(verb, change, *_typed.own, *words)


def is_part() -> bool:
    """Say whether this run is about some cohorts only."""
    return bool(_typed.part)


def quoted(word: str) -> str:
    """Write a word so that a shell takes it as it is."""
    if _PLAIN.fullmatch(word) or word in PLACEHOLDERS:
        return word
    return f'"{word}"' if _HARMLESS.fullmatch(word) else shlex.quote(word)
