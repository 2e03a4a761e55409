"""The options that every verb has, and the arguments that several share."""

from __future__ import annotations

import inspect
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from migrator.model.step import Phase


class Format(StrEnum):
    """How results are written."""

    TEXT = "text"
    JSON = "json"


ChangeName = Annotated[
    str | None,
    typer.Argument(
        metavar="CHANGE",
        help="The change, for example output_type_tables; may be left out when there is only one.",
        show_default=False,
    ),
]

To = Annotated[
    Phase | None,
    typer.Option(
        "--to",
        metavar="PHASE",
        help="Stop when this phase is done: expand, backfill or verify. Example: --to expand",
        show_default=False,
    ),
]


def _option(*names: str, help: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, show_default=False, **more)


BatchRows = Annotated[
    int | None,
    _option("--batch-rows", metavar="N", help="Rows of one transaction. Example: --batch-rows 5000"),
]
Workers = Annotated[
    int | None,
    _option("--workers", metavar="N", help="Connections copying at once. Example: --workers 2"),
]
LockTimeout = Annotated[
    str | None,
    _option(
        "--lock-timeout",
        metavar="DURATION",
        help="How long to wait for a lock at a time. Example: --lock-timeout 500ms",
    ),
]
QuarantineLimit = Annotated[
    str | None,
    _option(
        "--quarantine-limit",
        metavar="N|none",
        help="Stop when more rows than this wait in quarantine. Example: --quarantine-limit 1000",
    ),
]


Cohort = Annotated[
    str | None,
    _option(
        "--cohort",
        metavar="SHARE",
        help="Only the rows of this share of all cohorts. Example: --cohort 10%",
    ),
]
CohortFile = Annotated[
    Path | None,
    _option(
        "--cohort-file",
        metavar="FILE",
        help="Only the rows of the cohorts in a file, one per line. Example: --cohort-file testers.txt",
    ),
]
_ANNOTATIONS: Final[dict[str, tuple[Any, Any]]] = {
    "config": (
        Annotated[
            str | None,
            _option(
                "--config",
                metavar="PATH",
                help="The project: its migrator.toml or its directory. Example: --config studio/",
            ),
        ],
        None,
    ),
    "database_url": (
        Annotated[
            str | None,
            _option(
                "--database-url",
                metavar="URL",
                help="The database, instead of DATABASE_URL and migrator.toml. Example:"
                " --database-url postgresql://app@db/studio",
            ),
        ],
        None,
    ),
    "param": (
        Annotated[
            list[str] | None,
            _option(
                "--param",
                metavar="NAME=VALUE",
                help="A parameter of the change; may be given several times. Example: --param user_map=users.csv",
            ),
        ],
        None,
    ),
    "format": (
        Annotated[
            Format,
            _option(
                "--format",
                metavar="text|json",
                help="Text, or one JSON document on stdout. Example: --format json",
            ),
        ],
        Format.TEXT,
    ),
    "verbose": (
        Annotated[int, _option("-v", "--verbose", count=True, help="Say more about what is done.")],
        0,
    ),
    "quiet": (
        Annotated[bool, _option("-q", "--quiet", help="No progress and no notes on stderr.")],
        False,
    ),
    "debug": (
        Annotated[bool, _option("--debug", help="Show the traceback of an error.")],
        False,
    ),
    "reveal": (
        Annotated[
            bool,
            _option("--reveal", help="Show what is masked: e-mails, query strings, secrets."),
        ],
        False,
    ),
}

Yes = Annotated[bool, _option("--yes", "-y", help="Ask nothing. Example: migrator rollback --yes")]

SHARED: Final = tuple(
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
    for name, (annotation, default) in _ANNOTATIONS.items()
)
