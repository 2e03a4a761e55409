"""Create the functions of the new library; they follow artworks_v2 when it takes the old table's name."""

from __future__ import annotations

from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

# One user per address, however it is spelled, also when two uploads of one customer come at once: the lock is held to
# the end of the transaction, and each statement after it sees what others committed before. users keeps its name.
ANONYMOUS_USER = """
    CREATE FUNCTION public.create_anonymous_user(user_email TEXT) RETURNS UUID
    LANGUAGE plpgsql
    SET search_path = ''
    AS $$
    DECLARE
        folded CONSTANT TEXT := lower(btrim(user_email));
        known UUID;
    BEGIN
        IF coalesce(folded, '') = '' THEN
            RAISE EXCEPTION 'a user needs an e-mail address' USING ERRCODE = 'invalid_parameter_value';
        END IF;
        PERFORM pg_advisory_xact_lock(hashtextextended('create_anonymous_user ' || folded, 0));
        FOR attempt IN 1..2 LOOP
            SELECT one.id INTO known FROM public.users AS one WHERE lower(btrim(one.email)) = folded
                ORDER BY one.is_anonymous IS TRUE, one.email <> user_email, one.created_at, one.id LIMIT 1;
            IF known IS NOT NULL THEN
                RETURN known;
            END IF;
            -- Where sign-up alone makes users, an artwork has none until its customer registers.
            IF EXISTS (SELECT FROM pg_catalog.pg_constraint AS tied WHERE tied.contype = 'f'
                AND tied.conrelid = 'public.users'::regclass AND tied.confrelid = to_regclass('auth.users')) THEN
                RETURN NULL;
            END IF;
            INSERT INTO public.users (email, is_anonymous) VALUES (user_email, true)
                ON CONFLICT (email) DO NOTHING RETURNING users.id INTO known;
            IF known IS NOT NULL THEN
                RETURN known;
            END IF;
        END LOOP;
        RETURN NULL;
    END
    $$
"""

# The bodies below are parsed now and hold the tables themselves, not their names: they go with them when renamed.
CREATE = """
    CREATE FUNCTION public.create_artwork(
        customer_name TEXT,
        customer_email TEXT,
        pet_name TEXT,
        pet_mom_image_url TEXT,
        pet_image_url TEXT
    ) RETURNS SETOF public.artworks_v2
    LANGUAGE sql
    SET search_path = ''
    BEGIN ATOMIC
        INSERT INTO public.artworks_v2 (
            user_id, customer_name, customer_email, pet_name, pet_mom_image_url, pet_image_url,
            generation_status, upscale_status, access_token, token_expires_at
        )
        VALUES (
            public.create_anonymous_user(create_artwork.customer_email),
            create_artwork.customer_name,
            create_artwork.customer_email,
            create_artwork.pet_name,
            create_artwork.pet_mom_image_url,
            create_artwork.pet_image_url,
            'pending',
            'not_started',
            encode(sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')), 'hex'),
            now() + interval '30 days'
        )
        RETURNING *;
    END
"""

