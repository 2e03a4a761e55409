"""Parameters: what is special to one system, given from outside, typed, digested and recorded."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from migrator.model.errors import ConfigurationError


class File:
    """The type of a parameter that is a CSV file of two columns: a key and the value it stands for."""


class Table:
    """The type of a parameter that names a table or view: its first two columns are a key and what it stands for."""


class Pattern:
    """The type of a parameter that is a regular expression, as PostgreSQL reads them; an empty one finds nothing."""


KINDS: Final = (str, int, float, bool, File, Table, Pattern)
Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Parameter:
    """The declaration of a parameter: its name, its type and what holds when nobody gives it.

    `fits` is a regular expression that the whole of a text or number matches; `example` is one that does. `needed` says
    that a backfill which is wanted cannot do without, though it stands in a fragment. `labels_of` is a column of the
    source: where that is an enum, the text is one or more of its labels, separated by commas.
    """

    name: str
    kind: type = str
    default: Scalar | None = None
    help: str = ""
    fits: str = ""
    example: str = ""
    needed: bool = False
    labels_of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """The content of a `File` parameter: one value for each key, and where it came from.

    `rows` may be long, and are read anew each time they are walked through.
    """

    path: Path
    rows: Iterable[tuple[str, str]] = field(repr=False, compare=False)  # the digest is theirs
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """The values given to the parameters of one change, checked against their declarations."""

    scalars: dict[str, Scalar | None] = field(default_factory=dict)
    files: dict[str, Mapping] = field(default_factory=dict)

    def digest_lines(self) -> list[str]:
        """List `name=value` in order of name; a file stands for itself by its digest."""
        pairs = [f"{name}={value!r}" for name, value in self.scalars.items()]
        return sorted(pairs + [f"{name}=sha256:{one.digest}" for name, one in self.files.items()])


def param(
    name: str,
    kind: type = str,
    *,
    default: Scalar | None = None,
    help: str = "",
    fits: str = "",
    example: str = "",
    needed: bool = False,
    labels_of: str = "",
) -> Parameter:
    """Declare a parameter of a change.

    Raises ConfigurationError (M110) for a type that is none of str, int, float, bool, File, Table and Pattern,
    for an `example` that does not fit, and for `labels_of` beside another type than str.
    """
    if kind not in KINDS:
        raise ConfigurationError(
            "M110",
            f"parameter {name!r} has the type {kind!r}.",
            "Use one of str, int, float, bool, File, Table, Pattern.",
        )
    if fits and not (kind in {str, int} and re.fullmatch(fits, example)):
        raise ConfigurationError(
            "M110",
            f"parameter {name!r} says what fits, but it is no str or int, or its example {example!r} does not fit.",
            "Give an example that matches, or leave both away.",
        )
    if labels_of and kind is not str:
        raise ConfigurationError(
            "M110", f"parameter {name!r} is to name labels of {labels_of}, and is no str.", "Declare it as str."
        )
    return Parameter(name, kind, default, help, fits, example, needed, labels_of)
