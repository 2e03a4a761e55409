"""Verify: every backfill is proven row by row and its Balance recomputed. Its undo forgets the proof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from migrator.database.connect import Connection
from migrator.database.session import transaction
from migrator.engine import inventory
from migrator.engine.balance import balances_of
from migrator.engine.checks import run_checks
from migrator.engine.compare import Compare
from migrator.engine.object_balance import balance_objects
from migrator.engine.prepare import Prepared, prepare
from migrator.engine.proofs import all_reads, is_fresh, subject, written_to
from migrator.engine.reads import Reads, settle
from migrator.ledger import steps
from migrator.ledger.lease import Lease
from migrator.ledger.run import Listen, Run
from migrator.model.change import Change, Foreign
from migrator.model.names import Relation
from migrator.model.step import Event, Phase, Preview
from migrator.model.verdict import Balance, Comparison, ObjectBalance, SourceBalance, Verdict

STEP = "compare"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Everything verify found out, and what follows from it."""

    comparisons: tuple[Comparison, ...]
    balances: tuple[Balance, ...]
    sources: tuple[SourceBalance, ...]
    verdicts: tuple[Verdict, ...]
    objects: tuple[ObjectBalance, ...] = ()
    reads: Reads = field(default_factory=Reads)
    written: Mapping[str, str] = field(default_factory=dict)

    @property
    def proven(self) -> bool:
        """Whether every claim holds; no claim is no proof."""
        return bool(self.verdicts) and all(one.proven for one in self.verdicts)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareRows:
    """The Step that proves a change: both directions of every backfill, and the Balances in one snapshot."""

    change: Change
    search_path: str
    show: int = 20
    phase: Phase = Phase.VERIFY

    @property
    def name(self) -> str:
        """One proof for the whole change."""
        return STEP

    @property
    def title(self) -> str:
        """How much is compared."""
        number = len(self.change.checks) + len(self.change.index_checks)
        checks = f"; {number} check{'' if number == 1 else 's'}" if number else ""
        return f"compare {len(self.change.backfills)} backfills row by row, and balance every source{checks}"

    def preview(self) -> Preview:
        """Say that it only reads."""
        return Preview(locks="none")

    def prove(self, conn: Connection, listen: Listen) -> Proof:
        """Compare, balance and check; reads only."""
        with transaction(conn, read_only=True, search_path=self.search_path):
            prepared = prepare_all(conn, self.change, self.search_path)
        reads = all_reads(conn, prepared, self.search_path)
        # Counted before anything is compared: what is written meanwhile is no part of the proof, and makes it stale.
        with transaction(conn, read_only=True, search_path=self.search_path):
            settle(conn)
            written = written_to(conn, self.change, self.search_path, reads)
        comparisons = tuple(self._compare(conn, one, listen) for one in prepared if one.recorded is not None)
        balances, sources = balances_of(conn, prepared, self.search_path, _just_compared(comparisons, reads))
        objects = balance_objects(conn, prepared, self.search_path)
        with transaction(conn, read_only=True, search_path=self.search_path):
            as_left = inventory.verdict(conn, self.change.name)
        return Proof(
            comparisons=comparisons,
            balances=balances,
            sources=sources,
            objects=objects,
            reads=reads,
            written=written,
            verdicts=(
                *(_compared(one) for one in comparisons),
                *(_never_ran(one) for one in prepared if one.recorded is None),
                *verdicts_of(balances, sources, objects),
                *([] if as_left is None else [as_left]),
                *run_checks(conn, self.change, _targets(prepared), self.search_path),
            ),
        )

    def prove_part(self, conn: Connection, prepared: Sequence[Prepared], listen: Listen) -> Proof:
        """Compare and balance backfills that were narrowed to a part of their rows; reads only."""
        comparisons = tuple(
            self._compare(conn, one, listen, foreign="count") for one in prepared if one.recorded is not None
        )
        part = part_of(conn, prepared, self.search_path)
        return replace(
            part, comparisons=comparisons, verdicts=(*(_compared(one) for one in comparisons), *part.verdicts)
        )

    def apply(self, run: Run) -> dict[str, int]:
        """Prove, and record the proof."""
        with run.database.connect() as conn:
            proof = self.prove(conn, run.listen)
            with run.writing(conn):
                record(conn, run.lease, self.change, proof)
        return {"compared": sum(one.compared for one in proof.comparisons)}

    def check(self, conn: Connection) -> Verdict:
        """Say whether there is a proof of what is there now."""
        found = steps.newest_proof(conn, self.change.name)
        fresh = found is not None and is_fresh(conn, self.change, found, self.search_path)
        return Verdict(
            claim=f"{self.change.name} is verified",
            proven=fresh,
            evidence="never" if found is None else f"{'proven' if found.proven else 'not proven'} at {found.at:%F %T}",
        )

    def undo(self, run: Run) -> dict[str, int]:
        """Forget the proof."""
        with run.database.connect() as conn, run.writing(conn):
            steps.forget_proofs(conn, self.change.name)
            steps.forget(conn, self.change.name, Phase.VERIFY)
        return {}

    def _compare(
        self, conn: Connection, prepared: Prepared, listen: Listen, foreign: Foreign | None = None
    ) -> Comparison:
        backfill = prepared.projection.backfill
        done, total = 0, prepared.projection.source.estimated_rows or None

        def progress(read: int) -> None:
            nonlocal done
            done += read
            title = f"compare {backfill.name}"
            listen(Event(kind="progress", phase=self.phase, name=backfill.name, title=title, rows=done, total=total))

        return Compare(
            writing=prepared.writing(),
            foreign=foreign or self.change.foreign,
            provenances=prepared.provenances,
            search_path=self.search_path,
            show=self.show,
            progress=progress,
        ).run(conn)


