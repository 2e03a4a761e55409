-- The old tables, without the constraints and indexes that are built after loading.

CREATE FUNCTION public.update_updated_at_column() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    NEW.updated_at = now();
    RETURN NEW;
END
$$;

CREATE TABLE public.users (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    email TEXT UNIQUE NOT NULL,
    created_at TIMESTAMPTZ DEFAULT now(),
    updated_at TIMESTAMPTZ DEFAULT now()
);

CREATE TABLE public.artworks (
    id UUID NOT NULL DEFAULT gen_random_uuid(),
    user_id UUID,
    -- NOT NULL at first; a script that put the column back left it without.
    original_image_url TEXT,
    generated_image_url TEXT,
    upscaled_image_url TEXT,
    upscale_status TEXT DEFAULT 'pending'
        CHECK (upscale_status IN ('pending', 'processing', 'completed', 'failed', 'not_required')),
    upscaled_at TIMESTAMPTZ,
    pet_name TEXT,
    customer_name TEXT NOT NULL,
    customer_email TEXT NOT NULL,
    original_pet_mom_url TEXT,
    original_pet_url TEXT,
    access_token TEXT,
    token_expires_at TIMESTAMPTZ,
    generation_status TEXT DEFAULT 'pending' CHECK (generation_status IN ('pending', 'completed', 'failed')),
    mockup_urls JSONB,
    mockup_generated_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ DEFAULT now(),
    updated_at TIMESTAMPTZ DEFAULT now()
);

CREATE TABLE public.orders (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    artwork_id UUID,
    stripe_session_id TEXT UNIQUE NOT NULL,
    stripe_payment_intent_id TEXT,
    product_type TEXT NOT NULL CHECK (product_type IN ('digital', 'art_print', 'framed_canvas')),
    product_size TEXT NOT NULL,
    price_cents INTEGER NOT NULL,
    customer_email TEXT NOT NULL,
    customer_name TEXT NOT NULL,
    shipping_address JSONB,
    order_status TEXT DEFAULT 'pending'
        CHECK (order_status IN ('pending', 'paid', 'processing', 'shipped', 'delivered', 'cancelled', 'failed')),
    printify_order_id TEXT,
    printify_status TEXT,
    created_at TIMESTAMPTZ DEFAULT now(),
    updated_at TIMESTAMPTZ DEFAULT now()
);

CREATE TABLE public.order_status_history (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    order_id UUID,
    status TEXT NOT NULL,
    notes TEXT,
    created_at TIMESTAMPTZ DEFAULT now()
);

CREATE TABLE public.admin_reviews (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    artwork_id UUID NOT NULL,
    review_status TEXT NOT NULL DEFAULT 'pending',
    notes TEXT,
    created_at TIMESTAMPTZ DEFAULT now()
);
