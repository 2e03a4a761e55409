-- Every value follows from the seed and the row's number alone: no clock and no chance.
INSERT INTO public.users (id, email, created_at, updated_at)
SELECT
    md5(%(seed)s || ':user:' || one.role || ':' || repeat)::uuid,
    replace(one.email, '#', repeat::text),
    TIMESTAMPTZ '2025-05-01 08:00:00+00' + repeat * interval '1 min',
    TIMESTAMPTZ '2025-05-02 08:00:00+00' + repeat * interval '1 min'
FROM generate_series(0, (%(rows)s - 1) / %(kinds)s) AS repeat
CROSS JOIN legacy_users AS one;

INSERT INTO public.artworks (
    id, user_id, original_image_url, generated_image_url, upscaled_image_url, upscale_status, upscaled_at, pet_name,
    customer_name, customer_email, original_pet_mom_url, original_pet_url, access_token, token_expires_at,
    generation_status, mockup_urls, mockup_generated_at, created_at, updated_at
)
SELECT
    md5(%(seed)s || ':artwork:' || n)::uuid,
    CASE WHEN mix."user" IS NOT NULL THEN md5(%(seed)s || ':user:' || mix."user" || ':' || made.repeat)::uuid END,
    replace(mix.original, '#', made.repeat::text),
    mix.generated || made.hash || '.png',
    CASE WHEN mix.upscale = 'completed' THEN 'https://storage.shop.example/prints/' || made.hash || '.png' END,
    mix.upscale,
    CASE WHEN mix.upscale = 'completed' THEN made.moment + interval '2 days' END,
    mix.pet_name,
    mix.name,
    replace(mix.email, '#', made.repeat::text),
    CASE WHEN mix.pet_urls THEN 'https://utfs.example/f/mom-' || made.hash || '.jpg' END,
    CASE WHEN mix.pet_urls THEN 'https://utfs.example/f/pet-' || made.hash || '.jpg' END,
    CASE mix.token WHEN 'hex' THEN md5(%(seed)s || ':token:' || n) || made.hash WHEN 'test' THEN 'test-artwork-' || 123 + n
        END,
    CASE
        WHEN mix.lasting THEN TIMESTAMPTZ '2099-12-31 00:00:00+00'
        WHEN mix.expires THEN made.moment + interval '30 days'
    END,
    mix.status,
    CASE mix.mockups
        WHEN 'array' THEN jsonb_build_array(
            jsonb_build_object('type', 'art_print', 'url', 'https://images.printify.example/' || made.hash || '/1.jpg'),
            jsonb_build_object('type', 'framed_canvas', 'url', 'https://images.printify.example/' || made.hash || '/2.jpg'))
        WHEN 'object' THEN jsonb_build_object(
            'art_print', 'https://images.printify.example/' || made.hash || '/1.jpg')
    END,
    CASE WHEN mix.mockups IS NOT NULL THEN made.moment + interval '1 hour' END,
    made.moment,
    CASE WHEN mix.generated IS NOT NULL THEN made.moment + interval '75 s' ELSE made.moment END
FROM (
    SELECT n, md5(%(seed)s || ':' || n) AS hash
    FROM generate_series(0, %(rows)s - 1) AS n
    OFFSET 0  -- so that the hash is made once and not for every column that uses it
) AS numbered
JOIN legacy_mix AS mix ON mix.position = mod(numbered.n, %(kinds)s)
CROSS JOIN LATERAL (
    SELECT
        numbered.hash,
        numbered.n / %(kinds)s AS repeat,
        TIMESTAMPTZ '2025-06-01 00:00:00+00' + (numbered.n / %(kinds)s) * interval '5 min'
            + mix.second * interval '1 s' AS moment
) AS made;

-- 14 in each repeat, the last of them of an artwork that was deleted.
INSERT INTO public.orders (
    id, artwork_id, stripe_session_id, stripe_payment_intent_id, product_type, product_size, price_cents,
    customer_email, customer_name, shipping_address, order_status, printify_order_id, printify_status, created_at,
    updated_at
)
SELECT
    md5(%(seed)s || ':order:' || n || made.of_artwork)::uuid,
    CASE WHEN made.of_artwork THEN md5(%(seed)s || ':artwork:' || n)::uuid END,
    'cs_live_' || md5(%(seed)s || ':session:' || n || made.of_artwork),
    'pi_' || md5(%(seed)s || ':intent:' || n || made.of_artwork),
    made.product,
    CASE made.product WHEN 'digital' THEN 'digital' ELSE '16x24' END,
    CASE made.product WHEN 'digital' THEN 1500 WHEN 'art_print' THEN 4900 ELSE 9900 END,
    replace(mix.email, '#', (n / %(kinds)s)::text),
    mix.name,
    CASE WHEN made.product <> 'digital' THEN jsonb_build_object('city', 'Lisboa', 'note', '100%% cotton, please') END,
    made.order_status,
    CASE WHEN mix.sent AND made.of_artwork THEN 'printify_' || n END,
    CASE WHEN mix.sent AND made.of_artwork THEN 'in-production' END,
    TIMESTAMPTZ '2025-06-02 00:00:00+00' + (n / %(kinds)s) * interval '5 min' + mix.second * interval '1 s',
    TIMESTAMPTZ '2025-06-03 00:00:00+00' + (n / %(kinds)s) * interval '5 min' + mix.second * interval '1 s'
FROM generate_series(0, %(rows)s - 1) AS n
JOIN legacy_mix AS mix ON mix.position = mod(n, %(kinds)s)
CROSS JOIN LATERAL (
    SELECT true AS of_artwork, mix.product, mix.order_status WHERE mix.product IS NOT NULL
    UNION ALL
    SELECT false, 'art_print', 'pending' WHERE mix.position = 0
) AS made;

INSERT INTO public.order_status_history (id, order_id, status, notes, created_at)
SELECT md5(id || ':' || said.status)::uuid, id, said.status, said.notes, created_at + said.later
FROM public.orders
CROSS JOIN LATERAL (
    SELECT 'pending' AS status, NULL AS notes, interval '0 s' AS later
    UNION ALL
    SELECT order_status, 'told by the payment', interval '1 h' WHERE order_status <> 'pending'
) AS said;

INSERT INTO public.admin_reviews (id, artwork_id, review_status, created_at)
SELECT
    md5(%(seed)s || ':review:' || n)::uuid,
    md5(%(seed)s || ':artwork:' || n)::uuid,
    'approved',
    TIMESTAMPTZ '2025-06-04 00:00:00+00'
FROM generate_series(0, %(rows)s - 1) AS n
JOIN legacy_mix AS mix ON mix.position = mod(n, %(kinds)s) AND mix.reviewed
