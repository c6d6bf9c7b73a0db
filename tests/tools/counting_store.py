"""How much of containers is read."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.sources import container
from pipeline.storage.local import LocalStore


class CountingStore(LocalStore):
    """Counts the reads, and the bytes that they gave."""

    calls = taken = 0

    def read(self, *range_: Any, **version: Any) -> bytes:
        data = super().read(*range_, **version)
        self.calls += 1
        self.taken += len(data)
        return data


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> CountingStore:
    """The store that containers are read from during this test."""
    store = CountingStore()
    monkeypatch.setattr(container, "store_of", lambda _: store)
    return store
