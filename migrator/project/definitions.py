"""Definitions: `backfills/<name>.py`, each run once as a module that nothing else ever sees.

The files of a project form a package of a name of its own while they are loaded, so a definition
takes shared rules with `from ._multitalk import WORKFLOW`. Neither sys.path nor sys.modules keeps
anything of it, no bytecode is written, and two projects may use the same file names.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import inspect
import itertools
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

from migrator.model.backfill import Backfill
from migrator.model.errors import ConfigurationError
from migrator.model.names import Relation
from migrator.project.faults import Fault, did_you_mean, raise_all

EXAMPLE = "Write backfill = Backfill(…)."

_numbers = itertools.count(1)


def load(directory: Path, names: Sequence[str], *, change: str) -> tuple[Backfill, ...]:
    """Load the definitions of a change in the order they are listed.

    Raises ConfigurationError (M105) with the faults of all files at once.
    """
    loaded: dict[str, Backfill] = {}
    faults: list[Fault] = []
    with _package(directory) as package, contextlib.redirect_stdout(sys.stderr):
        for name in names:
            made = _load_one(package, directory / f"{name}.py")
            if isinstance(made, Backfill):
                loaded[name] = made
            else:
                faults.append(made)
    for backfill in loaded.values():
        faults.extend(_wrong_elsewhere(backfill, loaded, names))
        faults.extend(_wrong_moved_to(backfill, loaded, names))
    raise_all("M105", f"change {change}", faults)
    return tuple(loaded.values())


class _FreshSource(SourceFileLoader):
    """Compiles the file as it is now: a cached file of the same second and size would win else."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the files of one directory as the modules of one package."""

    def __init__(self, package: str, directory: Path) -> None:
        self.package, self.directory = package, directory

    def find_spec(
        self,
        fullname: str,
        path: object = None,  # noqa: ARG002 -- importlib gives it
        target: ModuleType | None = None,  # noqa: ARG002 -- likewise
    ) -> ModuleSpec | None:
        package, _, name = fullname.rpartition(".")
        file = self.directory / f"{name}.py"
        if package != self.package or not file.is_file():
            return None
        loader = _FreshSource(fullname, str(file))
        return spec_from_file_location(fullname, file, loader=loader)


@contextlib.contextmanager
def _package(directory: Path) -> Iterator[str]:
    name = f"migrator_definitions_{next(_numbers)}"
    finder, module = _Finder(name, directory), ModuleType(name)
    module.__path__ = []
    sys.modules[name] = module
    sys.meta_path.insert(0, finder)
    try:
        yield name
    finally:
        sys.meta_path.remove(finder)
        for one in [one for one in sys.modules if one.partition(".")[0] == name]:
            del sys.modules[one]


def _load_one(package: str, file: Path) -> Backfill | Fault:
    where = _place(file)
    if not file.is_file():
        others = sorted(one.stem for one in file.parent.glob("[!_]*.py"))
        return Fault(where=where, what="no such file.", cure=did_you_mean(file.stem, others))
    try:
        module = importlib.import_module(f"{package}.{file.stem}")
    # The file is its author's own code and may raise anything; whatever it is must be told with its
    # place, beside the faults of the other files. SystemExit would end the tool without a word.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        return _raised(error, package, file)
    return _backfill_of(module, file)


def _backfill_of(module: ModuleType, file: Path) -> Backfill | Fault:
    where = _place(file)
    made = {name: one for name, one in vars(module).items() if isinstance(one, Backfill)}
    found = vars(module).get("backfill")
    if found is None:
        cure = f"Call it backfill, not {next(iter(made))}." if made else EXAMPLE
        return Fault(where=where, what="the file defines no backfill.", cure=cure)
    if not isinstance(found, Backfill):
        what = f"backfill is of type {type(found).__name__}."
        return Fault(where=where, what=what, cure=EXAMPLE)
    if len(made) > 1:
        what = f"the file defines {len(made)} backfills: {', '.join(made)}."
        return Fault(where=where, what=what, cure="Give each a file of its own.")
    doc = inspect.cleandoc(module.__doc__ or "")
    return replace(found, name=file.stem, path=where, doc=doc)


