"""The command line as a user meets it: help, versions, mistakes, pipes, and Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from migrator import __version__
from migrator.cli.app import VERBS, build, real, run

GROUPS = {
    "objects": ("plan", "copy", "verify", "orphans", "meta"),
    "quarantine": ("list", "show", "retry", "dismiss"),
    "ledger": ("install", "remove"),
}
COMMANDS = [
    *([verb] for verb in VERBS if verb not in GROUPS),
    *([group, verb] for group, verbs in GROUPS.items() for verb in verbs),
]
SHARED = ("--config", "--database-url", "--param", "--format", "--verbose", "--quiet", "--debug", "--reveal")
SLOW = ("rich", "pydantic", "psycopg", "sqlalchemy", "alembic", "boto3")


def migrator(*arguments, **more):
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "migrator", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **more)


def imported(*arguments, **more):
    """Name the modules that a command line imports."""
    code = (
        "import sys; from migrator.cli.app import run; code = run(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=True, **more
    )
    return {name.partition(".")[0] for name in done.stderr.split()}, done.stderr


def test_help_names_every_verb_and_exit_code(capsys):
    """`migrator --help` fits a screen and names what there is."""
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(re.search(rf"^  {verb} ", out, re.MULTILINE) for verb in VERBS)
    assert "130 interrupted" in out


def test_alone_it_shows_its_help(capsys):
    """`migrator` without a verb shows the same help, and that is no failure."""
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert run([]) == 0
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_verb_has_help_with_an_example(command, capsys):
    """Every verb says what it does, with an example, and every option has a word of help."""
    assert run([*command, "--help"]) == 0
    out = capsys.readouterr().out
    assert re.search(rf"^  Example:  migrator {' '.join(command)}\b", out, re.MULTILINE)
    assert all(option in out for option in SHARED)
    verb = real(command[0])
    parameters = (verb.commands[command[1]] if len(command) > 1 else verb).params
    assert [one.name for one in parameters if not one.help] == []


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_options_that_take_a_value_show_one(command):
    """An option that takes a value has an example of it, or says its default."""
    verb = real(command[0])
    parameters = (verb.commands[command[1]] if len(command) > 1 else verb).params
    valued = [one for one in parameters if one.param_type_name == "option" and not one.is_flag and not one.count]
    assert [one.name for one in valued if "xample" not in one.help] == []


def test_the_names_of_verbs_say_what_the_verbs_say():
    """Each verb of the overview exists, under that name."""
    assert [real(verb).name for verb in VERBS] == list(VERBS)


def test_version(capsys):
    """`--version` names the version and ends."""
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"migrator {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plann"], "No such command 'plann'. Did you mean 'plan'?"),
        (["plan", "--nope"], "No such option: --nope"),
        (["apply", "--to", "nowhere"], "'nowhere'"),
        (["plan", "--format", "xml"], "'xml'"),
        (["verify", "--show", "many"], "--show"),
        (["status", "--watch", "--format", "json"], "--watch"),
        (["quarantine", "show"], "Which row?"),
        (["quarantine", "dismiss", "--all"], "A note is needed"),
        (["demo", "--change", "nope"], "The demo has no change 'nope'."),
    ],
)
def test_mistakes_end_with_two(arguments, said, capsys):
    """A mistake of the command line ends with 2 and says what is wrong."""
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert said in out + err


def test_mistakes_are_json_where_that_was_asked(capsys):
    """A mistake is a document too, when documents are wanted."""
    assert run(["plan", "--nope", "--format", "json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"] == {
        "id": "M100",
        "what": "No such option: --nope",
        "cure": "See migrator plan --help",
        "exit_code": 2,
    }


def test_without_a_database_nothing_is_started(monkeypatch, tmp_path):
    """No URL is an error of configuration, never a server started in silence."""
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    done = migrator("plan", "output_type_tables", env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith("M104 No URL for database default")
    nowhere = migrator("status", "--config", str(tmp_path))
    assert nowhere.returncode == 2
    assert nowhere.stderr.startswith("M101 ")


def test_help_imports_nothing_slow():
    """Help needs Typer and nothing else: what is slow is imported by the verb that needs it."""
    found, _ = imported("--help")
    assert not found & set(SLOW)
    assert "typer" in found


def test_the_help_of_a_verb_imports_nothing_slow():
    """Nor does the help of a verb, but for pydantic, by which Typer itself reads options."""
    for verb in VERBS:
        found, _ = imported(verb, "--help")
        assert not found & (set(SLOW) - {"pydantic"}), verb


def test_status_imports_no_toolkits(database):
    """Status is asked often: it does without SQLAlchemy, Alembic and boto3, and without Rich off a terminal."""
    found, said = imported("status", "--database-url", database)
    assert "migrator.workflow.status" in said
    assert not found & {"sqlalchemy", "alembic", "boto3", "rich"}


def test_without_a_terminal_there_are_no_escape_codes(database):
    """What goes to a file or a pipe is plain text, results and talk alike."""
    done = migrator("status", "--database-url", database, env={**os.environ, "FORCE_COLOR": "1"})
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr


def test_a_broken_pipe_is_quiet(database):
    """Nobody is told of a reader that has gone."""
    command = f"{sys.executable} -m migrator status --database-url '{database}' | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""


@contextmanager
def deaf():
    """Listen on a port, take connections, and never answer: whoever connects waits."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connected = threading.Event()

        def accept():
            taken, _ = server.accept()
            with taken:
                connected.set()
                taken.recv(1 << 16)
                taken.recv(1 << 16)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"postgresql://u:hidden@127.0.0.1:{server.getsockname()[1]}/db", connected
        thread.join(10)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_verb_says_how_to_go_on(sent):
    """Ctrl-C and SIGTERM end with 130, say that the state is safe and how to go on, and hide the password."""
    with deaf() as (url, connected):
        command = [sys.executable, "-m", "migrator", "status", "--database-url", url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert connected.wait(30)
            process.send_signal(sent)
            out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == ""
    assert err.startswith("Stopped. The state is safe. Go on with: migrator status --database-url ")
    assert "hidden" not in err


def test_typer_runs_the_application_as_well():
    """The application works where Typer itself runs it, as documentation tools do."""
    done = CliRunner().invoke(build(), ["--help"])
    assert done.exit_code == 0
    assert "verify-counts" in done.output
