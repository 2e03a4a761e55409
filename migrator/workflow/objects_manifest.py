"""The manifest of a deletion: a file that says what is to be deleted, written before anything is.

Its first line says what it is about, then comes a line for each object, and the last line says how many there are: a
file without it was cut off, and nothing was deleted by it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from migrator.model.errors import RefusedError, UsageError
from migrator.model.objects import ObjectName, StoredObject
from migrator.model.orphans import Amount

FORMAT: Final = 1
_ANOTHER: Final = "Name another file."


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest that is there, whole."""

    path: Path
    change: str
    bucket: str
    amount: Amount

    def objects(self) -> Iterator[StoredObject]:
        """Give its objects, line by line."""
        with self.path.open(encoding="utf-8") as lines:
            next(lines)
            for line in lines:
                said = json.loads(line)
                if "key" in said:
                    yield _object(self.bucket, said)


def refuse_taken(path: Path) -> None:
    """Raise RefusedError M291 where a file of that name is there, UsageError M291 where none can be written."""
    if path.exists() or path.is_symlink():
        raise _taken(path)
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise _unwritable(path, "its directory is not there, or may not be written to")


def write(path: Path, change: str, bucket: str, objects: Iterable[StoredObject], **more: Any) -> Manifest:
    """Write a manifest, which is on the disk when this returns; where it cannot be, nothing of it stays.

    Raises RefusedError M291 where a file of that name is there, UsageError M291 where it cannot be written.
    """
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        raise _taken(path) from None
    except OSError as error:
        raise _unwritable(path, error.strerror or "it cannot be opened") from error
    try:
        with file:
            _line(file, {"manifest": FORMAT, "change": change, "bucket": bucket, **more})
            amount = _written(file, objects)
            _line(file, {"objects": amount.objects, "bytes": amount.bytes})
            file.flush()
            os.fsync(file.fileno())
        _sync(path.parent)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise _unwritable(path, error.strerror or "writing failed") from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Manifest(path=path, change=change, bucket=bucket, amount=amount)


def read(path: Path, change: str) -> Manifest:
    """Read a manifest through, once. Raises UsageError M291 where it is none, not whole, or of another change."""
    count = size = 0
    try:
        with path.open(encoding="utf-8") as lines:
            head = json.loads(next(lines, "null"))
            last: Any = None
            for line in lines:
                last = json.loads(line)
                if "key" in last:
                    found = _object(str(head["bucket"]), last)
                    count, size = count + 1, size + found.size
        whole = isinstance(last, dict) and last.get("objects") == count and head.get("manifest") == FORMAT
    except OSError as error:
        raise _unreadable(path, error.strerror or "it cannot be read", "Name the file that was written.") from error
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _unreadable(path, "it is no manifest, or was cut off", "Nothing was deleted by it. " + _ANOTHER) from None
    if not whole:
        raise _unreadable(
            path, "it was cut off", "Nothing was deleted by it. Leave --continue out, and " + "name another."
        )
    if head["change"] != change:
        raise _unreadable(path, f"it is one of {head['change']}", f"Name the one of {change}.")
    return Manifest(path=path, change=change, bucket=str(head["bucket"]), amount=Amount(objects=count, bytes=size))


def spool(file: IO[str], objects: Iterable[StoredObject]) -> Amount:
    """Put objects aside in a file, and go to its beginning."""
    amount = _written(file, objects)
    file.seek(0)
    return amount


def spooled(file: IO[str], bucket: str) -> Iterator[StoredObject]:
    """Take what was put aside."""
    for line in file:
        yield _object(bucket, json.loads(line))


def _written(file: IO[str], objects: Iterable[StoredObject]) -> Amount:
    count = size = 0
    for each in objects:
        moment = each.modified.isoformat() if each.modified else None
        _line(
            file,
            {
                "key": each.name.key,
                "size": each.size,
                "etag": each.etag,
                "version": each.version,
                "modified": moment,
            },
        )
        count, size = count + 1, size + each.size
    return Amount(objects=count, bytes=size)


def _line(file: IO[str], said: dict[str, Any]) -> None:
    file.write(json.dumps(said) + "\n")


def _object(bucket: str, said: dict[str, Any]) -> StoredObject:
    return StoredObject(
        name=ObjectName(bucket, str(said["key"])),
        size=int(said["size"]),
        etag=str(said["etag"]),
        version=said["version"],
    )


def _sync(directory: Path) -> None:
    """Have the name of a new file on the disk, where the system can do that for a directory."""
    with suppress(OSError):
        number = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _taken(path: Path) -> RefusedError:
    return RefusedError(
        "M291",
        f"{path} is there already; nothing was deleted.",
        "Name another file; or, to go on with the deletion that it was written for, add --continue.",
    )


def _unwritable(path: Path, why: str) -> UsageError:
    return UsageError("M291", f"{path} cannot be written: {why}; nothing was deleted.", _ANOTHER)


def _unreadable(path: Path, why: str, cure: str) -> UsageError:
    return UsageError("M291", f"{path} cannot be gone on with: {why}.", cure)
