"""Objects that move with their rows, and documents beside them, as SQL over the source row.

    declared   where an object is and where it goes, as the definition says; NULL for a key that no object can have
    record     what the Ledger knows of it, looked up by the row's key; only while it is of the same object and key
    moved      the key that the row gets, and the fault of a row whose object is not proven to be there

An object matters only to a row that would move without it, so its faults are judged last (fate.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from migrator.engine.projection.codes import Codes
from migrator.engine.projection.fit import Subject
from migrator.engine.projection.pieces import Fault, Mark, Piece
from migrator.engine.projection.translate import MovedKey, Translator
from migrator.engine.projection.typed import Typing
from migrator.model import expressions as ex
from migrator.model import objects
from migrator.model.errors import ConfigurationError
from migrator.model.moved_objects import (
    EXTENSION,
    OWN_EXTENSION,
    PLACE,
    WAITING,
    Document,
    MovedObject,
    Template,
    is_wanted,
    uses_objects,
)
from migrator.model.names import EXACTLY, key_text, literal, ours, quote
from migrator.model.tables import TypeOf

FORESEEN: Final = "(/* ~migrator foreseen */ false)"  # true where it is foretold what a copy of objects will bring
GATE, GATE_DETAIL = "~migrator gate", "~migrator gate detail"
_DECLARED: Final = ("from_bucket", "from_key", "to_bucket", "to_key")
_FOUND: Final = ("from_key", "outcome", "extension", "detail")
_WRITTEN: Final = ("bucket", "key", "content")
_DISMISSED: Final = ours("dismissed")
_NAMED: Final = f"BETWEEN 1 AND {objects.LONGEST_KEY}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving:
    """An object or a document of a row, as the layers carry it; `words` are its columns in the step named so."""

    name: str
    place: int
    step: str
    words: tuple[str, ...]

    @property
    def carried(self) -> list[tuple[str, str]]:
        """List the columns that every layer has of it, each with its value in the first."""
        return [(f"~migrator {word} of {self.step}{self.place}", self.of(word)) for word in self.words]

    @property
    def columns(self) -> list[str]:
        """List these columns, quoted."""
        return [quote(name) for name, _ in self.carried]

    def of(self, word: str) -> str:
        """Name one of its columns in its own step."""
        return f"{ours(f'{self.step}{self.place}')}.{ours(word)}"


@dataclass(slots=True, kw_only=True)
class Movements:
    """What a definition's objects become: what the layers carry, and the faults and marks of their sources."""

    subject: Subject
    translator: Translator
    typing: Typing
    codes: Codes
    pieces: Mapping[str, Piece]
    moving: list[Moving] = field(default_factory=list)
    written: list[Moving] = field(default_factory=list)
    written_steps: list[str] = field(default_factory=list)
    faults: list[tuple[str, Fault]] = field(default_factory=list)
    marks: list[tuple[str, Mark]] = field(default_factory=list)
    gates: list[int] = field(default_factory=list)

    def of_objects(self) -> None:
        """Write the steps of the objects that are wanted; of the others only look whether they are sound."""
        backfill, given = self.subject.backfill, self.subject.arguments
        wanted = {name: one for name, one in backfill.objects.items() if is_wanted(one, given)}
        others = {name: one for name, one in backfill.objects.items() if name not in wanted}
        self._parts(self.translator.apart(), "object", others)
        parts = self._parts(self.translator, "object", wanted)
        texts = self._texts(self.translator, "field", wanted.values())
        if parts is None or texts is None or not wanted:
            return
        self._ask_whether_dismissed()
        outcomes = {name: self._outcomes(name) for name in wanted}
        waiting = {name: self.codes.quarantined(f"{name}: {WAITING}") for name in wanted}
        for place, (name, one) in enumerate(wanted.items(), 1):
            made = Moving(name=name, place=place, step="object", words=(*_DECLARED, "or_keys"))
            self._declare(made, one, parts[name], texts)
            self._look_up(made)
            self._judge(made, one.template, outcomes[name], waiting[name])
            self.moving.append(made)
            self.faults += [(name, fault) for piece in parts[name].values() for fault in piece.faults]
            self.marks += [(name, mark) for piece in parts[name].values() for mark in piece.marks]
        self.gates += [code for known in outcomes.values() for code in known.values()] + [*waiting.values()]

    def of_documents(self) -> None:
        """Write the steps of the documents that are wanted; no row is read by them but for its documents."""
        backfill, given = self.subject.backfill, self.subject.arguments
        translator = self.translator.apart()
        parts = self._parts(translator, "document", backfill.documents)
        texts = self._texts(translator, "place", backfill.documents.values())
        if parts is None or texts is None:
            return
        for place, (name, one) in enumerate(backfill.documents.items(), 1):
            if not is_wanted(one, given):
                continue
            made = Moving(name=name, place=place, step="document", words=_WRITTEN)
            key = f"({_key(one.template, texts)})"
            values = [_bucket(parts[name].get("bucket")), f"CASE WHEN octet_length({key}) {_NAMED} THEN {key} END"]
            values.append(_text(parts[name]["content"]))
            translator.steps.written.append(_step(made, [translator.steps.guarded(value) for value in values]))
            self.written.append(made)
        self.written_steps = translator.steps.written[len(self.translator.steps.written) :] if self.written else []

    def _parts(
        self, translator: Translator, what: str, declared: Mapping[str, MovedObject | Document]
    ) -> dict[str, dict[str, Piece]] | None:
        """Translate the expressions of objects or documents, and ask whether they are SQL that the server takes."""
        found: dict[str, dict[str, Piece]] = {}
        sound = True
        for name, one in declared.items():
            try:
                found[name] = {word: translator.value(part) for word, part in _expressions(one).items()}
            except ConfigurationError as error:
                self.typing.faults.add(error.id, f'{what} "{name}": {error.what}', error.cure)
                sound = False
            sound = self._fields_are_known(what, name, one.template) and sound
        asked = {f'{what} "{name}", {word}': one.sql for name, of in found.items() for word, one in of.items()}
        if asked and sound:
            self.typing.described(asked, translator)
        return found if sound else None

    def _fields_are_known(self, what: str, name: str, template: Template) -> bool:
        """Say of a key's fields which are no column that a key can be made of."""
        backfill, source = self.subject.backfill, self.subject.source
        fields = [one for one in backfill.columns if not self._moves(one)]
        fields += [one for one in source.names if one not in backfill.columns]
        wrong = [one for one in template.columns if one not in fields]
        for one in wrong:
            why = "is no column of its row"
            if one in backfill.columns:
                why = "is volatile" if one in backfill.volatile else "is itself the key of an object"
            close = get_close_matches(one, fields, 1)
            cure = f"Did you mean {{{close[0]}}}?" if close else f"There are: {', '.join([*fields, EXTENSION])}."
            self.typing.faults.add("M272", f'{what} "{name}": {{{one}}} {why}.', cure)
        return not wrong

    def _moves(self, name: str) -> bool:
        """Say whether a column's value may be another one tomorrow, or is known only when an object is copied."""
        backfill = self.subject.backfill
        return name in backfill.volatile or uses_objects(backfill.expressions[name])

    def _texts(
        self, translator: Translator, word: str, declared: Iterable[MovedObject | Document]
    ) -> dict[str, str] | None:
        """Write the steps that give the fields of keys as text: columns of the target row, else of the source row."""
        names = list(dict.fromkeys(name for one in declared for name in one.template.columns))
        if self.typing.faults.found:
            return None
        if not names:
            return {}
        given, texts = ours(f"{word}s"), ours(f"{word} texts")
        raws = {name: self.pieces[name].sql if name in self.pieces else translator.key(name) for name in names}
        columns = {f'column "{name}"': raw for name, raw in raws.items()}
        types = dict(zip(names, self.typing.described(columns, translator), strict=True))
        values = [f"{translator.steps.guarded(raw)} AS {ours(f'{word}{n}')}" for n, raw in enumerate(raws.values(), 1)]
        translator.steps.written.append(f"CROSS JOIN LATERAL (SELECT {', '.join(values)} OFFSET 0) AS {given}")
        values = []
        for n, name in enumerate(names, 1):
            text = self._as_text(name, f"{given}.{ours(f'{word}{n}')}", types[name])
            values.append(f"CASE WHEN strpos({text}, {literal(PLACE)}) = 0 THEN {text} END AS {ours(f'{word}{n}')}")
        translator.steps.written.append(f"CROSS JOIN LATERAL (SELECT {', '.join(values)} OFFSET 0) AS {texts}")
        return {name: f"{texts}.{ours(f'{word}{n}')}" for n, name in enumerate(names, 1)}

    def _as_text(self, name: str, raw: str, given: TypeOf) -> str:
        """Write a value as the target row will have it, as text."""
        if name not in self.pieces:
            return f"(({raw})::text {EXACTLY})"
        cast = self.typing.cast(name, raw, self.pieces[name], given)
        return f"(({cast.total})::text {EXACTLY})"

    def _outcomes(self, name: str) -> dict[objects.Outcome, int]:
        """Give codes to what can have become of an object without its being there."""
        bad = [one for one in objects.Outcome if not one.good]
        return {one: self.codes.quarantined(f"{name}: {one.value}") for one in bad}

    def _ask_whether_dismissed(self) -> None:
        """Write the step that says whether somebody accepted that a row does without its objects."""
        subject, translator, held = self.subject, self.translator, ours("held")
        found = "false"
        if subject.recorded is not None:
            key = ", ".join(key_text(translator.key(name)) for name in subject.backfill.keys)
            found = (
                f"EXISTS (SELECT FROM migrator.quarantine AS {held} WHERE {held}.backfill = {subject.recorded}"
                f" AND {held}.source_key = ARRAY[{key}] AND {held}.status = 'dismissed')"
            )
        translator.steps.written.append(f"CROSS JOIN LATERAL (SELECT {found} AS {_DISMISSED} OFFSET 0) AS {_DISMISSED}")

    def _declare(self, made: Moving, one: MovedObject, parts: Mapping[str, Piece], texts: Mapping[str, str]) -> None:
        """Write the step that says where an object is and where it goes; a key that cannot be is NULL.

        A row that was dismissed has no object: if it moved before, its columns say what they say without any.
        """
        guarded, said = self.translator.steps.guarded, ours("said")
        values = [_bucket(parts.get("bucket")), _text(parts["source"]), _bucket(parts.get("to_bucket"))]
        values.append(f"({_key(one.template, texts)})")
        others = [ours(f"or{n}") for n in range(len(one.or_else))]
        names = [*map(ours, _DECLARED), *others]
        values += [_text(parts[f"or_else {n}"]) for n in range(len(one.or_else))]
        named = ", ".join(f"{guarded(value)} AS {word}" for word, value in zip(names, values, strict=True))
        from_key, to_key = (f"{said}.{ours(word)}" for word in ("from_key", "to_key"))
        can_be = f"octet_length({from_key}) {_NAMED} AND octet_length({to_key}) {_NAMED}"
        from_bucket, to_bucket = (f"{said}.{ours(word)}" for word in ("from_bucket", "to_bucket"))
        has_one = f"CASE WHEN NOT {_DISMISSED}.{_DISMISSED} THEN {from_key} END"
        values = [from_bucket, has_one, to_bucket, f"CASE WHEN {can_be} THEN {to_key} END"]
        values.append(_others(from_key, [f"{said}.{other}" for other in others]))
        self.translator.steps.written.append(_step(made, values, f" FROM (SELECT {named} OFFSET 0) AS {said}"))

    def _look_up(self, made: Moving) -> None:
        """Write the step that finds what is recorded of an object, by index, and only while it is the same one."""
        subject, translator = self.subject, self.translator
        record, kept = ours(f"record{made.place}"), ours("kept")
        found = ", ".join(f"{kept}.{name} AS {ours(name)}" for name in _FOUND)
        if subject.objects_of is None:
            found = ", ".join(f"NULL::text AS {ours(name)}" for name in _FOUND)
            translator.steps.written.append(f"CROSS JOIN (SELECT {found}) AS {record}")
            return
        key = ", ".join(key_text(translator.key(name)) for name in subject.backfill.keys)
        same = [f"{kept}.{word} = {made.of(word)} {EXACTLY}" for word in _DECLARED if word != "from_key"]
        same.append(f"{kept}.from_key {EXACTLY} = ANY ({made.of('from_key')} || {made.of('or_keys')})")
        where = [f"{made.of('to_key')} IS NOT NULL", f"{kept}.change = {literal(subject.objects_of)}"]
        where += [f"{kept}.backfill = {literal(subject.backfill.name)}", f"{kept}.name = {literal(made.name)}"]
        where += [f"{kept}.source_key = ARRAY[{key}]", f"{kept}.kind = 'copy'", *same]
        translator.steps.written.append(
            f"LEFT JOIN LATERAL (SELECT {found} FROM migrator.object AS {kept} WHERE {' AND '.join(where)} OFFSET 0)"
            f" AS {record} ON true"
        )

    def _judge(self, made: Moving, template: Template, bad: Mapping[objects.Outcome, int], waiting: int) -> None:
        """Write the step that gives the key of the row, and the code of its fault.

        A row whose object is not there has the key that it would have, and never gets it: its fault keeps it back.
        """
        translator, record = self.translator, ours(f"record{made.place}")
        from_key, to_key = made.of("from_key"), made.of("to_key")
        own = f"lower(substring({from_key} FROM {literal(f'{OWN_EXTENSION}$')}))"
        ending = f"COALESCE({record}.{ours('extension')}, {own}, '')"
        key = f"replace({to_key}, {literal(PLACE)}, {ending})" if template.has_extension else to_key
        good = [f"WHEN {literal(one.value)} THEN NULL" for one in objects.Outcome if one.good]
        known = [f"WHEN {literal(one.value)} THEN {code}" for one, code in bad.items()]
        said = f"CASE {record}.{ours('outcome')} {' '.join([*good, *known])}"
        said += f" ELSE CASE WHEN {FORESEEN} THEN NULL ELSE {waiting} END END"
        looked_under = f"concat_ws(', ', {from_key}, NULLIF({record}.{ours('from_key')} {EXACTLY}, {from_key}))"
        code = f"CASE WHEN {from_key} IS NULL THEN NULL WHEN {to_key} IS NULL THEN {bad[objects.Outcome.NO_NAME]}"
        values = {
            "key": f"CASE WHEN {from_key} IS NOT NULL THEN COALESCE({key}, {from_key}) END",
            "code": f"{code} ELSE {said} END",
            "detail": f"concat_ws(': ', {looked_under}, {record}.{ours('detail')} {EXACTLY})",
        }
        named = ", ".join(f"{value} AS {ours(word)}" for word, value in values.items())
        moved = ours(f"moved{made.place}")
        translator.steps.written.append(f"CROSS JOIN LATERAL (SELECT {named} OFFSET 0) AS {moved}")
        translator.objects[made.name] = MovedKey(given=f"{from_key} IS NOT NULL", key=f"{moved}.{ours('key')}")

    def values(self) -> list[tuple[str, str]]:
        """List what every layer carries of the objects of a row: the code of its fault, and what there is to say."""
        if not self.moving:
            return []
        codes = {one.place: f"{ours(f'moved{one.place}')}.{ours('code')}" for one in self.moving}
        worst = f"LEAST({', '.join(codes.values())})"
        details = [f"WHEN {code} THEN {ours(f'moved{n}')}.{ours('detail')}" for n, code in codes.items()]
        found = [(GATE, worst), (GATE_DETAIL, f"CASE {worst} {' '.join(details)} END")]
        return found + [pair for one in self.moving for pair in one.carried]


