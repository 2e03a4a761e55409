"""Many objects at once: a bounded pool of threads over any number of tasks, its results in one place."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from queue import SimpleQueue
from typing import Final, Generic, TypeVar

from migrator.engine.objects.copy import copy, outcome_of
from migrator.engine.objects.failures import RefusalError
from migrator.engine.objects.going import Going, StoppedError
from migrator.engine.objects.look import look
from migrator.engine.objects.remove import remove
from migrator.engine.objects.store import Store
from migrator.engine.objects.write import write
from migrator.model.documents import WriteTask
from migrator.model.objects import (
    Copied,
    CopySettings,
    CopyTask,
    Looked,
    ObjectName,
    Outcome,
    Progress,
    Removed,
    StoredObject,
)

AHEAD: Final = 2  # tasks taken for each thread: one in work, one in hand

Task = TypeVar("Task")
Result = TypeVar("Result")


class Pool:
    """Copies and removes objects by several threads, and can be told to stop."""

    def __init__(self, store: Store, settings: CopySettings | None = None) -> None:
        """Prepare it; threads live only while something is done."""
        self._store = store
        self._settings = settings or CopySettings()
        self._going = Going(
            objects_per_second=self._settings.objects_per_second, bytes_per_second=self._settings.bytes_per_second
        )
        self._outcomes: Counter[Outcome] = Counter()
        self._bytes = 0
        self._begun = 0.0

    def copy(
        self, tasks: Iterable[CopyTask], *, keep: Callable[[Copied], object] = lambda _: None
    ) -> Generator[Copied]:
        """Copy objects, and give what came of each as it is known, in any order.

        Tasks are taken one by one and only a few ahead, by the thread that takes the results. `keep` is called before
        that, by the thread that copied. An error of the world ends it after all that was finished has been given.
        """
        self._begun = self._begun or time.monotonic()

        def act(task: CopyTask) -> Copied:
            copied = copy(self._store, task, self._settings, self._going)
            keep(copied)
            return copied

        for one in self._threads(act).run(tasks):
            self._outcomes[one.outcome] += 1
            if one.outcome is Outcome.COPIED and one.made:
                self._bytes += one.made.size
            yield one

    def look(self, names: Iterable[ObjectName], *, share: int = 1) -> Iterator[Looked]:
        """Look at objects, as `copy` copies them, beside its threads; fewer are told of when it was told to stop.

        Of `share` 2 half as many threads look: where as many copy at the same time, more are only in each other's way.
        """

        def act(name: ObjectName) -> Looked:
            if name.fault:
                return Looked(name=name, outcome=Outcome.NO_NAME, detail=name.fault)
            try:
                found = look(self._store, name)
            except RefusalError as refusal:
                return Looked(name=name, outcome=outcome_of(refusal), detail=refusal.why)
            return Looked(name=name, found=found, outcome=None if found else Outcome.MISSING)

        return self._threads(act, share).run(names)

    def write(self, tasks: Iterable[WriteTask]) -> Iterator[Copied]:
        """Write documents, as `copy` copies objects."""

        def act(task: WriteTask) -> Copied:
            return write(self._store, task, self._going)

        return self._threads(act).run(tasks)

    def remove(self, made: Iterable[StoredObject]) -> Iterator[Removed]:
        """Remove objects that copies of ours made, as `copy` copies them."""

        def act(one: StoredObject) -> Removed:
            self._going.take(0)
            return remove(self._store, one)

        return self._threads(act).run(made)

    def stop(self) -> None:
        """Take no more tasks; what is being copied is finished or, in parts, given up, and told of as usual."""
        self._going.stop()

    @property
    def stopped(self) -> bool:
        """Whether it takes no more tasks: it was told to stop, or something failed."""
        return self._going.stopped

    @property
    def progress(self) -> Progress:
        """How far it is."""
        seconds = time.monotonic() - self._begun if self._begun else 0.0
        return Progress(outcomes=dict(self._outcomes), bytes=self._bytes, seconds=seconds)

    def _threads(self, act: Callable[[Task], Result], share: int = 1) -> _Threads[Task, Result]:
        return _Threads(act, max(1, self._settings.workers // share), self._going)


class _Threads(Generic[Task, Result]):
    """Threads that do one thing to many tasks."""

    def __init__(self, act: Callable[[Task], Result], workers: int, going: Going) -> None:
        self._act = act
        self._going = going
        self._workers = workers
        self._todo: SimpleQueue[Task | None] = SimpleQueue()
        self._done: SimpleQueue[tuple[Result | None, BaseException | None]] = SimpleQueue()
        self._failure: BaseException | None = None

    def run(self, tasks: Iterable[Task]) -> Iterator[Result]:
        """Give the results as they come; whatever has one is given before an error is raised."""
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self._workers)]
        for one in threads:
            one.start()
        try:
            yield from self._results(iter(tasks))
        finally:
            if self._failure is not None or not self._todo.empty():
                self._going.stop()
            for _ in threads:
                self._todo.put(None)
            for one in threads:
                one.join()
        if self._failure is not None:
            raise self._failure

    def _results(self, tasks: Iterator[Task]) -> Iterator[Result]:
        """Keep the threads busy and hand on what they have done."""
        under_way, more = 0, True
        while True:
            while more and under_way < self._workers * AHEAD:
                more = self._failure is None and not self._going.stopped and self._give_out(tasks)
                under_way += more
            if not under_way:
                return
            result, error = self._done.get()
            under_way -= 1
            if error is None:
                assert result is not None
                yield result
            elif not isinstance(error, StoppedError):
                self._failure = self._failure or error
                self._going.stop()

    def _give_out(self, tasks: Iterator[Task]) -> bool:
        """Hand the next task to the threads; False when there is none."""
        try:
            self._todo.put(next(tasks))
        except StopIteration:
            return False
        except Exception as error:  # noqa: BLE001 -- it is raised again when what is under way has been told of
            self._failure = error
            return False
        return True

    def _work(self) -> None:
        while (task := self._todo.get()) is not None:
            try:
                self._going.check()
                self._done.put((self._act(task), None))
            except BaseException as error:  # noqa: BLE001 -- it is raised again where the results are taken
                self._going.stop()  # whoever takes the results may be waiting for tasks
                self._done.put((None, error))
