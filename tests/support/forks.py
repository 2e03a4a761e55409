"""A process that forks another one for each task, which may kill itself: what it needs is imported once."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[2]

# What a launcher's own text finds: `tell` says a word at once or not at all, and `forking` does the work of each line.
FORKING = """
import os, sys

def tell(word, said=""):
    os.write(1, f"{word} {said}\\n".encode())

def forking(work):
    for line in sys.stdin:
        child = os.fork()
        if not child:
            try:
                said = work(*line.split())
            except BaseException as error:
                tell("failed", repr(error).replace(chr(10), " "))
                os._exit(1)
            tell("ended", said)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            tell("killed", os.WTERMSIG(status))
"""


class Forks:
    """Tasks of one kind, each in a process of its own."""

    def __init__(self, text: str, *arguments: str) -> None:
        """Start what forks them; the text ends with a call of `forking`."""
        command = [sys.executable, "-c", FORKING + text, *arguments]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT)

    def __enter__(self) -> Self:
        """Hand it over."""
        return self

    def __exit__(self, *error: object) -> None:
        """Leave nothing behind."""
        self._process.kill()
        self._process.__exit__(*error)

    def ask(self, *words: object) -> None:
        """Set a task."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()

    def answer(self) -> tuple[str, str]:
        """Wait for the next word, and what was said with it; that it was killed it was by SIGKILL."""
        assert self._process.stdout is not None
        word, _, said = self._process.stdout.readline().strip().partition(" ")
        assert word not in {"", "failed"}, said
        assert word != "killed" or int(said) == signal.SIGKILL
        return word, said
