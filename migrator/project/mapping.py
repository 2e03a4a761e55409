"""Mapping: the CSV file of a `File` parameter, read line by line, checked to the last one, and never held in memory."""

from __future__ import annotations

import csv
import hashlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from migrator.model.errors import ConfigurationError
from migrator.model.parameters import Mapping
from migrator.project.faults import Fault, shown

LONGEST_LINE: Final = 1 << 20
MOST_FAULTS: Final = 20
LEAST_COLUMNS: Final = 2
BUCKETS: Final = 256
SMALL: Final = 64
BOM: Final = b"\xef\xbb\xbf"


class _BadLineError(Exception):
    """A line after which nothing can be read."""


def read_mapping(name: str, path: Path) -> Mapping | list[Fault]:
    """Read key and value of every line, from the first two columns; what else there is, is ignored.

    A line that says the same again is tolerated. Returns the faults instead where there are any,
    each with its line.
    """
    if not path.is_file():
        what = f"{path} is no file." if path.exists() else f"{path} does not exist."
        return [Fault(where=name, what=what, cure="Name a CSV file with a header.")]
    try:
        with path.open("rb") as file:
            reading, seen = _Reading(name, path, file), _Seen()
            for key, _ in reading.rows():
                seen.add(key)
            faults, again = reading.faults, seen.finish()
            if again:
                file.seek(0)
                faults = _conflicts(_Reading(name, path, file), again)
    except OSError as error:
        return [Fault(where=name, what=f"{path} cannot be read: {error.strerror}.")]
    digest = reading.digest.hexdigest()
    return faults or Mapping(path=path, rows=_Rows(name, path, digest, again), digest=digest)


class _Reading:
    """One pass over a file: its lines, their digest, and what is wrong with them."""

    def __init__(self, name: str, path: Path, file: BinaryIO) -> None:
        self.name, self.path, self.file = name, path, file
        self.digest = hashlib.sha256()
        self.number = 0
        self.faults: list[Fault] = []

    def rows(self) -> Iterator[tuple[str, str]]:
        """Give key and value of every good line; the faults are known once it ends."""
        reader = csv.reader(self._lines(), strict=True)
        try:
            yield from self._rows(reader)
        except (_BadLineError, csv.Error) as error:
            self.fault(f"{error}.")

    def _rows(self, reader: Iterator[list[str]]) -> Iterator[tuple[str, str]]:
        header = next(reader, None)
        if header is None:
            self.fault("the file is empty.", "It needs a header and a line for every key.")
            return
        if not self._good_header(header):
            return
        empty = True
        for fields in filter(None, reader):
            empty = False
            if self._is_good(fields, len(header)):
                yield fields[0], fields[1]
            if len(self.faults) >= MOST_FAULTS:
                self.fault("there are too many faults to go on.")
                return
        if empty:
            self.fault("there is a header and no line.", "Write a line for every key.")

    def _lines(self) -> Iterator[str]:
        """Decode line by line, so that a fault has a line and a long file no weight."""
        while raw := self.file.readline(LONGEST_LINE):
            self.number += 1
            self.digest.update(raw)
            if len(raw) == LONGEST_LINE:
                raise _BadLineError(f"the line is longer than {LONGEST_LINE} bytes")
            if self.number == 1:
                raw = raw.removeprefix(BOM)
            if b"\0" in raw:
                raise _BadLineError("the line holds a NUL byte; is it UTF-16? Save it as UTF-8")
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError:
                raise _BadLineError("the line is not UTF-8; save the file as UTF-8") from None
            if text:
                yield text

    def _good_header(self, header: list[str]) -> bool:
        names = [one.strip() for one in header]
        cure = "The first line names the columns, for example: job_id,user_id"
        if len(names) < LEAST_COLUMNS:
            self.fault("the header has one column, and needs a key and a value.", cure)
        elif not all(names):
            self.fault("the header has a column without a name.", cure)
        elif any(one[0].isdigit() for one in names):
            self.fault("the header has no names, it looks like a line of values.", cure)
        elif len(set(names)) < len(names):
            self.fault("the header names a column twice.", cure)
        return not self.faults

    def _is_good(self, fields: list[str], width: int) -> bool:
        if len(fields) != width:
            self.fault(f"the line has {len(fields)} columns, the header {width}.")
        elif not fields[0].strip():
            self.fault("the key is blank.")
        elif not fields[1].strip():
            cure = "Leave out the line of a key that stands for nothing."
            self.fault(f"the value of key {shown(fields[0])} is blank.", cure)
        else:
            return True
        return False

    def fault(self, what: str, cure: str = "") -> None:
        """Keep a fault of the line that was read last."""
        where = f"{self.name}: {self.path.name}:{max(self.number, 1)}"
        self.faults.append(Fault(where=where, what=what, cure=cure))


class _Seen:
    """Which keys came more than once, as 8 bytes for each key; two that look alike are looked at again."""

    def __init__(self) -> None:
        self.again: set[int] = set()
        self._buckets = [array("Q") for _ in range(BUCKETS)]
        self._limits = [SMALL] * BUCKETS

    def add(self, key: str) -> None:
        image = _image(key)
        place = image % BUCKETS
        self._buckets[place].append(image)
        if len(self._buckets[place]) >= self._limits[place]:
            self._sift(place)

    def finish(self) -> frozenset[int]:
        for place in range(BUCKETS):
            self._sift(place)
        return frozenset(self.again)

    def _sift(self, place: int) -> None:
        """Keep each image once; what is kept may double before it is looked through again."""
        kept: set[int] = set()
        for one in self._buckets[place]:
            (self.again if one in kept else kept).add(one)
        self._buckets[place] = array("Q", kept)
        self._limits[place] = max(SMALL, 2 * len(kept))


def _image(key: str) -> int:
    return hash(key) & 0xFFFF_FFFF_FFFF_FFFF


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of a file, read anew each time they are asked for; a line that says the same again is passed over."""

    name: str
    path: Path
    digest: str
    again: frozenset[int]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Read the file. Raises ConfigurationError M106 where it is not what it was when it was checked."""
        told: set[str] = set()
        try:
            with self.path.open("rb") as file:
                reading = _Reading(self.name, self.path, file)
                for key, value in reading.rows():
                    if _image(key) not in self.again or key not in told:
                        yield key, value
                    if _image(key) in self.again:
                        told.add(key)
                if reading.faults or reading.digest.hexdigest() != self.digest:
                    raise self._changed()
        except OSError as error:
            raise self._changed() from error

    def _changed(self) -> ConfigurationError:
        return ConfigurationError(
            "M106", f"{self.name}: {self.path} changed while it was read.", "Let it be, and run the command again."
        )


def _conflicts(reading: _Reading, again: frozenset[int]) -> list[Fault]:
    """Read a file once more, and say which keys stand for two values; `again` are those that came more than once."""
    known: dict[str, str] = {}
    for key, value in reading.rows():
        if _image(key) in again and known.setdefault(key, value) != value:
            both = f"{shown(known[key])} before and {shown(value)} here"
            reading.fault(f"key {shown(key)} stands for {both}.", "Keep one of them.")
    return reading.faults
