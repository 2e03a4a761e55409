"""Cohorts: source rows that go together, by what an expression of the definition gives for them.

The hash that puts a value into one of ten thousand buckets is that of its text alone, so that a smaller share of all
cohorts is a part of every larger one, on every server and for ever. Where the expression gives NULL, or a text too long
for an index, the row's key is hashed: it is a cohort of its own, and no member that could be looked up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from migrator.database import failures
from migrator.database.connect import Connection
from migrator.database.failures import SqlError
from migrator.database.session import execute, value
from migrator.engine.isolate import is_row_fault
from migrator.engine.prepare import Prepared
from migrator.engine.projection import purity
from migrator.engine.projection.projection import Projection
from migrator.engine.projection.translate import Translator
from migrator.engine.ranges import Keyset
from migrator.engine.statements import Writing
from migrator.ledger import cohorts as ledger
from migrator.ledger.backfills import Recorded
from migrator.model import expressions as ex
from migrator.model.change import Change
from migrator.model.cohorts import BUCKETS, Asked
from migrator.model.errors import ConfigurationError, UsageError
from migrator.model.expressions import as_expression
from migrator.model.names import EXACTLY, key_text, literal, ours, quote

LONGEST: Final = 2_000  # bytes of a member
STAGED: Final = "pg_temp.migrator_cohort"
_TEXTS: Final = frozenset({"text", "varchar", "bpchar", "citext"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """The cohort of the rows of one backfill, as SQL over its source row."""

    projection: Projection
    value: str
    reads: tuple[str, ...]  # the source columns that its expression reads

    @classmethod
    def of(cls, change: Change, projection: Projection) -> Cohort:
        """Translate the expression of a backfill that has one. Raises ConfigurationError M157 for one that joins."""
        backfill = projection.backfill
        cohort = ex.Constant(None) if backfill.cohort is None else as_expression(backfill.cohort)
        translator = Translator(
            source=projection.source,
            declared_source=backfill.source,
            keys=backfill.keys,
            arguments=change.arguments_of(backfill),
        )
        piece = translator.value(cohort)
        if translator.steps.written:
            raise ConfigurationError(
                "M157",
                f"{backfill.name}: its cohort looks something up.",
                'Write it over the columns of the source row alone, for example sql("lower(btrim(mail))").',
            )
        text = f"(({piece.sql})::text {EXACTLY})"
        return cls(
            projection=projection,
            value=f"(CASE WHEN octet_length({text}) <= {LONGEST} THEN {text} END)",
            reads=_reads(cohort, projection),
        )

    @property
    def source(self) -> str:
        """The source, as a FROM has it."""
        return f"{self.projection.source.relation.sql} AS {self.projection.source_alias}"

    @property
    def members(self) -> str:
        """Write the SELECT of all values."""
        return f"SELECT DISTINCT {self.value} AS member FROM {self.source}"

    def among(self, table: str, where: str = "true", *, upto: int = 0) -> str:
        """Write the condition that a row's cohort is in a table, or the row one of its own within the first buckets."""
        known, member = ours("cohort"), ours("member")  # names of the definition must not meet those of the table
        found = f"(SELECT member AS {member} FROM {table} WHERE {where}) AS {known}"
        found = f"EXISTS (SELECT FROM {found} WHERE {known}.{member} = {self.value})"
        return f"({found} OR ({self.value} IS NULL AND {bucket(self._key)} < {upto}))"

    def within(self, asked: Asked) -> str:
        """Write the condition that a row belongs to what was asked for; a file must be staged."""
        if asked.upto is None:
            return self.among(STAGED)
        return f"({bucket(f'COALESCE({self.value}, {self._key})')} < {asked.upto})"

    def known(self, change: str, upto: int) -> str:
        """Write the condition that a row is moved by a run of cohorts: its own stands in the Ledger."""
        return self.among(ledger.TABLE, f"change = {literal(change)} AND NOT leaving", upto=upto)

    def leaving(self, change: str, upto: int) -> str:
        """Write the condition that a row is taken back."""
        return self.among(ledger.TABLE, f"change = {literal(change)} AND leaving", upto=upto)

    def folded(self, lines: str) -> str:
        """Write the SELECT of the members that lines of a file stand for: what the expression gives for them."""
        columns = [one for name in self.reads if (one := self.projection.source.column(name)) is not None]
        if len(columns) != 1 or columns[0].type.base not in _TEXTS:
            return f"SELECT DISTINCT line {EXACTLY} FROM {lines} WHERE octet_length(line) <= {LONGEST}"
        (column,) = columns
        collated = f" COLLATE {column.collates}" if column.collates else ""
        row = f"SELECT (line::{column.type.name}){collated} AS {quote(column.name)} FROM {lines}"
        return f"SELECT DISTINCT {self.value} AS member FROM ({row}) AS {self.projection.source_alias}"

    def narrowed(self, prepared: Prepared, condition: str) -> Prepared:
        """Give a prepared backfill that reads the rows under a condition, and what the Ledger knows of them."""
        return replace(
            prepared,
            projection=self.projection.without(condition),
            recorded=None if prepared.recorded is None else self.known_of(prepared.recorded, condition),
            only=condition,
            held=self.held(condition),
        )

    def known_of(self, recorded: Recorded, condition: str) -> Recorded:
        """Give what is recorded of a backfill with the provenance of the rows under a condition alone."""
        of, names = ours("of"), self.projection.source_keys(self.projection.source_alias)
        same = " AND ".join(f"{name} = {of}.s{n}" for n, name in enumerate(names, 1))
        row = f"SELECT FROM {self.source} WHERE {condition} AND {same}"
        return replace(recorded, narrowed=f"(SELECT {of}.* FROM {recorded.table} AS {of} WHERE EXISTS ({row}))")

    def held(self, condition: str) -> str:
        """Write the condition that a row of the quarantine is one under a condition on source rows."""
        texts = Keyset.of_source(self.projection.source, self.projection.keys).texts
        return f"source_key IN (SELECT {texts} FROM {self.source} WHERE {condition})"

    def forget(self, conn: Connection, recorded: Recorded, condition: str) -> None:
        """Forget what became of the rows under a condition."""
        part = self.known_of(recorded, condition).provenance
        same = " AND ".join(f"known.s{n} = part.s{n}" for n in range(1, len(self.projection.keys) + 1))
        execute(conn, f"DELETE FROM {recorded.table} AS known USING {part} AS part WHERE {same}")
        key = ", ".join(key_text(f"known.t{n}") for n in range(1, len(self.projection.identity) + 1))
        execute(
            conn,
            f"DELETE FROM migrator.before_image AS kept WHERE kept.backfill = {recorded.id}"
            f" AND NOT EXISTS (SELECT FROM {recorded.table} AS known WHERE ARRAY[{key}] = kept.target_key)",
        )
        execute(conn, f"DELETE FROM migrator.quarantine WHERE backfill = {recorded.id} AND {self.held(condition)}")

    def waiting(self, writing: Writing) -> list[str]:
        """Write the SELECTs of the members of which rows are pending, or wait in quarantine."""
        projection = self.projection
        keys = ", ".join(projection.source_keys(projection.source_alias))
        behind = f"SELECT {', '.join(projection.key_columns('behind'))} FROM ({writing.behind(waiting=True)}) AS behind"
        texts = Keyset.of_source(projection.source, projection.keys).texts
        held = "SELECT held.source_key FROM migrator.quarantine AS held"
        held += f" WHERE held.backfill = {writing.recorded.id} AND held.status = 'open'"
        return [
            f"SELECT {self.value} FROM {self.source} WHERE ({keys}) IN ({behind})",
            f"SELECT {self.value} FROM {self.source} WHERE {texts} IN ({held})",
        ]

    @property
    def _key(self) -> str:
        texts = Keyset.of_source(self.projection.source, self.projection.keys).texts
        return f"(array_to_string({texts}, chr(31)) {EXACTLY})"


