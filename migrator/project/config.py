"""`migrator.toml`: read, checked whole, and given as typed tables; every fault is told at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from migrator.model.errors import ConfigurationError
from migrator.project.checks import crosscheck, refuse_secrets
from migrator.project.faults import Fault, did_you_mean, key, raise_all, shown

FILE = "migrator.toml"
UNITS = {"ms": 1, "s": 1_000, "min": 60_000}
PERIODS = {"h": "hours", "d": "days", "w": "weeks"}
LONGEST_LOCK_TIMEOUT = 10 * UNITS["min"]
SECRETS = frozenset({"url", "direct_url", "scratch_url"})

EXAMPLES = {
    "bucket": 'bucket = "shop-media"',
    "cdn_domain": 'cdn_domain = "d111111abcdef8.cloudfront.net"',
    "endpoint": 'endpoint = "https://s3.example.com"; without one it is Amazon S3',
    "region": 'region = "eu-central-1"',
    "keep": 'keep = "14d"',
    "backfills": 'backfills = ["new_from_old"], the names of files in backfills/',
    "batch_rows": "batch_rows = 10000",
    "checks": 'checks = { "no empty name" = "SELECT id FROM people WHERE name = \'\'" }',
    "foreign": 'foreign = "count" or foreign = "fault"',
    "index_checks": 'index_checks = { "people by name" = "SELECT * FROM people WHERE name = \'x\'" }',
    "lock_timeout": 'lock_timeout = "2s" or "500ms"',
    "lock_tries": "lock_tries = 20",
    "object_bytes_per_second": 'object_bytes_per_second = 50000000 or "none"',
    "object_workers": "object_workers = 16",
    "objects_per_second": 'objects_per_second = 100 or "none"',
    "quarantine_limit": 'quarantine_limit = 1000 or "none"',
    "range_rows": "range_rows = 100000",
    "trickle": 'trickle = "30s"',
    "url_env": 'url_env = "STUDIO_DATABASE_URL", the name of an environment variable',
    "workers": "workers = 2",
}


def milliseconds(value: object) -> int:
    """Read a duration: `2s`, `500ms`, `1min`."""
    found = re.fullmatch(r"([0-9]{1,9})(ms|s|min)", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("is no duration")
    length = int(found[1]) * UNITS[found[2]]
    if not 0 < length <= LONGEST_LOCK_TIMEOUT:
        raise ValueError("is not between 1ms and 10min")
    return length


def period(value: object) -> timedelta:
    """Read how long something is kept: `14d`, `12h`, `8w`."""
    found = re.fullmatch(r"([0-9]{1,4})([hdw])", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("is no number of hours, days or weeks")
    return timedelta(**{PERIODS[found[2]]: int(found[1])})


def _none(value: object) -> object:
    return None if value == "none" else value


def _query(value: object) -> object:
    """Take a query without the semicolon that may end it."""
    text = value.strip().rstrip(";").strip() if isinstance(value, str) else value
    if text == "":
        raise ValueError("holds no SQL")
    return text


Checks = dict[Annotated[str, Field(min_length=1)], Annotated[str, BeforeValidator(_query)]]


class Table(BaseModel):
    """A table of the file: typed as TOML is typed, unknown keys are faults."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SettingsTable(Table):
    """What may be set for all changes, one change or one backfill; unset is None and not dumped."""

    batch_rows: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    range_rows: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    workers: Annotated[int, Field(ge=1, le=64)] | None = None
    lock_timeout: Annotated[int | None, BeforeValidator(milliseconds)] = None
    lock_tries: Annotated[int, Field(ge=1, le=1_000)] | None = None
    quarantine_limit: Annotated[Annotated[int, Field(ge=0)] | None, BeforeValidator(_none)] = None
    trickle: Annotated[int | None, BeforeValidator(milliseconds)] = None
    object_workers: Annotated[int, Field(ge=1, le=256)] | None = None
    objects_per_second: Annotated[Annotated[float, Field(gt=0)] | None, BeforeValidator(_none)] = None
    object_bytes_per_second: Annotated[Annotated[float, Field(gt=0)] | None, BeforeValidator(_none)] = None


class SpokenSettings(SettingsTable):
    """The same from flags and the environment, where every value is a text."""

    model_config = ConfigDict(strict=False)


class Database(Table):
    """One `[database.<name>]`: where it is, or which environment variable knows."""

    url: str | None = None
    url_env: str | None = None
    direct_url: str | None = None
    direct_url_env: str | None = None
    search_path: str = "public"
    scratch_url: str | None = None


