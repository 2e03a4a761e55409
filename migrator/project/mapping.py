"""Mapping: the CSV file of a `File` parameter, read line by line and checked to the last one."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from migrator.model.parameters import Mapping
from migrator.project.faults import Fault, shown

LONGEST_LINE: Final = 1 << 20
MOST_FAULTS: Final = 20
LEAST_COLUMNS: Final = 2
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
            return _Reading(name, path, file).result()
    except OSError as error:
        return [Fault(where=name, what=f"{path} cannot be read: {error.strerror}.")]


class _Reading:
    """One pass over a file: its lines, their digest, and what is wrong with them."""

    def __init__(self, name: str, path: Path, file: BinaryIO) -> None:
        self.name, self.path, self.file = name, path, file
        self.digest = hashlib.sha256()
        self.number = 0
        self.rows: dict[str, str] = {}
        self.faults: list[Fault] = []

    def result(self) -> Mapping | list[Fault]:
        try:
            self._read()
        except (_BadLineError, csv.Error) as error:
            self._fault(f"{error}.")
        if self.faults:
            return self.faults
        rows = tuple(self.rows.items())
        return Mapping(path=self.path, rows=rows, digest=self.digest.hexdigest())

    def _read(self) -> None:
        reader = csv.reader(self._lines(), strict=True)
        header = next(reader, None)
        if header is None:
            self._fault("the file is empty.", "It needs a header and a line for every key.")
            return
        if not self._good_header(header):
            return
        for fields in reader:
            if fields:
                self._row(fields, len(header))
            if len(self.faults) >= MOST_FAULTS:
                self._fault("there are too many faults to go on.")
                return
        if not self.rows and not self.faults:
            self._fault("there is a header and no line.", "Write a line for every key.")

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
            self._fault("the header has one column, and needs a key and a value.", cure)
        elif not all(names):
            self._fault("the header has a column without a name.", cure)
        elif any(one[0].isdigit() for one in names):
            self._fault("the header has no names, it looks like a line of values.", cure)
        elif len(set(names)) < len(names):
            self._fault("the header names a column twice.", cure)
        return not self.faults

    def _row(self, fields: list[str], width: int) -> None:
        if len(fields) != width:
            self._fault(f"the line has {len(fields)} columns, the header {width}.")
            return
        key, value = fields[:2]
        if not key.strip():
            self._fault("the key is blank.")
        elif not value.strip():
            cure = "Leave out the line of a key that stands for nothing."
            self._fault(f"the value of key {shown(key)} is blank.", cure)
        elif self.rows.setdefault(key, value) != value:
            both = f"{shown(self.rows[key])} before and {shown(value)} here"
            self._fault(f"key {shown(key)} stands for {both}.", "Keep one of them.")

    def _fault(self, what: str, cure: str = "") -> None:
        where = f"{self.name}: {self.path.name}:{max(self.number, 1)}"
        self.faults.append(Fault(where=where, what=what, cure=cure))
