"""`migrator demo`: a documented change, there and back, on a server of its own."""

import os
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from migrator.cli import exits
from migrator.cli.run import Run
from migrator.cli.shell import application
from migrator.cli.verb import verb

if TYPE_CHECKING:
    from migrator.cli.demo.story import Story
    from migrator.cli.demo.walk import Walk
    from migrator.servers import Postgres

app = application()

DATABASE = "studio"


@verb(app, "demo", "migrator demo", "migrator demo --rows 100000", "migrator demo --keep")
def demo(
    run: Run,
    *,
    change: Annotated[
        str | None,
        typer.Option(
            "--change",
            metavar="CHANGE",
            help="The documented change to show. Example: --change output_type_tables",
            show_default=False,
        ),
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(
            "--rows",
            metavar="N",
            min=1,
            help="Rows of the legacy table, instead of one of each kind. Example: --rows 100000",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Keep the server running afterwards, until Ctrl-C."),
    ] = False,
) -> int:
    """Walk through a documented change, there and back, on a PostgreSQL of its own.

    No database of yours is touched, whatever DATABASE_URL says. You see the legacy database with its
    dirty rows, every command with what it shows, and whether each promise is kept; a broken one ends
    the demo with 4.
    """
    from migrator.cli.demo.stories import find
    from migrator.servers import Postgres

    story = find(change)
    run.stopped = "Stopped. The server of the demo is gone, and nothing else was touched."
    if os.environ.get("DATABASE_URL"):
        run.note("DATABASE_URL is set, and left alone: the demo has a server of its own.")
    run.note("Starting a PostgreSQL of our own …")
    with Postgres.start() as server:
        walk = _walk(run, story, server, rows)
        walk.go()
        _sum_up(run, walk)
        if keep:
            _wait(run, server.url(DATABASE))
    return exits.DONE if all(one.proven for one in walk.promises) else exits.NOT_PROVEN


def _walk(run: Run, story: "Story", server: "Postgres", rows: int | None) -> "Walk":
    from migrator.cli.demo.walk import Walk
    from migrator.database.connect import Database
    from migrator.project import Project
    from migrator.servers import find_dump
    from migrator.workflow.desk import open_desk

    with Database(url=server.url()).connect() as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}".encode())
    url = server.url(DATABASE)
    params = {**story.params, **(run.params or {})}
    desk = open_desk(story.change, config=str(Project.documented().root), url=url, params=params)
    return Walk(run=run, story=story, desk=desk, pg_dump=find_dump(server.major), rows=rows)


def _sum_up(run: Run, walk: "Walk") -> None:
    """Say how many promises were kept, and what to look at next."""
    broken = [one for one in walk.promises if not one.proven]
    if run.json:
        change = walk.story.change
        run.document({"change": change, "kept": not broken, "promises": walk.promises})
        return
    from migrator.cli.render.proof import claims

    kept = len(walk.promises) - len(broken)
    sign = "✗" if broken else "✓"
    run.page(["", "── What was promised ".ljust(run.width, "─")])
    run.page(claims(walk.promises, run.width))
    run.page(["", f"{sign} {kept} of {len(walk.promises)} promises kept, there and back."])
    root = walk.desk.project.root
    run.page(["", f"What to look at next, in {root}:", *(f"  {one}" for one in walk.story.look)])
    run.page(["Next: DATABASE_URL=… migrator plan"])


def _wait(run: Run, url: str) -> None:
    """Keep the server until somebody stops it."""
    run.say(["", f"The server runs until Ctrl-C. Try:  export DATABASE_URL={url}"])
    run.say(["                                   migrator plan"])
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        run.say(["The server of the demo is gone."])
