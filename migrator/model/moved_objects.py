"""Objects that move with their rows, and documents that are written beside them, as a definition declares them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from migrator.model.errors import ConfigurationError
from migrator.model.expressions import (
    Column,
    Constant,
    Defaulted,
    Discarded,
    Estimated,
    Expression,
    Flagged,
    Given,
    ObjectKey,
    Rules,
    Sql,
    as_expression,
    walk,
)
from migrator.model.objects import Outcome
from migrator.model.parameters import Arguments, Parameter

WAITING: Final = "its object is not copied yet"
EXTENSION: Final = "ext"
PLACE: Final = f"{{{EXTENSION}}}"
# What is taken for the extension of a key, where the content type says nothing; the same to Python and to PostgreSQL.
OWN_EXTENSION: Final = r"[^/](\.[A-Za-z0-9]{1,10})"
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_FIELD: Final = re.compile(r"\{([^{}]*)\}")
_SHOWN: Final = 40
SOMEHOW: Final = "an expression"


@dataclass(frozen=True, slots=True)
class Template:
    """A key with fields in it: what stands before each, the fields, and what stands behind the last."""

    literals: tuple[str, ...]
    fields: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns whose values it takes, each once."""
        return tuple(dict.fromkeys(one for one in self.fields if one != EXTENSION))

    @property
    def has_extension(self) -> bool:
        """Whether the content type of the object decides how the key ends."""
        return EXTENSION in self.fields

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read `restored/{job_id}/{id}{ext}`.

        Raises ConfigurationError M271 for a text that is none, or that names one key for all rows.
        """
        if not isinstance(text, str) or not text:
            raise _unreadable(text, "is no text")
        literals, fields = _FIELD.split(text)[0::2], _FIELD.findall(text)
        if any(brace in one for one in literals for brace in "{}"):
            raise _unreadable(text, "has a brace without its other one")
        if not all(fields):
            raise _unreadable(text, "has a field without a name")
        if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
            raise _unreadable(text, "has a character that no text of PostgreSQL has")
        made = cls(tuple(literals), tuple(fields))
        if not made.columns:
            raise _unreadable(text, "names the same key for every row")
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedObject:
    """An object that a row names, and the key to which it goes with the row.

    `source` gives its key; where that is NULL the row has none. `or_else`: keys under which it is looked for, one after
    the other, where there is no object under those before. A bucket that is None, or gives NULL, is that of `[s3]`.
    `only_if`: a Parameter of type bool; while it is not true, no such object is looked at.
    """

    source: Expression
    to: str
    bucket: Expression | None = None
    to_bucket: Expression | None = None
    only_if: Parameter | None = None
    or_else: tuple[Expression, ...] = ()

    @property
    def template(self) -> Template:
        """The key to which it goes."""
        return Template.parse(self.to)

    @property
    def bucket_of_rows(self) -> bool:
        """Whether each row says itself in which bucket it is."""
        return not isinstance(self.bucket, Constant | Given | None)

    def parts(self) -> tuple[Expression, ...]:
        """List the expressions in it."""
        return tuple(one for one in (self.source, *self.or_else, self.bucket, self.to_bucket) if one is not None)

    @property
    def sentence(self) -> str:
        """Say from where to where it goes."""
        return f"{_placed(self.bucket, told(self.source))} → {_placed(self.to_bucket, self.to)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document that is written beside a row that moved: its key, and its content as the row gives it."""

    to: str
    content: Expression
    bucket: Expression | None = None
    content_type: str = "application/json"
    only_if: Parameter | None = None

    @property
    def template(self) -> Template:
        """The key at which it is written."""
        return Template.parse(self.to)

    def parts(self) -> tuple[Expression, ...]:
        """List the expressions in it."""
        return tuple(one for one in (self.content, self.bucket) if one is not None)

    @property
    def sentence(self) -> str:
        """Say of what it is made and where it goes."""
        return f"{told(self.content)} → {_placed(self.bucket, self.to)}"


def moved_object(
    source: str | Expression | Parameter,
    *,
    to: str,
    bucket: str | Expression | Parameter | None = None,
    to_bucket: str | Expression | Parameter | None = None,
    only_if: Parameter | None = None,
    or_else: Iterable[str | Expression | Parameter] = (),
) -> MovedObject:
    """Declare an object that moves with its row; `to` is its new key, with fields such as `{id}` and `{ext}`.

    A text for a bucket is the name of the bucket itself. `or_else` lists keys under which it is looked for where there
    is none under those before. Raises ConfigurationError M270 for a switch that is none, M271 for a `to` that cannot be
    read.
    """
    Template.parse(to)
    _check_switch(only_if, "moved_object()")
    return MovedObject(
        source=as_expression(source),
        to=to,
        bucket=_bucket(bucket),
        to_bucket=_bucket(to_bucket),
        only_if=only_if,
        or_else=tuple(map(as_expression, (or_else,) if isinstance(or_else, str) else or_else)),
    )


