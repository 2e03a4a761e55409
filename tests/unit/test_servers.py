"""Where PostgreSQL is looked for, and what the launcher says when it cannot go on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from migrator.model.errors import ServerError
from migrator.servers import Postgres, binaries, cluster, find, find_all, find_dump, processes

if TYPE_CHECKING:
    from collections.abc import Callable

    Installer = Callable[[str, str], Path]


@pytest.fixture
def install(tmp_path: Path) -> Installer:
    """Make a directory with an `initdb` and a `postgres` that only knows its version."""

    def make(place: str, version: str) -> Path:
        directory = tmp_path / place
        directory.mkdir(parents=True)
        for name in ("initdb", "postgres"):
            program = directory / name
            program.write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")
            program.chmod(0o755)
        return directory

    return make


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide every PostgreSQL of this machine."""
    monkeypatch.delenv(binaries.BINDIR_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(binaries, "PACKAGED", tmp_path / "packaged")
    monkeypatch.setattr(binaries, "WHEEL", ("wheel_of_tests", "pginstall/bin"))
    monkeypatch.setattr(binaries, "OTHER_WHEELS", [("other_wheel_of_tests", "pginstall/bin")])
    monkeypatch.syspath_prepend(tmp_path / "wheels")


class TestBinaries:
    """Finding PostgreSQL."""

    def test_order(self, install: Installer, monkeypatch: pytest.MonkeyPatch) -> None:
        """The named one comes first, then the wheel, the system's newest first, and the PATH."""
        expected = [
            install("named", "14.1"),
            install("wheels/wheel_of_tests/pginstall/bin", "18.6"),
            install("packaged/17/bin", "17.2"),
            install("packaged/9/bin", "9.6.24"),
            install("path", "15.18"),
            install("wheels/other_wheel_of_tests/pginstall/bin", "16.14"),
        ]
        monkeypatch.setenv(binaries.BINDIR_VARIABLE, str(expected[0]))

        assert expected == [found.directory for found in find_all()]
        assert find().directory == expected[0]

    def test_version(self, install: Installer) -> None:
        """The version is what `postgres --version` says, whoever has built it."""
        install("packaged/19/bin", "19beta2 (Debian 19~beta2-1)")

        found = find()

        assert (found.major, found.version) == (19, "19beta2")
        assert found.origin == "installed by the system"

    def test_each_once(self, install: Installer, monkeypatch: pytest.MonkeyPatch) -> None:
        """An installation that several ways lead to is found once."""
        directory = install("packaged/17/bin", "17.2")
        monkeypatch.setenv("PATH", str(directory))

        assert [found.directory for found in find_all()] == [directory]

    def test_wheel_is_not_imported(self, install: Installer, tmp_path: Path) -> None:
        """The wheel is found by its files; its code never runs."""
        install("wheels/wheel_of_tests/pginstall/bin", "18.6")
        bomb = tmp_path / "wheels/wheel_of_tests/__init__.py"
        bomb.write_text("raise AssertionError('imported')")

        assert find().origin == "from the Python package wheel-of-tests"
        assert "wheel_of_tests" not in sys.modules

    def test_unusable_are_passed_over(self, install: Installer) -> None:
        """What was made for another machine, or is no PostgreSQL, does not stop the search."""
        for version, text in (("18", "no program at all"), ("17", "#!/bin/sh\nexit 127\n")):
            install(f"packaged/{version}/bin", version).joinpath("postgres").write_text(text)
        usable = install("packaged/16/bin", "16.1")

        assert find().directory == usable

    def test_named_but_unusable(self, install: Installer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A directory that was asked for by name is never replaced by another one."""
        install("packaged/17/bin", "17.2")
        monkeypatch.setenv(binaries.BINDIR_VARIABLE, str(tmp_path / "nothing"))

        with pytest.raises(ServerError, match=r"M321 .*/nothing"):
            find()

    def test_none(self) -> None:
        """Without any PostgreSQL the error names what to install."""
        with pytest.raises(ServerError, match="M320") as raised:
            find()

        assert "pg-migrator[demo]" in raised.value.cure

    def test_a_version_that_is_asked_for(self, install: Installer) -> None:
        """The version that was asked for is preferred; another one does where it is not there."""
        install("wheels/wheel_of_tests/pginstall/bin", "18.6")
        old = install("packaged/14/bin", "14.2")

        assert old == find(14).directory
        assert 18 == find(15).major

    def test_a_named_one_has_any_version(self, install: Installer, monkeypatch: pytest.MonkeyPatch) -> None:
        """What was asked for by name is used whatever its version."""
        named = install("named", "15.1")
        install("packaged/16/bin", "16.2")
        monkeypatch.setenv(binaries.BINDIR_VARIABLE, str(named))

        assert named == find(16).directory

    def test_a_dump_is_made_by_the_same_version_or_the_newest(self, install: Installer) -> None:
        """A server without `pg_dump` is dumped by one of its version, else by the newest, which reads older servers."""
        install("wheels/wheel_of_tests/pginstall/bin", "18.6")
        for place, version in (("packaged/17/bin", "17.2"), ("packaged/15/bin", "15.2"), ("packaged/14/bin", "14.2")):
            directory = install(place, version)
            if "14" not in place:
                (directory / "pg_dump").symlink_to(directory / "initdb")

        assert ["17", "15", "17"] == [find_dump(major).parent.parent.name for major in (18, 15, 14)]

    def test_missing_program(self, install: Installer) -> None:
        """A program that an installation lacks is missed by name."""
        install("packaged/17/bin", "17.2")

        with pytest.raises(ServerError, match=r"M322 .*pg_dump"):
            find().program("pg_dump")


class TestRefusals:
    """What is refused before anything starts."""

    def test_python_out_of_reach(self, install: Installer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A user who may not run this Python is told so."""
        install("packaged/17/bin", "17.2")
        private = tmp_path / "python"
        private.touch(mode=0o600)
        monkeypatch.setattr(sys, "executable", str(private))

        with pytest.raises(ServerError, match=r"M323 .*/python.*Permission denied"):
            Postgres.start()

    def test_no_account_will_do(self, install: Installer, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where root has no way to run PostgreSQL, the error says what was tried."""
        install("packaged/17/bin", "17.2")
        monkeypatch.setattr("migrator.servers.accounts.ways", lambda *_: iter(()))

        with pytest.raises(ServerError, match=r"M324 .*user namespace"):
            Postgres.start()

    def test_crash_safety_is_not_a_setting(self, tmp_path: Path) -> None:
        """The settings that crash tests rest on cannot be changed."""
        with pytest.raises(ValueError, match="synchronous_commit"):
            cluster.server_arguments(
                tmp_path,
                port=1,
                sockets=tmp_path,
                durable=False,
                settings={"synchronous_commit": "off"},
            )


class TestLock:
    """Reading `postmaster.pid`."""

    LINES = ("4711", "/data", "0", "5432", "/run", "127.0.0.1", "  9996433     32769", "ready   ")

    @pytest.mark.parametrize("lines", range(len(LINES)))
    def test_half_written(self, lines: int, tmp_path: Path) -> None:
        """A file that is not yet complete never says that the server is ready."""
        (tmp_path / "postmaster.pid").write_text("\n".join(self.LINES[:lines]))

        lock = cluster.read_lock(tmp_path)

        assert lock is None or not lock.ready

    def test_complete(self, tmp_path: Path) -> None:
        """A complete file names the process, its shared memory and its state."""
        (tmp_path / "postmaster.pid").write_text("\n".join(self.LINES))

        expected = cluster.Lock(pid=4711, shared_memory=32769, ready=True)
        assert expected == cluster.read_lock(tmp_path)


def process_tables() -> list[str]:
    """List the ways of this machine to read the process table."""
    found = [("/proc", Path("/proc/self").exists()), ("/nowhere", shutil.which("ps"))]
    return [place for place, usable in found if usable]


@pytest.mark.parametrize("place", process_tables())
def test_process_table(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Children are seen, and a zombie is not alive, with /proc and without it."""
    monkeypatch.undo()  # this machine as it is, `ps` included
    monkeypatch.setattr(processes, "PROC", Path(place))

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in processes.children(os.getpid())
        assert processes.alive(child.pid)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not processes.alive(child.pid)
