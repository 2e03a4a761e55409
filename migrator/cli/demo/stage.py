"""The stage of the demo: how a command, its screen and a promise are written, for whoever tells a part of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from migrator.cli.demo import evidence
from migrator.cli.progress import Listener, Quiet, listening
from migrator.cli.render.words import fold, number
from migrator.cli.run import Run, is_terminal
from migrator.model import commands
from migrator.model.errors import RefusedError
from migrator.model.step import Report
from migrator.model.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from migrator.cli.demo.objects import Beside
    from migrator.cli.demo.story import Story
    from migrator.workflow.desk import Desk


@dataclass(kw_only=True)
class Stage:
    """One telling of a story, and the promises that were kept or broken."""

    run: Run
    story: Story
    desk: Desk
    pg_dump: Path
    rows: int | None = None
    beside: Beside | None = None
    promises: list[Verdict] = field(default_factory=list)
    _promised: bool = False  # whether a promise was the last that was said

    @property
    def typed(self) -> commands.Typed:
        """What the commands of this story carry."""
        params = (word for name, value in self.story.params.items() for word in ("--param", f"{name}={value}"))
        return commands.Typed(change=self.story.change, params=tuple(params))

    def refusal(self, doing: Callable[[], object]) -> RefusedError | None:
        """Do what must be refused, and show the refusal; None where it was not."""
        from migrator.cli.render.errors import error

        try:
            doing()
        except RefusedError as refusal:
            self.page(error(refusal.id, refusal.what, refusal.cure, width=self.run.width))
            return refusal
        return None

    def look(self) -> evidence.Evidence:
        """Look at the database as it is."""
        return evidence.gather(self.story, self.desk.database, self.pg_dump)

    def promise_same(self, claim: str, before: evidence.Evidence) -> None:
        """Promise that the database is as it was."""
        now = self.look()
        difference = before.difference(now)
        same = f"{number(len(now.schema))} lines of schema and the digests of"
        same += f" {', '.join(self.story.tables)} are the same"
        self.promise(claim, kept=not difference, evidence=difference or same)

    def promise(self, claim: str, *, kept: bool, evidence: str) -> None:
        """Promise something, with what was found."""
        self.promises.append(Verdict(claim=claim, proven=kept, evidence=evidence))
        sign = "✓" if kept else "✗"
        lines = fold(f"{claim}: {evidence}", self.run.width, first=f"{sign} promise: ")
        self.page(lines if self._promised else ["", *lines])
        self._promised = True

    def listening(self) -> AbstractContextManager[Listener]:
        """Listen to what a verb does."""
        # Without a terminal the progress would stand between the screens.
        if is_terminal(sys.stderr) and not self.run.json:
            return listening(self.run)
        return nullcontext(Listener(self.run, Quiet()))

    def show(self, report: Report) -> None:
        """Show a Report."""
        from migrator.cli.render.report import report as screen

        self.page(screen(self.run.masker.value(report), width=self.run.width))

    def command(self, verb: str, *options: str) -> None:
        """Write a command as a user would type it."""
        self.page(["", f"$ {commands.command(verb, self.story.change, *options)}"])

    def title(self, text: str) -> None:
        """Begin an act."""
        self.page(["", f"── {text} ".ljust(self.run.width, "─")])

    def page(self, lines: Iterable[str]) -> None:
        """Write lines."""
        self._promised = False
        if not self.run.json:
            self.run.page(lines)
