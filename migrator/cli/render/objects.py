"""Objects as people see them: which nobody names, which are not there, and what was done about them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from migrator.cli.render.words import WIDTH, blocks, columns, fold, number, parts, place, rows, size
from migrator.model.orphans import Amount, Deletion, Orphans

DAY = timedelta(days=1)


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
    for where, count in given.unasked.items():
        told = f"! H185 {rows(count)} of {where} cannot be asked which object they name; nothing may be deleted."
        yield from fold(told, width, rest="  ")
    if given.elsewhere:
        told = f"! H186 {number(given.elsewhere)} names of rows lie elsewhere, and were not looked for: --prefix"
        yield from fold(f"{told} chooses what is looked at.", width, rest="  ")


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


def age(given: timedelta) -> str:
    """Write how old something must be, in the words of the option."""
    hours = int(given.total_seconds()) // 3600
    return rows(given.days, "day") if hours % 24 == 0 else rows(hours, "hour")


def _amount(given: Amount) -> tuple[str, str]:
    return number(given.objects), size(given.bytes) if given.objects else ""


def _more(count: int) -> list[str]:
    return [f"… and {number(count)} more; --show names them"] if count > 0 else []
