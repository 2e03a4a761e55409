"""`migrator drop`: refuses, and says when and how."""

from migrator.cli import exits
from migrator.cli.options import ChangeName
from migrator.cli.run import Run
from migrator.cli.shell import application
from migrator.cli.verb import verb

app = application()


@verb(
    app,
    "drop",
    "migrator drop output_type_tables",
)
def drop(run: Run, *, change: ChangeName = None) -> int:
    """Say from when on an archive may be dropped, and how that is done by hand. Drops nothing.

    Always ends with 5: before the date because it is too early, afterwards because this version
    never drops a table that holds rows.
    """
    from migrator.workflow import archiving

    archiving.drop(run.desk(change))
    return exits.DONE
