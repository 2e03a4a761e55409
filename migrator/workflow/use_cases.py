"""The door of the room: one function for each verb that reads or goes forward. Nothing here prints.

`undoing` has the way back, `archiving` the life after the proof, `housekeeping` the quarantine and the Ledger.
"""

from migrator.workflow.applying import apply
from migrator.workflow.facts import refuse_archived, status_facts
from migrator.workflow.planning import plan
from migrator.workflow.proving import verify, verify_counts
from migrator.workflow.runner import install_ledger, running

__all__ = [
    "apply",
    "install_ledger",
    "plan",
    "refuse_archived",
    "running",
    "status_facts",
    "verify",
    "verify_counts",
]
