"""The act of the cohorts: a part of the rows goes first, is proven by itself, and is taken back by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.cli.render.words import number
from migrator.model.cohorts import asked

if TYPE_CHECKING:
    from migrator.cli.demo.stage import Stage
    from migrator.model.step import Report


def go_ahead(stage: Stage) -> None:
    """Move a share of the cohorts, prove it, and take it back."""
    from migrator.workflow import cohorts, use_cases

    share = stage.story.share
    part = asked(share, None)
    assert part is not None  # a story names a share, or this act is left out
    stage.title(f"Let {share} go ahead of the others, and take them back")
    before = stage.look()
    stage.command("apply", "--cohort", share)
    with stage.listening() as listen:
        stage.show(use_cases.apply(stage.desk, asked=part, listen=listen))
    counted = cohorts.verify_counts(stage.desk, part)
    whole = not sum(one.rows("pending") + one.unaccounted for one in counted.balances)
    said = f"{number(_moved(counted))} rows moved, none of these cohorts pending or unaccounted"
    stage.promise(f"{share} of the cohorts go whole", kept=whole and bool(_moved(counted)), evidence=said)
    stage.command("verify", "--cohort", share)
    with stage.listening() as listen:
        proof = cohorts.verify(stage.desk, part, listen=listen)
    stage.show(proof)
    alike = all(one.proven for one in proof.comparisons) and bool(proof.comparisons)
    compared = f"{number(sum(one.compared for one in proof.comparisons))} rows compared"
    stage.promise("what went ahead is proven row by row", kept=alike, evidence=compared)
    stage.command("rollback", "--cohort", share)
    with stage.listening() as listen:
        stage.show(cohorts.rollback(stage.desk, part, listen=listen))
    left = _moved(use_cases.verify_counts(stage.desk))
    stage.promise("nothing of them is left", kept=left == 0, evidence=f"{number(left)} rows of ours")
    stage.promise_same("the old tables are as they were", before)


def _moved(report: Report) -> int:
    return sum(one.rows("moved") for one in report.balances)
