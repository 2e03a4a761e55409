"""Going on, or not: how many threads are told to stop, and how they keep to a rate together."""

from __future__ import annotations

import threading
import time


class StoppedError(Exception):
    """Somebody said stop; what was begun is left as a kill would leave it."""


class Going:
    """What the threads of one run share: the word to stop, and the rate."""

    def __init__(self, *, objects_per_second: float | None = None, bytes_per_second: float | None = None) -> None:
        """Begin; None is no limit."""
        self._stop = threading.Event()
        self._objects, self._bytes = objects_per_second, bytes_per_second
        self._lock = threading.Lock()
        self._next = 0.0

    @property
    def stopped(self) -> bool:
        """Whether stop was said."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Say stop, to whoever waits as well."""
        self._stop.set()

    def check(self) -> None:
        """Raise StoppedError if stop was said."""
        if self._stop.is_set():
            raise StoppedError

    def pause(self, seconds: float) -> None:
        """Wait, unless stop is said meanwhile."""
        if self._stop.wait(seconds):
            raise StoppedError

    def take(self, size: int) -> None:
        """Wait for one's turn to move an object of so many bytes."""
        if self._objects is None and self._bytes is None:
            return self.check()
        needed = max(1 / self._objects if self._objects else 0.0, size / self._bytes if self._bytes else 0.0)
        with self._lock:
            now = time.monotonic()
            turn = max(self._next, now)
            self._next = turn + needed
        return self.pause(turn - now) if turn > now else self.check()
