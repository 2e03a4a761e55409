"""Values of the model as JSON: the same keys on every run, in snake_case.

Every dataclass becomes an object of its fields; enumerations become their values, moments ISO 8601,
sets and tuples lists. Beside its fields a value carries what is worked out from them:

    plan         pending (names of the Steps still to be taken), rows_pending
    report       nothing_done, proven (true, false, or null where nothing was claimed)
    balance      closes
    source       closes
    comparison   proven
    losses       rows, sentence (the words for `--lose`)
    waiting      sentence
    objects      unaccounted
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from migrator.model.checked_objects import CheckedObjects, WrittenDocuments
from migrator.model.orphans import Deletion, Orphans
from migrator.model.step import Losses, Plan, Report, Waiting
from migrator.model.verdict import Balance, Comparison, ObjectBalance, SourceBalance

_WORKED_OUT: Final[dict[type, tuple[str, ...]]] = {
    Report: ("nothing_done", "proven"),
    Balance: ("closes",),
    SourceBalance: ("closes",),
    Comparison: ("proven",),
    Losses: ("rows", "sentence"),
    Waiting: ("sentence",),
    Orphans: ("deletable",),
    Deletion: ("done",),
    CheckedObjects: ("proven",),
    WrittenDocuments: ("proven",),
    ObjectBalance: ("unaccounted",),
}


def as_json(value: object) -> Any:
    """Turn a value into what the json module writes."""
    if isinstance(value, Enum):
        return as_json(value.value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return _object(value)
    if isinstance(value, Mapping):
        return {_key(name): as_json(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]
    if isinstance(value, set | frozenset):
        return sorted((as_json(one) for one in value), key=str)
    return _scalar(value)


def document(value: object) -> str:
    """Write one JSON document, with the characters of every language as they are."""
    return json.dumps(as_json(value), indent=2, ensure_ascii=False, allow_nan=False)


def _object(value: Any) -> dict[str, Any]:
    made = {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Plan):
        made["pending"] = [one.name for one in value.pending]
        made["rows_pending"] = value.rows_pending
    for name in _WORKED_OUT.get(type(value), ()):
        made[name] = as_json(getattr(value, name))
    return made


def _key(name: object) -> str:
    return str(name.value if isinstance(name, Enum) else name)


def _scalar(value: object) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(bytes(value)).decode()
    if isinstance(value, Decimal | UUID | PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
