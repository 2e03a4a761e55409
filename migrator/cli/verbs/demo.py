"""`migrator demo`: the documented changes, there and back, on a server of their own."""

import os
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from migrator.cli import exits
from migrator.cli.run import Run
from migrator.cli.shell import application
from migrator.cli.verb import verb

if TYPE_CHECKING:
    from migrator.cli.demo.objects import Beside
    from migrator.cli.demo.story import Story
    from migrator.cli.demo.walk import Walk
    from migrator.servers import Postgres

app = application()


@verb(app, "demo", "migrator demo", "migrator demo --change output_type_tables --rows 100000", "migrator demo --keep")
def demo(
    run: Run,
    *,
    change: Annotated[
        str | None,
        typer.Option(
            "--change",
            metavar="CHANGE",
            help="The documented change to show; all of them otherwise. Example: --change output_type_tables",
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
    """Walk through the documented changes, there and back, on a PostgreSQL of its own.

    No database of yours is touched, whatever DATABASE_URL says. You see each legacy database with its
    dirty rows, every command with what it shows, and whether each promise is kept; a broken one ends
    the demo with 4.
    """
    from migrator.cli.demo.objects import beside
    from migrator.cli.demo.stories import find
    from migrator.servers import Postgres

    stories = find(change)
    run.stopped = "Stopped. The server of the demo is gone, and nothing else was touched."
    if os.environ.get("DATABASE_URL"):
        run.note("DATABASE_URL is set, and left alone: the demo has a server of its own.")
    run.note("Starting a PostgreSQL of our own …")
    with Postgres.start() as server:
        walks = []
        for one in stories:
            with beside(run, one, rows) as (story, bucket):
                walk = _walk(run, story, server, rows, bucket)
                walk.go()
            walks.append(walk)
        _sum_up(run, walks)
        if keep:
            _wait(run, {one.change: server.url(one.database) for one in stories})
    return exits.DONE if all(one.proven for walk in walks for one in walk.promises) else exits.NOT_PROVEN


def _walk(run: Run, story: "Story", server: "Postgres", rows: int | None, bucket: "Beside | None") -> "Walk":
    from migrator.cli.demo.walk import Walk
    from migrator.database.connect import Database
    from migrator.model.names import quote
    from migrator.project import Project
    from migrator.servers import find_dump
    from migrator.workflow.desk import open_desk

    with Database(url=server.url()).connect() as connection:
        connection.execute(f"CREATE DATABASE {quote(story.database)}".encode())
    url = server.url(story.database)
    params = {**story.params, **(run.params or {})}
    desk = open_desk(story.change, config=str(Project.documented().root), url=url, params=params)
    desk = bucket.known_to(desk) if bucket else desk
    return Walk(run=run, story=story, desk=desk, pg_dump=find_dump(server.major), rows=rows, beside=bucket)


def _sum_up(run: Run, walks: "list[Walk]") -> None:
    """Say how many promises were kept, and what to look at next."""
    promises = [one for walk in walks for one in walk.promises]
    kept = sum(one.proven for one in promises)
    if run.json:
        run.document({"kept": kept == len(promises), "changes": [_told(walk) for walk in walks]})
        return
    from migrator.cli.render.proof import claims

    for walk in walks:
        run.page(["", f"── What was promised of {walk.story.change} ".ljust(run.width, "─")])
        run.page(claims(walk.promises, run.width))
    sign = "✓" if kept == len(promises) else "✗"
    run.page(["", f"{sign} {kept} of {len(promises)} promises kept, there and back."])
    root = walks[0].desk.project.root
    look = dict.fromkeys(one for walk in walks for one in walk.story.look)
    run.page(["", f"What to look at next, in {root}:", *(f"  {one}" for one in look)])
    run.page([f"Next: DATABASE_URL=… migrator plan {walks[0].story.change}"])


def _told(walk: "Walk") -> dict[str, object]:
    kept = all(one.proven for one in walk.promises)
    return {"change": walk.story.change, "kept": kept, "promises": walk.promises}


def _wait(run: Run, urls: dict[str, str]) -> None:
    """Keep the server until somebody stops it."""
    run.say(["", "The server runs until Ctrl-C. Try:"])
    for change, url in urls.items():
        run.say([f"  export DATABASE_URL={url}", f"  migrator plan {change}"])
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        run.say(["The server of the demo is gone."])
