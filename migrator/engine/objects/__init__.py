"""Objects in S3: looked at, copied inside the store, compared, removed again, listed.

The only room that knows boto3, and it imports that when a store is opened.
"""

from migrator.engine.objects.copy import copy
from migrator.engine.objects.inventory import inventory, keeps_versions
from migrator.engine.objects.look import look
from migrator.engine.objects.pool import Pool
from migrator.engine.objects.remove import remove
from migrator.engine.objects.store import Store
from migrator.engine.objects.trial import end_trial, trial_name, try_conditions

__all__ = [
    "Pool",
    "Store",
    "copy",
    "end_trial",
    "inventory",
    "keeps_versions",
    "look",
    "remove",
    "trial_name",
    "try_conditions",
]
