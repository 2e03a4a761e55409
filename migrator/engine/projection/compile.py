"""From a definition and two tables to a Projection, or every fault of the definition at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from migrator.engine.projection import grouping, judge, purity
from migrator.engine.projection.casts import Cast, CastContext, total_cast
from migrator.engine.projection.fit import Faults, Subject, check_fit
from migrator.engine.projection.grouping import CANNOT, Grouping
from migrator.engine.projection.merging import Fold, text_of
from migrator.engine.projection.moving import Movements
from migrator.engine.projection.pieces import FOLLOWING, TAKEN, Fault, Mark, Outcome, Piece
from migrator.engine.projection.projection import DETAIL, MARKS, Contested, Judgement, Projection
from migrator.engine.projection.translate import Translator, first
from migrator.model import expressions as ex
from migrator.model.errors import ConfigurationError, MigratorError
from migrator.model.moved_objects import uses_objects
from migrator.model.names import DEFAULT_COLLATION, quote
from migrator.model.tables import TableColumn, TypeOf


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """What compile asks a database: the types a SELECT gives, how types cast, which functions are volatile.

    `plan` looks further than `describe`: the server computes what is constant, so a parameter's value is judged too.
    """

    describe: Callable[[str], list[TypeOf]]
    plan: Callable[[str], None]
    cast_context: Callable[[TypeOf, TypeOf], CastContext]
    type_exists: Callable[[TypeOf], bool]
    volatile: Callable[[Collection[str]], set[str]]
    input_check: str | None


def compile_backfill(subject: Subject, catalog: Catalog) -> Projection:
    """Compile a Backfill.

    Raises ConfigurationError with every fault found: M113 unknown column, M107 a NOT NULL column nobody fills, M114 an
    expression that does not parse, M115 a wrong type, M118 a key that is not unique, M119 an identity that is not,
    M120 a clock, chance or session read, M150 a group and M153 a merge that does not parse.
    """
    faults = Faults(subject.backfill)
    check_fit(subject, faults)
    faults.raise_if_any()
    return _Compiler(subject, catalog, faults).run()


class _Compiler:
    """One compilation: numbers the outcomes in the order of fate, and writes the layers."""

    def __init__(self, subject: Subject, catalog: Catalog, faults: Faults) -> None:
        self.subject, self.catalog, self.faults = subject, catalog, faults
        self.backfill, self.source, self.target = subject.backfill, subject.source, subject.target
        self.outcomes = [Outcome("moved"), Outcome("merged"), Outcome("merged", FOLLOWING)]
        self.marks: list[str] = []
        self.translator = self._translator()
        self.grouping: Grouping | None = None
        self.cannot = self.ambiguous = self.taken = 0
        self.folds: list[Fold] = []
        self.movements = Movements(asking=self, pieces={})

    def run(self) -> Projection:
        rules = self._rules()
        self.translator.only_where_no_rule_decided([(when, code) for code, when in rules])
        self._group()
        pieces = self._translate()
        self.faults.raise_if_any()
        self._refuse_impurity()
        self._plan_group()
        self._fold()
        pieces = self._move(pieces)
        self.faults.raise_if_any()
        types = self._describe(pieces)
        self.faults.raise_if_any()
        self._describe_cohort()
        casts = self._casts(pieces, types)
        self.faults.raise_if_any()
        return self._assemble(pieces, casts)

    def _translator(self) -> Translator:
        subject = self.subject
        return Translator(
            source=subject.source,
            declared_source=subject.backfill.source,
            keys=subject.backfill.keys,
            arguments=subject.arguments,
            input_check=self.catalog.input_check,
            stored_for=subject.stored_for,
            moved=subject.moved,
        )

    def _group(self) -> None:
        """Let a row that follows another be decided by that."""
        group, source = self.backfill.group, self.source
        if group is None:
            return

        def ruled() -> Translator:
            made = self._translator()
            rules = [one.when for one in self.backfill.skips] + [one.when for one in self.backfill.guards]
            made.only_where_no_rule_decided([(made.condition(one), n) for n, one in enumerate(rules)])
            return made

        keys = [column for name in self.backfill.keys if (column := source.column(name))]
        self.cannot = self.outcome(Outcome("quarantined", CANNOT))
        try:
            self.grouping = grouping.plan(group, ruled, keys, self.subject.grouped)
        except ConfigurationError as error:
            self.faults.add(error.id, f"group: {error.what}", error.cure)
            return
        own = [self.translator.key(one.name) for one in keys]
        fate = self.grouping.fate(self.translator.decided, self.cannot)
        self.translator.only_where_no_other_row_stands_for_it(self.grouping.steps(own), fate)

    def _plan_group(self) -> None:
        """Try whether the group's SQL is sound, before the columns meet it."""
        if self.grouping is None:
            return
        try:
            self.catalog.plan(self.grouping.pairs())
        except MigratorError as error:
            cure = "Mend it; a query gives key1, … and winner1, … as the source's key has them."
            self.faults.add("M150", f"group: {error.what}", cure)
        self.faults.raise_if_any()

    def _fold(self) -> None:
        """Translate the expressions by which rows to merge with are recognised, over the columns that are filled."""
        target, names = self.target, tuple(self.backfill.columns)
        row = ", ".join(f"NULL::{self._known_type(name)} AS {quote(name)}" for name in names)
        for name, expression in self.backfill.folds.items():
            over = Translator(source=target, declared_source="", keys=(), arguments=self.subject.arguments)
            try:
                text = text_of(expression, over)
                (gives,) = self.catalog.describe(f"SELECT {text} FROM (SELECT {row}) AS {over.alias}")
            except MigratorError as error:
                self.faults.add("M153", f'merge "{name}": {error.what}', error.cure or "Use columns of the target.")
                continue
            column = TableColumn(name=name, type=gives, deterministic=self._is_deterministic(name))
            said = purity.words(text)
            used = names if target.relation.name in said else tuple(one for one in names if one in said)
            self.folds.append(Fold(text=text, alias=over.alias, columns=used, gives=column))
        if self.folds:
            reason = f"{', '.join(self.backfill.merges)}: several rows of {target.relation} match"
            self.ambiguous = self.outcome(Outcome("quarantined", reason))
            self.taken = self.outcome(Outcome("quarantined", TAKEN))
        self.faults.raise_if_any()

    def _known_type(self, name: str) -> str:
        wanted = self._target_type(name)
        return wanted.name if self.catalog.type_exists(wanted) else "text"

    def _is_deterministic(self, name: str) -> bool:
        column = self.target.column(name)
        return column is None or column.deterministic

    def _translate(self, *, objects: bool = False) -> dict[str, Piece]:
        """Translate the columns: first those that take no key of an object, then those that do."""
        pieces: dict[str, Piece] = {}
        for name, expression in self.backfill.expressions.items():
            if uses_objects(expression) != objects:
                continue
            try:
                pieces[name] = self.translator.value(expression)
            except ConfigurationError as error:
                self.faults.add(error.id, f'column "{name}": {error.what}', error.cure)
        return pieces

    def _move(self, pieces: dict[str, Piece]) -> dict[str, Piece]:
        """Write how objects move with their rows, and then the columns that take their keys."""
        if not self.backfill.moving:
            return pieces
        self.movements = Movements(asking=self, pieces=pieces)
        self.movements.of_objects()
        self.faults.raise_if_any()
        every = pieces | self._translate(objects=True)
        self.movements.of_documents()
        return {name: every[name] for name in self.backfill.columns if name in every}

    def _rules(self) -> list[tuple[int, str]]:
        """Translate the skip and quarantine rules; each gets its code, in declared order."""
        rules: list[tuple[int, str]] = []
        for skip in self.backfill.skips:
            code = self.outcome(Outcome("skipped", skip.name, skip.elsewhere))
            rules.append((code, self._condition(skip.name, skip.when)))
        for guard in self.backfill.guards:
            code = self.outcome(Outcome("quarantined", guard.name))
            rules.append((code, self._condition(guard.name, guard.when)))
        return rules

    def _condition(self, name: str, when: ex.Predicate) -> str:
        try:
            return self.translator.condition(when)
        except ConfigurationError as error:
            self.faults.add(error.id, f'rule "{name}": {error.what}', error.cure)
            return "NULL"

    def outcome(self, outcome: Outcome) -> int:
        """Give an outcome its code, in the order of fate."""
        self.outcomes.append(outcome)
        return len(self.outcomes) - 1

    def _mark(self, text: str) -> int:
        if text not in self.marks:
            self.marks.append(text)
        return self.marks.index(text) + 1

    def _refuse_impurity(self) -> None:
        for part in self.backfill.parts():
            if not isinstance(part, ex.Sql):
                continue
            text = self._bare(part)
            reads = purity.clocks(text) | self.catalog.volatile(purity.calls(text))
            if reads:
                self.faults.add(
                    "M120",
                    f"the fragment {part.text.strip()!r} reads {', '.join(sorted(reads))}: it can differ between runs.",
                    "Use only what the source row says; a fixed value belongs in a parameter.",
                )
        for name in self._misread_clocks():
            self.faults.add("M120", f"{name} reads the clock.", "clock() is only for columns that volatile names.")
        self.faults.raise_if_any()

    def _misread_clocks(self) -> list[str]:
        """Name the rules, and the columns that are compared, which read the clock."""
        backfill = self.backfill
        compared = {
            f'column "{name}"': made for name, made in backfill.expressions.items() if name in backfill.compared
        }
        rules: dict[str, Any] = {
            f"rule {name}": when for name, when in (*backfill.skip.items(), *backfill.quarantine.items())
        }
        rules |= {f"object {name}": ex.Array(one.parts()) for name, one in backfill.objects.items()}
        return [
            name
            for name, made in {**compared, **rules}.items()
            if any(isinstance(one, ex.Clock) for one in ex.walk(made))
        ]

    def _bare(self, fragment: ex.Sql) -> str:
        """Write a fragment with the values of its parameters; expressions in it are parts of their own."""
        written = {
            name: self.translator.value(one).sql if isinstance(one, ex.Given) else "NULL"
            for name, one in fragment.places
        }
        return fragment.filled(written)

    def _describe(self, pieces: Mapping[str, Piece]) -> dict[str, TypeOf]:
        """Ask for the type of every raw value; on failure ask one by one, to name the guilty column."""
        asked = {name: one.sql for name, one in pieces.items()}
        tests = {f"rule {one.name}": self.translator.condition(one.when) for one in self._all_rules()}
        try:
            types = self._types([*asked.values(), *tests.values()])
        except MigratorError:
            types = [self._describe_one(label, text) for label, text in (asked | tests).items()]
        self.faults.raise_if_any()
        for label, found in zip(tests, types[len(asked) :], strict=True):
            if found.base != "bool":
                self.faults.add("M115", f"{label} gives {found.name}, not a condition.", "Write a boolean expression.")
        return dict(zip(asked, types, strict=False))

    def _all_rules(self) -> list[ex.Rule]:
        named = [ex.Rule(name=one.name, when=one.when, value=ex.Constant(None)) for one in self.backfill.skips]
        named += [ex.Rule(name=one.name, when=one.when, value=ex.Constant(None)) for one in self.backfill.guards]
        return named

    def _types(self, values: list[str], by: Translator | None = None) -> list[TypeOf]:
        asked = self._ask(values, by)
        types = self.catalog.describe(asked)
        if any(isinstance(part, ex.Sql) and part.places for part in self.backfill.parts()):
            self.catalog.plan(asked)
        return types

    def _ask(self, values: list[str], by: Translator | None = None) -> str:
        steps = "\n".join((by or self.translator).steps_without_rules())
        reads = self.subject.reads or self.source.relation.sql
        return f"SELECT {', '.join(values)}\nFROM {reads} AS {self.translator.alias}\n{steps}"

    def described(self, asked: Mapping[str, str], by: Translator) -> dict[str, TypeOf]:
        """Ask for the types of values that a translator wrote; on failure one by one, to name the guilty one."""
        try:
            types = self._types([*asked.values()], by)
        except MigratorError:
            types = [self._describe_one(label, text, by) for label, text in asked.items()]
        return dict(zip(asked, types, strict=True))

    def _describe_one(self, label: str, text: str, by: Translator | None = None) -> TypeOf:
        try:
            return self._types([text], by)[0]
        except MigratorError as error:
            what = label if label.startswith(("rule ", "the cohort", "object ", "document ")) else f'column "{label}"'
            self.faults.add("M114", f"{what}: {error.what}", error.cure or "Mend the expression.")
            return _NOTHING

    def _describe_cohort(self) -> None:
        """Ask whether the cohort is SQL that the server takes; what it may read is looked at where it is used."""
        if self.backfill.cohort is None:
            return
        alone = replace(self.translator, steps=[], _shared={}, _rule_marks={})
        try:
            text = alone.value(ex.as_expression(self.backfill.cohort)).sql
        except ConfigurationError as error:
            self.faults.add(error.id, f"the cohort: {error.what}", error.cure)
        else:
            if not alone.steps:
                self._describe_one("the cohort", text)

    def _casts(self, pieces: Mapping[str, Piece], types: Mapping[str, TypeOf]) -> dict[str, Cast]:
        return {name: self.cast(name, f"raw.{quote(name)}", piece, types[name]) for name, piece in pieces.items()}

    def cast(self, name: str, raw: str, piece: Piece, given: TypeOf) -> Cast:
        """Cast a value to the type of its target column, and collect the fault where there is no way."""
        wanted = self._target_type(name)
        exists = self.catalog.type_exists(wanted)
        if piece.exact:
            return Cast(f"({raw})::{wanted.name}" if exists else f"({raw})::text")
        cast = total_cast(
            raw,
            given,
            wanted,
            context=self.catalog.cast_context(given, wanted),
            input_check=self.catalog.input_check,
            exists=exists,
        )
        if cast is None:
            self.faults.add(
                "M115",
                f'column "{name}" is {wanted.name}, but its expression gives {given.name}.',
                f'Convert it in the definition, for example sql("…::{wanted.name}").',
            )
        return cast or Cast(raw)

    def _target_type(self, name: str) -> TypeOf:
        column = self.target.column(name)
        assert column is not None  # check_fit refuses a definition that names another column
        return column.type

    def _assemble(self, pieces: dict[str, Piece], casts: dict[str, Cast]) -> Projection:
        unknown = self._not_known_yet()
        nulls = {name: one for name, one in judge.nulls(self.backfill, self.target) if name not in unknown}
        raw_faults: list[tuple[int, Fault]] = []
        cast_faults: list[tuple[int, Cast, str]] = []
        judgements: list[Judgement] = []
        for name, fault in self.movements.faults:
            raw_faults.append((self.outcome(Outcome("quarantined", f"{name}: {fault.reason}")), fault))
        for name in self.backfill.columns:
            for fault in pieces[name].faults:
                raw_faults.append((self.outcome(Outcome("quarantined", f"{name}: {fault.reason}")), fault))
            if casts[name].valid:
                code = self.outcome(Outcome("quarantined", f"{name}: {casts[name].reason}"))
                cast_faults.append((code, casts[name], name))
            if name in nulls:
                code = self.outcome(Outcome("quarantined", nulls[name].reason))
                judgements.append(Judgement(code=code, when=nulls[name].when))
        judgements += [self._judgement(one) for one in self._foretold()]
        return Projection(
            backfill=self.backfill,
            source=self.source,
            target=self.target,
            raw_values=self._raw_values(pieces, raw_faults),
            cast_values=self._cast_values(casts, cast_faults),
            judgements=tuple(judgements),
            grouping=self.grouping,
            cannot=self.cannot,
            folds=tuple(self.folds),
            ambiguous=self.ambiguous,
            taken=self.taken,
            recorded=self.subject.recorded,
            contested=self._contested(),
            outcomes=tuple(self.outcomes),
            mark_names=tuple(self.marks),
            raw_steps=tuple(self.translator.steps),
            target_exists=self.subject.target_exists,
            reads=self.subject.reads,
            moving=tuple(self.movements.moving),
            gates=tuple(self.movements.gates),
            written=tuple(self.movements.written),
            written_steps=tuple(self.movements.written_steps),
            left_unread=self._left_unread(),
            not_known_yet=unknown,
        )

    def _not_known_yet(self) -> dict[str, tuple[str, ...]]:
        """Name the columns and rules that take what other backfills will have made which never ran, with these."""
        ran = {name for name, one in self.translator.moved.items() if one.provenance is not None}
        found = {}
        made: dict[str, Any] = dict(self.backfill.expressions)
        made |= {f"object {name}": ex.Array(one.parts()) for name, one in self.backfill.objects.items()}
        made |= {f"rule {name}": one for name, one in {**self.backfill.skip, **self.backfill.quarantine}.items()}
        for name, expression in made.items():
            waited = [one.backfill for one in ex.walk(expression) if isinstance(one, ex.MovedTo)]
            found[name] = tuple(one for one in dict.fromkeys(waited) if one not in ran)
        return {name: one for name, one in found.items() if one}

    def _foretold(self) -> list[judge.Foretold]:
        unready, exists = self.subject.unready, self.subject.target_exists
        found = [*judge.checks(self.backfill, self.target)]
        found += judge.foreign_keys(self.backfill, self.target, unready=unready, awaited=self.subject.awaited)
        return [*found, *judge.uniques(self.backfill, self.target, exists=exists)]

    def _judgement(self, foretold: judge.Foretold) -> Judgement:
        code = self.outcome(Outcome("quarantined", foretold.reason))
        return Judgement(code=code, when=foretold.when, awaited=foretold.awaited)

    def _contested(self) -> tuple[Contested, ...]:
        found = []
        for one in judge.contested(self.backfill, self.source, self.target):
            reason = f"{', '.join(one.columns)}: another row holds this value"
            known = [code for code, outcome in enumerate(self.outcomes) if outcome.reason == reason]
            code = known[0] if known else self.outcome(Outcome("quarantined", reason))
            found.append(Contested(code=code, columns=one.columns))
        return tuple(found)

    def _raw_values(self, pieces: Mapping[str, Piece], faults: list[tuple[int, Fault]]) -> tuple[tuple[str, str], ...]:
        guarded = self.translator.guarded
        values = [(name, one.sql if one.exact else guarded(one.sql)) for name, one in pieces.items()]
        values.append(("~migrator rule", self.translator.decided or "NULL::int"))
        values.append(("~migrator fault", guarded(first([(one.when, code) for code, one in faults]))))
        details = [f"WHEN {one.when} THEN {one.detail}" for _, one in faults if one.detail]
        detail = guarded(f"CASE {' '.join(details)} END") if details else "NULL::text"
        values.append((DETAIL, self._naming_winner(detail)))
        values.append((MARKS, guarded(self._raw_marks(pieces), otherwise="'{}'::smallint[]")))
        return (*values, *self._carried(), *self.movements.values())

    def _naming_winner(self, detail: str) -> str:
        """Show of a row whose winner could not move the key of that one."""
        if self.grouping is None:
            return detail
        won = [value for name, value in self._carried() if name.startswith("~migrator winner")]
        key = f"concat_ws(', ', {', '.join(f'({one})::text' for one in won)})"
        return f"CASE WHEN {self.translator.decided} = {self.cannot} THEN {key} ELSE {detail} END"

    def _carried(self) -> list[tuple[str, str]]:
        """List what groups need in every layer."""
        if self.grouping is None:
            return []
        own = [self.translator.key(name) for name in self.backfill.keys]
        return self.grouping.values(own, len(self.backfill.identities))

    def _raw_marks(self, pieces: Mapping[str, Piece]) -> str:
        flags = [Mark(f"{name} {one.text}", one.when) for name, piece in pieces.items() for one in piece.marks]
        flags += [Mark(f"{name} {one.text}", one.when) for name, one in self.movements.marks]
        elements = [self._rule_mark(step, texts) for step, texts in self.translator.deciding_rules().items()]
        elements += [f"CASE WHEN {one.when} THEN {self._mark(one.text)} END" for one in flags]
        return f"array_remove(ARRAY[{', '.join(elements)}]::smallint[], NULL)" if elements else "'{}'::smallint[]"

    def _rule_mark(self, step: str, texts: tuple[str, ...]) -> str:
        """Give the rules of one step numbers in a row, so that the one that fired gives the mark by adding."""
        start = len(self.marks)
        self.marks += texts
        return f"CASE WHEN {step} > 0 THEN {start} + {step} END"

    def _cast_values(
        self, casts: Mapping[str, Cast], faults: list[tuple[int, Cast, str]]
    ) -> tuple[tuple[str, str], ...]:
        values = []
        for name, cast in casts.items():
            value = f"CASE WHEN {cast.valid} THEN {cast.sql} END" if cast.valid else cast.sql
            values.append((name, self._collated(name, value)))
        wrong = [(f"raw.{quote(name)} IS NOT NULL AND NOT ({cast.valid})", code) for code, cast, name in faults]
        values.append(("~migrator rule", f"raw.{quote('~migrator rule')}"))
        values.append(("~migrator fault", f"LEAST(raw.{quote('~migrator fault')}, {first(wrong)})"))
        shown = [
            f"WHEN {when} THEN (raw.{quote(name)})::text" for (when, _), (_, _, name) in zip(wrong, faults, strict=True)
        ]
        detail = f"CASE {' '.join(shown)} END" if shown else "NULL"
        values.append((DETAIL, f"left(COALESCE(raw.{quote(DETAIL)}, {detail}), 200)"))
        values.append((MARKS, self._marks_with_rounding(casts)))
        carried = [*self._carried(), *self.movements.values()]
        return (*values, *((name, f"raw.{quote(name)}") for name, _ in carried))

    def _collated(self, name: str, value: str) -> str:
        """Give a value the collation of its column: the source may have another one, or several that disagree."""
        column = self.target.column(name)
        if column is None or column.collates is None:
            return value
        return f"({value}) COLLATE {column.collates if self.subject.target_exists else DEFAULT_COLLATION}"

    def _marks_with_rounding(self, casts: Mapping[str, Cast]) -> str:
        own = f"raw.{quote(MARKS)}"
        elements = [
            f"CASE WHEN {one.rounds} THEN {self._mark(f'{name} rounded to {self._target_type(name).name}')} END"
            for name, one in casts.items()
            if one.rounds
        ]
        if not elements:
            return own
        return f"{own} || array_remove(ARRAY[{', '.join(elements)}]::smallint[], NULL)"

    def _left_unread(self) -> tuple[str, ...]:
        if self.backfill.in_place:  # what is not written stays where it is
            return ()
        read = set(self.backfill.keys) | set(self.backfill.left_behind)
        fields = {column for one in self.backfill.moving for column in one.template.columns}
        read |= fields - set(self.backfill.columns)
        merging = {part for one in self.backfill.folds.values() for part in ex.walk(one)}
        for part in (one for one in self.backfill.parts() if one not in merging):
            if isinstance(part, ex.Column):
                read.add(part.name)
            elif isinstance(part, ex.Sql):
                read |= purity.words(self._bare(part))
        if self.source.relation.name in read:
            return ()
        return tuple(name for name in self.source.names if name not in read)


_NOTHING = TypeOf(oid=0, name="unknown", base="unknown", schema="pg_catalog", kind="p")