def _expressions(one: MovedObject | Document) -> dict[str, ex.Expression]:
    """Name the expressions of an object or a document."""
    if isinstance(one, Document):
        named = {"content": one.content, "bucket": one.bucket}
    else:
        named = {"source": one.source, "bucket": one.bucket, "to_bucket": one.to_bucket}
        named |= {f"or_else {n}": other for n, other in enumerate(one.or_else)}
    return {word: part for word, part in named.items() if part is not None}


def _step(made: Moving, values: Iterable[str], source: str = "") -> str:
    named = ", ".join(f"{value} AS {ours(word)}" for word, value in zip(made.words, values, strict=True))
    return f"CROSS JOIN LATERAL (SELECT {named}{source} OFFSET 0) AS {ours(f'{made.step}{made.place}')}"


def _key(template: Template, texts: Mapping[str, str]) -> str:
    """Write a key with its fields filled; NULL where one of them is."""
    fields = [literal(PLACE) if one == EXTENSION else texts[one] for one in template.fields]
    pairs = zip(template.literals, [*fields, "''"], strict=True)
    return " || ".join(part for text, one in pairs for part in (literal(text), one) if part != "''")


def _others(key: str, others: Sequence[str]) -> str:
    """Write the further keys under which an object is looked for: each once, and only what can be a key."""
    told: list[str] = []
    for n, other in enumerate(others):
        before = ", ".join([key, *others[:n]])
        told.append(
            f"CASE WHEN octet_length({other}) {_NAMED} AND {other} = ANY (ARRAY[{before}]) IS NOT TRUE THEN {other} END"
        )
    return f"array_remove(ARRAY[{', '.join(told)}]::text[], NULL)" if told else "NULL::text[]"


def _text(piece: Piece) -> str:
    return f"(({piece.sql})::text {EXACTLY})"


def _bucket(piece: Piece | None) -> str:
    """Write the name of a bucket; empty for that of [s3]."""
    return f"''::text {EXACTLY}" if piece is None else f"COALESCE({_text(piece)}, '')"
