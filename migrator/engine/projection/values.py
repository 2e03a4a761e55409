"""Values made of other values, which keep their faults and marks: lookups, arrays, flags."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.engine.projection.pieces import Fault, Mark, Piece
from migrator.model.names import EXACTLY, literal, text_array


def lookup(of: Piece, words: Sequence[tuple[str | None, str | None]]) -> Piece:
    """Write one word for another; one that is not among them is a fault."""
    word = f"(({of.sql})::text {EXACTLY})"
    known = [old for old, _ in words if old is not None]
    arms = [f"WHEN {literal(old)} THEN {literal(new)}" for old, new in words if old is not None]
    nulls = [literal(new) for old, new in words if old is None]
    found = f"CASE {word} {' '.join(arms)} END" if arms else "NULL::text"
    if nulls:
        found = f"CASE WHEN {word} IS NULL THEN {nulls[0]} ELSE {found} END"
    unknown = f"{word} <> ALL ({text_array(known)})"
    return Piece(found, (*of.faults, Fault("unknown word", unknown, word)), of.marks)


def array(pieces: Sequence[Piece], *, split: str | None = None, when: str | None = None) -> Piece:
    """Write an array of what is neither NULL nor empty, or NULL; `split` cuts texts, `when` is a condition."""
    texts = [f"(({one.sql})::text {EXACTLY})" for one in pieces]
    if split is not None:
        made = _cut(texts, literal(split))
    elif len(texts) == 1:
        made = f"CASE WHEN {texts[0]} <> '' THEN ARRAY[{texts[0]}] END"
    else:
        kept = ", ".join(f"NULLIF({one}, '')" for one in texts)
        made = f"NULLIF(array_remove(ARRAY[{kept}], NULL), '{{}}'::text[])"
    return Piece(made if when is None else f"CASE WHEN {when} THEN {made} END", *_kept(pieces))


def _cut(texts: Sequence[str], separator: str) -> str:
    joined = f"concat_ws({separator}, {', '.join(texts)})"
    return (
        f"NULLIF(ARRAY(SELECT btrim(part) FROM unnest(string_to_array({joined}, {separator}))"
        " WITH ORDINALITY AS parts(part, place) WHERE btrim(part) <> '' ORDER BY place), '{}'::text[])"
    )


def filled(text: str, pieces: Sequence[Piece]) -> Piece:
    """Give a fragment whose places are filled with these: what stands in them keeps its faults and marks."""
    return Piece(text, *_kept(pieces))


def _kept(pieces: Sequence[Piece]) -> tuple[tuple[Fault, ...], tuple[Mark, ...]]:
    faults = tuple(fault for one in pieces for fault in one.faults)
    return faults, tuple(mark for one in pieces for mark in one.marks)


def defaulted(of: Piece, other: Piece, reason: str) -> Piece:
    """Write another value in the place of NULL, flagged."""
    made = Piece(f"coalesce({of.sql}, {other.sql})", (*of.faults, *other.faults), of.marks)
    return _marked(made, f"defaulted: {reason}", f"({of.sql}) IS NULL")


def estimated(of: Piece, reason: str) -> Piece:
    """Flag a value as an estimate wherever there is one."""
    return _marked(of, f"estimated: {reason}", f"({of.sql}) IS NOT NULL")


def discarded(of: Piece, wrong: str, reason: str) -> Piece:
    """Write NULL instead of a value that is wrong, flagged."""
    made = Piece(f"CASE WHEN {wrong} THEN NULL ELSE {of.sql} END", of.faults, of.marks)
    return _marked(made, f"discarded: {reason}", f"{wrong} AND ({of.sql}) IS NOT NULL")


def flagged(of: Piece, when: str, reason: str) -> Piece:
    """Leave a value as it is, with a remark under a condition."""
    return _marked(of, reason, f"{when} AND ({of.sql}) IS NOT NULL")


def _marked(made: Piece, text: str, when: str) -> Piece:
    return Piece(made.sql, made.faults, (*made.marks, Mark(text, when)), made.exact)


def first_given(values: Sequence[tuple[str, str]]) -> Piece:
    """Take the first of several parameters' values; the row says which one gave it."""
    texts = [f"({value})::text" for _, value in values]
    nulls = [f"{text} IS NULL" for text in texts]
    marks = [
        Mark(f"given by {name}", " AND ".join([*nulls[:place], f"{texts[place]} IS NOT NULL"]))
        for place, (name, _) in enumerate(values)
    ]
    return Piece(f"COALESCE({', '.join(texts)})", (), tuple(marks))