def part_of(conn: Connection, prepared: Sequence[Prepared], search_path: str) -> Proof:
    """Balance backfills that were narrowed to a part of their rows, in one snapshot."""
    balances, sources = balances_of(conn, prepared, search_path)
    verdicts = (*(_never_ran(one) for one in prepared if one.recorded is None), *verdicts_of(balances, sources))
    return Proof(comparisons=(), balances=balances, sources=sources, verdicts=verdicts)


def _targets(prepared: Sequence[Prepared]) -> dict[Relation, str]:
    """Name the tables that rows were moved to."""
    found = dict.fromkeys(one.projection.target.relation for one in prepared)
    return {relation: str(relation) for relation in found}


def prepare_all(conn: Connection, change: Change, search_path: str) -> tuple[Prepared, ...]:
    """Prepare every backfill of a change, against tables that are there."""
    return tuple(prepare(conn, change, one, search_path=search_path) for one in change.backfills)


def _just_compared(comparisons: Sequence[Comparison], reads: Reads) -> dict[str, int]:
    """Say of which backfills the comparison told what the Projection gives for rows that moved, and of how many rows.

    What is written after it makes the proof stale where writes are counted, and only there.
    """
    return {} if reads.uncounted else {one.backfill: one.compared for one in comparisons if one.proven}


def verdicts_of(
    balances: Sequence[Balance], sources: Sequence[SourceBalance], objects: Sequence[ObjectBalance] = ()
) -> tuple[Verdict, ...]:
    """Judge Balances: all closed, nothing pending, nothing waiting in quarantine."""
    return (
        *(_balanced(one) for one in balances),
        *(_taken(one) for one in sources),
        *(_accounted(one) for one in objects),
    )


def _compared(found: Comparison) -> Verdict:
    of = "written in place" if found.target == found.source else f"from {found.source}"
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in found.counts.items())
    given = f"; {found.handed_over:,} handed over, which are the application's now" if found.handed_over else ""
    return Verdict(
        claim=f"every row of {found.target} {of} is as declared ({found.backfill})",
        proven=found.proven,
        evidence=(kinds or f"{found.compared:,} rows compared in both directions") + given,
    )


def _never_ran(prepared: Prepared) -> Verdict:
    name = prepared.projection.backfill.name
    return Verdict(claim=f"{name} ran", proven=False, evidence="it never ran")


def _balanced(found: Balance) -> Verdict:
    open_terms = {name: found.rows(name) for name in ("pending", "quarantined")}
    faults = [f"{number:,} {name}" for name, number in open_terms.items() if number]
    if found.unaccounted:
        faults.append(f"{found.unaccounted:,} unaccounted")
    if not found.closes and not found.unaccounted:
        faults.append("the terms do not add up to the source")
    return Verdict(
        claim=f"{found.backfill} accounts for every row of {found.source}",
        proven=not faults,
        evidence=", ".join(faults) or f"{found.source_rows:,} rows, unaccounted 0",
    )


def _accounted(found: ObjectBalance) -> Verdict:
    """Judge a Balance of objects; what is at fault holds its row back, and is judged with that."""
    faults = [f"{found.pending:,} pending"] if found.pending else []
    faults += [f"{found.unaccounted:,} unaccounted"] if found.unaccounted else []
    return Verdict(
        claim=f"{found.backfill} accounts for every object that its rows name as {found.name}",
        proven=not faults,
        evidence=", ".join(faults) or f"{found.listed:,} objects, unaccounted 0",
    )


def _taken(found: SourceBalance) -> Verdict:
    return Verdict(
        claim=f"every row of {found.source} is taken by a backfill or left behind by name",
        proven=found.closes,
        evidence=f"{found.source_rows:,} rows, unaccounted {found.unaccounted:,}",
    )


def record(conn: Connection, held: Lease, change: Change, proof: Proof) -> None:
    """Record a proof with what it was a proof of, and the Step as done when it holds."""
    evidence = [{"claim": one.claim, "proven": one.proven, "evidence": one.evidence} for one in proof.verdicts]
    of = subject(conn, change, proof.reads, proof.written)
    steps.prove(conn, held.run, change.name, proven=proof.proven, subject=of, evidence=evidence)
    if proof.proven:
        steps.finish(conn, held, Phase.VERIFY, STEP)
