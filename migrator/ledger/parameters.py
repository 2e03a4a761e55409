"""The lines of File parameters in the Ledger, where the Projection can join them."""

from __future__ import annotations

from migrator.database.connect import Connection
from migrator.database.session import execute, rows
from migrator.model.parameters import Arguments, Mapping


def are_stored(conn: Connection, change: str, arguments: Arguments) -> bool:
    """Tell whether the Ledger holds exactly these files."""
    if not arguments.files:
        return False
    found = rows(conn, "SELECT DISTINCT parameter, digest FROM migrator.parameter_line WHERE change = %s", (change,))
    known = {str(name): str(digest) for name, digest in found}
    return all(known.get(name) == one.digest for name, one in arguments.files.items())


def store(conn: Connection, change: str, arguments: Arguments) -> None:
    """Bring the Ledger's lines to these files, in the open transaction."""
    if arguments.files and are_stored(conn, change, arguments):
        return
    execute(conn, "DELETE FROM migrator.parameter_line WHERE change = %s", (change,))
    for name, content in arguments.files.items():
        _copy(conn, change, name, content)


def forget(conn: Connection, change: str) -> None:
    """Forget the files of a change."""
    execute(conn, "DELETE FROM migrator.parameter_line WHERE change = %s", (change,))


def _copy(conn: Connection, change: str, name: str, content: Mapping) -> None:
    copied = "COPY migrator.parameter_line (change, parameter, digest, key, value) FROM STDIN"
    with conn.cursor() as cursor, cursor.copy(copied) as copy:
        for key, value in content.rows:
            copy.write_row((change, name, content.digest, key, value))
