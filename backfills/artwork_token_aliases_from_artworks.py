"""artworks → artwork_token_aliases: the links of lesser twins go on working, and open the artwork of their upload."""

from migrator.model import Backfill, column, defaulted, moved_to, sql

from ._artworks import COHORT, TEST_DATA, twin_of_another

ARTWORK = moved_to("artworks_v2_from_artworks")

backfill = Backfill(
    source="artworks",
    key="id",
    target="artwork_token_aliases",
    identity="access_token",
    cohort=COHORT,
    skip={
        **TEST_DATA,
        "it has no access token": sql("access_token IS NULL"),
        # Until the artworks are moved, the twins are looked for once more.
        "the artwork has its own token": sql(
            "CASE WHEN {artwork} IS NOT NULL THEN {artwork} = artworks.id ELSE NOT {twin} END",
            artwork=ARTWORK,
            twin=twin_of_another(),
        ),
    },
    columns={
        "access_token": column("access_token"),
        "artwork_id": ARTWORK,
        "token_expires_at": defaulted(
            "token_expires_at",
            sql("created_at + interval '30 days'"),
            reason="never recorded: thirty days, as every link has",
        ),
        "created_at": column("created_at"),
    },
)
