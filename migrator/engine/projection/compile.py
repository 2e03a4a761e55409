"""From a definition and two tables to a Projection, or every fault of the definition at once.

What a row is decided by comes first, in the order of fate: rules, the group, faults. Then the server is asked what
types the values have, and the columns of the layers are written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from migrator.engine.projection import grouping, judge, merging, notes, purity
from migrator.engine.projection.casts import Cast
from migrator.engine.projection.catalog import Catalog
from migrator.engine.projection.codes import Codes
from migrator.engine.projection.columns import Columns
from migrator.engine.projection.compiled import Contested, Judgement
from migrator.engine.projection.fit import Faults, Subject, check_fit
from migrator.engine.projection.grouping import CANNOT, Grouping
from migrator.engine.projection.merging import Fold
from migrator.engine.projection.moving import Movements
from migrator.engine.projection.pieces import TAKEN, Fault, Outcome, Piece
from migrator.engine.projection.projection import Projection
from migrator.engine.projection.translate import Translator
from migrator.engine.projection.typed import Typing
from migrator.model import expressions as ex
from migrator.model.errors import ConfigurationError, MigratorError
from migrator.model.moved_objects import uses_objects
from migrator.model.names import quote


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
    """One compilation: numbers the outcomes in the order of fate, and has the parts of the layers written."""

    def __init__(self, subject: Subject, catalog: Catalog, faults: Faults) -> None:
        self.subject, self.catalog, self.faults = subject, catalog, faults
        self.backfill = subject.backfill
        self.codes = Codes()
        self.translator = self._translator()
        self.typing = Typing(subject=subject, catalog=catalog, faults=faults)
        self.grouping: Grouping | None = None
        self.cannot = self.ambiguous = self.taken = 0
        self.folds: tuple[Fold, ...] = ()
        self.movements = self._movements({})

    def run(self) -> Projection:
        rules = self._rules()
        self.translator.steps.only_where_no_rule_decided([(when, code) for code, when in rules])
        self._group()
        pieces = self._translate()
        self.faults.raise_if_any()
        purity.check(self.backfill, self.translator, self.catalog.volatile, self.faults)
        self.faults.raise_if_any()
        self._plan_group()
        self._fold()
        pieces = self._move(pieces)
        self.faults.raise_if_any()
        types = self.typing.columns(pieces, self._conditions(), self.translator)
        self._look_at_cohort()
        casts = {name: self.typing.cast(name, f"raw.{quote(name)}", one, types[name]) for name, one in pieces.items()}
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

    def _movements(self, pieces: Mapping[str, Piece]) -> Movements:
        return Movements(
            subject=self.subject, translator=self.translator, typing=self.typing, codes=self.codes, pieces=pieces
        )

    def _rules(self) -> list[tuple[int, str]]:
        """Translate the skip and quarantine rules; each gets its code, in declared order."""
        rules: list[tuple[int, str]] = []
        for skip in self.backfill.skips:
            code = self.codes.of(Outcome("skipped", skip.name, skip.elsewhere))
            rules.append((code, self._condition(skip.name, skip.when)))
        for guard in self.backfill.guards:
            rules.append((self.codes.quarantined(guard.name), self._condition(guard.name, guard.when)))
        return rules

    def _condition(self, name: str, when: ex.Predicate) -> str:
        try:
            return self.translator.condition(when)
        except ConfigurationError as error:
            self.faults.add(error.id, f'rule "{name}": {error.what}', error.cure)
            return "NULL"

    def _conditions(self) -> dict[str, str]:
        """Name the conditions of the rules, as a fault says them."""
        rules = [(one.name, one.when) for one in self.backfill.skips]
        rules += [(one.name, one.when) for one in self.backfill.guards]
        return {f"rule {name}": self.translator.condition(when) for name, when in rules}

    def _group(self) -> None:
        """Let a row that follows another be decided by that."""
        group, source = self.backfill.group, self.subject.source
        if group is None:
            return
        keys = [column for name in self.backfill.keys if (column := source.column(name))]
        self.cannot = self.codes.quarantined(CANNOT)
        try:
            self.grouping = grouping.plan(group, self._ruled, keys, self.subject.grouped)
        except ConfigurationError as error:
            self.faults.add(error.id, f"group: {error.what}", error.cure)
            return
        own, steps = [self.translator.key(one.name) for one in keys], self.translator.steps
        fate = self.grouping.fate(steps.decided, self.cannot)
        steps.only_where_no_other_row_stands_for_it(self.grouping.steps(own), fate)

    def _ruled(self) -> Translator:
        """Give a translator of its own that has decided by the rules."""
        made = self._translator()
        rules = [one.when for one in self.backfill.skips] + [one.when for one in self.backfill.guards]
        made.steps.only_where_no_rule_decided([(made.condition(one), n) for n, one in enumerate(rules)])
        return made

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
        """Write by what rows to merge with are recognised, and number what may come of it."""
        self.folds = merging.folds_of(self.subject, self.catalog, self.faults)
        if self.folds:
            several = f"several rows of {self.subject.target.relation} match"
            self.ambiguous = self.codes.quarantined(f"{', '.join(self.backfill.merges)}: {several}")
            self.taken = self.codes.quarantined(TAKEN)
        self.faults.raise_if_any()

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
        self.movements = self._movements(pieces)
        self.movements.of_objects()
        self.faults.raise_if_any()
        every = pieces | self._translate(objects=True)
        self.movements.of_documents()
        return {name: every[name] for name in self.backfill.columns if name in every}

    def _look_at_cohort(self) -> None:
        """Ask whether the cohort is SQL that the server takes; what it may read is looked at where it is used."""
        if self.backfill.cohort is None:
            return
        alone = self.translator.anew()
        try:
            text = alone.value(ex.as_expression(self.backfill.cohort)).sql
        except ConfigurationError as error:
            self.faults.add(error.id, f"the cohort: {error.what}", error.cure)
        else:
            if not alone.steps.written:
                self.typing.described_alone("the cohort", text, self.translator)

    def _assemble(self, pieces: Mapping[str, Piece], casts: Mapping[str, Cast]) -> Projection:
        unknown = notes.not_known_yet(self.backfill, self.translator)
        faults, invalid, judgements = self._number(pieces, casts, unknown)
        columns = self._columns()
        return Projection(
            backfill=self.backfill,
            source=self.subject.source,
            target=self.subject.target,
            raw_values=columns.raw(pieces, faults),
            cast_values=columns.cast(casts, invalid),
            judgements=judgements,
            grouping=self.grouping,
            cannot=self.cannot,
            folds=self.folds,
            served=merging.is_served(self.subject, self._by_index, self.folds),
            ambiguous=self.ambiguous,
            taken=self.taken,
            recorded=self.subject.recorded,
            contested=self._contested(),
            outcomes=tuple(self.codes.outcomes),
            mark_names=tuple(self.codes.marks),
            raw_steps=tuple(self.translator.steps.written),
            target_exists=self.subject.target_exists,
            reads=self.subject.reads,
            moving=tuple(self.movements.moving),
            gates=tuple(self.movements.gates),
            written=tuple(self.movements.written),
            written_steps=tuple(self.movements.written_steps),
            left_unread=notes.left_unread(self.backfill, self.subject.source, self.translator),
            not_known_yet=unknown,
        )

    def _columns(self) -> Columns:
        return Columns(
            subject=self.subject,
            translator=self.translator,
            codes=self.codes,
            movements=self.movements,
            grouping=self.grouping,
            cannot=self.cannot,
        )

    def _number(
        self, pieces: Mapping[str, Piece], casts: Mapping[str, Cast], unknown: Collection[str]
    ) -> tuple[list[tuple[int, Fault]], list[tuple[int, str]], tuple[Judgement, ...]]:
        """Give codes in the order of fate: to faults of raw values, to columns that are cast, to judgements."""
        nulls = {name: one for name, one in judge.nulls(self.backfill, self.subject.target) if name not in unknown}
        faults = [(self._fault(name, one.reason), one) for name, one in self.movements.faults]
        invalid: list[tuple[int, str]] = []
        judgements: list[Judgement] = []
        for name in self.backfill.columns:
            faults += [(self._fault(name, one.reason), one) for one in pieces[name].faults]
            if casts[name].valid:
                invalid.append((self._fault(name, casts[name].reason), name))
            if name in nulls:
                judgements.append(self._judgement(nulls[name]))
        return faults, invalid, (*judgements, *map(self._judgement, self._foretold()))

    def _fault(self, name: str, reason: str) -> int:
        return self.codes.quarantined(f"{name}: {reason}")

    def _foretold(self) -> list[judge.Foretold]:
        subject = self.subject
        found = [*judge.checks(self.backfill, subject.target)]
        found += judge.foreign_keys(
            self.backfill,
            subject.target,
            unready=subject.unready,
            awaited=subject.awaited,
            by_index=self._by_index,
        )
        return [*found, *judge.uniques(self.backfill, subject.target, exists=subject.target_exists)]

    def _by_index(self, sql: str) -> bool:
        """Tell whether an index finds the rows of a SELECT; not where types or tables are still to come."""
        try:
            return self.subject.target_exists and self.catalog.by_index(sql)
        except MigratorError:  # a type without equality: whoever compares says so
            return False

    def _judgement(self, foretold: judge.Foretold) -> Judgement:
        return Judgement(code=self.codes.quarantined(foretold.reason), when=foretold.when, awaited=foretold.awaited)

    def _contested(self) -> tuple[Contested, ...]:
        found = []
        for one in judge.contested(self.backfill, self.subject.source, self.subject.target):
            reason = f"{', '.join(one.columns)}: another row holds this value"
            known = self.codes.known(reason)
            code = self.codes.quarantined(reason) if known is None else known
            found.append(Contested(code=code, columns=one.columns))
        return tuple(found)
