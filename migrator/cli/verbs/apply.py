"""`migrator apply`: forward, step by step, and it goes on where it stopped."""

from typing import Annotated

import typer

from migrator.cli import exits
from migrator.cli.options import BatchRows, ChangeName, Cohort, CohortFile, LockTimeout, QuarantineLimit, To, Workers
from migrator.cli.progress import listening
from migrator.cli.run import Run
from migrator.cli.shell import application
from migrator.cli.verb import verb
from migrator.model import commands
from migrator.model.errors import UsageError
from migrator.model.step import Phase

app = application()


@verb(
    app,
    "apply",
    "migrator apply output_type_tables --dry-run",
    "migrator apply output_type_tables",
    "migrator apply output_type_tables --to expand",
)
def apply(
    run: Run,
    *,
    change: ChangeName = None,
    to: To = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Evaluate every column of every row in a transaction the server holds READ ONLY."
            " Example: migrator apply --dry-run",
        ),
    ] = False,
    batch_rows: BatchRows = None,
    workers: Workers = None,
    lock_timeout: LockTimeout = None,
    quarantine_limit: QuarantineLimit = None,
    cohort: Cohort = None,
    cohort_file: CohortFile = None,
) -> int:
    """Take every step that is not done: expand, copy, verify. A second run finds nothing to do.

    Rows are copied in small transactions. Stop it at any time with Ctrl-C: what is committed stays,
    and the same command goes on from there.
    """
    from migrator.cli.render.plan import plan as plan_screen
    from migrator.cli.render.report import report as report_screen
    from migrator.workflow import use_cases

    part = run.part(cohort, cohort_file)
    desk = run.desk(
        change,
        batch_rows=batch_rows,
        workers=workers,
        lock_timeout=lock_timeout,
        quarantine_limit=quarantine_limit,
    )
    if dry_run and part is not None:
        raise UsageError("M156", "--dry-run and a cohort were both given.", "A dry run foretells the whole: give one.")
    if dry_run:
        commands.also(own=("--to", to.value) if to else ())
        foretold = use_cases.plan(desk, dry_run=True)
        run.show(foretold, plan_screen)
        return exits.of_plan(foretold)
    with listening(run) as listen:
        report = use_cases.apply(desk, to=to or Phase.VERIFY, foresee=True, asked=part, listen=listen)
    run.show(report, report_screen)
    return exits.of_report(report)
