"""Blame: a source row that cannot move, and why, as its quarantine will say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from migrator.database import failures
from migrator.database.failures import SqlError
from migrator.engine.projection.pieces import TAKEN
from migrator.engine.ranges import Key
from migrator.ledger import provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """A source row and its fault; the reason groups, so it holds no value of the row."""

    key: Key
    reason: str
    sqlstate: str | None = ""
    constraint: str = ""
    message: str | None = ""


def blame(key: Key, error: SqlError, backfill: int) -> Blame:
    """Say a row's fault by the error that it raised."""
    constraint = failures.constraint(error)
    return Blame(
        key=key,
        reason=_reason(failures.message(error), constraint, backfill),
        sqlstate=failures.sqlstate(error),
        constraint=constraint,
        message=failures.detail(error),
    )


def told(key: Key, said: Mapping[str, str], backfill: int = 0) -> Blame:
    """Say a row's fault by the diagnostics that the server kept of it."""
    constraint = said["constraint"] or said["column"]
    return Blame(
        key=key,
        reason=_reason(failures.masked_text(said["said"]), constraint, backfill),
        sqlstate=said["state"],
        constraint=constraint,
        message=failures.masked_text(said["detail"]),
    )


def _reason(said: str, constraint: str, backfill: int) -> str:
    return TAKEN if constraint == provenance.one_each(backfill) else said
