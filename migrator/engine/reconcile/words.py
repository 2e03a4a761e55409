"""The text of conditions and defaults, without the casts that PostgreSQL writes around a string's type."""

from __future__ import annotations

import re
from collections.abc import Collection

_TEXT = r"(?:text|character varying)"
_OF_LITERAL = re.compile(rf"('(?:[^']|'')*')::{_TEXT}(?!\(|\[|\w)")
_OF_CAST = re.compile(rf"\(('(?:[^']|'')*')\)::{_TEXT}(?!\(|\[|\w)")
_OF_COLUMN = re.compile(rf'\(("(?:[^"]|"")+"|\w+)\)::{_TEXT}(?!\(|\[|\w)')
_OF_ARRAY = re.compile(rf"\((ARRAY\[[^\]]*\])\)::{_TEXT}\[\]")
_OF_LIST = re.compile(rf"(ARRAY\[[^\]]*\])::{_TEXT}\[\]")
_WORDS = re.compile(r'CHECK \(\(("(?:[^"]|"")+"|\w+) = ANY \(ARRAY\[((?:\'(?:[^\']|\'\')*\'(?:, )?)+)\]\)\)\)')
_WORD = re.compile(r"'(?:[^']|'')*'")
_DEFAULT = re.compile(r"('(?:[^']|'')*')::(?:text|character varying|jsonb?|bigint|integer|smallint)")
_CONSTANT = re.compile(r"(?:'(?:[^']|'')*'(?:::[\w .]+(?:\(\d+(?:,\d+)?\))?(?:\[\])?)?|-?\d+(?:\.\d+)?|true|false)")


def plain(content: str, strings: Collection[str]) -> str:
    """Write a CHECK or an index without the casts between text and varchar, of literals and of these string columns."""

    def column(found: re.Match[str]) -> str:
        name = found[1].strip('"').replace('""', '"')
        return found[1] if name in strings else found[0]

    said = _OF_COLUMN.sub(column, _OF_CAST.sub(r"\1", _OF_LITERAL.sub(r"\1", content)))
    return _OF_LIST.sub(r"\1", _OF_ARRAY.sub(r"\1", said))


def words(content: str, strings: Collection[str]) -> tuple[str, frozenset[str]] | None:
    """Read a CHECK that allows a column some words: the column and the words; None for every other CHECK."""
    found = _WORDS.fullmatch(plain(content, strings))
    return (found[1], frozenset(_WORD.findall(found[2]))) if found else None


def plain_default(default: str | None) -> str | None:
    """Write a default without the cast of a constant to a type that another one widens to."""
    found = _DEFAULT.fullmatch(default or "")
    return found[1] if found else default


def is_constant(default: str | None) -> bool:
    """Tell whether a default is one constant, the same for every row and moment."""
    return default is not None and _CONSTANT.fullmatch(default) is not None
