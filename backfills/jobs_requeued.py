"""Job, in place and only where asked for: what a dead worker left RUNNING is PENDING again.

The runner never looks at such a job, for it asks for PENDING alone. How old a lock must be is for people to say.
"""

from migrator.model import Backfill, missing, param, sql

from ._photos import MOMENT, word

LOCKED_BEFORE = param(
    "locked_before",
    help="jobs that are RUNNING and were locked before this moment (UTC) are given back",
    fits=MOMENT,
    example="2026-02-01 12:00",
    needed=True,
)
ROW = 'to_jsonb("Job")'

backfill = Backfill(
    source="Job",
    key="id",
    target="Job",
    only_if=param("requeue_stale", bool, default=False, help="give jobs of dead workers back; needs locked_before"),
    handed_over=True,
    skip={
        "it is not running": sql(f"{word('status')} <> 'RUNNING'"),
        "its lock is not old": sql(
            f"NOT coalesce(({ROW} ->> 'lockedAt')::timestamp < {{before}}::timestamp, false)", before=LOCKED_BEFORE
        ),
        "it has no try left": sql(f"({ROW} ->> 'attempts')::int >= ({ROW} ->> 'maxAttempts')::int"),
    },
    columns={
        "status": sql("'PENDING'::text"),
        "lockedAt": missing("nobody holds it"),
        "lockedBy": missing("nobody holds it"),
    },
)
