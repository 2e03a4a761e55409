"""Every error of the tool, in one tree.

MigratorError
├── UsageError       exit 2   what was asked for, or configured, cannot be
├── RefusedError     exit 5   a guard or the lease says no; nothing was changed
├── WorldError       exit 1   the database or the network; run the same command again
│   └── ServerError  exit 1   a server of our own could not be found or started
└── BugError         exit 1   what must never happen, said plainly

A Verdict is a value, never an error: "it is not so" is reported, "it could not be done" is raised.
"""

from __future__ import annotations


class MigratorError(Exception):
    """Something could not be done: a stable id, what is wrong in the user's names, and the cure."""

    exit_code = 1

    def __init__(self, id: str, what: str, cure: str = "") -> None:
        """Keep the id (`M101`), the sentence that says what is wrong, and the way on."""
        super().__init__(f"{id} {what}")
        self.id = id
        self.what = what
        self.cure = cure


class UsageError(MigratorError):
    """What was asked for or configured cannot be; nothing was changed."""

    exit_code = 2


class ConfigurationError(UsageError):
    """`migrator.toml`, a definition or a parameter is wrong; all faults at once."""


class RefusedError(MigratorError):
    """A guard or the lease says no; nothing was changed."""

    exit_code = 5


class WorldError(MigratorError):
    """The database or the network stopped the run; the state is safe and the same command goes on."""


class ServerError(WorldError):
    """A server of our own could not be found or started."""


class BugError(MigratorError):
    """What must never happen; please report it."""
