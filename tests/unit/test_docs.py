"""The documentation is tested: what the code has stands in it, and what stands in it the code has."""

from __future__ import annotations

import ast
import hashlib
import re
import textwrap
import tomllib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import migrator
from migrator import model
from migrator.cli import app, exits, options
from migrator.engine.projection.derived import NAMESPACE
from migrator.ledger import install
from migrator.ledger.quarantine import Entry
from migrator.model import step, verdict
from migrator.model.objects import Outcome
from migrator.model.step import Phase, State
from migrator.project import Project, settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
OURS = "migrator"

OPTION = re.compile(r"`(--?[a-z][a-z-]*)")
ROWS = re.compile(r"^\| `(.+?)` \|", re.MULTILINE)


@cache
def page(name: str) -> str:
    """Read a page of docs/."""
    return (DOCS / name).read_text(encoding="utf-8")


def sections(text: str) -> dict[str, str]:
    """Part a page at its headings; a section ends where the next heading of any depth begins."""
    parts = re.split(r"^#{1,4} (.+)$", without_code(text), flags=re.MULTILINE)
    return {title.strip(): body for title, body in zip(parts[1::2], parts[2::2], strict=True)}


def without_code(text: str) -> str:
    """Leave out fenced blocks, in which a # is no heading and a bracket no link."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def blocks(text: str, language: str) -> list[str]:
    """List the fenced blocks of one language."""
    found = re.findall(r"^```([^\n]*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [body for title, body in found if title == language]


def table_names(text: str) -> set[str]:
    """List what stands in backquotes at the beginning of the rows of tables."""
    return set(ROWS.findall(text))


def commands() -> Iterator[tuple[str, Any]]:
    """Give every verb, and every subcommand of a group, as Typer builds it."""
    for name in app.VERBS:
        command = app.real(name)
        inner = getattr(command, "commands", None)
        if inner is None:
            yield name, command
        else:
            yield from ((f"{name} {one}", inner[one]) for one in inner)


def own_options(command: Any) -> set[str]:
    """List the options of a verb that not every verb has, all their spellings."""
    shared = {one.name for one in options.SHARED}
    given = (one for one in command.params if one.param_type_name == "option" and one.name not in shared)
    return {word for one in given for word in (*one.opts, *one.secondary_opts)}


COMMANDS = dict(commands())


def test_every_verb_has_its_section() -> None:
    """Each verb, and each subcommand of a group, has a section in docs/verbs.md, and no section is of no verb."""
    groups = {name.split()[0] for name in COMMANDS if " " in name}
    others = {"Verbs", "Exit codes", "Options of every verb", "JSON"}
    assert {*COMMANDS, *groups} == set(sections(page("verbs.md"))) - others


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_stands_with_its_verb(name: str) -> None:
    """The options in the table of a verb are those that it has."""
    described = "\n".join(
        line.split(" | ")[0] for line in sections(page("verbs.md"))[name].splitlines() if line.startswith("| `-")
    )
    assert own_options(COMMANDS[name]) == set(OPTION.findall(described))


def test_the_shared_options_stand_once() -> None:
    """The options of every verb are described in one place, all of them."""
    described = sections(page("verbs.md"))["Options of every verb"]
    shared = {one.name for one in options.SHARED}
    command = COMMANDS["plan"]
    words = {word for one in command.params if one.name in shared for word in one.opts}
    assert len(shared) == len([one for one in command.params if one.name in shared])
    assert {*words, "-h", "--help"} <= set(OPTION.findall(described))


@pytest.mark.parametrize("name", ["README.md", "docs/verbs.md"])
def test_the_exit_codes_stand_in_tables(name: str) -> None:
    """Every exit code has a line, and no other number has one."""
    text = (ROOT / name).read_text(encoding="utf-8")
    codes = {number for key, number in vars(exits).items() if key.isupper() and isinstance(number, int)}
    assert codes == {int(one) for one in re.findall(r"^\| (\d+) \|", text, flags=re.MULTILINE)}


def ids_in_code() -> set[str]:
    """List the ids of errors and hazards in the source of the tool."""
    source = "\n".join(one.read_text(encoding="utf-8") for one in (ROOT / OURS).rglob("*.py"))
    return set(re.findall(r"[\"']([MH]\d{3})[\"']", source))


def test_every_error_and_hazard_has_its_section() -> None:
    """Each id in the code has a section in docs/errors.md, and each section an id in the code."""
    assert ids_in_code() == {one for one in sections(page("errors.md")) if re.fullmatch(r"[MH]\d{3}", one)}


@pytest.mark.parametrize("id", sorted(ids_in_code()))
def test_every_error_has_a_problem_what_is_safe_and_a_cure(id: str) -> None:
    """Each section says the problem, what is safe, and the cure, in this order, each in a sentence."""
    said = " ".join(sections(page("errors.md"))[id].split())
    assert re.fullmatch(r"\*\*Problem\.\*\* \S.+\. .*\*\*Safe\.\*\* \S.+ \*\*Cure\.\*\* \S.+", said)


def test_every_expression_is_explained_and_listed() -> None:
    """Each constructor that definitions import stands in docs/definitions.md, and with an example in docs/design.md."""
    constructors = {one for one in model.__all__ if one.islower()}
    explained = {one.partition("(")[0] for one in table_names(sections(page("definitions.md"))["Every expression"])}
    assert constructors == explained
    listed = sections(page("design.md"))["Definitions"]
    assert constructors == table_names(listed)
    for one in constructors:
        assert re.search(rf"^\| `{one}` \| .+ \| `{one}\(.*\)` \|$", listed, flags=re.MULTILINE)


def test_every_part_of_a_definition_is_explained() -> None:
    """Each field that an author of a Backfill can fill is explained in docs/definitions.md."""
    given = {one.name for one in fields(model.Backfill)} - {"name", "path", "doc"}
    text = page("definitions.md")
    assert not {one for one in given if f"`{one}`" not in text and f"`{one}=" not in text and f"    {one}=" not in text}


def test_the_examples_of_expressions_are_expressions() -> None:
    """Each example of the list in docs/design.md can be evaluated with the words of the model."""
    examples = re.findall(r"\| `([^`]+)` \|$", sections(page("design.md"))["Definitions"], flags=re.MULTILINE)
    words = {name: getattr(model, name) for name in model.__all__}
    words["WORKFLOW"] = model.rules("workflow", fallback=("img2img", "an example"))
    made = [eval(one, words) for one in examples]  # noqa: S307 our own page
    assert len(examples) == len(made)
    assert None not in made


def test_every_table_of_the_ledger_is_described() -> None:
    """Each table of the Ledger has a line in docs/design.md; two are made elsewhere than in its schema."""
    schema = "".join(one.read_text(encoding="utf-8") for one in sorted((ROOT / "migrator/ledger").glob("schema_*.sql")))
    made = set(re.findall(r"CREATE TABLE migrator\.(\w+)", schema))
    told = sections(page("design.md"))["The Ledger"]
    assert made | {"provenance_N", "winner_N", "alembic_version"} == table_names(told)
    assert f"version {install.VERSION}." in told
    assert f"version {install.VERSION}." in " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())


def test_the_states_and_phases_are_described() -> None:
    """Each state that a change can be in has its line in docs/design.md; each phase is a word of the glossary."""
    assert {one.value for one in State} == table_names(sections(page("design.md"))["The life of a change"])
    assert all(f"`{one.value}`" in page("glossary.md") for one in Phase)


def test_every_kind_of_verdict_is_described() -> None:
    """Each way in which a row can differ has its line in docs/design.md."""
    assert set(verdict.VerdictKind.__args__) == table_names(sections(page("design.md"))["Proof"])


def test_every_outcome_of_a_copy_is_described() -> None:
    """Each thing that can come of an object has its line in docs/objects.md."""
    told = sections(page("objects.md"))["What can go wrong with an object"]
    assert {one.value for one in Outcome} == table_names(told)


def project() -> Mapping[str, Any]:
    """Read pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def floors(container: str) -> list[str]:
    """Read the layers of a package that lint-imports holds."""
    contracts = project()["tool"]["importlinter"]["contracts"]
    (found,) = (one["layers"] for one in contracts if one.get("containers") == [container])
    return list(found)


