"""Settings of one run.

Precedence: flag > environment > `[change.X.backfill.Y]` > `[change.X]` > `[defaults]`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from migrator.model.change import Settings
from migrator.project.config import ChangeTable, Config, SettingsTable, SpokenSettings, faults_of
from migrator.project.faults import Fault, raise_all

NAMES = tuple(SettingsTable.model_fields)
VARIABLES = {name: f"MIGRATOR_{name.upper()}" for name in NAMES}
FLAGS = {name: f"--{name.replace('_', '-')}" for name in NAMES}


def resolve(config: Config, change: str, flags: Mapping[str, Any]) -> dict[str, Settings]:
    """Give the settings of every backfill of a change.

    Raises ConfigurationError (M102) for all wrong flags and environment variables at once.
    """
    environment = {name: os.environ[var] for name, var in VARIABLES.items() if os.environ.get(var)}
    said = {name: str(value) for name, value in flags.items() if value is not None}
    faults: list[Fault] = []
    spoken = _read(environment, VARIABLES, faults) | _read(said, FLAGS, faults)
    raise_all("M102", "settings", faults)
    table = config.change[change]
    return {name: _made(dict(_layers(config, table, name)) | spoken) for name in table.backfills}


def _layers(config: Config, change: ChangeTable, backfill: str) -> Iterator[tuple[str, Any]]:
    """List what the file sets, the weakest first."""
    for table in (config.defaults, change, change.backfill.get(backfill, SettingsTable())):
        for name in NAMES:
            if name in table.model_fields_set:
                yield name, getattr(table, name)


def _read(said: Mapping[str, str], places: Mapping[str, str], faults: list[Fault]) -> dict[str, Any]:
    try:
        return SpokenSettings.model_validate(said).model_dump(exclude_unset=True)
    except ValidationError as error:
        faults.extend(faults_of(error, places))
        return {}


def _made(values: dict[str, Any]) -> Settings:
    if "lock_timeout" in values:
        values["lock_timeout_ms"] = values.pop("lock_timeout")
    if "trickle" in values:
        values["trickle_ms"] = values.pop("trickle")
    return Settings(**values)
