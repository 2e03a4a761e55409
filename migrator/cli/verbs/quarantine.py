"""`migrator quarantine`: rows that could not move."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from migrator.cli import exits
from migrator.cli.options import ChangeName
from migrator.cli.run import Run
from migrator.cli.shell import application
from migrator.cli.verb import verb
from migrator.model.commands import command
from migrator.model.errors import UsageError

if TYPE_CHECKING:
    from migrator.ledger.quarantine import Selection

app = application(
    name="quarantine", no_args_is_help=True, help="List, show, retry or dismiss the rows that could not move."
)

OfBackfill = Annotated[
    str | None,
    typer.Option(
        "--backfill",
        metavar="NAME",
        help="Only rows of this backfill. Example: --backfill video_jobs_from_multitalk_jobs",
        show_default=False,
    ),
]
Reason = Annotated[
    str | None,
    typer.Option(
        "--reason",
        metavar="TEXT",
        help="Only rows with exactly this reason, as list shows it. Example: --reason 'status: unknown word'",
        show_default=False,
    ),
]
Ids = Annotated[
    list[int] | None,
    typer.Option(
        "--id",
        metavar="N",
        help="Only this row; may be given several times. Example: --id 4 --id 7",
        show_default=False,
    ),
]
All = Annotated[bool, typer.Option("--all", help="Every row that waits. Example: retry --all")]


@verb(
    app,
    "list",
    'migrator quarantine list output_type_tables --reason "status: unknown word"',
)
def list_(
    run: Run,
    *,
    change: ChangeName = None,
    backfill: OfBackfill = None,
    reason: Reason = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=0, help="Name so many. Example: --limit 100")] = 20,
) -> int:
    """Count the rows in quarantine by backfill, reason and status, and name the first of them."""
    from migrator.cli.render.quarantine import overview
    from migrator.ledger.quarantine import Selection
    from migrator.workflow import housekeeping

    desk = run.desk(change)
    wanted = Selection(change=desk.change.name, backfill=backfill, reason=reason, status=None)
    counts = [
        one for one in housekeeping.quarantine_counts(desk) if backfill in {None, one[0]} and reason in {None, one[1]}
    ]
    entries = housekeeping.quarantine_entries(desk, wanted, limit)
    if run.json:
        names = ("backfill", "reason", "status", "rows")
        named = [dict(zip(names, one, strict=True)) for one in counts]
        run.document({"change": desk.change.name, "counts": named, "entries": entries})
    else:
        run.page(overview(desk.change.name, counts, run.masker.value(entries), width=run.width))
    return exits.DONE


@verb(
    app,
    "show",
    "migrator quarantine show output_type_tables --id 4",
)
def show(run: Run, *, change: ChangeName = None, ids: Ids = None) -> int:
    """Show quarantined rows in full: why they could not move, and all their values."""
    from migrator.cli.render.quarantine import entry
    from migrator.cli.render.words import blocks
    from migrator.ledger.quarantine import Selection
    from migrator.workflow import housekeeping

    if not ids:
        what = "Which row? Nothing was named."
        raise UsageError(exits.COMMAND_LINE, what, "For example: --id 4, as list shows it.")
    desk = run.desk(change)
    wanted = Selection(change=desk.change.name, ids=tuple(ids), status=None)
    found = housekeeping.quarantine_entries(desk, wanted, None)
    if gone := sorted(set(ids) - {one.id for one in found}):
        what = f"No row with id {', '.join(map(str, gone))} is in quarantine."
        raise UsageError(exits.COMMAND_LINE, what, f"See them: {command('quarantine list', desk.change.name)}")
    if run.json:
        run.document({"change": desk.change.name, "entries": found})
    else:
        run.page(blocks(*(entry(one, width=run.width) for one in run.masker.value(found))))
    return exits.DONE


@verb(
    app,
    "retry",
    "migrator quarantine retry output_type_tables --all",
)
def retry(
    run: Run,
    *,
    change: ChangeName = None,
    backfill: OfBackfill = None,
    reason: Reason = None,
    ids: Ids = None,
    all_: All = False,
) -> int:
    """Take rows out of quarantine, so that the next apply tries them again; by --id also one that was dismissed."""
    from migrator.workflow import housekeeping

    desk = run.desk(change)
    wanted = _selected(desk.change.name, backfill, reason, ids, everything=all_)
    if ids:  # whoever names a row may mean one that was dismissed
        wanted = replace(wanted, status=None)
    count = housekeeping.quarantine_retry(desk, wanted)
    _told(run, desk.change.name, count, "retried", "can be tried again")
    return exits.DONE


@verb(
    app,
    "dismiss",
    'migrator quarantine dismiss output_type_tables --id 4 --note "a test row of 2019"',
)
def dismiss(
    run: Run,
    *,
    change: ChangeName = None,
    backfill: OfBackfill = None,
    reason: Reason = None,
    ids: Ids = None,
    all_: All = False,
    note: Annotated[
        str,
        typer.Option(
            "--note",
            metavar="TEXT",
            help='Why they may stay behind; it is kept. Example: --note "test rows of 2019"',
            show_default=False,
        ),
    ] = "",
) -> int:
    """Accept by name that rows stay behind; they keep their own term in the balance."""
    from migrator.workflow import housekeeping

    if not note.strip():
        what = "Why may these rows stay behind? A note is needed, and kept."
        raise UsageError(exits.COMMAND_LINE, what, 'For example: --note "test rows of 2019"')
    desk = run.desk(change)
    wanted = _selected(desk.change.name, backfill, reason, ids, everything=all_)
    count = housekeeping.quarantine_dismiss(desk, wanted, note.strip())
    _told(run, desk.change.name, count, "dismissed", "dismissed")
    return exits.DONE


def _selected(
    change: str, backfill: str | None, reason: str | None, ids: list[int] | None, *, everything: bool
) -> "Selection":
    """Say which open rows are meant; all of them only when that was said."""
    from migrator.ledger.quarantine import Selection

    if not (backfill or reason or ids or everything):
        what = "Which rows? Nothing was named."
        cure = "Give --backfill, --reason or --id, or --all for every row that waits."
        raise UsageError(exits.COMMAND_LINE, what, cure)
    return Selection(change=change, backfill=backfill, reason=reason, ids=tuple(ids or ()))


def _told(run: Run, change: str, count: int, key: str, said: str) -> None:
    from migrator.cli.render.quarantine import changed

    if run.json:
        run.document({"change": change, key: count})
    else:
        then = command("apply" if key == "retried" else "verify", change)
        run.page(changed(count, said, then, width=run.width))
