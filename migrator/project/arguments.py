"""Arguments: values of a change's parameters, from `[change.X.params]` and `--param name=value`."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

from migrator.model.backfill import Backfill
from migrator.model.errors import ConfigurationError
from migrator.model.expressions import Defaulted, Given, Missing, Sql, children, walk
from migrator.model.names import Relation
from migrator.model.parameters import Arguments, File, Parameter, Pattern, Scalar, Table
from migrator.model.parameters import Mapping as Content
from migrator.project.faults import Fault, did_you_mean, raise_all, shown
from migrator.project.mapping import read_mapping

KINDS: Final[dict[str, type]] = {"str": str, "int": int, "float": float, "bool": bool}
WORDS: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
EXAMPLES: Final = {
    str: '"text"', int: "10", float: "0.5", bool: "true", File: '"users.csv"', Table: '"auth.users"',
    Pattern: '"^test-[0-9]+$"',
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A parameter of a change, and whether the change cannot be carried out without it.

    `needed_if` names parameters that make it needed where one of them is true.
    """

    parameter: Parameter
    needed: bool = False
    needed_if: frozenset[str] = frozenset()


def declare(backfills: Sequence[Backfill], revision_params: Mapping[str, str], *, change: str) -> dict[str, Declared]:
    """Collect what definitions declare, and what `revision_params` declares for revisions.

    Raises ConfigurationError (M106) where one name is declared in two ways.
    """
    found = {name: Declared(parameter=Parameter(name, KINDS[kind])) for name, kind in revision_params.items()}
    faults = []
    for backfill in backfills:
        needed = _needed(backfill)
        for name, parameter in backfill.parameters().items():
            known = found.get(name, Declared(parameter=parameter))
            if _facts(known.parameter) != _facts(parameter):
                other = f"{_said(known.parameter)} elsewhere"
                what = f"it is {_said(parameter)} in {backfill.path}, but {other}."
                faults.append(Fault(where=name, what=what, cure="Declare it once and share it."))
            switches: set[str | None] = needed.get(name, set())
            found[name] = Declared(
                parameter=parameter,
                needed=known.needed or None in switches,
                needed_if=known.needed_if | {one for one in switches if one is not None},
            )
    raise_all("M106", f"parameters of {change}", faults)
    return found


def resolve(
    declared: Mapping[str, Declared],
    given: Mapping[str, Any],
    overrides: Mapping[str, Any],
    *,
    root: Path,
    change: str,
) -> Arguments:
    """Check values against their declarations; `overrides` win.

    Paths of the file are relative to it (`root`), paths of overrides to the working directory.
    Raises ConfigurationError (M106) with all faults at once.
    """
    scalars: dict[str, Scalar | None] = {}
    files: dict[str, Content] = {}
    faults = list(_unknown([*given, *overrides], declared))
    switches_first = sorted(declared.items(), key=lambda pair: pair[1].parameter.kind is not bool)
    for name, one in switches_first:
        spoken = name in overrides
        value = overrides[name] if spoken else given.get(name, one.parameter.default)
        needed = one.needed or any(scalars.get(switch) is True for switch in one.needed_if)
        made = _value(replace(one, needed=needed), value, Path.cwd() if spoken else root, spoken=spoken)
        if isinstance(made, list):
            faults.extend(made)
        elif isinstance(made, Content):
            files[name] = made
        elif one.parameter.kind is not File:
            scalars[name] = made
    raise_all("M106", f"parameters of {change}", faults)
    return Arguments(scalars=scalars, files=files)


def wants(backfill: Backfill, given: Arguments) -> bool:
    """Say whether a backfill is part of the change: always, or where its parameter is true."""
    return backfill.only_if is None or given.scalars.get(backfill.only_if.name) is True


