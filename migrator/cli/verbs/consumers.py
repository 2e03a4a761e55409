"""`migrator consumers`: who uses the old tables, and who the new ones."""

from enum import StrEnum
from typing import Annotated

import typer

from migrator.cli import exits
from migrator.cli.run import Run
from migrator.cli.shell import application
from migrator.cli.verb import verb
from migrator.model.commands import command
from migrator.model.errors import UsageError

app = application()


class Side(StrEnum):
    """The side a consumer is on."""

    OLD = "old"
    BOTH = "both"
    NEW = "new"


@verb(
    app,
    "consumers",
    "migrator consumers output_type_tables",
    "migrator consumers output_type_tables Img2Img.tsx --on new --note 'released on Monday'",
)
def consumers(
    run: Run,
    *,
    change: Annotated[
        str, typer.Argument(metavar="CHANGE", help="The change, for example output_type_tables.", show_default=False)
    ],
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME...",
            help="Those that moved, as migrator.toml names them; none to list all.",
            show_default=False,
        ),
    ] = None,
    on: Annotated[
        Side | None,
        typer.Option(
            "--on", metavar="old|both|new", help="The side they are on now. Example: --on new", show_default=False
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All consumers of the change. Example: --all --on new")] = False,
    note: Annotated[
        str | None,
        typer.Option(
            "--note", metavar="TEXT", help="What to remember. Example: --note 'behind a flag'", show_default=False
        ),
    ] = None,
) -> int:
    """List who reads or writes the tables of a change, or say who has moved; an archive waits for all of them.

    The tool cannot look into an application: it believes what is said here, and watches the tables
    before it archives them.
    """
    from migrator.cli.render.consumers import consumers as screen
    from migrator.workflow import archiving

    desk = run.desk(change)
    example = f"For example: {command('consumers', change, '--all', '--on', 'new')}"
    if (on is None) != (not names and not every):
        what = "Names (or --all) and --on belong together."
        raise UsageError(exits.COMMAND_LINE, what, example)
    if on is None:
        if note is not None:
            what = "--note says something about consumers that are set with --on."
            raise UsageError(exits.COMMAND_LINE, what, example)
        found = archiving.consumers(desk)
    else:
        wanted = tuple(desk.change.consumers) if every else tuple(names or ())
        found = archiving.put_consumers(desk, wanted, on.value, note)
    if run.json:
        run.document({"change": desk.change.name, "consumers": found})
    else:
        run.show(found, screen)
    return exits.DONE
