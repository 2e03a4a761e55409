"""Commands that are printed: one place writes them, with the options of the run."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.cli.render.errors import error
from migrator.cli.render.words import fold
from migrator.model import commands
from migrator.model.commands import Typed, again, command, quoted, within

PACKAGE = Path(commands.__file__).parents[1]
VERBS = "apply|archive|backfill|consumers|drop|ledger|objects|plan|quarantine|rollback|status|verify|verify-counts"
WRITTEN = re.compile(rf"\bmigrator (?:{VERBS})\b")
HELP = {"verb", "Option", "Argument", "_option"}  # calls whose texts are help, and examples of it
# What names a verb and no command of this run.
ASIDE = {"cli/app.py", "cli/verbs/demo.py", "database/explaining.py"}
RUN = Typed(
    shared=("--config", "studio/", "--database-url", "postgresql://app@db/studio"),
    params=("--param", "word=it's $5"),
    change="shop",
    part=("--cohort", "10%"),
    own=("--to", "expand"),
)


def test_a_command_carries_what_was_given_and_nothing_else() -> None:
    """Where the work is goes with every command, parameters with those of the change, cohorts where they are asked."""
    assert "migrator verify shop" == command("verify", "shop")
    where = "--config studio/ --database-url postgresql://app@db/studio"
    with commands.typed(RUN):
        assert f"""migrator verify shop --param 'word=it'"'"'s $5' {where}""" == command("verify", "shop")
        assert f"migrator status {where}" == command("status")
        assert f"migrator rollback other {where}" == command("rollback", "other")
        assert "--cohort 10%" in within("apply", "shop")
        assert "--cohort" not in command("apply", "shop")
        assert again("rollback", "shop", "--keep-new").startswith("migrator rollback shop --to expand --keep-new")
    assert "migrator verify shop" == command("verify", "shop")


def test_what_is_learned_within_a_run_is_forgotten_with_it() -> None:
    """The name of the change and the cohorts become known later, and belong to the run alone."""
    with commands.typed(Typed(params=("--param", "a=b"))):
        assert "migrator apply shop" == command("apply", "shop")
        commands.also(change="shop", part=("--cohort", "1%"))
        assert "migrator apply shop --param a=b --cohort 1%" == within("apply", "shop").replace(
            "--cohort 1% --param a=b", "--param a=b --cohort 1%"
        )
    assert not commands.is_part()


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1))
def test_a_shell_takes_every_word_as_it_was(word: str) -> None:
    """What stands in quotes, or needs none, is one word again."""
    if word not in commands.PLACEHOLDERS:
        assert [word] == shlex.split(quoted(word))


@pytest.mark.parametrize("width", [60, 72, 100])
def test_a_command_is_never_broken_over_lines(width: int) -> None:
    """Not in an error, not in a text that is folded, and not by what stands around it."""
    said = 'migrator rollback shop --lose "7 rows of orders" --param "word=a b" --config /a/long/way/to/it'
    text = f"The watch stays on the tables until then; it comes off with: {said}. Or wait."
    for lines in (fold(text, width), error("M433", "Somebody writes.", text, width=width)):
        assert any(said in one for one in lines), lines


def test_every_command_is_written_in_one_place() -> None:
    """No other room writes a command of ours into what it says; docstrings and help name verbs, and are no commands."""
    found = {
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in PACKAGE.rglob("*.py")
        if str(path.relative_to(PACKAGE)) not in ASIDE
        for line in _lines(ast.parse(path.read_text("utf-8")))
    }
    assert not found


def _lines(tree: ast.AST) -> Iterator[int]:
    aside = {id(inner) for node in ast.walk(tree) if _is_aside(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        said = node.value if isinstance(node, ast.Constant) and id(node) not in aside else None
        if isinstance(said, str) and WRITTEN.search(said):
            yield node.lineno


def _is_aside(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return getattr(node.func, "id", getattr(node.func, "attr", "")) in HELP
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
