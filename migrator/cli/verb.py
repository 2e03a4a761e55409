"""What is around every verb: the options they share, and every way of ending."""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer

from migrator.cli import exits
from migrator.cli.options import SHARED
from migrator.cli.render.words import number
from migrator.cli.run import Run
from migrator.model import commands
from migrator.model.errors import MigratorError

Body = Callable[..., int]


def verb(app: typer.Typer, name: str, *examples: str) -> Callable[[Body], Body]:
    """Make a verb of a function `body(run, …) -> exit code`; docstring and examples are its help."""

    def made(body: Body) -> Body:
        group = app.info.name
        full = f"{group} {name}" if isinstance(group, str) else name
        own = list(inspect.signature(body, eval_str=True).parameters.values())[1:]
        shared = {one.name for one in SHARED}

        def called(**given: Any) -> int:
            options = {key: given.pop(key) for key in shared}
            return guarded(full, options, lambda run: body(run, **given))

        parameters = [*(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own), *SHARED]
        called.__name__ = body.__name__
        called.__doc__ = _help(body, examples)
        called.__annotations__ = {one.name: one.annotation for one in parameters}
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        short = (body.__doc__ or "").partition(".")[0].partition(":")[0].partition(";")[0]
        app.command(name, short_help=f"{short}.")(called)
        return body

    return made


def _help(body: Body, examples: Sequence[str]) -> str:
    """Put the examples under the docstring; the control character keeps their lines apart."""
    lines = "\n          ".join(examples)
    return f"{inspect.cleandoc(body.__doc__ or '')}\n\n\b\nExample:  {lines}"


def guarded(name: str, options: Mapping[str, Any], body: Callable[[Run], int]) -> int:
    """Carry a verb out, whatever happens: an exit code, and never a traceback unasked."""
    json, debug = options["format"] == "json", options["debug"]
    run = Run(verb=name, json=json, debug=debug, argv=tuple(sys.argv[1:]))
    try:
        with exits.stoppable():
            run = Run.of(name, options)
            with commands.typed(run.typed):
                return body(run)
    except BrokenPipeError:
        return quiet_pipe()
    except (KeyboardInterrupt, typer.Abort):
        return _stopped(run)
    except typer.Exit as asked:
        return asked.exit_code
    except Exception as error:  # noqa: BLE001 -- the last line of defence
        ours = exits.as_ours(error, f"running {name}")
        tell(run, ours)
        if debug:
            traceback.print_exception(error)
        return ours.exit_code


def tell(run: Run, error: MigratorError, **beside: object) -> None:
    """Write an error to stderr, or as the JSON document with what stands `beside` it."""
    if run.json:
        if not run.document_written:
            said = {"id": error.id, "what": error.what, "cure": error.cure}
            run.document({"error": {**said, "exit_code": error.exit_code}, **beside})
        return
    from migrator.cli.render.errors import error as rendered

    run.say(rendered(error.id, error.what, error.cure, width=run.width))


def _stopped(run: Run) -> int:
    """Say that the state is safe, and how to go on."""
    safe = f" {number(run.safe_rows)} rows are safe." if run.safe_rows else " The state is safe."
    what = f"Stopped.{safe}"
    if run.json:
        tell(run, _StoppedError(exits.STOPPED, run.stopped or what, run.command))
    elif run.stopped:
        run.say([run.stopped])
    else:
        after_ctrl_c = [""] if sys.stderr.isatty() else []  # the terminal wrote ^C
        run.say([*after_ctrl_c, f"{what} Go on with: {run.command}"])
    return exits.INTERRUPTED


class _StoppedError(MigratorError):
    exit_code = exits.INTERRUPTED


def quiet_pipe() -> int:
    """End quietly when nobody reads any more, as `migrator plan | head` does."""
    # What Python still wants to flush at its end goes nowhere.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return exits.DONE