def test_the_rooms_are_those_of_the_contract() -> None:
    """The floors drawn in docs/design.md are the layers that lint-imports holds, and each room has its line."""
    layers = floors("migrator")
    (drawn,) = blocks(page("design.md"), "text rooms")
    assert layers == drawn.split("\n")[:-1]
    rooms = {room.strip() for floor in layers for room in floor.split("|")} - {"__main__"}
    assert rooms == table_names(sections(page("design.md"))["Rooms"])


def test_every_file_of_the_projection_is_in_its_drawing() -> None:
    """The drawing in docs/design.md names every file whose place lint-imports holds."""
    (drawn,) = blocks(page("design.md"), "text projection")
    files = {one.strip() for floor in floors("migrator.engine.projection") for one in floor.split("|")}
    assert set() == files - set(re.findall(r"\w+", drawn))


def test_every_setting_is_described() -> None:
    """Each setting stands in docs/definitions.md with its environment variable."""
    said = sections(page("definitions.md"))["Settings"]
    assert set(settings.NAMES) == table_names(said)
    assert all(f"| `{name}` | `{variable}` |" in said for name, variable in settings.VARIABLES.items())


def test_every_environment_variable_is_described() -> None:
    """Each variable that the code names is explained somewhere."""
    source = "\n".join(one.read_text(encoding="utf-8") for one in (ROOT / OURS).rglob("*.py"))
    named = set(re.findall(r"[\"'](MIGRATOR_[A-Z_]*[A-Z]|DATABASE_URL|NO_COLOR)[\"']", source))
    assert not {one for one in named if f"`{one}`" not in page("definitions.md")}


