"""Adoption: which pending revisions find their tables there already, and what is to be done about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from migrator.database.anatomy import anatomies, beside_tables, besides
from migrator.database.connect import Connection
from migrator.database.session import rows, value
from migrator.engine.reconcile.diff import compare, lines
from migrator.ledger.steps import StepRecord
from migrator.model.adoption import Act, Acts, Equal, Outcome, Refused, Rows
from migrator.model.anatomy import Beside, Declaration
from migrator.model.errors import RefusedError
from migrator.model.names import Relation, quote
from migrator.model.step import Phase
from migrator.phases.adopt import AdoptRevision
from migrator.phases.expand import RunRevision
from migrator.workflow.scratch import Declared

SHOWN = 40
EXAMPLES = 5

ExpandStep = RunRevision | AdoptRevision


def fitted(
    conn: Connection, pending: Sequence[RunRevision], declared: Declared, records: Sequence[StepRecord], major: int
) -> list[ExpandStep]:
    """Give for each pending revision the Step that fits what is there: run it, or adopt its tables.

    Raises RefusedError M209 for tables that can be neither made nor brought over, with the whole difference, and M216
    for rows that stand in the way.
    """
    begun = {one.name: one for one in records if one.phase is Phase.EXPAND and one.origin == "adopted"}
    return [_fitted(conn, step, declared, major, begun.get(step.name)) for step in pending]


def adopting(step: RunRevision, record: StepRecord) -> AdoptRevision:
    """Give the Step of a revision that was adopted, or whose adoption was begun."""
    left = [Act.from_json(one) for one in record.undo.get("acts", []) if one["state"] in {"todo", "begun"}]
    found = tuple(Relation.parse(name) for name in record.undo.get("found", []))
    return AdoptRevision(change=step.change, info=step.info, directory=step.directory, found=found, acts=tuple(left))


def _fitted(
    conn: Connection, step: RunRevision, declared: Declared, major: int, begun: StepRecord | None
) -> ExpandStep:
    there = step.in_the_way(conn)
    declaration = declared.whole.get(step.name)
    if not there and begun is None and not _has_begun(conn, declaration):
        return step
    if declaration is None:
        raise _refused(step, there, [], declared.reason)

    def judge(looking: Connection) -> Acts:
        outcome = _judged(looking, declaration, major)
        if isinstance(outcome, Refused):
            raise _refused(step, there, lines(outcome), "")
        acts = outcome.acts if isinstance(outcome, Acts) else ()
        refuse_rows(looking, [one for act in acts for one in act.first], "M216")
        return Acts(acts=acts, notes=outcome.notes)

    if begun is not None:  # what is there is half brought over, and is not compared before that ends
        return replace(adopting(step, begun), judge=lambda looking: judge(looking).acts)
    outcome = judge(conn)
    return AdoptRevision(
        change=step.change,
        info=step.info,
        directory=step.directory,
        found=there,
        acts=outcome.acts,
        notes=outcome.notes,
        judge=lambda looking: judge(looking).acts,
    )


def _has_begun(conn: Connection, declaration: Declaration | None) -> bool:
    """Say whether a revision that only alters tables finds something of what it makes there already."""
    if declaration is None or declaration.made:
        return False
    types = {name: one for name, one in besides(conn).items() if one.kind == "type"}
    if any(one.kind == "type" and types.get(f"type {one.name}") == one for one in declaration.beside):
        return True
    live = anatomies(conn, [one.relation for one in declaration.altered])
    before = {one.relation: one for one in declaration.before}
    return any(
        live[one.relation].listed.get(name) == said
        for one in declaration.altered
        if one.relation in live
        for name, said in one.listed.items()
        if before[one.relation].listed.get(name) != said
    )


def _judged(conn: Connection, declaration: Declaration, major: int) -> Outcome:
    tables = [one.relation for one in (*declaration.made, *declaration.altered)]
    found = anatomies(conn, tables, rows=True)
    outcome = compare(declaration, found, _beside(conn), major=major)
    return outcome if isinstance(outcome, Equal) else _with_names_free(conn, outcome)


def _beside(conn: Connection) -> Mapping[str, Beside]:
    others = {f" {name}": Beside(kind="", name=name, content=said) for name, said in beside_tables(conn).items()}
    return {**besides(conn), **others}


def _with_names_free(conn: Connection, outcome: Acts | Refused) -> Outcome:
    """Look whether the names of what would be made are free: an index of another table may have one (G8)."""
    taken = [
        f"{act.difference}; its name {act.makes} is taken by something else"
        for act in outcome.acts
        if act.makes is not None and value(conn, "SELECT pg_catalog.to_regclass(%s) IS NOT NULL", (act.makes.sql,))
    ]
    if not taken:
        return outcome
    reasons = outcome.reasons if isinstance(outcome, Refused) else ()
    return Refused(reasons=(*reasons, *taken), acts=outcome.acts, notes=outcome.notes)


def _refused(step: RunRevision, there: Sequence[Relation], said: Sequence[str], reason: str) -> RefusedError:
    tables = ", ".join(map(str, there)) or "what it makes"
    unknown = f"; its declared shape is not known: {reason}" if reason else ""
    shape = "another shape" if said else "an unknown shape"
    more = [f"… and {len(said) - SHOWN} more"] if len(said) > SHOWN else []
    rename = "; ".join(f"ALTER TABLE {one.sql} RENAME TO ..." for one in there[:1])
    return RefusedError(
        "M209",
        "\n  ".join(
            [
                f"a table {tables} of {shape} is in the way of {step.name}; no revision of ours made it{unknown}.",
                *said[:SHOWN],
                *more,
            ]
        ),
        f"Make it as declared where a line has no remark, or rename it ({rename}), or drop it if nobody needs it; then"
        " run the same command again.",
    )


def refuse_rows(conn: Connection, wanted: Sequence[Rows], id: str, also: Mapping[Relation, str] | None = None) -> None:
    """Raise RefusedError where rows stand in the way of an act: how many, and the first of them by key."""
    found = [
        one for one in (_counted(conn, rows_, (also or {}).get(rows_.relation, "true")) for rows_ in wanted) if one
    ]
    if found:
        raise RefusedError(
            id,
            "rows stand in the way:\n  " + "\n  ".join(found),
            "Mend or delete these rows, and run the same command again.",
        )


def _counted(conn: Connection, wanted: Rows, also: str) -> str:
    there = wanted.needs is None or value(conn, "SELECT pg_catalog.to_regclass(%s) IS NOT NULL", (wanted.needs.sql,))
    where = f"FROM {wanted.relation.sql} AS t WHERE ({wanted.where if there else wanted.alone}) AND {also}"
    number = int(value(conn, f"SELECT count(*) {where}"))
    if not number:
        return ""
    said = f"{wanted.relation}: {number:,} row{'' if number == 1 else 's'}: {wanted.what}"
    if not wanted.key:
        return said
    texts = " || ', ' || ".join(f"t.{quote(name)}::text" for name in wanted.key)
    first = rows(conn, f"SELECT {texts} {where} ORDER BY 1 LIMIT {EXAMPLES}")
    return (
        f"{said} ({', '.join(wanted.key)} {', '.join(str(one) for (one,) in first)}{' …' if number > EXAMPLES else ''})"
    )


def tables_found(records: Sequence[StepRecord]) -> frozenset[Relation]:
    """List the tables that were there before: no rollback drops them."""
    return frozenset(
        Relation.parse(name) for one in records if one.origin == "adopted" for name in one.undo.get("found", [])
    )


def acts_done(records: Sequence[StepRecord]) -> list[Act]:
    """List the acts that brought something over and would be undone."""
    said = (one for record in records for one in record.undo.get("acts", []))
    return [Act.from_json(one) for one in said if one["state"] == "done"]
