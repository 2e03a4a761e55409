"""`migrator backfill`: copy rows, and nothing else."""

from typing import Annotated

import typer

from migrator.cli import exits
from migrator.cli.options import BatchRows, ChangeName, LockTimeout, QuarantineLimit, Workers
from migrator.cli.progress import listening
from migrator.cli.run import Run
from migrator.cli.shell import application
from migrator.cli.verb import verb
from migrator.model.step import Phase

app = application()


@verb(
    app,
    "backfill",
    "migrator backfill output_type_tables --only video_jobs_from_multitalk_jobs --workers 2",
)
def backfill(
    run: Run,
    *,
    change: ChangeName = None,
    only: Annotated[
        str | None,
        typer.Option(
            "--only",
            metavar="NAME",
            help="Only this backfill. Example: --only video_jobs_from_multitalk_jobs",
            show_default=False,
        ),
    ] = None,
    batch_rows: BatchRows = None,
    workers: Workers = None,
    lock_timeout: LockTimeout = None,
    quarantine_limit: QuarantineLimit = None,
) -> int:
    """Copy what is not copied yet, and do not verify: the same as apply --to backfill."""
    from migrator.cli.render.report import report as screen
    from migrator.workflow import use_cases

    desk = run.desk(
        change,
        batch_rows=batch_rows,
        workers=workers,
        lock_timeout=lock_timeout,
        quarantine_limit=quarantine_limit,
    )
    use_cases.refuse_archived(desk)
    with listening(run) as listen:
        report = use_cases.apply(desk, to=Phase.BACKFILL, only=only, foresee=True, listen=listen)
    run.show(report, screen)
    return exits.of_report(report)