def bucket(text: str) -> str:
    """Write the bucket of a text, 0 to 9999."""
    first = f"substr(encode(sha256(convert_to({text}, 'UTF8')), 'hex'), 1, 8)"
    return f"(('x' || {first})::bit(32)::bigint % {BUCKETS})"


def cohorts_of(prepared: Sequence[Prepared]) -> dict[str, Cohort]:
    """Give the cohorts of backfills that have some, by name."""
    return {one.projection.backfill.name: Cohort.of(one.change, one.projection) for one in prepared}


def refuse_none(change: Change) -> None:
    """Raise UsageError M158 where no backfill has a cohort."""
    if all(one.cohort is None for one in change.backfills):
        raise UsageError(
            "M158",
            f"no backfill of {change.name} has a cohort.",
            "Leave --cohort and --cohort-file out, or say in a definition what rows go together: cohort=sql(…).",
        )


def every_member(cohorts: Sequence[Cohort]) -> str:
    """Write the SELECT of the members that there are in the sources."""
    united = " UNION ".join(f"SELECT member FROM ({one}) AS one" for one in dict.fromkeys(c.members for c in cohorts))
    return f"SELECT member FROM ({united}) AS every WHERE member IS NOT NULL"


def chosen(members: str, asked: Asked) -> str:
    """Write the SELECT of the members asked for, of those given; a file must be staged."""
    if asked.upto is None:
        return f"SELECT member FROM {STAGED}"
    return f"SELECT member FROM ({members}) AS given WHERE {bucket('member')} < {asked.upto}"