def _raised(error: BaseException, package: str, file: Path) -> Fault:
    """Say what was raised, at the line of the definition or shared file that raised it."""
    place = _place(file)
    if isinstance(error, SyntaxError) and error.filename:
        place = f"{_place(Path(error.filename))}:{error.lineno or 1}"
        return Fault(where=place, what=f"syntax error: {error.msg}.")
    for frame in traceback.extract_tb(error.__traceback__):
        if Path(frame.filename).parent == file.parent:
            place = f"{_place(Path(frame.filename))}:{frame.lineno}"
    if isinstance(error, ConfigurationError):
        return Fault(where=place, what=f"{error.id} {error.what}", cure=error.cure)
    message = str(error).replace(f"{package}.", "").rstrip(".")
    cure = ""
    if isinstance(error, ModuleNotFoundError) and (file.parent / f"{error.name}.py").is_file():
        cure = f"Files of this directory are imported with a dot: from .{error.name} import …"
    return Fault(where=place, what=f"{type(error).__name__}: {message}.", cure=cure)


def _wrong_elsewhere(backfill: Backfill, loaded: dict[str, Backfill], names: Sequence[str]) -> Iterator[Fault]:
    """Find skips that send their rows to nobody; a file that failed to load is given the doubt."""
    for skip in backfill.skips:
        wanted = skip.elsewhere
        if wanted is None or (wanted in names and wanted not in loaded):
            continue
        where, rule = backfill.path, f"skip {skip.name!r}"
        if wanted == backfill.name:
            yield Fault(where=where, what=f"{rule} names its own backfill.", cure="Name another.")
        elif wanted not in names:
            what = f"{rule} names {wanted!r}, which is no backfill of this change."
            cure = did_you_mean(wanted, [one for one in names if one != backfill.name])
            yield Fault(where=where, what=what, cure=cure)
        elif Relation.parse(loaded[wanted].source) != Relation.parse(backfill.source):
            other = loaded[wanted].source
            what = f"{rule} names {wanted!r}, whose source is {other}, not {backfill.source}."
            yield Fault(where=where, what=what, cure="Name a backfill of the same source.")
        elif loaded[wanted].only_if not in {None, backfill.only_if}:
            what = f"{rule} names {wanted!r}, which a parameter may leave out: nobody would take these rows."
            yield Fault(where=where, what=what, cure="Give both the same only_if, or leave the rows behind by name.")


def _wrong_moved_to(backfill: Backfill, loaded: dict[str, Backfill], names: Sequence[str]) -> Iterator[Fault]:
    """Find looked up rows that are not there when they are looked up; a file that failed to load is given the doubt."""
    place = list(names).index(backfill.name)
    for wanted in backfill.followed():
        where, said = backfill.path, f"moved_to({wanted!r})"
        if wanted not in names:
            cure = did_you_mean(wanted, [one for one in names if one != backfill.name])
            yield Fault(where=where, what=f"{said} names no backfill of this change.", cure=cure)
        elif list(names).index(wanted) >= place:
            cure = f"List {wanted} before {backfill.name} in migrator.toml."
            yield Fault(where=where, what=f"{said} names a backfill that does not run before this one.", cure=cure)
        elif (other := loaded.get(wanted)) is not None:
            if Relation.parse(other.source) != Relation.parse(backfill.source) or other.keys != backfill.keys:
                here, there = (f"{one.source} by {', '.join(one.keys)}" for one in (backfill, other))
                what = f"{said} names a backfill of {there}; this one walks {here}."
                yield Fault(where=where, what=what, cure="Look up rows of the same source by the same key.")
            elif len(other.identities) > 1:
                what = f"{said} names a backfill whose identity has several columns: {', '.join(other.identities)}."
                yield Fault(where=where, what=what, cure="Look up what has an identity of one column.")


def _place(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"
