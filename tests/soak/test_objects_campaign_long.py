"""Five thousand objects under keys of every kind, with many at fault; there, mended, there again, and back."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.campaign import Campaign, there_and_back
from tests.support.objects import Objects, Place

pytestmark = pytest.mark.soak


def test_every_fault_of_five_thousand_has_its_name_and_number(
    tmp_path: Path, database: str, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 missing, 50 denied, 20 replaced during the copy: the balance closes, nothing strays, undo leaves no trace."""
    faults = {"missing": 200, "denied": 50, "replaced": 20}
    place = Place(objects, objects.bucket())
    campaign = Campaign.make(tmp_path, database, place, random.Random(5_000), count=5_000, faults=faults)
    campaign.spoil(monkeypatch)
    there_and_back(campaign)
