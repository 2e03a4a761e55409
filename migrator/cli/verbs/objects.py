"""`migrator objects`: what rows name in S3."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from migrator.cli import exits
from migrator.cli import orphan_options as options
from migrator.cli.options import ChangeName
from migrator.cli.progress import listening
from migrator.cli.run import Run
from migrator.cli.shell import application
from migrator.cli.verb import verb
from migrator.model.commands import command
from migrator.model.errors import UsageError

if TYPE_CHECKING:
    from migrator.workflow.desk import Desk
    from migrator.workflow.objects_deletion import Wanted

app = application(
    name="objects", no_args_is_help=True, help="Plan, copy and verify the objects that rows name, and find orphans."
)


def _option(*names: str, help: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, show_default=False, **more)


Show = Annotated[int, typer.Option("--show", metavar="N", min=0, help="Name so many of each. Example: --show 100")]


@verb(
    app,
    "plan",
    "migrator objects plan jobs_and_attempts",
    "migrator objects plan jobs_and_attempts --no-look",
)
def plan(
    run: Run,
    *,
    change: ChangeName = None,
    no_look: Annotated[
        bool, _option("--no-look", help="Count the objects, and look at none of them. Example: --no-look")
    ] = False,
    show: Show = 20,
) -> int:
    """Say which objects would be copied, with their bytes, and what would be wrong with which; writes nothing.

    Each object is looked at where it is and where it is to go. What is copied already is only counted.
    """
    from migrator.cli.render.objects import plans as screen
    from migrator.workflow import objects

    desk = run.desk(change)
    with listening(run) as listen:
        found = objects.plan(desk, look=not no_look, show=show, listen=listen)
    if run.json:
        run.document({"change": desk.change.name, "objects": found})
    else:
        run.page(screen(desk.change.name, run.masker.value(found), looked=not no_look, width=run.width))
    return exits.DONE


@verb(
    app,
    "copy",
    "migrator objects copy jobs_and_attempts",
    "migrator objects copy jobs_and_attempts --join    on another machine, meanwhile",
)
def copy(
    run: Run,
    *,
    change: ChangeName = None,
    join: Annotated[
        bool,
        _option(
            "--join",
            help="Help the apply or copy that is running, also from another machine. Example: objects copy --join",
        ),
    ] = False,
) -> int:
    """Copy the objects that rows name, and no row; apply does so too, before it copies the rows.

    It may be stopped at any time, and goes on when it is run again. Sources are never removed.
    """
    from migrator.cli.render.report import report as screen
    from migrator.workflow import objects

    desk = run.desk(change)
    run.stopped = f"Stopped. What is copied is recorded. Go on with: {command('objects copy', desk.change.name)}"
    with listening(run) as listen:
        report = (objects.join if join else objects.copy)(desk, listen=listen)
    run.stopped = ""
    run.show(report, screen)
    return exits.of_report(report)


@verb(app, "verify", "migrator objects verify jobs_and_attempts --show 100")
def verify(run: Run, *, change: ChangeName = None, show: Show = 20) -> int:
    """Look at every object that was copied: whether it is there, and still what was proven; only reads.

    Ends with 4 where one is not. What rows hold is proven by verify.
    """
    from migrator.cli.render.objects import checked as screen
    from migrator.workflow import objects

    desk = run.desk(change)
    with listening(run) as listen:
        found = objects.verify(desk, show=show, listen=listen)
    if run.json:
        proven = all(one.proven for one in found)
        run.document({"change": desk.change.name, "proven": proven, "objects": found})
    else:
        run.page(screen(desk.change.name, run.masker.value(found), width=run.width))
    return exits.DONE if all(one.proven for one in found) else exits.NOT_PROVEN


@verb(app, "meta", "migrator objects meta jobs_and_attempts")
def meta(run: Run, *, change: ChangeName = None, show: Show = 20) -> int:
    """Write the documents that a change declares beside its rows, for the rows that moved.

    Nothing is written over: a document goes only to a key that is free. A second run writes what is new, and anew what
    rows say otherwise by now. A rollback removes them. Ends with 4 where one could not be written.
    """
    from migrator.cli.render.objects import documents as screen
    from migrator.workflow import objects_meta

    desk = run.desk(change)
    run.stopped = f"Stopped. What is written is recorded. Go on with: {command('objects meta', desk.change.name)}"
    with listening(run) as listen:
        found = objects_meta.meta(desk, show=show, listen=listen)
    run.stopped = ""
    if run.json:
        run.document({"change": desk.change.name, "documents": found})
    else:
        run.page(screen(desk.change.name, run.masker.value(found), width=run.width))
    return exits.DONE if all(one.proven for one in found) else exits.NOT_PROVEN


@verb(
    app,
    "orphans",
    "migrator objects orphans jobs_and_attempts",
    "migrator objects orphans jobs_and_attempts --prefix restored/ --older-than 30d",
    "migrator objects orphans jobs_and_attempts --delete --older-than 30d --manifest gone.jsonl",
)
def orphans(
    run: Run,
    *,
    change: ChangeName = None,
    bucket: options.Bucket = None,
    prefix: options.Prefixes = None,
    named_by: options.NamedBy = None,
    older_than: options.OlderThan = None,
    delete: options.Delete = False,
    manifest: options.Manifest = None,
    go_on: options.GoOn = False,
    yes_delete_from: options.YesDeleteFrom = None,
    show: Show = 20,
) -> int:
    """Find objects without row, and rows without object, with their bytes; and delete the former.

    Nothing is deleted unless --delete says so, with an age, a manifest and the typed name of the bucket. What any
    source row, target row or the ledger names is no orphan. Ends with 4 when a row is without its object.
    """
    from migrator.cli.render.objects import orphans as screen
    from migrator.workflow import objects_deletion, objects_orphans

    if not delete and (manifest or go_on or yes_delete_from):
        what = "--manifest, --continue and --yes-delete-from are for --delete, which was not given."
        raise UsageError(exits.COMMAND_LINE, what, "Give --delete as well, or leave them out.")
    asked = objects_orphans.Asked(
        bucket=bucket,
        prefixes=tuple(prefix or ()),
        named_by=tuple(named_by or ()),
        older_than=_age(older_than),
        show=show,
    )
    desk = run.desk(change)
    if delete:
        if manifest is None:
            what = "Where is to be written what is deleted? No manifest was named."
            raise UsageError("M291", what, "For example: --manifest gone.jsonl")
        wanted = objects_deletion.Wanted(asked=asked, typed=yes_delete_from or "", manifest=manifest, go_on=go_on)
        return _delete(run, desk, wanted)
    with listening(run) as listen:
        found = objects_orphans.orphans(desk, asked, listen=listen)
    run.show(found, screen)
    return exits.NOT_PROVEN if found.unmet.objects else exits.DONE


def _delete(run: Run, desk: "Desk", wanted: "Wanted") -> int:
    """Have the name of the bucket typed, and delete."""
    from dataclasses import replace

    from migrator.cli.render.objects import deletion as screen
    from migrator.cli.render.objects import orphans as before
    from migrator.workflow import objects_deletion, objects_orphans

    bucket = objects_deletion.refuse_unready(desk, wanted).bucket
    if not wanted.typed:
        if not run.may_ask:
            what = f"Nobody is there to type the name of the bucket, {bucket}; nothing was deleted."
            raise UsageError("M290", what, f"Say it on the command line: --yes-delete-from {bucket}")
        with listening(run) as listen:
            found = objects_orphans.orphans(desk, wanted.asked, listen=listen)
        run.say(before(run.masker.value(found), width=run.width))
        if not found.deletable.objects:
            run.page(["Nothing is to be deleted."])
            return exits.DONE
        asked = f"Type the name of the bucket to delete {found.deletable.objects:,} objects from it"
        wanted = replace(wanted, typed=typer.prompt(asked, err=True))
    objects_deletion.refuse_typed(bucket, wanted.typed)
    run.stopped = f"Stopped. What is deleted stands in {wanted.manifest}, if that was written. Go on with: " + command(
        "objects orphans", desk.change.name, "--delete", "--continue", "--manifest", str(wanted.manifest), "…"
    )
    with listening(run) as listen:
        found, done = objects_deletion.delete(desk, wanted, listen=listen)
    run.stopped = ""
    if run.json:
        run.document({"orphans": found, "deletion": done})
    else:
        run.page(screen(run.masker.value(done), width=run.width))
    return exits.DONE if done.done else exits.FAILED


def _age(said: str | None) -> timedelta | None:
    """Read an age. Raises UsageError M294 for none."""
    from migrator.project.config import period

    if said is None:
        return None
    try:
        found = period(said)
    except ValueError as error:
        raise UsageError("M294", f"--older-than {said!r} {error}.", "For example: --older-than 30d") from None
    if not found:
        raise UsageError("M294", f"--older-than {said} is no age.", "For example: --older-than 30d")
    return found
