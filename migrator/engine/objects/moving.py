"""Moving: all objects of a backfill that wait in the Ledger are copied by one pool, claim after claim."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from migrator.engine.objects.claims import Claims
from migrator.engine.objects.pool import Pool
from migrator.engine.objects.store import Store
from migrator.ledger.run import Run
from migrator.model.objects import CopySettings, CopyTask, Outcome


@dataclass(slots=True)
class Moved:
    """How many objects have which outcome, and how many bytes were copied, so far."""

    outcomes: Counter[str] = field(default_factory=Counter)
    bytes: int = 0

    def and_then(self, later: Moved) -> Moved:
        """Add what came of those of the missing that were looked for under another key."""
        again = Counter({Outcome.MISSING.value: sum(later.outcomes.values())})
        return Moved((self.outcomes - again) + later.outcomes, self.bytes + later.bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving:
    """The copying of one backfill's objects by one process, which may have joined the run of another one."""

    run: Run
    backfill: str
    store: Store
    settings: CopySettings
    joining: bool = False
    moved: Moved = field(default_factory=Moved)

    def go(self) -> Generator[Moved]:
        """Copy whatever nobody else is copying, and tell of each object; an outcome is safe when its claim has ended.

        An error of the world ends it after all that was finished has been written down. Raises M402 when the lease was
        lost, and M252 to M262.
        """
        pool = Pool(self.store, self.settings)
        claims = Claims(self.run, self.backfill, self.store, pool, joining=self.joining)
        try:
            with closing(pool.copy(self._tasks(claims), keep=claims.keep)) as copied:
                for done in copied:
                    self.moved.outcomes[done.outcome.value] += 1
                    if done.outcome is Outcome.COPIED and done.made:
                        self.moved.bytes += done.made.size
                    yield self.moved
        finally:
            pool.stop()
            claims.close()
        if claims.failure is not None:
            raise claims.failure

    def _tasks(self, claims: Claims) -> Iterator[CopyTask]:
        for claim in claims:
            self.moved.outcomes += claim.told
            yield from claim.tasks
