"""`migrator ledger`: the schema `migrator`, in which the books are kept."""

import typer

from migrator.cli import exits
from migrator.cli.options import ChangeName, Yes
from migrator.cli.run import Run
from migrator.cli.shell import application
from migrator.cli.verb import verb

app = application(
    name="ledger", no_args_is_help=True, help="Install or remove the schema in which migrator keeps its books."
)


@verb(
    app,
    "install",
    "migrator ledger install output_type_tables",
)
def install(run: Run, *, change: ChangeName = None) -> int:
    """Install the ledger, or bring it to the newest version; apply does so by itself."""
    from migrator.workflow import use_cases

    desk = run.desk(change)
    use_cases.install_ledger(desk)
    _told(run, "installed", desk.database.shown, f"The ledger is installed in {desk.database.shown}.")
    return exits.DONE


@verb(
    app,
    "remove",
    "migrator ledger remove output_type_tables --yes",
)
def remove(run: Run, *, change: ChangeName = None, yes: Yes = False) -> int:
    """Take the ledger away; refused while a change is applied, which could not be undone without it."""
    from migrator.workflow import housekeeping

    desk = run.desk(change)
    if run.may_ask and not yes:
        asked = f"Remove the ledger from {run.masker.text(desk.database.shown)}?"
        if not typer.confirm(asked, err=True):
            run.say(["Nothing was changed."])
            return exits.REFUSED
    housekeeping.ledger_remove(desk)
    _told(run, "removed", desk.database.shown, f"The ledger is gone from {desk.database.shown}.")
    return exits.DONE


def _told(run: Run, done: str, database: str, said: str) -> None:
    if run.json:
        run.document({"ledger": done, "database": database})
    else:
        run.page([said])