def read_through(file: Path) -> None:
    """Read a file of cohorts once. Raises UsageError M159 for one that is empty, or no text in UTF-8."""
    if not sum(1 for _ in _lines(file)):
        raise _unreadable(file, "holds no line")


def stage(conn: Connection, cohorts: Sequence[Cohort], file: Path) -> None:
    """Read the cohorts that a file names into a temporary table of this connection, line by line.

    Raises UsageError M159 for a file that cannot be read, or is no text in UTF-8.
    """
    execute(conn, "DROP TABLE IF EXISTS pg_temp.migrator_line, pg_temp.migrator_cohort")
    execute(conn, "CREATE TEMP TABLE migrator_line (line text NOT NULL)")
    execute(conn, 'CREATE TEMP TABLE migrator_cohort (member text COLLATE "C" PRIMARY KEY)')
    with conn.cursor() as cursor, cursor.copy("COPY pg_temp.migrator_line (line) FROM STDIN") as copy:
        for line in _lines(file):
            copy.write_row((line,))
    for folded, one in {one.folded("pg_temp.migrator_line"): one for one in cohorts}.items():
        with _speaking(one):
            members = f"SELECT member FROM ({folded}) AS asked (member) WHERE member IS NOT NULL"
            execute(conn, f"INSERT INTO {STAGED} {members} ON CONFLICT DO NOTHING")
    execute(conn, "DROP TABLE pg_temp.migrator_line")
    execute(conn, "ANALYZE pg_temp.migrator_cohort")


def _lines(file: Path) -> Iterator[str]:
    try:
        with file.open("rb") as read:
            for number, raw in enumerate(read, 1):
                try:
                    line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError as error:
                    raise _unreadable(file, f"is not UTF-8 in line {number}") from error
                if "\0" in line:
                    raise _unreadable(file, f"has a character of no text in line {number}")
                if line.strip():
                    yield line
    except OSError as error:
        raise _unreadable(file, f"cannot be read: {error.strerror}") from error


def _unreadable(file: Path, why: str) -> UsageError:
    return UsageError("M159", f"{file} {why}.", "Give a text file in UTF-8 with one value per line.")


def speaking(conn: Connection, cohorts: Sequence[Cohort]) -> None:
    """Evaluate the cohorts of all rows once. Raises UsageError M157 where the SQL of one raises for a row."""
    for one in cohorts:
        with _speaking(one):
            value(conn, f"SELECT count({one.value}) FROM {one.source}")


@contextmanager
def _speaking(cohort: Cohort) -> Iterator[None]:
    """Say whose SQL it is that raises."""
    try:
        yield
    except SqlError as error:
        if not is_row_fault(error):
            raise
        raise ConfigurationError(
            "M157",
            f"{cohort.projection.backfill.name}: the SQL of its cohort raises for a row: {failures.message(error)}.",
            "Write it so that it gives NULL where there is no value: such a row is a cohort of its own.",
        ) from error


def _reads(cohort: ex.Expression, projection: Projection) -> tuple[str, ...]:
    found: set[str] = set()
    for part in ex.walk(cohort):
        if isinstance(part, ex.Column):
            found.add(part.name)
        elif isinstance(part, ex.Sql):
            found |= purity.words(part.text)
    return tuple(name for name in projection.source.names if name in found)