class S3Table(Table):
    """`[s3]`: where objects are. Who may use them is never said here."""

    endpoint: Annotated[str | None, Field(pattern=r"^https?://[^/@\s]+/?$")] = None
    region: Annotated[str | None, Field(pattern=r"^[a-z0-9-]+$")] = None
    bucket: Annotated[str | None, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] = None
    cdn_domain: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9.-]+$")] = None


class ArchiveTable(Table):
    """One `[change.<name>.archive]`: the sources that are put away, each with its later name, and for how long."""

    keep: Annotated[timedelta, BeforeValidator(period)] = timedelta(days=14)
    tables: dict[str, str] = {}


class ChangeTable(SettingsTable):
    """One `[change.<name>]`."""

    title: str = ""
    guide: str = ""
    database: str = "default"
    foreign: Literal["count", "fault"] = "count"
    backfills: Annotated[tuple[str, ...], Field(strict=False)] = ()
    backfill: dict[str, SettingsTable] = {}
    params: dict[str, str | int | float | bool] = {}
    revision_params: dict[str, Literal["str", "int", "float", "bool"]] = {}
    archive: ArchiveTable = ArchiveTable()
    consumers: dict[str, str] = {}
    secret_columns: Annotated[tuple[str, ...], Field(strict=False)] = ()
    checks: Checks = {}
    index_checks: Checks = {}


class Config(Table):
    """The whole file."""

    database: dict[str, Database] = {}
    s3: S3Table = S3Table()
    defaults: SettingsTable = SettingsTable()
    change: dict[str, ChangeTable] = {}


def load(path: Path) -> Config:
    """Read the file.

    Raises ConfigurationError: M101 where it is missing or no TOML, M250 where it holds a key to objects, M102 with all
    its faults.
    """
    document = parse(path)
    refuse_secrets(path.name, document)
    found = list(crosscheck(document))
    config = Config()
    try:
        config = Config.model_validate(document)
    except ValidationError as error:
        found = [*faults_of(error), *found]
    raise_all("M102", path.name, found)
    return config


def parse(path: Path) -> dict[str, Any]:
    """Read TOML, with the line and the column of what is no TOML."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        cure = "Name the file with --config, or write one: docs/definitions.md shows how."
        raise ConfigurationError("M101", f"{path} cannot be read: {error.strerror}.", cure) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigurationError("M101", f"{path}:{line} is not UTF-8.", "Save it as UTF-8.") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what = f"{path}:{_place(str(error), text)}"
        raise ConfigurationError("M101", what, "Write it as TOML 1.0, see toml.io.") from None


def _place(message: str, text: str) -> str:
    """Turn tomllib's `… (at line 3, column 7)` into `3:7: …`."""
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message, re.DOTALL)
    if found is None:
        return f" {message}."
    lines = text.split("\n")
    line, column = found[2] or len(lines), found[3] or len(lines[-1]) + 1
    return f"{line}:{column}: {found[1]}."


def faults_of(error: ValidationError, where: Mapping[str, str] | None = None) -> Iterator[Fault]:
    """Say every fault pydantic found in our words; `where` renames top-level keys."""
    for one in error.errors(include_url=False):
        location = [part for part in one["loc"] if part not in ("str", "int", "float", "bool")]
        place = key(*location)
        yield _fault(one, (where or {}).get(place, place), location)


def _fault(error: ErrorDetails, place: str, location: list[str | int]) -> Fault:
    name = str(location[-1])
    if error["type"] == "extra_forbidden":
        return Fault(where=place, what="unknown key.", cure=did_you_mean(name, _known(location)))
    value = "the value" if name in SECRETS else shown(error["input"])
    message = error["msg"].removeprefix("Value error, ").replace("Input should", "should")
    cure = f"Write for example {EXAMPLES[name]}." if name in EXAMPLES else ""
    return Fault(where=place, what=f"{value} {message}.", cure=cure)


def _known(location: list[str | int]) -> list[str]:
    table: type[Table]
    match location:
        case ["database", _, _]:
            table = Database
        case ["change", _, _]:
            table = ChangeTable
        case ["s3", _]:
            table = S3Table
        case ["change", _, "archive", _]:
            table = ArchiveTable
        case ["defaults", _] | ["change", _, "backfill", _, _]:
            table = SettingsTable
        case _:
            table = Config
    return list(table.model_fields)
