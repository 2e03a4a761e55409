"""The difference between what is declared and what is there: none, acts that mend it, or the reasons why not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain

from migrator.engine.reconcile import columns, constraints, others
from migrator.engine.reconcile.columns import Found
from migrator.model.adoption import Act, Acts, Equal, Outcome, Refused
from migrator.model.anatomy import Anatomy, Beside, Declaration
from migrator.model.names import Relation


def diff(declared: Anatomy, found: Anatomy | None, later: Anatomy | None = None, *, major: int = 18) -> Outcome:
    """Compare one table with what is there, object by object; names of constraints and the order of columns aside.

    `later` is the table after all revisions: what one to come declares is not undeclared now.
    """
    if found is None:
        return _outcome(_made(declared, major))
    return _outcome(_parts(declared, found, later, major))


def compare(
    declaration: Declaration, found: Mapping[Relation, Anatomy], beside: Mapping[str, Beside], *, major: int = 18
) -> Outcome:
    """Compare everything that a revision declares with what is there."""
    later = {one.relation: one for one in declaration.final}
    tables = (*declaration.made, *declaration.altered)
    outcomes = [_named(one, diff(one, found.get(one.relation), later.get(one.relation), major=major)) for one in tables]
    at = tables[0].relation if tables else Relation("", "")
    outcomes.append(_outcome(others.find_beside(declaration.beside, beside, at)))
    return _outcome(map(_found, outcomes))


def lines(outcome: Outcome) -> list[str]:
    """Write a whole difference, line by line: what stands against it, what could be mended, what is harmless."""
    reasons = outcome.reasons if isinstance(outcome, Refused) else ()
    acts = () if isinstance(outcome, Equal) else outcome.acts
    mended = dict.fromkeys(one.difference for one in acts)
    return [
        *reasons,
        *(f"{one} [could be brought over]" for one in mended),
        *(f"{one} [harmless]" for one in outcome.notes),
    ]


def _parts(declared: Anatomy, found: Anatomy, later: Anatomy | None, major: int) -> Iterable[Found]:
    if found.builders:
        pids = ", ".join(map(str, found.builders))
        yield Found(reasons=(f"an index of it is being built by pid {pids}: let that end",))
    if declared.kind != found.kind:
        kinds = {"r": "an ordinary table", "p": "a partitioned table"}
        yield Found(reasons=(f"it is {kinds[found.kind]}, declared: {kinds[declared.kind]}",))
    yield from chain(
        columns.find(declared, found, later),
        constraints.find(declared, found, later, major),
        others.find(declared, found, later),
    )


def _made(declared: Anatomy, major: int) -> Iterable[Found]:
    """Make a table that is missing where others of its revision are there."""
    at = declared.relation
    if declared.kind != "r" or any("nextval(" in (one.default or "") for one in declared.columns):
        yield Found(reasons=("it is missing, while other tables of its revision are there",))
        return
    ddl = ", ".join(one.ddl for one in declared.columns)
    act = Act(
        difference="it is missing, while other tables of its revision are there",
        do=(f"CREATE TABLE {at.sql} ({ddl})",),
        undo=(f"DROP TABLE {at.sql}",),
        relation=at,
        stage=columns.TYPES - 1,
        lock="none on tables in use",
        makes=at,
    )
    yield Found(acts=(act,))
    for found in _parts(declared, Anatomy(relation=at, columns=declared.columns), None, major):
        yield replace(found, acts=tuple(replace(one, first=()) for one in found.acts))  # it has no rows yet


def _outcome(found: Iterable[Found]) -> Outcome:
    everything = list(found)
    acts = sorted((act for one in everything for act in one.acts), key=lambda one: one.stage)
    reasons = tuple(reason for one in everything for reason in one.reasons)
    notes = tuple(note for one in everything for note in one.notes)
    if reasons:
        return Refused(reasons=reasons, acts=tuple(acts), notes=notes)
    return Acts(acts=tuple(acts), notes=notes) if acts else Equal(notes=notes)


def _named(table: Anatomy, outcome: Outcome) -> Outcome:
    """Put the table's name before each difference."""
    notes = tuple(f"{table.relation}: {one}" for one in outcome.notes)
    acts = tuple(
        replace(one, difference=f"{table.relation}: {one.difference}")
        for one in (() if isinstance(outcome, Equal) else outcome.acts)
    )
    reasons = outcome.reasons if isinstance(outcome, Refused) else ()
    return _outcome([Found(acts=acts, reasons=tuple(f"{table.relation}: {one}" for one in reasons), notes=notes)])


def _found(outcome: Outcome) -> Found:
    return Found(
        acts=() if isinstance(outcome, Equal) else outcome.acts,
        reasons=outcome.reasons if isinstance(outcome, Refused) else (),
        notes=outcome.notes,
    )
