"""`migrator verify-counts`: where every row is."""

from migrator.cli import exits
from migrator.cli.options import ChangeName
from migrator.cli.run import Run
from migrator.cli.shell import application
from migrator.cli.verb import verb

app = application()


@verb(
    app,
    "verify-counts",
    "migrator verify-counts output_type_tables",
)
def verify_counts(run: Run, *, change: ChangeName = None) -> int:
    """Account for every row: counted anew from the tables, in one snapshot, never from counters.

    Each backfill and each source must close with "unaccounted 0"; ends with 4 when one does not.
    """
    from migrator.cli.render.report import report as screen
    from migrator.workflow import use_cases

    report = use_cases.verify_counts(run.desk(change))
    run.show(report, screen)
    return exits.of_report(report)
