"""Names of relations, and the quoting of everything that goes into SQL text."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from migrator.model.errors import ConfigurationError


@dataclass(frozen=True, slots=True, order=True)
class Relation:
    """A table by schema and name, as the catalog spells them."""

    schema: str
    name: str

    @property
    def sql(self) -> str:
        """The qualified name, quoted for SQL."""
        return f"{quote(self.schema)}.{quote(self.name)}"

    def __str__(self) -> str:
        """Show the name as people say it: without the schema where that is public."""
        return self.name if self.schema == "public" else f"{self.schema}.{self.name}"

    @classmethod
    def parse(cls, text: str, *, default_schema: str = "public") -> Relation:
        """Read `table`, `schema.table` or `"Quoted.Name"`; outside quotes the case is kept as written.

        Raises ConfigurationError M141 for what names no table.
        """
        parts = _split(text)
        if len(parts) > 2 or not all(parts):  # noqa: PLR2004 schema and name
            raise ConfigurationError(
                "M141",
                f"{text!r} is not the name of a table.",
                'Write name or schema.name; a part with a dot in it goes in double quotes: schema."my.table".',
            )
        return cls(parts[-2] if len(parts) > 1 else default_schema, parts[-1])


def first_schema(search_path: str) -> str:
    """Read the first schema of a search_path, where tables without a schema are made."""
    return _split(search_path, ",")[0].strip()


def _split(text: str, separator: str = ".") -> list[str]:
    parts: list[str] = []
    current, quoted, at = "", False, 0
    while at < len(text):
        char = text[at]
        if char == '"' and quoted and text[at + 1 : at + 2] == '"':
            current, at = current + '"', at + 1
        elif char == '"':
            quoted = not quoted
        elif char == separator and not quoted:
            parts, current = [*parts, current], ""
        else:
            current += char
        at += 1
    return [*parts, current]


def quote(name: str) -> str:
    """Quote an identifier; always, so that case and keywords never matter."""
    return '"' + name.replace('"', '""') + '"'


RESERVED = "~migrator "  # begins every name of ours that stands beside names of the user in one statement


def ours(word: str) -> str:
    """Write a name of our own, quoted: no table or column that we take has such a name."""
    return quote(RESERVED + word)


DEFAULT_COLLATION = 'pg_catalog."default"'
EXACTLY = 'COLLATE pg_catalog."C"'  # letters are compared byte by byte, whatever the column's collation says


def key_text(value: str) -> str:
    """Write the SQL of a key's text, which compares with others whatever collation the key has."""
    return f"{value}::text COLLATE {DEFAULT_COLLATION}"


def literal(value: str | float | bool | None) -> str:
    """Write a value as an SQL literal that means the same under every setting."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value) if math.isfinite(value) else f"'{value}'::float8"
    escaped = value.replace("'", "''")
    return f"E'{escaped.replace(chr(92), chr(92) * 2)}'" if "\\" in value else f"'{escaped}'"


def text_array(values: Iterable[str]) -> str:
    """Write a text array constant."""
    return f"ARRAY[{', '.join(literal(one) for one in values)}]::text[]"


def columns(names: Iterable[str], *, of: str = "") -> str:
    """Write a list of quoted columns, each with the alias in front where one is given."""
    prefix = f"{of}." if of else ""
    return ", ".join(prefix + quote(one) for one in names)
