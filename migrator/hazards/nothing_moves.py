"""H133: a backfill that would take no row of a source that has some, because its rules leave every row behind."""

from __future__ import annotations

from collections.abc import Iterable

from migrator.model.step import Hazard
from migrator.model.verdict import Balance


def find(balances: Iterable[Balance], elsewhere: frozenset[str]) -> list[Hazard]:
    """Warn of backfills without a row; `elsewhere` are rules whose rows another backfill takes, which is no loss."""
    return [_hazard(one, rules) for one in balances if (rules := _behind(one, elsewhere)) and _takes_none(one)]


def _takes_none(balance: Balance) -> bool:
    return bool(balance.source_rows) and all(one.disposition == "skipped" for one in balance.terms if one.rows)


def _behind(balance: Balance, elsewhere: frozenset[str]) -> list[str]:
    skipped = [one.reason for one in balance.terms if one.disposition == "skipped" and one.rows]
    return [one for one in skipped if one not in elsewhere]


def _hazard(balance: Balance, rules: list[str]) -> Hazard:
    return Hazard(
        id="H133",
        what=f"{balance.backfill} would take none of the {balance.source_rows:,} rows; left behind: {', '.join(rules)}",
        cure="look at these rules: a backfill without a row is rarely what was meant",
    )
