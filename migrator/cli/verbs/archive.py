"""`migrator archive`: the old tables are put away, and can be taken out again."""

from typing import Annotated

import typer

from migrator.cli import exits
from migrator.cli.options import ChangeName, LockTimeout
from migrator.cli.progress import listening
from migrator.cli.run import Run
from migrator.cli.shell import application
from migrator.cli.verb import tell, verb

app = application()


@verb(
    app,
    "archive",
    "migrator archive output_type_tables --dry-run",
    "migrator archive output_type_tables",
    "migrator rollback output_type_tables --to verify    takes it back",
)
def archive(
    run: Run,
    *,
    change: ChangeName = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Show the SQL, the locks, what depends on the tables and what stands in the way; change nothing."
            " Example: migrator archive --dry-run",
        ),
    ] = False,
    lock_timeout: LockTimeout = None,
) -> int:
    """Give old tables their later names and let nobody but their owner in, once nobody needs them.

    Refused (exit code 5) until the change is proven, every consumer is on the new tables and nobody
    writes to the old ones. They are watched, proven once more, and renamed under locks that are held
    for less than deadlock_timeout. Rows, rights and policies come back with a rollback.
    """
    from migrator.cli.render.plan import plan as plan_screen
    from migrator.cli.render.report import report as report_screen
    from migrator.workflow import archiving, gates

    desk = run.desk(change, lock_timeout=lock_timeout)
    if dry_run:
        foretold, refusals = archiving.foresee(desk)
        run.show(foretold, plan_screen, sql=True, verb="archive")
        return exits.REFUSED if refusals else exits.DONE
    try:
        with listening(run) as listen:
            report = archiving.archive(desk, listen=listen)
    except gates.GateError as refusal:
        tell(run, refusal, refusals=refusal.refusals)
        return refusal.exit_code
    run.show(report, report_screen)
    return exits.of_report(report)
