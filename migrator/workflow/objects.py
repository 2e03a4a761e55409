"""The objects of a change: what a copy would find, the copy alone or with others, and a look at all of them."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import IO, Any, Final

from migrator.database.connect import Connection
from migrator.engine.objects import Pool, Store
from migrator.engine.objects.checking import Checking
from migrator.engine.objects.foretelling import foretell
from migrator.engine.objects.planning import Planned, list_named, listed_in
from migrator.engine.ranges import Key
from migrator.engine.statements import Writing
from migrator.ledger import events, lease, objects
from migrator.ledger.lease import Lease
from migrator.ledger.run import Listen, Run
from migrator.model.backfill import Backfill
from migrator.model.checked_objects import CheckedObjects, PlannedObjects
from migrator.model.commands import command
from migrator.model.errors import RefusedError, UsageError
from migrator.model.moved_objects import Document, MovedObject, is_wanted
from migrator.model.step import Event, Phase, Report, State, StepReport
from migrator.phases.objects import CopyObjects
from migrator.workflow.change_steps import declared_for, object_copy, prepared_for
from migrator.workflow.desk import Desk
from migrator.workflow.facts import Facts, facts_of, reading, refuse_archived_now, refuse_undoing
from migrator.workflow.reports import report_of
from migrator.workflow.runner import install_ledger, running, take
from migrator.workflow.scratch import Declared

LOOKS: Final = 0.5  # seconds between two looks for work of the run that was joined
COPYING: Final = ("apply --to backfill", "apply --to verify", "objects copy")  # that copy objects, and can be joined


def plan(desk: Desk, *, look: bool = True, show: int = 20, listen: Listen) -> tuple[PlannedObjects, ...]:
    """Say what a copy of the objects would find, by looking at each; nothing is written.

    Without `look` they are only counted. Raises UsageError M287 where no objects are declared, and what `plan` raises.
    """
    backfills = moving(desk)
    found = []
    with desk.explained(f"planning the objects of {desk.change.name}"), desk.database.connect() as conn:
        facts = facts_of(conn, desk)
        refuse_archived_now(desk, facts)
        declared = declared_for(desk, facts)
        with reading(conn, desk):
            prepared = prepared_for(conn, desk, facts, declared, only=backfills)
        for each in prepared:
            with tempfile.TemporaryFile("w+", encoding="utf-8") as aside:
                plans = _planned(desk, each.projection.backfill, show)
                with reading(conn, desk):
                    list_named(conn, each, desk.project.storage().bucket or "", plans, aside)
                if look and any(one.objects for one in plans.values()):
                    _look(desk, each.projection.backfill, plans, aside, listen)
            found += [one.told() for one in plans.values()]
    return tuple(found)


def copy(desk: Desk, *, listen: Listen) -> Report:
    """Copy the objects that rows name, and no row; under the lease of the change.

    Raises UsageError M287, M295 where the tables are not made yet, RefusedError M401, M405, M438, and what copying
    objects raises.
    """
    backfills = _wanting(desk)
    with desk.explained(f"copying the objects of {desk.change.name}"):
        install_ledger(desk)
        with running(desk, "objects copy", listen) as (run, conn):
            facts = facts_of(conn, desk)
            _refuse_uncopyable(desk, facts)
            done = [take(step, run) for step in _steps(conn, desk, facts, backfills)]
            return report_of(desk, "objects copy", facts_of(conn, desk), [one for one in done if one.detail])


def join(desk: Desk, *, listen: Listen) -> Report:
    """Help the run that copies objects now, on whatever machine, until its objects are copied or it ends.

    Raises UsageError M287, and RefusedError M295 where no run copies objects.
    """
    backfills = _wanting(desk)
    with desk.explained(f"copying the objects of {desk.change.name}"), desk.database.connect() as conn:
        held = _joined(conn, desk)
        run = Run(change=desk.change, database=desk.database, lease=held, listen=listen)
        steps = [step for step in (object_copy(desk, one) for one in backfills) if step.is_wanted]
        done: dict[str, Counter[str]] = {}
        seconds: dict[str, float] = {}
        try:
            while not all(events.is_done(conn, held.run, step.name) for step in steps) and lease.is_held(conn, held):
                for step in steps:
                    begun = time.monotonic()
                    counted = step.join(run)
                    done.setdefault(step.name, Counter()).update(counted)
                    spent = time.monotonic() - begun if counted else 0.0
                    seconds[step.name] = seconds.get(step.name, 0.0) + spent
                time.sleep(LOOKS)
        except RefusedError as refusal:
            if refusal.id != "M402":  # the run that was joined has ended, or another one has begun
                raise
        reports = [_report(step, done.get(step.name, Counter()), seconds.get(step.name, 0.0)) for step in steps]
        return report_of(desk, "objects copy", facts_of(conn, desk), [one for one in reports if one.detail])


def verify(desk: Desk, *, show: int = 20, listen: Listen) -> tuple[CheckedObjects, ...]:
    """Look at every object that the Ledger says is at its target, and hold it against what was proven; only reads.

    Raises UsageError M287, and M252 to M262.
    """
    backfill = next((one for one in desk.change.backfills if one.moving), None) or moving(desk)[0]
    title = f"objects of {desk.change.name}"
    with desk.explained(f"looking at the {title}"), desk.database.connect() as conn:
        total = objects.count_good(conn, desk.change.name)
        with Store.open(desk.project.storage()) as store:
            settings = object_copy(desk, backfill).settings

            def tell(kind: Any, count: int = 0, size: int = 0) -> None:
                event = Event(kind=kind, phase=Phase.VERIFY, name=title, title=title, rows=count, total=total)
                listen(_of_objects(event, size))

            tell("step")
            checking = Checking(
                store=store,
                change=desk.change.name,
                settings=settings,
                show=show,
                tell=lambda count, size: tell("progress", count, size),
            )
            found = checking.go(conn)
            tell("done", sum(one.looked_at for one in found))
    return found


def moving(desk: Desk) -> list[Backfill]:
    """List the backfills of a change that declare objects. Raises UsageError M287 where none does."""
    found = [one for one in desk.change.backfills if one.objects]
    if not found:
        what = f"No backfill of {desk.change.name} declares objects."
        raise UsageError("M287", what, "Declare them in its definition: objects={…}; see docs/definitions.md.")
    return found


def _wanting(desk: Desk) -> list[Backfill]:
    """List the backfills whose objects are wanted. Raises UsageError M287 where none is."""
    every = moving(desk)
    found = [one for one in every if any(switch(desk, each) is None for each in one.objects.values())]
    if not found:
        raise unwanted(desk, "objects", [each for one in every for each in one.objects.values()])
    return found


def switch(desk: Desk, declared: MovedObject | Document) -> str | None:
    """Name the parameter that would have to be true for objects or documents to be wanted; None where they are."""
    wanted = declared.only_if is None or is_wanted(declared, desk.change.arguments)
    return None if wanted or declared.only_if is None else declared.only_if.name


def unwanted(desk: Desk, what: str, declared: Iterable[MovedObject | Document]) -> UsageError:
    """Say that nobody wants what is declared, and how to."""
    names = sorted({name for one in declared if (name := switch(desk, one))})
    said = f"No {what} of {desk.change.name} are wanted: {', '.join(names)} is not true."
    return UsageError("M287", said, f"Give {' '.join(f'--param {name}=true' for name in names)}")


def _of_objects(event: Event, size: int) -> Event:
    return replace(event, unit="object", bytes=size)


def _planned(desk: Desk, backfill: Backfill, show: int) -> dict[str, Planned]:
    return {
        name: Planned(
            backfill=backfill.name,
            name=name,
            sentence=declared.sentence,
            unwanted=switch(desk, declared),
            show=show,
        )
        for name, declared in backfill.objects.items()
    }


def _look(desk: Desk, backfill: Backfill, plans: Mapping[str, Planned], aside: IO[str], listen: Listen) -> None:
    """Look at what is not copied yet."""
    step = object_copy(desk, backfill)
    total, count, size = sum(one.objects - one.copied for one in plans.values()), 0, 0

    def tell(kind: Any) -> None:
        event = Event(kind=kind, phase=step.phase, name=step.name, title=step.title, rows=count, total=total)
        listen(_of_objects(event, size))

    tell("step")
    settings = step.settings
    with Store.open(desk.project.storage(), workers=settings.workers) as store:
        for foretold in foretell(Pool(store, settings), listed_in(aside), settings):
            plans[foretold.listed.name].add(foretold)
            count, size = count + 1, size + foretold.size
            if not count % 500:
                tell("progress")
    tell("done")


def _steps(conn: Connection, desk: Desk, facts: Facts, backfills: Sequence[Backfill]) -> list[CopyObjects]:
    """List the Steps. Rows that point at rows which are still to be moved are taken for ones that will find them."""
    with reading(conn, desk):
        prepared = prepared_for(conn, desk, facts, Declared(), only=backfills)
    known = {one.projection.backfill.name: one.projection for one in prepared}

    def select(writing: Writing, lo: Key | None, hi: Key | None) -> str:
        foretold = known[writing.projection.backfill.name]
        return replace(writing, projection=replace(foretold, excluding=writing.projection.excluding)).objects(lo, hi)

    steps = [object_copy(desk, one) for one in backfills]
    whole = all(facts.done(Phase.BACKFILL, one.name) for one in desk.change.backfills)
    return [
        step if whole or step.backfill.group is not None else replace(step, select=select)
        for step in steps
        if step.is_wanted
    ]


def _refuse_uncopyable(desk: Desk, facts: Facts) -> None:
    """Raise UsageError M295 where the tables are not made yet, and what keeps a change from being applied."""
    refuse_undoing(desk, facts)
    refuse_archived_now(desk, facts)
    if facts.state in {State.NEW, State.EXPANDING}:
        raise UsageError(
            "M295",
            f"{desk.change.name} is {facts.state}: which objects its rows name is known when its tables are made.",
            f"First: {command('apply', desk.change.name, '--to', 'expand')}",
        )


def _joined(conn: Connection, desk: Desk) -> Lease:
    """Find the run that copies objects now."""
    name = desk.change.name
    verb, held = lease.running(conn, name) or (None, None)
    if held is None or verb not in COPYING:
        doing = "nobody runs it" if held is None else f"it is being run by: {verb}"
        raise RefusedError(
            "M295",
            f"There is no copy of the objects of {name} to be joined: {doing}.",
            f"Begin one: {command('objects copy', name)}",
        )
    return held


def _report(step: CopyObjects, done: Counter[str], seconds: float) -> StepReport:
    detail = {word: count for word, count in sorted(done.items()) if count}
    return StepReport(
        phase=step.phase,
        name=step.name,
        title=step.title,
        rows=sum(detail.values()),
        detail=detail,
        seconds=seconds,
    )
