"""One run of one verb: where it works, how it speaks, and what it hides."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from migrator.cli.exits import COMMAND_LINE
from migrator.cli.render.words import NARROW, WIDTH
from migrator.model import commands
from migrator.model.cohorts import Asked, asked
from migrator.model.errors import UsageError
from migrator.report.masking import Masker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from migrator.project.project import Project
    from migrator.workflow.desk import Desk


@dataclass(kw_only=True)
class Run:
    """What a verb was told beside its own options. Only here is anything printed.

    `safe_rows` counts what a copy has committed, so that whoever stops it can be told; `stopped` says
    it in other words where there is nothing to go on with.
    """

    verb: str = ""
    config: str | None = None
    database_url: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    json: bool = False
    verbose: int = 0
    quiet: bool = False
    debug: bool = False
    masker: Masker = field(default_factory=Masker)
    argv: tuple[str, ...] = ()
    safe_rows: int = 0
    stopped: str = ""
    document_written: bool = False

    @classmethod
    def of(cls, verb: str, options: Mapping[str, Any]) -> Run:
        """Make a run from the options that every verb has."""
        return cls(
            verb=verb,
            config=options["config"],
            database_url=options["database_url"],
            params=pairs(options["param"] or ()),
            json=options["format"] == "json",
            verbose=options["verbose"],
            quiet=options["quiet"],
            debug=options["debug"],
            masker=Masker(reveal=options["reveal"]),
            argv=tuple(sys.argv[1:]),
        )

    @property
    def typed(self) -> commands.Typed:
        """What commands that are printed must carry, so that they can be pasted."""
        where = {"--config": self.config, "--database-url": self.database_url}
        return commands.Typed(
            shared=tuple(word for name, value in where.items() if value for word in (name, value)),
            params=tuple(word for name, value in self.params.items() for word in ("--param", f"{name}={value}")),
        )

    def project(self) -> Project:
        """Open the project, and learn which columns it marks secret."""
        from migrator.project.project import Project

        found = Project.find(self.config)
        self._hide_columns_of(found)
        return found

    def desk(self, change: str | None, **flags: object) -> Desk:
        """Open a change: its project, its definitions, its database."""
        from migrator.workflow.desk import open_desk

        desk = open_desk(change, config=self.config, url=self.database_url, params=self.params, flags=flags)
        self._hide_columns_of(desk.project)
        commands.also(change=desk.change.name)
        return desk

    def part(self, share: str | None, file: Path | None) -> Asked | None:
        """Read which cohorts were asked for; None where none were. Raises what reading them raises."""
        found = asked(share, file)
        given = {"--cohort": share, "--cohort-file": file}
        commands.also(part=tuple(word for name, value in given.items() if value for word in (name, str(value))))
        return found

    def _hide_columns_of(self, project: Project) -> None:
        marked = {name for one in project.config.change.values() for name in one.secret_columns}
        self.masker = Masker(columns=frozenset(marked), reveal=self.masker.reveal)

    @property
    def width(self) -> int:
        """How wide lines may be."""
        if not sys.stdout.isatty():
            return WIDTH
        return max(NARROW, min(WIDTH, shutil.get_terminal_size().columns))

    @property
    def on_terminal(self) -> bool:
        """Whether results go to a terminal."""
        return sys.stdout.isatty()

    @property
    def command(self) -> str:
        """The command line as it was typed, without its secrets."""
        return self.masker.text(shlex.join(("migrator", *(self.argv or (self.verb,)))))

    @property
    def may_ask(self) -> bool:
        """Whether a person is there to answer."""
        return sys.stdin.isatty() and sys.stderr.isatty() and not self.json

    def show(self, value: Any, render: Callable[..., Iterable[str]], **more: Any) -> None:
        """Write a result: a screen, or one JSON document."""
        if self.json:
            self.document(value)
        else:
            self.page(render(self.masker.value(value), width=self.width, **more))

    def page(self, lines: Iterable[str]) -> None:
        """Write lines to stdout."""
        _write("stdout", [self.masker.text(line) for line in lines])

    def document(self, value: object) -> None:
        """Write the one JSON document to stdout: the verb, and the keys of the value."""
        from migrator.report.as_json import as_json, document

        self.document_written = True
        made = {**as_json(self.masker.value(value)), "verb": self.verb}
        sys.stdout.write(document({"verb": made.pop("verb"), **made}) + "\n")
        sys.stdout.flush()

    def say(self, lines: Iterable[str]) -> None:
        """Talk on stderr."""
        _write("stderr", [self.masker.text(line) for line in lines])

    def note(self, text: str) -> None:
        """Say something that is good to know."""
        if not self.quiet:
            self.say([text])


def _write(name: str, lines: list[str]) -> None:
    """Write to a stream; Rich is loaded only where it can colour something."""
    stream = getattr(sys, name)
    if colourful(stream):
        from migrator.cli.paint import paint

        paint(lines, stderr=name == "stderr")
        return
    stream.write("".join(f"{line}\n" for line in lines))
    stream.flush()


def is_terminal(stream: Any) -> bool:
    """Say whether somebody watches a stream on a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") not in {"dumb", "unknown"}


def colourful(stream: Any) -> bool:
    """Say whether a stream shows colours: a terminal, and nobody asked for none."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def pairs(given: Iterable[str]) -> dict[str, str]:
    """Read NAME=VALUE options."""
    made: dict[str, str] = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not sign or not name.strip():
            what = f"--param {one.partition('=')[0]!r} is not NAME=VALUE."
            raise UsageError(COMMAND_LINE, what, "For example: --param user_map=users.csv")
        made[name.strip()] = value
    return made
