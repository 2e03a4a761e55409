"""Data directories of scratch servers, copied: initdb takes a second, and each `plan` of a new change needs one.

A copy is byte for byte what initdb made for the same installation; only what is inside tests is copied.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from migrator.servers import Postgres


@contextmanager
def made_once() -> Iterator[None]:
    """Let initdb run once for each installation and account in this process; afterwards what it made is copied."""
    by_initdb = Postgres._initdb

    with (
        TemporaryDirectory(prefix="clusters-", ignore_cleanup_errors=True) as kept,
        pytest.MonkeyPatch.context() as patch,
    ):
        made: dict[tuple[Path, str, bool], Path] = {}

        def _initdb(self: Postgres) -> None:
            kind = (self.program("initdb"), repr(self._place.account), self._durable)
            if kind in made:
                _copy(made[kind], self.data)
                return
            by_initdb(self)
            copy = Path(kept) / str(len(made))
            _copy(self.data, copy)
            made[kind] = copy

        patch.setattr(Postgres, "_initdb", _initdb)
        yield


def _copy(one: Path, other: Path) -> None:
    """Copy a directory with owners and rights; what runs as somebody else must own it."""
    other.mkdir(mode=0o700, exist_ok=True)
    subprocess.run(["cp", "-a", f"{one}/.", str(other)], check=True)
