"""The options of `migrator objects orphans`."""

from pathlib import Path
from typing import Annotated, Any

import typer


def _option(*names: str, help: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, show_default=False, **more)


Bucket = Annotated[
    str | None,
    _option("--bucket", metavar="NAME", help="Look only into this bucket. Example: --bucket shop-media"),
]
Prefixes = Annotated[
    list[str] | None,
    _option(
        "--prefix",
        metavar="PREFIX",
        help="Look at keys that begin so, instead of at those that the definitions make; may be given several"
        " times. Example: --prefix restored/",
    ),
]
NamedBy = Annotated[
    list[str] | None,
    _option(
        "--named-by",
        metavar="TABLE.COLUMN",
        help="A further column whose values name objects, or a key that rows have, as TABLE=KEY; may be given"
        " several times. Example: --named-by posts.picture_key --named-by 'jobs=processed/{id}{ext}'",
    ),
]
OlderThan = Annotated[
    str | None,
    _option(
        "--older-than",
        metavar="AGE",
        help="How long ago an orphan must have been written to be deleted, in h, d or w. Example: --older-than 30d",
    ),
]
Delete = Annotated[
    bool,
    _option(
        "--delete",
        help="Delete the objects without row. Example: --delete --older-than 30d --manifest gone.jsonl",
    ),
]
Manifest = Annotated[
    Path | None,
    _option(
        "--manifest",
        metavar="FILE",
        help="The file that says what is deleted, written before anything is. Example: --manifest gone.jsonl",
    ),
]
GoOn = Annotated[
    bool,
    _option(
        "--continue",
        help="Go on with a deletion that was interrupted. Example: --delete --manifest gone.jsonl --continue",
    ),
]
YesDeleteFrom = Annotated[
    str | None,
    _option(
        "--yes-delete-from",
        metavar="NAME",
        help="The name of the bucket, where nobody is there to type it. Example: --yes-delete-from shop-media",
    ),
]
