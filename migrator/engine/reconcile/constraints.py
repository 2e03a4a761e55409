"""Keys, checks, foreign keys and indexes: compared by what they are. A name alone is no difference.

What is missing is brought over by the acts of acts.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from migrator.engine.reconcile import acts, exclusions, foreign_keys
from migrator.engine.reconcile.columns import Found
from migrator.engine.reconcile.foreign_keys import FOREIGN_KEYS
from migrator.engine.reconcile.words import plain, words
from migrator.model.anatomy import Anatomy, Part

KINDS: Final = ("primary key", "unique", "check", "foreign key", "exclusion", "index")
NOT_VALID_FOR_PARTITIONED = 18


def find(declared: Anatomy, found: Anatomy, later: Anatomy | None, major: int) -> Iterator[Found]:
    """Compare keys, checks, foreign keys and indexes by what they are; `later` are those of revisions to come."""
    strings = _strings(declared)
    missing, extra = matched(declared.of_kind(*KINDS), found.of_kind(*KINDS), strings)
    _, extra = matched(later.of_kind(*KINDS) if later else (), extra, strings)
    for mine, theirs in _halves(declared, found, strings):
        yield Found(acts=tuple(acts.finished(found, mine, theirs)))
    extra, ready = _instead(missing, extra)
    replaced = foreign_keys.acting_otherwise(missing, extra) if found.kind != "p" else {}
    for mine, theirs in replaced.items():
        yield Found(acts=tuple(foreign_keys.replaced(found, mine, theirs, acts.broken(found, mine))))
    missing = tuple(one for one in missing if one not in replaced)
    extra = tuple(one for one in extra if one not in replaced.values())
    for one in missing:
        if one not in ready:
            yield _missing(found, one, extra, major)
    changed = {(one.kind, one.name) for one in missing if one.kind != "check"}
    for one in extra:
        if (one.kind, one.name) not in changed:  # said already
            yield _extra(declared, one, strings)


def _strings(declared: Anatomy) -> frozenset[str]:
    return frozenset(one.name for one in declared.columns if one.type == "text" or "character" in one.type)


def same(one: Part, strings: Iterable[str]) -> tuple[str, str]:
    """Give what makes two objects the same: what they are, not what they are called."""
    typed = one.kind in {"check", "index"}
    return one.kind, plain(one.content, frozenset(strings)) if typed else one.content


def matched(
    declared: Iterable[Part], found: Iterable[Part], strings: Iterable[str] = ()
) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """Pair objects by what they are; give those that are missing and those that are not declared."""
    left = list(found)
    missing = []
    for one in declared:
        pair = next((other for other in left if same(other, strings) == same(one, strings)), None)
        if pair is None:
            missing.append(one)
        else:
            left.remove(pair)
    return tuple(missing), tuple(left)


def _halves(declared: Anatomy, found: Anatomy, strings: Iterable[str]) -> Iterator[tuple[Part, Part]]:
    """Find what is there, and NOT VALID."""
    for one in found.of_kind(*KINDS):
        mine = next((each for each in declared.of_kind(one.kind) if same(each, strings) == same(one, strings)), None)
        if mine is not None and mine.valid and not one.valid:
            yield mine, one


def _instead(missing: tuple[Part, ...], extra: tuple[Part, ...]) -> tuple[tuple[Part, ...], frozenset[Part]]:
    """Take a unique index for the unique constraint that is declared: it forbids the same rows."""
    ready, used = set(), set()
    for one in missing:
        if one.kind == "unique" and one.content == f"UNIQUE ({columns_plain(one)})":
            pair = next((e for e in extra if e not in used and _forbids_the_same(e, one)), None)
            if pair is not None:
                ready.add(one)
                used.add(pair)
    return tuple(one for one in extra if one not in used), frozenset(ready)


def columns_plain(one: Part) -> str:
    """List columns as the catalog does where no name needs quotes."""
    return ", ".join(one.columns)


def _forbids_the_same(index: Part, unique: Part) -> bool:
    wanted = f" USING btree ({columns_plain(unique)})"
    return index.kind == "index" and index.unique and index.valid and index.content.endswith(wanted)


def _missing(found: Anatomy, one: Part, extra: Iterable[Part], major: int) -> Found:
    other = next((each for each in extra if each.name == one.name), None)
    if other is not None and other.kind != "check":
        return Found(reasons=(f"{other.shown}; declared: {one.content}",))
    match one.kind:
        case "primary key" | "unique":
            if one.kind == "primary key" and found.key:
                return Found(reasons=(f"the primary key is ({', '.join(found.key)}), declared: {one.content}",))
            return Found(acts=tuple(acts.key_made(found, one)))
        case "check":
            return Found(acts=tuple(acts.validated(found, one, acts.CHECKS, other)))
        case "foreign key":
            partitioned = found.kind == "p" and major < NOT_VALID_FOR_PARTITIONED
            return Found(
                acts=(acts.at_once(found, one),) if partitioned else tuple(acts.validated(found, one, FOREIGN_KEYS))
            )
        case "index":
            return Found(acts=(acts.index_made(found, one),))
        case "exclusion" if (act := exclusions.made(found, one)) is not None:
            return Found(acts=(act,))
        case _:
            why = "its rows would be compared while nobody reads or writes: make it yourself"
            return Found(reasons=(f"{one.shown} is missing; {why}: {one.create}",))


def _extra(declared: Anatomy, one: Part, strings: frozenset[str]) -> Found:
    said = f"{one.shown} is not declared"
    if one.kind == "index" and not one.unique:
        return Found(notes=(f"{said}; it stays",))
    if one.kind == "check":
        return _extra_check(declared, one, strings)
    known = {each.name for each in declared.columns}
    if one.columns and not known.intersection(one.columns):
        return Found(notes=(f"{said}; it is about columns that our rows do not fill",))
    wider = (each.columns for each in declared.of_kind("primary key", "unique"))
    if one.kind in {"unique", "index"} and any(set(each) <= set(one.columns) for each in wider if each):
        return Found(notes=(f"{said}; a declared key forbids the same and more",))
    return Found(reasons=(f"{said}, and may refuse our rows",))


def _extra_check(declared: Anatomy, one: Part, strings: frozenset[str]) -> Found:
    said = f"{one.shown} is not declared"
    allowed = words(one.content, strings)
    for other in declared.of_kind("check"):
        wanted = words(other.content, strings)
        if allowed and wanted and allowed[0] == wanted[0]:
            lost = sorted(wanted[1] - allowed[1])
            if lost:
                return Found(reasons=(f"{said}: it forbids {', '.join(lost)}, which is declared",))
            return Found(notes=(f"{said}; it allows every declared word",))
    known = {each.name for each in declared.columns}
    if not known.intersection(one.columns):
        return Found(notes=(f"{said}; it is about columns that our rows do not fill",))
    return Found(reasons=(f"{said}, and may refuse our rows",))