@pytest.mark.parametrize(
    ("title", "kinds"),
    [
        ("plan", (step.Plan,)),
        ("planned step", (step.PlannedStep, step.Preview)),
        ("hazard", (step.Hazard,)),
        ("report", (step.Report,)),
        ("step", (step.StepReport,)),
        ("balance", (verdict.Balance,)),
        ("term", (verdict.Term,)),
        ("example", (verdict.Unaccounted,)),
        ("source balance", (verdict.SourceBalance,)),
        ("comparison", (verdict.Comparison,)),
        ("row", (verdict.RowVerdict, verdict.ColumnDifference)),
        ("waiting", (step.Waiting,)),
        ("verdict", (verdict.Verdict,)),
        ("loss", (step.Losses,)),
        ("refusal", (step.Refusal,)),
        ("consumer", (step.Consumer,)),
        ("change's status", (step.ChangeStatus,)),
        ("quarantine entry", (Entry,)),
    ],
)
def test_the_keys_of_json_are_described(title: str, kinds: tuple[type, ...]) -> None:
    """Each field of a value that is written as JSON is a key in docs/verbs.md."""
    (line,) = re.findall(rf"^\| {title} \| (.*) \|$", sections(page("verbs.md"))["JSON"], flags=re.MULTILINE)
    given, _, worked_out = line.partition("worked out:")
    assert {one.name for kind in kinds for one in fields(kind)} == set(re.findall(r"`(\w+)`", given)) - {"null"}
    assert all(hasattr(kinds[0], one) for one in re.findall(r"`(\w+)`", worked_out) if one != "null")


def anchors(text: str) -> set[str]:
    """List the anchors that a forge makes of the headings of a page."""
    plain = (re.sub(r"[^\w\- ]", "", one.lower()) for one in sections(text))
    return {one.replace(" ", "-") for one in plain}


