"""What went wrong in a revision, said in the user's names: its SQL, the database, or the revision itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from migrator.database import failures
from migrator.database.explaining import as_error
from migrator.database.failures import Failure
from migrator.database.locks import shortened
from migrator.database.revision_files import RevisionInfo
from migrator.model.errors import MigratorError, RefusedError, UsageError, WorldError

# Objects that are there already: table, type, constraint…; column; schema; function.
_EXISTS = frozenset({"42P07", "42710", "42701", "42P06", "42723"})


@contextmanager
def revision_explained(info: RevisionInfo) -> Iterator[None]:
    """Say what went wrong in a revision; what it raised stays attached."""
    try:
        yield
    except MigratorError:
        raise
    except Exception as error:  # a revision is the user's code and may raise anything
        cause = error if isinstance(error, psycopg.Error) else getattr(error, "orig", None)
        if not isinstance(cause, psycopg.Error):
            raise _refused(info, error) from error
        if failures.kind(cause) is Failure.RETRY:
            raise cause from None
        raise _failed(info, cause, str(getattr(error, "statement", "") or "")) from error


def _failed(info: RevisionInfo, cause: psycopg.Error, statement: str) -> MigratorError:
    doing = f"running revision {info.id} ({info.doc or info.path.name})"
    state, said = failures.sqlstate(cause), failures.message(cause)
    at = f" in: {shortened(statement)}" if statement.strip() else ""
    if failures.kind(cause) not in {Failure.ROW, Failure.DEFINITION} and state[:2] != "25":
        return as_error(cause, doing)
    if state in _EXISTS:
        return RefusedError(
            "M202",
            f"While {doing}: {said} ({state}){at}.",
            "Something of that name is there already, and nobody recorded who made it. Compare it with the"
            " revision; then rename it or drop it, and run the same command again.",
        )
    return WorldError(
        "M201",
        f"While {doing}: {said} ({state}){at}.",
        f"Mend {info.path}; nothing of the revision was applied.",
    )


def _refused(info: RevisionInfo, error: Exception) -> UsageError:
    said = failures.masked_text(str(error)) or type(error).__name__
    return UsageError(
        "M203",
        f"Revision {info.id} ({info.doc or info.path.name}) stopped: {said}",
        f"Do what the message asks, or mend {info.path}; nothing of the revision was applied.",
    )
