"""Triggers, policies, rules, row security, comments and grants of a table; functions and types beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from migrator.engine.reconcile import enums
from migrator.engine.reconcile.columns import BRIEF, Found
from migrator.engine.reconcile.constraints import matched
from migrator.model.adoption import Act
from migrator.model.anatomy import Anatomy, Beside, Part
from migrator.model.names import Relation, quote

BESIDE, TRIGGERS, POLICIES, ROW_SECURITY, COMMENTS, GRANTS = 10, 90, 100, 110, 120, 130


def find(declared: Anatomy, found: Anatomy, later: Anatomy | None) -> Iterator[Found]:
    """Compare what hangs on a table by what it does; a name alone is no difference."""
    for kind in ("trigger", "policy", "rule"):
        missing, extra = matched(declared.of_kind(kind), found.of_kind(kind))
        _, extra = matched(later.of_kind(kind) if later else (), extra)
        for one in missing:
            yield _missing(found, one, extra)
        for one in extra:
            yield _extra(declared, one)
    yield from _states(declared, found)
    yield from _row_security(declared, found, later)
    yield from _comments(declared, found)
    yield from _grants(declared, found)


def _missing(found: Anatomy, one: Part, extra: tuple[Part, ...]) -> Found:
    if any(each.name == one.name for each in extra) or not one.create:
        return Found(reasons=(f"{one.shown} is missing",))
    act = Act(
        difference=f"{one.shown} is missing",
        do=(one.create,),
        undo=(f"DROP {one.kind.upper()} IF EXISTS {quote(one.name)} ON {found.relation.sql}",),
        relation=found.relation,
        stage=TRIGGERS if one.kind == "trigger" else POLICIES,
        lock=f"SHARE ROW EXCLUSIVE on {found.relation}, for an instant"
        if one.kind == "trigger"
        else BRIEF.format(found.relation),
    )
    return Found(acts=(act,))


def _extra(declared: Anatomy, one: Part) -> Found:
    said = f"{one.shown} is not declared"
    if one.kind == "trigger":
        if one.state == "DISABLED" or "migrator.applying" in one.content:
            return Found(notes=(f"{said}; it does not fire for our rows",))
        return Found(reasons=(f"{said}, and may change or refuse our rows",))
    if one.kind == "policy":
        if declared.row_security and one.content.startswith("AS PERMISSIVE"):
            return Found(reasons=(f"{said}, and may show our rows to more people than is declared",))
        return Found(notes=(f"{said}; it shows our rows to nobody else",))
    return Found(reasons=(f"{said}, and may change or refuse our rows",))


def _states(declared: Anatomy, found: Anatomy) -> Iterator[Found]:
    """Look at triggers that are there, and switched off."""
    for one in declared.of_kind("trigger"):
        other = next((each for each in found.of_kind("trigger") if each.content == one.content), None)
        if other is not None and other.state != one.state:
            was, should = other.state or "enabled", one.state or "enabled"
            yield Found(reasons=(f"trigger {other.name} is {was}, declared: {should}",))


def _row_security(declared: Anatomy, found: Anatomy, later: Anatomy | None) -> Iterator[Found]:
    at = found.relation.sql
    for word, ours, theirs, coming, verb in (
        ("on", declared.row_security, found.row_security, later and later.row_security, "ENABLE"),
        ("forced", declared.forced, found.forced, later and later.forced, "FORCE"),
    ):
        if ours and not theirs:
            back = "DISABLE" if verb == "ENABLE" else "NO FORCE"
            act = Act(
                difference=f"row security is not {word}, declared: {word}",
                do=(f"ALTER TABLE {at} {verb} ROW LEVEL SECURITY",),
                undo=(f"ALTER TABLE {at} {back} ROW LEVEL SECURITY",),
                relation=found.relation,
                stage=ROW_SECURITY,
                lock=BRIEF.format(found.relation),
            )
            yield Found(acts=(act,))
        elif theirs and not ours and not coming:
            yield Found(notes=(f"row security is {word}, and not declared; it stays, and hides rows from others",))


def _comments(declared: Anatomy, found: Anatomy) -> Iterator[Found]:
    theirs = {one.name: one for one in found.of_kind("comment")}
    for one in declared.of_kind("comment"):
        of = f'column "{one.name}"' if one.name else "the table"
        other = theirs.get(one.name)
        if other is None:
            at = found.relation.sql
            on = f"COLUMN {at}.{quote(one.name)}" if one.name else f"TABLE {at}"
            act = Act(
                difference=f"the comment on {of} is missing",
                do=(one.create,),
                undo=(f"COMMENT ON {on} IS NULL",),
                relation=found.relation,
                stage=COMMENTS,
                lock=f"SHARE UPDATE EXCLUSIVE on {found.relation}, for an instant",
            )
            yield Found(acts=(act,))
        elif other.content != one.content:
            yield Found(notes=(f"the comment on {of} is another one; it stays",))


def _grants(declared: Anatomy, found: Anatomy) -> Iterator[Found]:
    """Grant what the revision grants; what is granted beside it is the database's own affair."""
    theirs = {one.name: set(one.content.split(", ")) for one in found.of_kind("grant")}
    for one in declared.of_kind("grant"):
        lacking = sorted(set(one.content.split(", ")) - theirs.get(one.name, set()))
        if lacking:
            what = ", ".join(lacking)
            act = Act(
                difference=f"{what} is not granted to {one.name}",
                do=(f"GRANT {what} ON {found.relation.sql} TO {one.name}",),
                undo=(f"REVOKE {what} ON {found.relation.sql} FROM {one.name}",),
                relation=found.relation,
                stage=GRANTS,
                lock="none on tables in use",
            )
            yield Found(acts=(act,))


def find_beside(declared: tuple[Beside, ...], found: Mapping[str, Beside], at: Relation) -> Iterator[Found]:
    """Compare functions and types that the revision makes; `at` is the table for whose sake they are made."""
    for one in declared:
        other = found.get(f"{one.kind} {one.name}")
        said = f"{one.kind} {one.name}"
        if other is None and one.create:
            act = Act(
                difference=f"{said} is missing",
                do=(one.create,),
                undo=(one.drop,),
                relation=at,
                stage=BESIDE if one.kind == "type" else BESIDE + 1,
                lock="none on tables in use",
            )
            yield Found(acts=(act,))
        elif other is None:
            yield Found(reasons=(f"{said} is missing",))
        elif other.content != one.content and one.kind == "type":
            yield enums.find(one, other, at)
        elif other.content != one.content:
            yield Found(reasons=(f"{said}{' has another body than declared' if one.kind else ' is another one'}",))
