"""Faults of what people wrote: collected until all are known, then told at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from migrator.model.errors import ConfigurationError

LONGEST_VALUE = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong: where it stands, what is wrong with it, and the cure."""

    where: str
    what: str
    cure: str = ""

    def __str__(self) -> str:
        """Give the fault as one line."""
        return f"{self.where}: {self.what} {self.cure}".rstrip()


def raise_all(id: str, of: str, faults: Iterable[Fault]) -> None:
    """Raise one ConfigurationError for all faults; do nothing where there are none."""
    found = list(dict.fromkeys(faults))
    if len(found) == 1:
        only = found[0]
        raise ConfigurationError(id, f"{of}: {only.where}: {only.what}", only.cure)
    if found:
        lines = "".join(f"\n  {one}" for one in found)
        raise ConfigurationError(id, f"{of} has {len(found)} faults:{lines}", "Mend all of them.")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Name what is close to the word, else all that is known."""
    names = [str(one) for one in known]
    if close := difflib.get_close_matches(word, names, n=1):
        return f"Did you mean {close[0]}?"
    return f"Known are: {', '.join(names)}." if names else ""


def shown(value: Any) -> str:
    """Show a value as it was written, shortened; what may hold a password is not shown."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if not isinstance(value, str):
        return str(value)
    if "://" in value or re.search(r"password\s*=", value, re.IGNORECASE):
        return "a URL (not shown)"
    short = value if len(value) <= LONGEST_VALUE else value[:LONGEST_VALUE] + "…"
    return repr(short)


def key(*parts: str | int) -> str:
    """Write the path of a key in the file, quoting what TOML would have to quote."""
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"'
            text += f".{name}" if text else name
    return text
