"""`migrator`: one verb per file, each loaded when it is asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand
from typer.main import get_command

from migrator.cli.shell import application

# Each verb with what it is for. A verb's own file, with its options, is read only when it is run.
VERBS: Final = {
    "demo": "A documented change, there and back, on a server of its own.",
    "plan": "Show every step, where each row will go, and what to know before.",
    "apply": "Go forward, up to proven rows unless told otherwise.",
    "backfill": "Copy rows, and nothing else.",
    "verify-counts": "Account for every row, in one snapshot.",
    "verify": "Prove source and target row by row, in both directions.",
    "consumers": "Say who still uses the old tables, and who the new ones.",
    "archive": "Put the old tables away: other names, and nobody let in.",
    "drop": "Say from when on an archive may be dropped; drops nothing.",
    "rollback": "Go back from any state; loses nothing that was not named.",
    "status": "Say where every change is, and what comes next.",
    "objects": "Plan, copy and verify the objects that rows name; find orphans.",
    "quarantine": "List, show, retry or dismiss the rows that could not move.",
    "ledger": "Install or remove the schema in which migrator keeps its books.",
}

HELP: Final = """Move live data from old PostgreSQL tables to new ones, with proof for every row.

A change is planned, applied in small batches that can be stopped at any time, proven, and can be
taken back at every point.

{verbatim}
Try it:     migrator demo
Use it:     migrator plan; migrator apply --dry-run; migrator apply; migrator verify
Go back:    migrator rollback

Exit codes: 0 done, 1 failed, 2 usage, 3 work pending, 4 not proven, 5 refused, 130 interrupted.
""".replace("{verbatim}", "\b")  # keeps the lines below it apart


class LazyVerb(TyperCommand):
    """A verb that is known by name; the real one is made when it is run."""

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **others: Any) -> Any:
        """Load the verb, and let it read its own arguments."""
        return real(str(self.name)).make_context(info_name, args, *more, **others)


def real(name: str) -> Any:
    """Load a verb by its name."""
    module = importlib.import_module(f"migrator.cli.verbs.{name.replace('-', '_')}")
    return get_command(module.app)


def build() -> typer.Typer:
    """Build the application: the names of the verbs, and nothing behind them."""
    app = application(name="migrator", help=HELP, invoke_without_command=True)
    app.callback()(_alone)
    for name, about in VERBS.items():
        app.command(name, cls=LazyVerb, short_help=about, help=about)(_nothing)
    return app


def _nothing() -> None:
    """Stand for a verb until it is loaded."""


def _alone(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Show the version and end.")] = False,
) -> None:
    if version:
        from migrator import __version__

        typer.echo(f"migrator {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command line and end with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run a command line; gives the exit code."""
    given = list(arguments)
    command = get_command(build())
    try:
        code = command.main(given, prog_name="migrator", standalone_mode=False)
    except BrokenPipeError:
        from migrator.cli.verb import quiet_pipe

        return quiet_pipe()
    except Exception as error:
        # Typer's own errors about the command line are no public class; they can show themselves.
        if not hasattr(error, "show"):
            raise
        return _misused(error, given)
    return code if isinstance(code, int) else 0


def _misused(error: Any, given: Sequence[str]) -> int:
    """Say what is wrong with the command line."""
    if "--format=json" in given or ("--format", "json") in pairwise(given):
        from migrator.cli.exits import COMMAND_LINE
        from migrator.cli.run import Run
        from migrator.cli.verb import tell
        from migrator.model.errors import UsageError

        cure = f"See {error.ctx.command_path} --help" if getattr(error, "ctx", None) else ""
        tell(Run(json=True), UsageError(COMMAND_LINE, error.format_message(), cure))
        return 2
    error.show()
    return int(error.exit_code)
