"""What integration tests share: a shop whose rows name objects, and what happens to its store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from migrator.engine.objects import Store
from migrator.model.objects import Storage
from tests.support.objects import Place
from tests.support.projects import (
    make_source,
)
from tests.support.shops import ROWS, Shop, open_shop


@pytest.fixture
def shop(tmp_path: Path, database: str, place: Place) -> Shop:
    """Build four rows with an object each, not moved yet."""
    make_source(database, columns="note text", rows=[(n, f"{place.prefix}old/{n}.jpg") for n in range(ROWS)])
    for number in range(ROWS):
        place.put(f"old/{number}.jpg", f"picture {number}".encode(), ContentType="image/jpeg")
    return open_shop(tmp_path, database, place)


@pytest.fixture
def two_days_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the store's clock be two days ahead, so that what is written now is old."""
    real = Store._read_clock

    def ahead(store: Store, answer: Any) -> None:
        real(store, answer)
        store.clock = None if store.clock is None else store.clock + timedelta(days=2)

    monkeypatch.setattr(Store, "_read_clock", ahead)


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give a way to let things happen before requests of the store that a verb opens."""
    hooks: list[tuple[str, Callable[..., object]]] = []  # by the event of boto3
    real = Store.open

    def opened(storage: Storage, **more: Any) -> Store:
        store = real(storage, **more)
        for event, hook in hooks:
            store.client.meta.events.register(event, hook)
        return store

    monkeypatch.setattr(Store, "open", opened)
    return lambda operation, hook, when="before-send": hooks.append((f"{when}.s3.{operation}", hook))