def document(
    to: str,
    content: str | Expression | Parameter,
    *,
    bucket: str | Expression | Parameter | None = None,
    content_type: str = "application/json",
    only_if: Parameter | None = None,
) -> Document:
    """Declare a document that is written for each row that moved; where its content is NULL, none is.

    Raises what moved_object() raises, and M271 for `{ext}`: a document has the extension that is written there.
    """
    if Template.parse(to).has_extension:
        raise ConfigurationError("M271", f"document({to!r}) has no type to be found out.", "Write its extension.")
    _check_switch(only_if, "document()")
    return Document(
        to=to, content=as_expression(content), bucket=_bucket(bucket), content_type=content_type, only_if=only_if
    )


def is_wanted(declared: MovedObject | Document, given: Arguments) -> bool:
    """Say whether objects or documents are wanted: always, or where their parameter is true."""
    switch = declared.only_if
    return switch is None or given.scalars.get(switch.name, switch.default) is True


def reasons(names: Iterable[str]) -> list[str]:
    """List all that can keep a row back because of its objects of these names."""
    said = [WAITING, *(one.value for one in Outcome if not one.good)]
    return [f"{name}: {why}" for name in sorted(names) for why in said]


def own_extension(key: str) -> str:
    """Give the extension that a key has itself, with its dot and in lower case; empty where it has none."""
    found = re.search(rf"{OWN_EXTENSION}\Z", key)
    return found[1].lower() if found else ""


def uses_objects(value: Any) -> bool:
    """Say whether an expression takes the key of an object."""
    return any(isinstance(one, ObjectKey) for one in walk(value))


def told(made: Expression) -> str:
    """Say an expression in a few words."""
    match made:
        case Column(name):
            return name
        case Constant(value):
            return str(value)
        case Given(parameter, _):
            return parameter.name
        case Sql(text, places):
            plain = SOMEHOW if places else " ".join(text.split())
            return plain if len(plain) <= _SHOWN else f"{plain[: _SHOWN - 1]}…"
        case Defaulted(of, _, _) | Estimated(of, _) | Discarded(of, _, _) | Flagged(of, _, _):
            return told(of)
        case Rules(name=name):
            return name
        case _:
            return type(made).__name__.lower()


def faults(objects: Any, documents: Any) -> Iterator[str]:
    """Say what is no object, no document, or no name for one."""
    if not isinstance(objects, Mapping) or not isinstance(documents, Mapping):
        yield "objects and documents are given by name: {…: moved_object(…)}, {…: document(…)}."
        return
    for name in (*objects, *documents):
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            yield f"{name!r} is no name of an object or document; a name has letters, digits and _ alone."
    yield from (f"{one!r} is no object; write moved_object(…)." for one in _others(objects, MovedObject))
    yield from (f"{one!r} is no document; write document(…)." for one in _others(documents, Document))
    for name, one in objects.items():
        if isinstance(one, MovedObject) and any(uses_objects(part) for part in one.parts()):
            yield f"the object {name} takes the key of an object, which is known only when it is copied."
    if both := sorted({*objects} & {*documents}):
        yield f"{', '.join(both)} names an object and a document."


def _others(declared: Mapping[str, Any], kind: type) -> list[Any]:
    return [one for one in declared.values() if not isinstance(one, kind)]


def _placed(bucket: Expression | None, key: str) -> str:
    said = "" if bucket is None else told(bucket)
    return f"{said}: {key}" if said and said != SOMEHOW and not said.endswith("…") else key


def _bucket(given: str | Expression | Parameter | None) -> Expression | None:
    """Take a text for the bucket itself: buckets are rarely in a column, and always have a name."""
    if given is None:
        return None
    return Constant(given) if isinstance(given, str) else as_expression(given)


def _check_switch(given: Any, of: str) -> None:
    if given is not None and (not isinstance(given, Parameter) or given.kind is not bool):
        raise ConfigurationError(
            "M270",
            f"{of} was given an only_if that is no parameter of type bool.",
            "Write param(…, bool, default=False).",
        )


def _unreadable(text: object, why: str) -> ConfigurationError:
    return ConfigurationError(
        "M271",
        f"the key {text!r} {why}.",
        'Write the new key with columns in braces, for example "restored/{job_id}/{id}{ext}".',
    )
