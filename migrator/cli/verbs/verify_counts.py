"""`migrator verify-counts`: where every row is."""

from migrator.cli import exits
from migrator.cli.options import ChangeName, Cohort, CohortFile
from migrator.cli.run import Run
from migrator.cli.shell import application
from migrator.cli.verb import verb

app = application()


@verb(
    app,
    "verify-counts",
    "migrator verify-counts output_type_tables",
)
def verify_counts(run: Run, *, change: ChangeName = None, cohort: Cohort = None, cohort_file: CohortFile = None) -> int:
    """Account for every row: counted anew from the tables, in one snapshot, never from counters.

    Each backfill and each source must close with "unaccounted 0"; ends with 4 when one does not.
    """
    from migrator.cli.render.report import report as screen
    from migrator.workflow import cohorts, use_cases

    part, desk = run.part(cohort, cohort_file), run.desk(change)
    report = use_cases.verify_counts(desk) if part is None else cohorts.verify_counts(desk, part)
    run.show(report, screen)
    return exits.of_report(report)