@pytest.mark.parametrize("at", PAGES, ids=lambda one: str(one.relative_to(ROOT)))
def test_links_lead_somewhere(at: Path) -> None:
    """Each relative link leads to a file of the project, and each anchor to a heading in it."""
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(at.read_text(encoding="utf-8"))):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        to = (at.parent / path).resolve() if path else at
        assert to.is_relative_to(ROOT), link
        assert to.exists(), link
        assert not anchor or anchor in anchors(to.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("at", PAGES, ids=lambda one: str(one.relative_to(ROOT)))
def test_code_in_pages_is_code(at: Path) -> None:
    """Blocks of Python compile, blocks of TOML parse, and lines of Python are no longer than in the project."""
    text = at.read_text(encoding="utf-8")
    for block in blocks(text, "python"):
        ast.parse(block)
        assert max(map(len, block.splitlines())) <= project()["tool"]["ruff"]["line-length"]
    for block in blocks(text, "toml"):
        tomllib.loads(block)


@pytest.mark.parametrize("name", ["README.md", "docs/definitions.md"])
def test_definitions_in_pages_are_accepted(name: str) -> None:
    """A definition shown in full can be loaded as it stands."""
    shown = [block for block in blocks((ROOT / name).read_text(encoding="utf-8"), "python") if "backfill =" in block]
    assert shown
    for block in shown:
        made: dict[str, Any] = {}
        exec(compile(block, name, "exec"), made)  # noqa: S102 our own page
        assert isinstance(made["backfill"], model.Backfill)


@pytest.mark.parametrize("at", PAGES, ids=lambda one: str(one.relative_to(ROOT)))
def test_the_files_that_pages_name_are_there(at: Path) -> None:
    """Each path into tests, docs, backfills or the package is a file, and each test a function in it."""
    named = re.findall(r"`((?:tests|docs|migrator)/[\w/.]+?\.(?:py|md|sql|toml))(?:::(\w+))?`", at.read_text("utf-8"))
    for path, function in named:
        assert (ROOT / path).is_file(), path
        if function:
            source = (ROOT / path).read_text(encoding="utf-8")
            assert re.search(rf"^def {function}\(", source, flags=re.MULTILINE), f"{path}::{function}"


def test_every_finding_is_told_and_shown() -> None:
    """Each finding that a test is named after has its section, which names such a test; no section is without one."""
    told = sections(page("postgresql.md"))
    tests = [*(ROOT / "tests").rglob("test_*.py")]
    named = {
        one for at in tests for one in re.findall(r"^def test_finding_(\d+)_", at.read_text("utf-8"), re.MULTILINE)
    }
    assert named <= {one.removeprefix("F") for one in told}
    assert all(f"::test_finding_{one}_" in told[f"F{one}"] for one in named)
    assert all("::test_" in text for title, text in told.items() if title != "What PostgreSQL really does here")


def derived(source: str, *key: str) -> tuple[bytes, uuid.UUID]:
    """Derive an id as docs/glossary.md says, with nothing of ours but the namespace."""
    sized = (len(text.encode()).to_bytes(4, "big") + text.encode() for text in (source, *key))
    read = NAMESPACE + b"".join(sized)
    made = bytearray(hashlib.sha256(read).digest()[:16])
    made[6] = 0x80 | made[6] & 0x0F
    made[8] = 0x80 | made[8] & 0x3F
    return read, uuid.UUID(bytes=bytes(made))


def worked_examples() -> list[list[tuple[str, str]]]:
    """Read the worked examples of derived_uuid: lines of a name and a value."""
    found = [block for block in blocks(page("glossary.md"), "text") if block.startswith("source")]
    return [[(words[0], words[1]) for words in map(str.split, block.splitlines())] for block in found]


@pytest.mark.parametrize("number", range(2))
def test_the_bytes_of_derived_uuid_are_those_of_the_glossary(number: int) -> None:
    """The worked examples follow from the bytes which the glossary describes: recomputed with hashlib alone."""
    example = worked_examples()[number]
    said = dict(example)
    read, made = derived(said["source"], *(value for name, value in example if name == "key"))
    assert said["bytes"] == read.hex()
    assert said["sha256"] == hashlib.sha256(read).hexdigest()
    assert said["id"] == str(made)
    assert made.version == 8
    assert made.variant == uuid.RFC_4122
    assert NAMESPACE.hex() in page("glossary.md")


def test_the_glossary_is_in_order() -> None:
    """The words of the glossary stand in alphabetical order, each once."""
    words = re.findall(r"^\| \*\*([^*]+)\*\* \|", page("glossary.md"), flags=re.MULTILINE)
    assert sorted(set(words), key=str.lower) == words


def test_the_changelog_has_this_version() -> None:
    """The version of the package has its section in the changelog."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{migrator.__version__}]" in text


def test_every_documented_change_has_its_page() -> None:
    """Each change of migrator.toml has a page in docs/changes, which names its parameters and its definitions."""
    config = tomllib.loads((ROOT / "migrator.toml").read_text(encoding="utf-8"))
    for name, change in config["change"].items():
        text = page(f"changes/{name}.md")
        loaded = Project.documented().change(name)
        read = {name for one in (*loaded.backfills, *loaded.left_out) for name in one.parameters()}
        declared = {*read, *change.get("revision_params", {})}
        assert declared == table_names(sections(text)["Parameters"])
        assert all(f"backfills/{one}.py" in text for one in change["backfills"])


def test_the_rules_of_the_documented_change_are_named() -> None:
    """The named rules that tell the workflow stand in the page of the change in their order."""
    source = (ROOT / "backfills/_multitalk.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    (made,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ["WORKFLOW"] == [ast.unparse(one) for one in node.targets]
    )
    assert isinstance(made, ast.Call)
    names = [ast.literal_eval(one.args[0]) for one in made.args if isinstance(one, ast.Call)]
    told = sections(page("changes/output_type_tables.md"))["How the workflow is told"]
    rows = re.findall(r"^\| (?!Rule|---|\*)(.+?) \|", told, flags=re.MULTILINE)
    assert names == rows


def test_pages_are_no_wider_than_code() -> None:
    """Lines of prose stay within the width of the project's code; tables and blocks may be wider."""
    limit = project()["tool"]["ruff"]["line-length"]
    for at in PAGES:
        prose = without_code(at.read_text(encoding="utf-8"))
        wide = [line for line in prose.splitlines() if len(line) > limit and not line.startswith("|")]
        assert not wide, f"{at.name}: {textwrap.shorten(wide[0], 80)}"
