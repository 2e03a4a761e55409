"""`migrator plan`: what would be done, and where each row would go."""

from typing import Annotated

import typer

from migrator.cli import exits
from migrator.cli.options import ChangeName
from migrator.cli.run import Run
from migrator.cli.shell import application
from migrator.cli.verb import verb

app = application()


@verb(
    app,
    "plan",
    "migrator plan output_type_tables --sql",
)
def plan(
    run: Run,
    *,
    change: ChangeName = None,
    exit_code: Annotated[
        bool,
        typer.Option("--exit-code", help="End with 3 when work is pending. Example: migrator plan --exit-code"),
    ] = False,
    no_count: Annotated[
        bool,
        typer.Option("--no-count", help="Do not count where the rows will go, which reads every source."),
    ] = False,
    sql: Annotated[bool, typer.Option("--sql", help="Show the SQL of each step. Example: migrator plan --sql")] = False,
) -> int:
    """Show every step that is not done, the locks it takes, where each row will go, and what to know.

    Nothing is changed: every statement runs in a transaction that the server holds READ ONLY.
    """
    from migrator.cli.render.plan import plan as screen
    from migrator.workflow import use_cases

    made = use_cases.plan(run.desk(change), count=not no_count)
    run.show(made, screen, sql=sql)
    return exits.of_plan(made, tell_pending=exit_code)
