"""users.is_anonymous, in place: whoever is there and of whom nothing was said has registered.

Only the new library and the next backfill make anonymous users, and both say so.
"""

from migrator.model import Backfill, column, constant, sql

SAID = column("is_anonymous", absent="the change adds the column")

backfill = Backfill(
    source="users",
    key="id",
    target="users",
    cohort=sql("lower(btrim(email))"),
    skip={"it is said already": sql("{said} IS NOT NULL", said=SAID)},
    columns={"is_anonymous": constant(value=False)},
)
