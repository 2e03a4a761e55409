"""`migrator rollback`: the way back from any state."""

from collections.abc import Sequence
from typing import Annotated

import typer

from migrator.cli import exits
from migrator.cli.options import ChangeName, Cohort, CohortFile, Yes
from migrator.cli.progress import listening
from migrator.cli.run import Run
from migrator.cli.shell import application
from migrator.cli.verb import tell, verb
from migrator.model import commands
from migrator.model.errors import RefusedError, UsageError
from migrator.model.step import Losses, Phase

app = application()


@verb(
    app,
    "rollback",
    "migrator rollback output_type_tables",
    'migrator rollback output_type_tables --lose "7 rows of video_jobs"',
)
def rollback(
    run: Run,
    *,
    change: ChangeName = None,
    to: Annotated[
        Phase | None,
        typer.Option(
            "--to",
            metavar="PHASE",
            help="Go back until this phase is the last one done. Example: --to expand",
            show_default=False,
        ),
    ] = None,
    keep_new: Annotated[
        bool,
        typer.Option(
            "--keep-new",
            help="Keep rows that the application wrote, and their tables. Example:"
            " migrator rollback output_type_tables --keep-new",
        ),
    ] = False,
    lose: Annotated[
        list[str] | None,
        typer.Option(
            "--lose",
            metavar="ROWS",
            help="Accept a loss in the words of the refusal; may be given several times. Example:"
            ' --lose "7 rows of video_jobs"',
            show_default=False,
        ),
    ] = None,
    show: Annotated[
        int, typer.Option("--show", metavar="N", min=1, help="Name so many keys of each kind. Example: --show 100")
    ] = 5,
    cohort: Cohort = None,
    cohort_file: CohortFile = None,
    yes: Yes = False,
) -> int:
    """Undo what was done, and only that: first what would be lost is counted.

    Rows that the application wrote are never lost silently: keep them with --keep-new, or accept the
    loss by name with --lose; without either it is refused (exit code 5), and nothing is changed.
    """
    from migrator.cli.render.report import report as screen
    from migrator.workflow import cohorts, undoing

    part, desk = run.part(cohort, cohort_file), run.desk(change)
    commands.also(own=("--to", to.value) if to else ())
    if part is not None and to is not None:
        raise UsageError("M156", "--to and a cohort were both given.", "A cohort is taken back alone: leave --to out.")
    found = undoing.losses(desk, to=to, show=show) if part is None else cohorts.losses(desk, part, show=show)
    asks = run.may_ask and not yes and (keep_new or _is_covered(found, lose or ()))
    made = undoing.objects_made(desk, to=to) if asks and part is None else (0, 0)
    if asks and not _confirmed(run, desk.change.name, found, made, keep_new=keep_new):
        run.say(["Nothing was changed."])
        return exits.REFUSED
    try:
        with listening(run) as listen:
            if part is None:
                report = undoing.rollback(desk, to=to, keep_new=keep_new, lose=lose or (), show=show, listen=listen)
            else:
                report = cohorts.rollback(desk, part, keep_new=keep_new, lose=lose or (), show=show, listen=listen)
    except RefusedError as refusal:
        tell(run, refusal, losses=found)
        return refusal.exit_code
    run.show(report, screen)
    return exits.of_report(report)


def _is_covered(found: Sequence[Losses], lose: Sequence[str]) -> bool:
    """Say whether every loss is accepted; where not, the refusal says so and nobody is asked."""
    return all(one.sentence in lose for one in found if one.rows)


def _confirmed(run: Run, change: str, found: Sequence[Losses], made: tuple[int, int], *, keep_new: bool) -> bool:
    """Show what would be lost, and what of ours is removed outside the database; ask a person whether to go on."""
    from migrator.cli.render.losses import losses
    from migrator.cli.render.words import rows, size

    if not keep_new:
        run.say(losses(found, width=run.width))
    if made[0]:
        run.say([f"Rolling back removes {rows(made[0], 'object')} ({size(made[1])}) that copies made."])
    return typer.confirm(f"Roll back {change}?", err=True)
