"""The walk: each command as a user would type it, what it shows, and whether promises are kept."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from migrator.cli.demo import evidence
from migrator.cli.progress import Listener, Quiet, listening
from migrator.cli.render.words import columns, fold, number, rows
from migrator.cli.run import Run, is_terminal
from migrator.model.errors import RefusedError
from migrator.model.step import Phase, Report
from migrator.model.verdict import Balance, Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from migrator.cli.demo.story import Story
    from migrator.workflow.desk import Desk


@dataclass(kw_only=True)
class Walk:
    """One telling of a story, and the promises that were kept or broken."""

    run: Run
    story: Story
    desk: Desk
    pg_dump: Path
    rows: int | None = None
    promises: list[Verdict] = field(default_factory=list)
    _promised: bool = False  # whether a promise was the last that was said

    def go(self) -> None:
        """Go there and back."""
        self._introduce()
        before = self._look()
        self._foresee(before)
        self._expand()
        self._copy()
        self._prove()
        self._go_back(before)

    def _introduce(self) -> None:
        self._title("The database")
        with self.desk.database.connect() as connection:
            self.story.build(connection, self.rows)
        planted = [(number(one.rows), one.what, one.becomes) for one in self.story.planted(self.rows)]
        self._page([self.story.about, ""])
        head = ("rows", "what is in it", "what must become of them")
        self._page(columns([head, *planted], right=(0,), width=self.run.width))

    def _foresee(self, before: evidence.Evidence) -> None:
        from migrator.cli.render.plan import plan as screen
        from migrator.workflow import use_cases

        self._title("Look before anything is changed")
        self._command("plan")
        self._page(screen(use_cases.plan(self.desk), width=self.run.width))
        self._command("apply", "--dry-run")
        foretold = use_cases.plan(self.desk, dry_run=True)
        self._page(screen(foretold, brief=True, width=self.run.width))
        self._promise_fates("every row is foretold", foretold.balances, self.story.before(self.rows))
        self._promise_same("plan and dry run changed nothing", before)

    def _expand(self) -> None:
        from migrator.workflow import use_cases

        self._title("Make the new tables; the new application begins to use them")
        self._command("apply", "--to", "expand")
        with self._listening() as listen:
            self._show(use_cases.apply(self.desk, to=Phase.EXPAND, listen=listen))
        with self.desk.database.connect() as connection:
            self._page(["", *fold(self.story.application(connection, self.rows), self.run.width)])

    def _copy(self) -> None:
        from migrator.workflow import use_cases

        self._title("Copy, and account for every row")
        self._command("apply")
        with self._listening() as listen:
            applied = use_cases.apply(self.desk, listen=listen)
        self._show(applied)
        self._decide(applied)
        self._command("verify-counts")
        counted = use_cases.verify_counts(self.desk)
        self._show(counted)
        for one in counted.balances:
            self._promise_zero(one.backfill, one.unaccounted, closes=one.closes)
        for source in counted.sources:
            self._promise_zero(f"source {source.source}", source.unaccounted, closes=source.closes)
        wanted = self.story.after(self.rows)
        self._promise_fates("every planted row is where it belongs", counted.balances, wanted)

    def _decide(self, applied: Report) -> None:
        """Let rows that wait in quarantine stay behind by name; until then nothing is proven."""
        from migrator.cli.render.quarantine import changed, overview
        from migrator.ledger.quarantine import Selection
        from migrator.workflow import housekeeping, use_cases

        waiting = sum(one.rows("quarantined") for one in applied.balances)
        if waiting:
            said = f"{rows(waiting)} in quarantine, {applied.state.value}"
            self._promise("nothing is called proven while rows wait", kept=applied.proven is False, evidence=said)
            change, width = self.story.change, self.run.width
            self._command("quarantine list")
            wanted = Selection(change=change, status=None)
            entries = self.run.masker.value(housekeeping.quarantine_entries(self.desk, wanted, 20))
            self._page(overview(change, housekeeping.quarantine_counts(self.desk), entries, width=width))
            self._command("quarantine dismiss", "--all", "--note", self.story.dismissed)
            gone = housekeeping.quarantine_dismiss(self.desk, Selection(change=change), self.story.dismissed)
            self._page(changed(gone, "dismissed", f"migrator verify {change}", width=width))
            self._command("apply")
            with self._listening() as listen:
                applied = use_cases.apply(self.desk, listen=listen)
            self._show(applied)
        self._promise("apply ends proven", kept=applied.proven is True, evidence=applied.state.value)

    def _prove(self) -> None:
        from migrator.workflow import use_cases

        self._title("Prove it row by row, and do it again")
        self._command("verify")
        with self._listening() as listen:
            verified = use_cases.verify(self.desk, listen=listen)
        self._show(verified)
        compared = f"{number(sum(one.compared for one in verified.comparisons))} rows compared"
        self._promise("every row is proven", kept=verified.proven is True, evidence=compared)
        self._command("apply")
        with self._listening() as listen:
            again = use_cases.apply(self.desk, listen=listen)
        self._show(again)
        nothing = again.nothing_done
        evidence_of = "nothing to do" if nothing else f"{len(again.steps)} steps were taken"
        self._promise("a second apply changes nothing", kept=nothing, evidence=evidence_of)

    def _go_back(self, before: evidence.Evidence) -> None:
        from migrator.workflow import undoing

        self._title("Go back, without losing a row that nobody named")
        lose = [one.sentence for one in undoing.losses(self.desk) if one.rows]
        self._command("rollback")
        self._refused(lose)
        accepted = [word for sentence in lose for word in ("--lose", sentence)]
        self._command("rollback", *accepted)
        with self._listening() as listen:
            self._show(undoing.rollback(self.desk, lose=lose, listen=listen))
        self._promise_same("the database is as it was, schema and rows", before)

    def _refused(self, lose: Sequence[str]) -> None:
        """Try a rollback that must not happen, for it would lose what the application wrote."""
        from migrator.cli.render.errors import error
        from migrator.workflow import undoing

        claim = "rollback refuses to lose the application's rows, and counts them"
        try:
            with self._listening() as listen:
                undoing.rollback(self.desk, listen=listen)
        except RefusedError as refusal:
            self._page(error(refusal.id, refusal.what, refusal.cure, width=self.run.width))
            said = f"{refusal.what} {refusal.cure}"
            named = bool(lose) and all(sentence in said for sentence in lose)
            self._promise(claim, kept=named, evidence=", ".join(lose) or "no row was named")
        else:
            self._promise(claim, kept=False, evidence="it was not refused")

    def _look(self) -> evidence.Evidence:
        return evidence.gather(self.story, self.desk.database, self.pg_dump)

    def _promise_same(self, claim: str, before: evidence.Evidence) -> None:
        now = self._look()
        difference = before.difference(now)
        same = f"{number(len(now.schema))} lines of schema and the digests of"
        same += f" {', '.join(self.story.tables)} are the same"
        self._promise(claim, kept=not difference, evidence=difference or same)

    def _promise_zero(self, name: str, unaccounted: int, *, closes: bool) -> None:
        claim = f"{name} accounts for every row"
        self._promise(claim, kept=closes, evidence=f"unaccounted {number(unaccounted)}")

    def _promise_fates(self, claim: str, found: Iterable[Balance], wanted: Mapping[tuple[str, str], int]) -> None:
        balances = {one.backfill: one for one in found}
        names = {name: f"{one.target} ← {one.source}" for name, one in balances.items()}
        wrong = [
            f"{names[name]} {disposition}: {number(count)} planted, {number(is_now)} found"
            for (name, disposition), count in wanted.items()
            if (is_now := balances[name].rows(disposition)) != count
        ]
        right = ", ".join(f"{names[name]} {number(n)} {what}" for (name, what), n in wanted.items() if n)
        self._promise(claim, kept=not wrong, evidence="; ".join(wrong) or right)

    def _promise(self, claim: str, *, kept: bool, evidence: str) -> None:
        self.promises.append(Verdict(claim=claim, proven=kept, evidence=evidence))
        sign = "✓" if kept else "✗"
        lines = fold(f"{claim}: {evidence}", self.run.width, first=f"{sign} promise: ")
        self._page(lines if self._promised else ["", *lines])
        self._promised = True

    def _listening(self) -> AbstractContextManager[Listener]:
        # Without a terminal the progress would stand between the screens.
        if is_terminal(sys.stderr) and not self.run.json:
            return listening(self.run)
        return nullcontext(Listener(self.run, Quiet()))

    def _show(self, report: Report) -> None:
        from migrator.cli.render.report import report as screen

        self._page(screen(self.run.masker.value(report), width=self.run.width))

    def _command(self, verb: str, *options: str) -> None:
        pairs = self.story.params.items() if " " not in verb else ()
        given = [word for name, value in pairs for word in ("--param", f"{name}={value}")]
        self._page(["", f"$ {shlex.join(['migrator', *verb.split(), self.story.change, *given, *options])}"])

    def _title(self, text: str) -> None:
        self._page(["", f"── {text} ".ljust(self.run.width, "─")])

    def _page(self, lines: Iterable[str]) -> None:
        self._promised = False
        if not self.run.json:
            self.run.page(lines)
