"""PgBouncer in transaction mode in front of a test server, with a pool small enough to share its connections."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

DEADLINE = 10.0


@contextmanager
def pooled(url: str, *, size: int = 2) -> Iterator[str]:
    """Give the address of the same database through a pooler; without PgBouncer on this machine, fail."""
    program = shutil.which("pgbouncer")
    if program is None:
        raise AssertionError("soak needs PgBouncer and this machine has none: install the package pgbouncer")
    parts = urlsplit(url)
    name, port = parts.path.lstrip("/"), _free_port()
    folder = Path(tempfile.mkdtemp(prefix="migrator-pooler-"))
    (folder / "users.txt").write_text(f'"{parts.username}" ""\n')
    (folder / "pooler.ini").write_text(
        f"[databases]\n{name} = host={parts.hostname} port={parts.port} dbname={name} user={parts.username}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        f"auth_file = {folder}/users.txt\npool_mode = transaction\ndefault_pool_size = {size}\nmax_client_conn = 50\n"
    )
    folder.chmod(0o755)
    for one in folder.iterdir():
        one.chmod(0o644)
    # PgBouncer refuses to run as root.
    account = {"user": "nobody"} if os.geteuid() == 0 else {}
    process = subprocess.Popen([program, "-q", str(folder / "pooler.ini")], stderr=subprocess.DEVNULL, **account)
    try:
        through = f"postgresql://{parts.username}@127.0.0.1:{port}/{name}"
        _wait_until_up(through)
        yield through
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_up(url: str) -> None:
    begun = time.monotonic()
    while True:
        try:
            psycopg.connect(url, prepare_threshold=None).close()
        except psycopg.OperationalError:
            if time.monotonic() - begun > DEADLINE:
                raise
            time.sleep(0.05)
        else:
            return
