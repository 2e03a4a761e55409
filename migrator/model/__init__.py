"""The words of the house as frozen values. Imports nothing of ours; definitions import from here.

>>> from migrator.model import Backfill, array, column, derived_uuid, lookup, sql
"""

from migrator.model.backfill import Backfill
from migrator.model.constructors import (
    array,
    clock,
    column,
    constant,
    contains,
    defaulted,
    derived_text,
    derived_uuid,
    discarded,
    elsewhere,
    estimated,
    flagged,
    given,
    lookup,
    missing,
    moved_to,
    object_key,
    readable,
    rule,
    rules,
    sql,
)
from migrator.model.groups import grouped, paired
from migrator.model.moved_objects import document, moved_object
from migrator.model.pace import pace
from migrator.model.parameters import File, Pattern, Table, param

__all__ = [
    "Backfill",
    "File",
    "Pattern",
    "Table",
    "array",
    "clock",
    "column",
    "constant",
    "contains",
    "defaulted",
    "derived_text",
    "derived_uuid",
    "discarded",
    "document",
    "elsewhere",
    "estimated",
    "flagged",
    "given",
    "grouped",
    "lookup",
    "missing",
    "moved_object",
    "moved_to",
    "object_key",
    "pace",
    "paired",
    "param",
    "readable",
    "rule",
    "rules",
    "sql",
]
