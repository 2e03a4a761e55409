"""artworks → users: one user for each e-mail address that no user has yet, however it is spelled.

An address is compared trimmed and in lower case, and stored as its first artwork has it. Whoever has it already, by
registering or by the new library, is taken as he is.
"""

from migrator.model import Backfill, column, constant, derived_uuid, grouped, param, sql

from ._artworks import BLANK, COHORT, FOLDED, TEST_DATA

CREATE_USERS = param(
    "create_users", bool, default=True, help="false where users belong to the sign-up of auth.users: none is made"
)

backfill = Backfill(
    source="artworks",
    key="id",
    target="users",
    identity="id",
    group=grouped(by=sql(FOLDED), order=("created_at", "id")),
    merge={"email": sql("lower(btrim(email))")},
    cohort=COHORT,
    skip={
        "users are made by sign-up alone": sql("NOT {create}", create=CREATE_USERS),
        "no e-mail address": BLANK,
        **TEST_DATA,
    },
    columns={
        "id": derived_uuid(),
        "email": column("customer_email"),
        "is_anonymous": constant(value=True),
        "created_at": column("created_at"),
        "updated_at": column("created_at"),
    },
)
