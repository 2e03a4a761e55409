"""`migrator status`: where every change is."""

import time
from typing import Annotated

import typer

from migrator.cli import exits
from migrator.cli.options import ChangeName
from migrator.cli.run import Run
from migrator.cli.shell import application
from migrator.cli.verb import verb
from migrator.model import commands
from migrator.model.errors import UsageError
from migrator.model.step import ChangeStatus

app = application()

EVERY = 2.0  # seconds
CLEAR = "\x1b[H\x1b[2J"


@verb(
    app,
    "status",
    "migrator status",
    "migrator status output_type_tables --format json",
)
def status(
    run: Run,
    *,
    change: ChangeName = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Look again every two seconds, until Ctrl-C. Example: migrator status --watch",
        ),
    ] = False,
) -> int:
    """Say of every change where it is, how many rows are done or wait, and what comes next."""
    if watch and run.json:
        what = "--watch writes a screen again and again, and --format json one document."
        raise UsageError(exits.COMMAND_LINE, what, "Give one of the two.")
    if not watch:
        _show(run, _look(run, change))
        return exits.DONE
    try:
        while True:
            found = _look(run, change)
            if run.on_terminal:
                run.page([CLEAR + time.strftime("%H:%M:%S")])
            _show(run, found)
            time.sleep(EVERY)
    except KeyboardInterrupt:
        return exits.DONE


def _look(run: Run, change: str | None) -> tuple[ChangeStatus, ...]:
    from migrator.workflow.status import status as look

    project = run.project()
    name = change or (project.names()[0] if len(project.names()) == 1 else None)
    commands.also(change=name)
    return look(project, change=name, url=run.database_url, config=run.config, params=run.params)


def _show(run: Run, found: tuple[ChangeStatus, ...]) -> None:
    from migrator.cli.render.status import status as screen

    if run.json:
        run.document({"changes": found})
    else:
        run.show(found, screen)
