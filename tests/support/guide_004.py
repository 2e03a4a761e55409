"""The two statements of guide 004 that copy rows; the tables they need are those our revisions make."""

from __future__ import annotations

from tests.support.projects import execute

USERS = """
    INSERT INTO users (email, is_anonymous) SELECT DISTINCT customer_email, true FROM artworks
    WHERE customer_email IS NOT NULL ON CONFLICT (email) DO NOTHING
"""

ARTWORKS = """
    INSERT INTO artworks_v2 (
        user_id, customer_name, customer_email, pet_name, pet_mom_image_url, pet_image_url, generated_image_url,
        generation_status, access_token, token_expires_at, created_at, updated_at
    )
    SELECT
        u.id, a.customer_name, a.customer_email, a.pet_name, COALESCE(a.original_pet_mom_url, 'migrated-missing'),
        COALESCE(a.original_pet_url, 'migrated-missing'), a.generated_image_url, a.generation_status, a.access_token,
        a.token_expires_at, a.created_at, a.updated_at
    FROM artworks a JOIN users u ON u.email = a.customer_email
    WHERE a.customer_email IS NOT NULL AND a.access_token IS NOT NULL AND a.original_image_url NOT LIKE 'test-%'
        AND a.generation_status = 'completed'
    ORDER BY a.created_at
"""

# What the new library asks for before it makes files larger, each of which is paid for.
FOR_UPSCALING = (
    "SELECT count(*) FROM artworks_v2 WHERE generation_status = 'completed' AND upscale_status = 'not_started'"
)


def run_phase_2(url: str) -> None:
    """Run both, one after the other, as `psql` does."""
    execute(url, USERS)
    execute(url, ARTWORKS)
