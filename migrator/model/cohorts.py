"""Cohorts: which rows go together, in the words of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from migrator.model.errors import UsageError

BUCKETS: Final = 10_000  # of all cohorts, by the hash of their value


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The cohorts asked for: those in the first `upto` of all buckets, or those that a `file` names."""

    upto: int | None = None
    file: Path | None = None

    @property
    def said(self) -> str:
        """Say which, in a few words."""
        if self.upto is None:
            return f"of {self.file}"
        return f"of the first {Decimal(self.upto) / (BUCKETS // 100):f}%"


def asked(share: str | None, file: Path | None) -> Asked | None:
    """Read what was asked for; None where nothing was.

    Raises UsageError M155 for what is no percentage, M156 for both at once.
    """
    if share is not None and file is not None:
        raise UsageError("M156", "--cohort and --cohort-file were both given.", "Give one of them.")
    if share is None:
        return None if file is None else Asked(file=file)
    text = share.strip().removesuffix("%").strip()
    try:
        upto = Decimal(text) * (BUCKETS // 100)
    except InvalidOperation:
        upto = Decimal(0)
    if not share.strip().endswith("%") or not upto.is_finite() or upto != int(upto) or not 0 < upto <= BUCKETS:
        raise UsageError(
            "M155",
            f"--cohort {share!r} is no share of all cohorts.",
            "Write a percentage above 0 and up to 100, with two decimals at most, for example --cohort 10%.",
        )
    return Asked(upto=int(upto))
