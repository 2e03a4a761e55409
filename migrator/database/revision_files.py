"""Revisions as declared: read from their files, without running them and without Alembic."""

from __future__ import annotations

import ast
import difflib
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from migrator.model.errors import ConfigurationError, MigratorError
from migrator.model.names import Relation, quote, text_array


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowing:
    """Values of a column that the downgrade of a revision replaces by another, because their type loses them."""

    relation: Relation
    column: str
    values: tuple[str, ...]
    becomes: str

    @property
    def what(self) -> str:
        """Name the rows, as a loss is accepted."""
        return f"{self.relation} with {self.column} {' or '.join(self.values)}"

    @property
    def where(self) -> str:
        """Write the condition that a row `t` holds such a value."""
        return f"t.{quote(self.column)}::text = ANY ({text_array(self.values)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionInfo:
    """One revision of a change, as its file declares it."""

    id: str
    down: str | None  # the revision before it; None at the base
    doc: str
    path: Path
    reversible: bool  # whether its downgrade does anything
    digest: str = ""  # sha256 of the file, however its lines end
    concurrent_indexes: tuple[str, ...] = ()  # statements that the tool runs CONCURRENTLY before the revision
    narrows: tuple[Narrowing, ...] = ()  # values for which there is no place once it is undone


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    path: Path
    id: str
    downs: tuple[str, ...]
    labels: tuple[str, ...]
    depends: tuple[str, ...]
    doc: str
    reversible: bool
    digest: str
    concurrent_indexes: tuple[str, ...]
    narrows: tuple[Narrowing, ...]


def declared(directory: Path, change: str) -> list[RevisionInfo]:
    """List the revisions of a change from base to head.

    Raises ConfigurationError: no revision has the change as its branch label (M204), they do not
    form one line (M205), or a file cannot be read (M207).
    """
    files = list(_files(directory))
    named = [one for one in files if change in one.labels]
    if not named:
        raise _unknown(change, sorted({label for one in files for label in one.labels}), directory)
    chain = _chain(files, named[0])
    foreign = [label for one in chain for label in one.labels if label != change]
    if foreign:
        raise _no_line(change, f"they also carry the label {foreign[0]}")
    return [
        RevisionInfo(
            id=one.id,
            down=one.downs[0] if one.downs else None,
            doc=one.doc,
            path=one.path,
            reversible=one.reversible,
            digest=one.digest,
            concurrent_indexes=one.concurrent_indexes,
            narrows=one.narrows,
        )
        for one in chain
    ]


def labels(directory: Path) -> list[str]:
    """List the changes that have revisions in the directory."""
    return sorted({label for one in _files(directory) for label in one.labels})


def _chain(files: list[_File], named: _File) -> list[_File]:
    """Walk from a labelled revision down to its base and up to its head."""
    change = named.labels[0]
    by_id = {one.id: one for one in files}
    if len(by_id) < len(files):
        twice = sorted({one.id for one in files if sum(one.id == other.id for other in files) > 1})
        raise _no_line(change, f"the id {twice[0]} is used by more than one file")
    line = [named]
    while line[0].downs:
        before = by_id.get(line[0].downs[0])
        if before is None:
            raise _no_line(change, f"{line[0].id} follows {line[0].downs[0]}, which is not there")
        if before in line:
            raise _no_line(change, f"{before.id} follows itself")
        line.insert(0, before)
    while after := [one for one in files if line[-1].id in one.downs]:
        if len(after) > 1:
            raise _no_line(change, f"{' and '.join(sorted(one.id for one in after))} both follow {line[-1].id}")
        line.append(after[0])
    for one in line:
        if len(one.downs) > 1 or one.depends:
            raise _no_line(change, f"{one.id} joins or depends on other revisions")
    return line


def _files(directory: Path) -> Iterator[_File]:
    for path in sorted((directory / "versions").glob("*.py")):
        if not path.name.startswith(("__init__", ".#")):
            one = _read(path)
            if one is not None:
                yield one


def _read(path: Path) -> _File | None:
    """Read one file; a file that names no revision is not one, as for Alembic."""
    try:
        return _understood(path, path.read_bytes())
    except (SyntaxError, ValueError, OSError) as error:
        raise ConfigurationError(
            "M207",
            f"The revision {path} cannot be read: {error}.",
            "revision, down_revision, branch_labels and depends_on must be plain strings, tuples or None.",
        ) from error


@cache
def _understood(path: Path, written: bytes) -> _File | None:
    """Understand what stands in a file, once for each content: a run asks many times."""
    tree = ast.parse(written)
    facts = dict(_facts(tree.body))
    if not facts.get("revision"):
        return None
    return _File(
        path=path,
        id=str(facts["revision"]),
        downs=_tuple(facts.get("down_revision")),
        labels=_tuple(facts.get("branch_labels")),
        depends=_tuple(facts.get("depends_on")),
        doc=(ast.get_docstring(tree) or "").partition("\n")[0],
        reversible=_does_something(tree.body, "downgrade"),
        digest=hashlib.sha256(b"\n".join(written.splitlines())).hexdigest(),
        concurrent_indexes=_tuple(facts.get("concurrent_indexes")),
        narrows=tuple(_narrowing(path, one) for one in facts.get("narrows") or ()),
    )


def _narrowing(path: Path, said: Any) -> Narrowing:
    try:
        table, column, values, becomes = said
        return Narrowing(relation=Relation.parse(table), column=column, values=tuple(values), becomes=becomes)
    except (TypeError, ValueError, MigratorError) as error:
        raise ConfigurationError(
            "M207",
            f"The revision {path} cannot be read: narrows holds {said!r}.",
            'Write for each: ("table", "column", ("value that goes", …), "value it becomes").',
        ) from error


def _facts(body: Iterable[ast.stmt]) -> Iterator[tuple[str, Any]]:
    names = {"revision", "down_revision", "branch_labels", "depends_on", "concurrent_indexes", "narrows"}
    for statement in body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in names:
                yield name, ast.literal_eval(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if name in names:
                yield name, ast.literal_eval(value)


def _tuple(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(map(str, value))


def _does_something(body: Iterable[ast.stmt], function: str) -> bool:
    found = [one for one in body if isinstance(one, ast.FunctionDef) and one.name == function]
    return any(not _idle(statement) for one in found for statement in one.body)


def _idle(statement: ast.stmt) -> bool:
    """Say whether a statement does nothing: a docstring, `pass`, `...`, NotImplementedError."""
    match statement:
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Raise(exc=ast.Name(id="NotImplementedError") | ast.Call(func=ast.Name(id="NotImplementedError"))):
            return True
        case _:
            return False


def _unknown(change: str, known: list[str], directory: Path) -> ConfigurationError:
    near = difflib.get_close_matches(change, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    there = f"It has: {', '.join(known)}." if known else "It has none."
    return ConfigurationError(
        "M204",
        f"No revision in {directory} has the branch label {change}. {there}{hint}",
        f'Write branch_labels = ("{change}",) into the first revision of the change.',
    )


def _no_line(change: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        "M205",
        f"The revisions of {change} do not form one line from base to head: {why}.",
        "Give every revision of a change the one before it as down_revision, and depend on no other change.",
    )
