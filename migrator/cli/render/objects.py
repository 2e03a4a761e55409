"""Objects as people see them: which nobody names, which are not there, and what was done about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from migrator.cli.render.words import WIDTH, blocks, columns, fold, number, parts, place, rows, size
from migrator.model.checked_objects import Astray, CheckedObjects, PlannedObjects, WrittenDocuments
from migrator.model.commands import command
from migrator.model.orphans import Amount, Deletion, Orphans

TO_COPY: Final = "to be copied"
WELL: Final = frozenset({TO_COPY, "there already"})


def orphans(given: Orphans, *, width: int = WIDTH) -> list[str]:
    """Write what is in the buckets without a row, and which rows are without their object."""
    return list(
        blocks(
            _head(given, width),
            _sums(given, width),
            _orphans(given, width),
            _unmet(given, width),
            _remarks(given, width),
        )
    )


def _head(given: Orphans, width: int) -> list[str]:
    where = f"database {place(given.database)}"
    head = parts([given.change, "objects orphans", given.store, where], width)
    return [*head, *fold(f"looked at {', '.join(map(str, given.scopes))}", width, rest="  ")]


def _sums(given: Orphans, width: int) -> list[str]:
    table = [("objects there", *_amount(given.listed)), ("objects without row", *_amount(given.orphans))]
    if given.older_than is not None:
        table.append((f"  older than {age(given.older_than)}", *_amount(given.deletable)))
    if len(given.by_scope) > 1:
        table += [(f"  {scope}", *_amount(amount)) for scope, amount in given.by_scope.items()]
    known = size(given.unmet.bytes) if given.unmet.bytes else ""
    table.append(("rows without object", number(given.unmet.objects), known))
    return columns(table, right=(1, 2), width=width)


def _orphans(given: Orphans, width: int) -> list[str]:
    if not given.examples:
        return []
    table = [("size", "last written", "object without row")]
    table += [(size(one.size), f"{one.modified:%Y-%m-%d %H:%M}", f"{one.bucket}/{one.key}") for one in given.examples]
    return [*columns(table, right=(0,), width=width), *_more(given.orphans.objects - len(given.examples))]


def _unmet(given: Orphans, width: int) -> list[str]:
    if not given.unmet_examples:
        return []
    table = [("named by", "row", "there is no object")]
    table += [(one.where, ", ".join(one.row), one.key) for one in given.unmet_examples]
    made = columns(table, limits={0: width // 3, 1: width // 3}, width=width)
    return [*made, *_more(given.unmet.objects - len(given.unmet_examples))]


def _remarks(given: Orphans, width: int) -> Iterator[str]:
    if not given.orphans.objects and not given.unmet.objects:
        yield "✓ Every object has a row, and every row its object."
    for one in given.hazards:
        yield from fold(f"! {one.id} {one.what} {one.cure}", width, rest="  ")


def deletion(given: Deletion, *, width: int = WIDTH) -> list[str]:
    """Write what became of the objects of a manifest."""
    mark = "✓" if given.done else "✗"
    said = f"{mark} {rows(given.removed.objects, 'object')} deleted from {given.bucket}, {size(given.removed.bytes)}"
    table = [(number(count), one.value) for one, count in given.outcomes.items() if count]
    table += [(number(given.named), "named by a row now, or too young")] if given.named else []
    left = [(one.key, one.why) for one in given.left]
    return list(
        blocks(
            fold(f"{said}; {given.manifest} says which.", width, rest="  "),
            columns(table, right=(0,), indent="  ", width=width) if len(table) > 1 else [],
            columns([("left", "why"), *left], limits={0: width // 2}, width=width) if left else [],
        )
    )


def plans(change: str, given: Sequence[PlannedObjects], *, looked: bool, width: int = WIDTH) -> list[str]:
    """Write what a copy of the objects would find."""
    return list(
        blocks(
            [change],
            *(_plan(one, width, looked=looked) for one in given),
            *(_astray(one.examples, sum(one.foretold.values()) - _well(one), width) for one in given),
            [f"Next: {command('objects copy', change)}"] if any(one.foretold.get(TO_COPY) for one in given) else [],
        )
    )


def _plan(one: PlannedObjects, width: int, *, looked: bool) -> list[str]:
    head = fold(f"{one.backfill}: {one.name}  {one.sentence}", width, rest="  ")
    if one.unwanted:
        return [*head, f"  not wanted: --param {one.unwanted}=true would want them"]
    table = [("objects named by rows that move", number(one.objects), "")]
    table += [("copied already", number(one.copied), "")] if one.copied else []
    for word, count in one.foretold.items():
        table.append((word, number(count), size(one.bytes[word]) if one.bytes.get(word) else ""))
    left = one.objects - one.copied - sum(one.foretold.values())
    table += [("not looked at", number(left), "")] if left and not looked else []
    return [*head, *columns(table, right=(1, 2), indent="  ", width=width)]


def _well(one: PlannedObjects) -> int:
    return sum(count for word, count in one.foretold.items() if word in WELL)


def checked(change: str, given: Sequence[CheckedObjects], *, width: int = WIDTH) -> list[str]:
    """Write what was found where objects were copied to."""
    if not given:
        return [f"No object of {change} is copied."]
    table = [("objects", "bytes", "not well", "of")]
    for one in given:
        astray = sum(one.faults.values())
        table.append((number(one.looked_at), size(one.bytes), number(astray), f"{one.backfill}: {one.name}"))
    wrong = Counter[str]()
    for one in given:
        wrong.update(one.faults)
    said = [f"✗ {rows(count, 'object')}: {word}" for word, count in wrong.most_common()]
    return list(
        blocks(
            columns(table, right=(0, 1, 2), width=width),
            *(_astray(one.examples, sum(one.faults.values()), width) for one in given),
            said or [f"✓ Every object of {change} is where it was copied to, and is what was proven."],
        )
    )


def documents(change: str, given: Sequence[WrittenDocuments], *, width: int = WIDTH) -> list[str]:
    """Write what became of documents."""
    table = [("documents", "bytes", "of", "")]
    for one in given:
        told = " · ".join(f"{word} {number(count)}" for word, count in one.outcomes.items() if count)
        table.append((number(one.documents), size(one.bytes), f"{one.backfill}: {one.name}", told))
    well = all(one.proven for one in given)
    said = f"✓ Every document of {change} is written." if well else f"✗ Not every document of {change} is written."
    return list(
        blocks(
            columns(table, right=(0, 1), width=width),
            *(_astray(one.examples, one.documents - one.well, width) for one in given),
            [said],
        )
    )


def _astray(given: Sequence[Astray], whole: int, width: int) -> list[str]:
    if not given:
        return []
    table = [("row", "object", "why")]
    table += [(", ".join(one.row), one.object, f"{one.why}{f' ({one.detail})' if one.detail else ''}") for one in given]
    return [*columns(table, limits={0: width // 3, 1: width // 2}, width=width), *_more(whole - len(given))]


def age(given: timedelta) -> str:
    """Write how old something must be, in the words of the option."""
    hours = int(given.total_seconds()) // 3600
    return rows(given.days, "day") if hours % 24 == 0 else rows(hours, "hour")


def _amount(given: Amount) -> tuple[str, str]:
    return number(given.objects), size(given.bytes) if given.objects else ""


def _more(count: int) -> list[str]:
    return [f"… and {number(count)} more; --show names them"] if count > 0 else []