def _needed(backfill: Backfill) -> dict[str, set[str | None]]:
    """Name the parameters without which a value would silently be NULL, each with what switches that on, or None."""
    switch = None if backfill.only_if is None else backfill.only_if.name
    columns = [one for one in backfill.expressions.values() if isinstance(one, Given)]
    found: dict[str, set[str | None]] = {}
    said = [name for name, one in backfill.parameters().items() if one.needed]
    for name in (*said, *_inside(columns, backfill.parts(moving=False))):
        found.setdefault(name, set()).add(switch)
    for one in backfill.moving:
        own = switch if one.only_if is None else one.only_if.name
        given = [part for part in one.parts() if isinstance(part, Given)]
        for name in _inside(given, [inner for part in one.parts() for inner in walk(part)]):
            found.setdefault(name, set()).add(own)
    return found


def _inside(tops: Sequence[Given], parts: Sequence[Any]) -> Iterator[str]:
    inner = (
        child for part in parts for child in children(part) if isinstance(child, Given) and not _optional(part, child)
    )
    return (one.parameter.name for one in (*tops, *inner))


def _optional(part: Any, child: Given) -> bool:
    return isinstance(part, Missing | Sql) or (isinstance(part, Defaulted) and part.of == child)


def _facts(parameter: Parameter) -> tuple[type, Scalar | None]:
    return parameter.kind, parameter.default


def _said(parameter: Parameter) -> str:
    default = "" if parameter.default is None else f" (default {shown(parameter.default)})"
    return f"a {parameter.kind.__name__}{default}"


def _unknown(names: Iterable[str], declared: Mapping[str, Declared]) -> Iterator[Fault]:
    for name in dict.fromkeys(names):
        if name not in declared:
            cure = did_you_mean(name, declared)
            cure += " A parameter of revisions is declared in revision_params."
            yield Fault(where=name, what="nothing declares this parameter.", cure=cure.strip())


def _value(declared: Declared, value: Any, base: Path, *, spoken: bool) -> Content | Scalar | list[Fault] | None:
    name, kind = declared.parameter.name, declared.parameter.kind
    if value is None:
        if not declared.needed or declared.parameter.default is not None:
            return None
        example = shown(declared.parameter.example) if declared.parameter.example else EXAMPLES[kind]
        cure = f"Set {name} = {example} in params, or give --param {name}=…"
        return [Fault(where=name, what="a value is needed and none is given.", cure=cure)]
    text = value if isinstance(value, str) else ""
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        return [Fault(where=name, what="the text holds what PostgreSQL cannot store.")]
    if kind is File:
        return _file(name, value, base)
    if kind is Table:
        return _table(name, value)
    kind = str if kind is Pattern else kind
    made = _spoken(kind, text) if spoken and isinstance(value, str) else _typed(kind, value)
    if made is None:
        what = f"{shown(value)} is no {kind.__name__}."
        return [Fault(where=name, what=what, cure=f"Write for example {EXAMPLES[kind]}.")]
    if declared.parameter.fits and not re.fullmatch(declared.parameter.fits, str(made)):
        what = f"{shown(value)} does not fit."
        return [Fault(where=name, what=what, cure=f'Write for example "{declared.parameter.example}".')]
    return made


def _file(name: str, value: Any, base: Path) -> Content | list[Fault]:
    if not isinstance(value, str | Path) or not str(value).strip():
        cure = f"Write the name of a CSV file, for example {EXAMPLES[File]}."
        return [Fault(where=name, what=f"{shown(value)} is no file name.", cure=cure)]
    return read_mapping(name, base / os.path.expanduser(value))  # noqa: PTH111 -- an unknown ~name stays as it is


def _table(name: str, value: Any) -> str | list[Fault]:
    try:
        Relation.parse(value if isinstance(value, str) else "")
    except ConfigurationError as error:
        return [Fault(where=name, what=error.what, cure=error.cure)]
    return str(value)


def _typed(kind: type, value: Any) -> Scalar | None:
    """Take a value that already has a type; an int serves as a float, a bool never as a number."""
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return cast("Scalar", value)


def _spoken(kind: type, text: str) -> Scalar | None:
    """Read a value of the command line."""
    if kind is str:
        return text
    if kind is bool:
        return WORDS.get(text.lower())
    if kind is int:
        return int(text) if re.fullmatch(r"[+-]?[0-9]{1,100}", text) else None
    number = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
    return _typed(float, float(text)) if re.fullmatch(number, text) else None
