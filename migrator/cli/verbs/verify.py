"""`migrator verify`: the proof, row by row."""

from typing import Annotated

import typer

from migrator.cli import exits
from migrator.cli.options import ChangeName, Cohort, CohortFile
from migrator.cli.progress import listening
from migrator.cli.run import Run
from migrator.cli.shell import application
from migrator.cli.verb import verb

app = application()


@verb(
    app,
    "verify",
    "migrator verify output_type_tables --show 100",
)
def verify(
    run: Run,
    *,
    change: ChangeName = None,
    show: Annotated[
        int,
        typer.Option(
            "--show",
            metavar="N",
            min=0,
            help="How many differing rows to name. Example: --show 100",
        ),
    ] = 20,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            "--accept",
            metavar="OBJECT",
            help="An object of the tables that differs from what expand left and shall be as it is now."
            ' Example: --accept "index orders_at of orders"',
        ),
    ] = None,
    check_objects: Annotated[
        bool,
        typer.Option(
            "--check-objects",
            help="Look at every object that was copied too. Example: migrator verify jobs_and_attempts --check-objects",
        ),
    ] = False,
    cohort: Cohort = None,
    cohort_file: CohortFile = None,
) -> int:
    """Prove every row: source and target compared column by column, in both directions.

    Rows that differ are named with their keys, what they are and what they should be. Ends with 4
    when not everything is proven.
    """
    from migrator.cli.render.report import report as screen
    from migrator.workflow import cohorts, use_cases

    part, desk = run.part(cohort, cohort_file), run.desk(change)
    with listening(run) as listen:
        if part is None:
            report = use_cases.verify(desk, show=show, accept=accept or (), check_objects=check_objects, listen=listen)
        else:
            report = cohorts.verify(desk, part, show=show, listen=listen)
    run.show(report, screen)
    return exits.of_report(report)
