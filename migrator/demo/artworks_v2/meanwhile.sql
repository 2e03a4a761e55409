-- The old application: an upload of a new customer, whose picture is not there yet, and one of an old customer.
INSERT INTO public.artworks (
    id, original_image_url, generated_image_url, pet_name, customer_name, customer_email, access_token,
    token_expires_at, generation_status, created_at, updated_at
)
SELECT
    md5(%(seed)s || ':meanwhile:' || n)::uuid,
    'pending',
    CASE WHEN n = 3 THEN 'https://v3.fal.media/files/monkey/' || md5(%(seed)s || ':new:' || n) || '.png' END,
    CASE WHEN n <= 2 THEN 'Whiskers' ELSE 'Luna' END,
    CASE WHEN n <= 2 THEN 'Nora New' ELSE 'Jane Doe' END,
    CASE WHEN n <= 2 THEN 'nora@mail.example' ELSE 'JANE.DOE.0@MAIL.EXAMPLE' END,
    md5(%(seed)s || ':meanwhile:' || n) || md5(%(seed)s || ':token:' || n),
    TIMESTAMPTZ '2099-12-31 00:00:00+00',
    CASE WHEN n = 3 THEN 'completed' ELSE 'pending' END,
    TIMESTAMPTZ '2025-09-01 12:00:00+00' + n * interval '4 s' + (n / 3) * interval '1 h',
    TIMESTAMPTZ '2025-09-01 12:00:00+00' + n * interval '4 s' + (n / 3) * interval '1 h'
FROM generate_series(1, 4) AS n;

-- A tab that had been closed is opened again, and a print is bought.
UPDATE public.artworks SET generation_status = 'completed'
WHERE id = md5(%(seed)s || ':artwork:' || %(closed_tab)s::integer)::uuid;

INSERT INTO public.orders (
    id, artwork_id, stripe_session_id, product_type, product_size, price_cents, customer_email, customer_name,
    order_status
)
SELECT md5(%(seed)s || ':order-meanwhile')::uuid, id, 'cs_live_meanwhile', 'art_print', '16x24', 4900, customer_email,
    customer_name, 'paid'
FROM public.artworks WHERE id = md5(%(seed)s || ':artwork:' || %(closed_tab)s::integer)::uuid;

-- One user signs up, by a page that knows nothing of is_anonymous, and one deletes his account.
INSERT INTO public.users (id, email, created_at, updated_at)
VALUES (md5(%(seed)s || ':eva')::uuid, 'eva@mail.example', '2025-09-01 10:00:00+00', '2025-09-01 10:00:00+00');

DELETE FROM public.users WHERE id = md5(%(seed)s || ':user:leaver:0')::uuid;

-- The new application, by its functions: a customer whom the old table knows, and one whom nobody does.
SELECT public.create_artwork('Jane Doe', 'Jane.Doe.0@Mail.Example', 'Luna', 'https://utfs.example/f/mom.jpg',
    'https://utfs.example/f/luna.jpg');

SELECT public.update_artwork_lifecycle(id, generation_status => 'processing', fal_request_id => 'fal_123')
FROM public.create_artwork('New Customer', 'new@mail.example', 'Rex', 'https://utfs.example/f/new.jpg',
    'https://utfs.example/f/rex.jpg');
