"""What a copy of objects would find, foretold by looking: nothing is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from migrator.engine.objects.extensions import extension
from migrator.engine.objects.pool import Pool
from migrator.engine.objects.same import told
from migrator.model.moved_objects import PLACE
from migrator.model.objects import CopySettings, Looked, ObjectName, Outcome, StoredObject

CHUNK: Final = 500
TO_COPY: Final = "to be copied"
PERHAPS: Final = "an object is there, to be compared"
ARCHIVES: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """An object that a row names, and the key to which it is to go, `{ext}` included.

    `or_else` are the names under which it is looked for where it is not under those before.
    """

    name: str
    row: tuple[str, ...]
    source: ObjectName
    target: ObjectName
    or_else: tuple[ObjectName, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Foretold:
    """What would become of one: in a word, with its size where that is known."""

    listed: Listed
    word: str
    size: int = 0
    detail: str = ""


def foretell(pool: Pool, listed: Iterable[Listed], settings: CopySettings) -> Iterator[Foretold]:
    """Look at sources, and at the targets of those that could be copied, five hundred at a time.

    Raises M252 to M262.
    """
    left = iter(listed)
    while part := list(islice(left, CHUNK)):
        sources = _sources(pool, part)
        bad = {each: _fault(sources[each], settings) for each in part}
        going = {each: _target(each, sources[each]) for each in part if bad[each] is None}
        targets = {one.name: one for one in pool.look(dict.fromkeys(going.values()))}
        for each in part:
            found, word, detail = sources[each], bad[each], sources[each].detail
            if word is None:
                there = targets[going[each]]
                word, detail = _met(found.found, there), there.detail
            yield Foretold(listed=each, word=word, size=found.found.size if found.found else 0, detail=detail)


def _sources(pool: Pool, listed: Iterable[Listed]) -> dict[Listed, Looked]:
    """Look at each under its names, until it is there."""
    left = {each: [each.source, *each.or_else] for each in listed}
    found: dict[Listed, Looked] = {}
    while left:
        looked = {one.name: one for one in pool.look(dict.fromkeys(names[0] for names in left.values()))}
        found |= {each: looked[names.pop(0)] for each, names in left.items()}
        left = {each: names for each, names in left.items() if names and found[each].outcome is Outcome.MISSING}
    return found


def _fault(looked: Looked, settings: CopySettings) -> str | None:
    """Say why an object cannot be copied, as far as its source tells."""
    if looked.found is None:
        return (looked.outcome or Outcome.MISSING).value
    if looked.found.size > settings.largest:
        return Outcome.TOO_LARGE.value
    return Outcome.ARCHIVED.value if looked.found.storage_class in ARCHIVES else None


def _target(listed: Listed, source: Looked) -> ObjectName:
    content_type = None if source.found is None else source.found.headers.get("ContentType")
    return ObjectName(listed.target.bucket, listed.target.key.replace(PLACE, extension(content_type, source.name.key)))


def _met(source: StoredObject | None, there: Looked) -> str:
    """Say what a copy would meet at its target."""
    if there.found is None:
        missing = there.outcome in {None, Outcome.MISSING}
        return TO_COPY if missing or there.outcome is None else there.outcome.value
    if source is None or source.name == there.name:
        return Outcome.THERE.value
    possible, evidence = told(source, there.found)
    if not possible:
        return Outcome.OCCUPIED.value
    return Outcome.THERE.value if evidence else PERHAPS