# What is not given stays; a moment is noted when its status is reached, not whenever it is said again.
UPDATE = """
    CREATE FUNCTION public.update_artwork_lifecycle(
        artwork_id UUID,
        generation_status TEXT DEFAULT NULL,
        generated_image_url TEXT DEFAULT NULL,
        upscale_status TEXT DEFAULT NULL,
        upscaled_image_url TEXT DEFAULT NULL,
        mockup_urls JSONB DEFAULT NULL,
        fal_request_id TEXT DEFAULT NULL,
        generation_params JSONB DEFAULT NULL
    ) RETURNS SETOF public.artworks_v2
    LANGUAGE sql
    SET search_path = ''
    BEGIN ATOMIC
        UPDATE public.artworks_v2 AS kept SET
            generation_status = coalesce(update_artwork_lifecycle.generation_status, kept.generation_status),
            generated_image_url = coalesce(update_artwork_lifecycle.generated_image_url, kept.generated_image_url),
            upscale_status = coalesce(update_artwork_lifecycle.upscale_status, kept.upscale_status),
            upscaled_image_url = coalesce(update_artwork_lifecycle.upscaled_image_url, kept.upscaled_image_url),
            mockup_urls = coalesce(update_artwork_lifecycle.mockup_urls, kept.mockup_urls),
            fal_request_id = coalesce(update_artwork_lifecycle.fal_request_id, kept.fal_request_id),
            generation_params = coalesce(update_artwork_lifecycle.generation_params, kept.generation_params),
            generation_started_at = CASE
                WHEN update_artwork_lifecycle.generation_status = 'processing'
                    AND kept.generation_status IS DISTINCT FROM 'processing' THEN now()
                ELSE kept.generation_started_at END,
            generation_completed_at = CASE
                WHEN update_artwork_lifecycle.generation_status = 'completed'
                    AND kept.generation_status IS DISTINCT FROM 'completed' THEN now()
                ELSE kept.generation_completed_at END,
            upscale_started_at = CASE
                WHEN update_artwork_lifecycle.upscale_status = 'processing'
                    AND kept.upscale_status IS DISTINCT FROM 'processing' THEN now()
                ELSE kept.upscale_started_at END,
            upscale_completed_at = CASE
                WHEN update_artwork_lifecycle.upscale_status = 'completed'
                    AND kept.upscale_status IS DISTINCT FROM 'completed' THEN now()
                ELSE kept.upscale_completed_at END,
            mockup_generated_at = CASE
                WHEN update_artwork_lifecycle.mockup_urls IS NOT NULL THEN now()
                ELSE kept.mockup_generated_at END
        WHERE kept.id = update_artwork_lifecycle.artwork_id
        RETURNING kept.*;
    END
"""

# Whoever holds a token that has not expired may look, by the artwork's own or by an alias, each with its own end.
LIFECYCLE = """
    CREATE FUNCTION public.get_artwork_lifecycle(artwork_token TEXT) RETURNS TABLE (
        artwork_id UUID,
        customer_name TEXT,
        customer_email TEXT,
        pet_name TEXT,
        generation_status TEXT,
        upscale_status TEXT,
        generated_image_url TEXT,
        upscaled_image_url TEXT,
        mockup_urls JSONB,
        created_at TIMESTAMPTZ,
        generation_completed_at TIMESTAMPTZ,
        upscale_completed_at TIMESTAMPTZ
    )
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = ''
    BEGIN ATOMIC
        SELECT
            one.id, one.customer_name, one.customer_email, one.pet_name, one.generation_status, one.upscale_status,
            one.generated_image_url, one.upscaled_image_url, one.mockup_urls, one.created_at,
            one.generation_completed_at, one.upscale_completed_at
        FROM public.artworks_v2 AS one
        WHERE one.access_token = get_artwork_lifecycle.artwork_token AND one.token_expires_at > now()
        UNION ALL
        SELECT
            one.id, one.customer_name, one.customer_email, one.pet_name, one.generation_status, one.upscale_status,
            one.generated_image_url, one.upscaled_image_url, one.mockup_urls, one.created_at,
            one.generation_completed_at, one.upscale_completed_at
        FROM public.artwork_token_aliases AS alias
        JOIN public.artworks_v2 AS one ON one.id = alias.artwork_id
        WHERE alias.access_token = get_artwork_lifecycle.artwork_token AND alias.token_expires_at > now();
    END
"""

DOWNGRADE = (
    "DROP FUNCTION public.get_artwork_lifecycle(TEXT)",
    "DROP FUNCTION public.update_artwork_lifecycle(UUID, TEXT, TEXT, TEXT, TEXT, JSONB, TEXT, JSONB)",
    "DROP FUNCTION public.create_artwork(TEXT, TEXT, TEXT, TEXT, TEXT)",
    "DROP FUNCTION public.create_anonymous_user(TEXT)",
)


def upgrade() -> None:
    """Create the functions, each called first by a test before and after the rename."""
    for statement in (ANONYMOUS_USER, CREATE, UPDATE, LIFECYCLE):
        op.execute(statement)


def downgrade() -> None:
    """Drop them."""
    for statement in DOWNGRADE:
        op.execute(statement)
