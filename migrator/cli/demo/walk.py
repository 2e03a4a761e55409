"""The walk: each command as a user would type it, what it shows, and whether promises are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from migrator.cli.demo import objects
from migrator.cli.demo.part_by_part import go_ahead
from migrator.cli.demo.putting_away import put_away
from migrator.cli.demo.stage import Stage
from migrator.cli.render.fates import names as told
from migrator.cli.render.words import columns, fold, number, rows
from migrator.model.commands import command, typed
from migrator.model.step import Phase, Report
from migrator.model.verdict import Balance

if TYPE_CHECKING:
    from migrator.cli.demo import evidence


@dataclass(kw_only=True)
class Walk(Stage):
    """One telling of a story, from the legacy database there and back."""

    def go(self) -> None:
        """Go there and back; commands that are shown carry the parameters of the story."""
        with typed(self.typed):
            self._go()

    def _go(self) -> None:
        self._introduce()
        before = self.look()
        self._foresee(before)
        self._expand()
        before = replace(before, rows=self.look().rows)  # the old application goes on writing
        if self.story.share:
            go_ahead(self)
        self._copy()
        objects.find(self)
        self._prove()
        if self.story.outsider:
            put_away(self)
        self._go_back(before)

    def _introduce(self) -> None:
        self.title("The database")
        with self.desk.database.connect() as connection:
            self.story.build(connection, self.rows)
        planted = [(number(one.rows), one.what, one.becomes) for one in self.story.planted(self.rows)]
        self.page([self.story.about, ""])
        head = ("rows", "what is in it", "what must become of them")
        self.page(columns([head, *planted], right=(0,), width=self.run.width))
        objects.introduce(self)

    def _foresee(self, before: evidence.Evidence) -> None:
        from migrator.cli.render.plan import plan as screen
        from migrator.workflow import use_cases

        self.title("Look before anything is changed")
        self.command("plan")
        self.page(screen(use_cases.plan(self.desk), width=self.run.width))
        self.command("apply", "--dry-run")
        foretold = use_cases.plan(self.desk, dry_run=True)
        self.page(screen(foretold, brief=True, width=self.run.width))
        self._promise_fates("every row is foretold", foretold.balances, self.story.before(self.rows))
        self.promise_same("plan and dry run changed nothing", before)

    def _expand(self) -> None:
        from migrator.workflow import use_cases

        self.title("Make the new tables; the new application begins to use them")
        self.command("apply", "--to", "expand")
        with self.listening() as listen:
            self.show(use_cases.apply(self.desk, to=Phase.EXPAND, listen=listen))
        with self.desk.database.connect() as connection:
            self.page(["", *fold(self.story.application(connection, self.rows), self.run.width)])

    def _copy(self) -> None:
        from migrator.workflow import use_cases

        self.title("Copy, and account for every row")
        self.command("apply")
        with self.listening() as listen:
            applied = use_cases.apply(self.desk, listen=listen)
        self.show(applied)
        self._decide(applied)
        self.command("verify-counts")
        counted = use_cases.verify_counts(self.desk)
        self.show(counted)
        for one in counted.balances:
            self._promise_zero(one.backfill, one.unaccounted, closes=one.closes)
        for source in counted.sources:
            self._promise_zero(f"source {source.source}", source.unaccounted, closes=source.closes)
        for kind in counted.objects:
            self._promise_zero(
                f"{kind.name} of {kind.backfill}", kind.unaccounted, closes=not kind.unaccounted, what="object"
            )
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
            self.promise("nothing is called proven while rows wait", kept=applied.proven is False, evidence=said)
            change, width = self.story.change, self.run.width
            self.command("quarantine list")
            wanted = Selection(change=change, status=None)
            entries = self.run.masker.value(housekeeping.quarantine_entries(self.desk, wanted, 20))
            self.page(overview(change, housekeeping.quarantine_counts(self.desk), entries, width=width))
            self.command("quarantine dismiss", "--all", "--note", self.story.dismissed)
            gone = housekeeping.quarantine_dismiss(self.desk, Selection(change=change), self.story.dismissed)
            self.page(changed(gone, "dismissed", command("verify", change), width=width))
            self.command("apply")
            with self.listening() as listen:
                applied = use_cases.apply(self.desk, listen=listen)
            self.show(applied)
        self.promise("apply ends proven", kept=applied.proven is True, evidence=applied.state.value)

    def _prove(self) -> None:
        from migrator.workflow import use_cases

        self.title("Prove it row by row, and do it again")
        self.command("verify", *(("--check-objects",) if self.beside else ()))
        with self.listening() as listen:
            verified = use_cases.verify(self.desk, check_objects=self.beside is not None, listen=listen)
        self.show(verified)
        compared = f"{number(sum(one.compared for one in verified.comparisons))} rows compared"
        self.promise("every row is proven", kept=verified.proven is True, evidence=compared)
        self.command("apply")
        with self.listening() as listen:
            again = use_cases.apply(self.desk, listen=listen)
        self.show(again)
        nothing = again.nothing_done
        evidence_of = "nothing to do" if nothing else f"{len(again.steps)} steps were taken"
        self.promise("a second apply changes nothing", kept=nothing, evidence=evidence_of)

    def _go_back(self, before: evidence.Evidence) -> None:
        from migrator.workflow import undoing

        self.title("Go back, without losing a row that nobody named")
        lose = [one.sentence for one in undoing.losses(self.desk) if one.rows]
        self.command("rollback")
        self._refused(lose)
        accepted = [word for sentence in lose for word in ("--lose", sentence)]
        self.command("rollback", *accepted)
        with self.listening() as listen:
            self.show(undoing.rollback(self.desk, lose=lose, listen=listen))
        self.promise_same("the database is as it was, schema and rows", before)
        objects.promise_same(self)

    def _refused(self, lose: Sequence[str]) -> None:
        """Try a rollback that must not happen, for it would lose what the application wrote."""
        from migrator.workflow import undoing

        with self.listening() as listen:
            refusal = self.refusal(lambda: undoing.rollback(self.desk, listen=listen))
        said = "" if refusal is None else f"{refusal.what} {refusal.cure}"
        named = bool(lose) and all(sentence in said for sentence in lose)
        claim = "rollback refuses to lose the application's rows, and counts them"
        self.promise(claim, kept=named, evidence=", ".join(lose) or "no row was named")

    def _promise_zero(self, name: str, unaccounted: int, *, closes: bool, what: str = "row") -> None:
        claim = f"{name} accounts for every {what}"
        self.promise(claim, kept=closes, evidence=f"unaccounted {number(unaccounted)}")

    def _promise_fates(self, claim: str, found: Iterable[Balance], wanted: Mapping[tuple[str, str], int]) -> None:
        balances = {one.backfill: one for one in found}
        names = told(tuple(balances.values()))
        wrong = [
            f"{names[name]} {disposition}: {number(count)} planted, {number(is_now)} found"
            for (name, disposition), count in wanted.items()
            if (is_now := balances[name].rows(disposition)) != count
        ]
        right = ", ".join(f"{names[name]} {number(n)} {what}" for (name, what), n in wanted.items() if n)
        self.promise(claim, kept=not wrong, evidence="; ".join(wrong) or right)
