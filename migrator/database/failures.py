"""Failures: what an error of the server means for us, decided by its SQLSTATE, and its parts without values of rows."""

from __future__ import annotations

import re
from enum import Enum
from typing import TypeAlias

import psycopg

from migrator.model.names import literal

SqlError: TypeAlias = psycopg.Error
"""What other rooms catch, without knowing the driver."""


class Failure(Enum):
    """What is to be done about a failed statement."""

    ROW = "row"  # a row is at fault: split the batch, quarantine the row
    RETRY = "retry"  # somebody else was in the way: try again
    RIGHTS = "rights"
    READ_ONLY = "read only"
    LOST = "lost"  # the connection is gone
    DEFINITION = "definition"  # the statement itself is wrong
    WORLD = "world"  # disk, memory, timeouts, and whatever else is not ours


_RETRY = frozenset({"40001", "40P01", "55P03"})
# 54001 is a value nested too deep; 44000 and 21000 are a view and a subquery that refuse a row.
_ROW = frozenset({"54000", "54001", "21000", "44000"})
_LOST = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"})
_EXACT = {
    **dict.fromkeys(_RETRY, Failure.RETRY),
    **dict.fromkeys(_ROW, Failure.ROW),
    **dict.fromkeys(_LOST, Failure.LOST),
    "42501": Failure.RIGHTS,
    "25006": Failure.READ_ONLY,
}
_BY_CLASS = {
    "08": Failure.LOST,
    **dict.fromkeys(("09", "20", "22", "23", "27", "2F", "38", "P0"), Failure.ROW),
    "0A": Failure.DEFINITION,
    "3F": Failure.DEFINITION,
    "42": Failure.DEFINITION,
}
# Every class PostgreSQL itself gives out. A state of any other class was raised by somebody's code, about a row.
_CLASSES = frozenset(
    {
        "00", "01", "02", "03", "08", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20", "21", "22",
        "23", "24", "25", "26", "27", "28", "2B", "2D", "2F", "34", "38", "39", "3B", "3D", "3F", "40",
        "42", "44", "53", "54", "55", "57", "58", "72", "F0", "HV", "P0", "XX",
    }
)  # fmt: skip


def kind(exc: BaseException) -> Failure:
    """Decide by the SQLSTATE what an error means."""
    if not isinstance(exc, psycopg.Error):
        return Failure.WORLD
    state = exc.sqlstate
    if state is None:
        # Without a state the server never answered; but a value that Python cannot hold is no lost
        # connection.
        gone = isinstance(exc, (psycopg.OperationalError, psycopg.InterfaceError))
        return Failure.LOST if gone else Failure.WORLD
    others = Failure.WORLD if state[:2] in _CLASSES else Failure.ROW
    return _EXACT.get(state) or _BY_CLASS.get(state[:2], others)


def about_a_row(state: str) -> str:
    """Write in SQL what `kind` decides: whether an SQLSTATE is about a row. `state` is SQL for the SQLSTATE."""
    exact = ", ".join(literal(one) for one in sorted(_ROW))
    others = ", ".join(literal(one) for one in sorted(_CLASSES) if _BY_CLASS.get(one) is not Failure.ROW)
    return f"{state} IN ({exact}) OR pg_catalog.left({state}, 2) NOT IN ({others})"


def sqlstate(exc: BaseException) -> str:
    """Give the SQLSTATE of an error; empty where the server did not give one."""
    return (exc.sqlstate or "") if isinstance(exc, psycopg.Error) else ""


def constraint(exc: BaseException) -> str:
    """Name the constraint, or else the column, that an error is about; empty where none."""
    if not isinstance(exc, psycopg.Error):
        return ""
    return exc.diag.constraint_name or exc.diag.column_name or ""


def message(exc: BaseException) -> str:
    """Give the one sentence of an error, with the values in it hidden."""
    if not isinstance(exc, psycopg.Error):
        return masked_text(str(exc))
    said = exc.diag.message_primary or str(exc).strip().partition("\n")[0] or type(exc).__name__
    return masked_text(said)


def detail(exc: BaseException) -> str:
    """Give the DETAIL of an error with the values of rows hidden; empty where there is none."""
    said = exc.diag.message_detail if isinstance(exc, psycopg.Error) else None
    return masked_text(said or "")


_IN_BRACKETS = re.compile(r"=\((?:[^()]|\([^()]*\))*\)|(?<=contains )\(.*\)", re.DOTALL)
_QUOTED_VALUE = re.compile(r'(?<=: )".*"$', re.DOTALL)
_EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")


def masked_text(said: str) -> str:
    """Hide the values that PostgreSQL puts into its messages, and all e-mail addresses."""
    hidden = _IN_BRACKETS.sub(lambda found: "=(…)" if found[0].startswith("=") else "(…)", said)
    return _EMAIL.sub("…@…", _QUOTED_VALUE.sub('"…"', hidden))
