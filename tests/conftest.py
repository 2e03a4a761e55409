"""The PostgreSQL of the tests, and the options `--pg` and `--soak`.

The server is opened once, by the process that was started; the workers of xdist find its address
in the environment.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from migrator.servers import Postgres
from tests.support.databases import Databases, NoServerError, Server, look_at, open_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHOICE_VARIABLE = "MIGRATOR_TEST_PG"
ADDRESS_VARIABLE = "MIGRATOR_TEST_PG_ADDRESS"  # from the controller to its workers
OPENED = pytest.StashKey[Server]()


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
    group.addoption("--soak", action="store_true", help="also run the long tests marked `soak`")


def pytest_configure(config: pytest.Config) -> None:
    """Open the server, unless this is a worker or no test will run."""
    if hasattr(config, "workerinput") or config.option.collectonly or config.option.help:
        return
    stack = ExitStack()
    config.add_cleanup(stack.close)
    try:
        server = open_server(config.getoption("pg"), stack)
    except NoServerError as error:
        pytest.exit(f"no PostgreSQL for the tests -- {error}", returncode=3)
    config.stash[OPENED] = server
    os.environ[ADDRESS_VARIABLE] = server.address
    stack.callback(os.environ.pop, ADDRESS_VARIABLE)


def pytest_report_header(config: pytest.Config) -> str:
    """Name the server at the top of the output."""
    server = config.stash.get(OPENED, None)
    return f"database: {server.about if server else 'none'}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long tests out of an ordinary run: deselected, and counted as such."""
    if config.getoption("soak"):
        return
    long = [item for item in items if item.get_closest_marker("soak")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.fixture(scope="session")
def server() -> Server:
    """Share one PostgreSQL between all tests."""
    return look_at(os.environ[ADDRESS_VARIABLE], "shared by the tests")


@pytest.fixture(scope="session")
def databases(server: Server) -> Iterator[Databases]:
    """Keep the templates of this process for the whole run."""
    with ExitStack() as stack:
        made = Databases(server)
        stack.callback(made.close)
        yield made


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

    `build(url)` fills the template the first time a process asks for the name, and only then.
    """
    with ExitStack() as stack:
        yield lambda name, build: stack.enter_context(databases.fresh(databases.template(name, build)))


@pytest.fixture
def killable() -> Iterator[Postgres]:
    """Give the test a server of its own, to kill and to start again."""
    with Postgres.start() as private:
        yield private
