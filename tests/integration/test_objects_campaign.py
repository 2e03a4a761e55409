"""A hundred and fifty objects under keys of every kind, some at fault: the balance closes, and nothing strays."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.campaign import Campaign, there_and_back
from tests.support.objects import Objects, Place


def test_every_fault_has_its_name_and_number(
    tmp_path: Path, database: str, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing, denied and replaced objects hold their rows back; the others move, and rollback leaves no trace."""
    faults = {"missing": 12, "denied": 8, "replaced": 5}
    place = Place(objects, objects.bucket())
    campaign = Campaign.make(tmp_path, database, place, random.Random(150), count=150, faults=faults)
    campaign.spoil(monkeypatch)
    there_and_back(campaign)
