-- Built over the loaded rows: with many of them that takes seconds instead of minutes.
ALTER TABLE public.artworks ADD CONSTRAINT artworks_pkey PRIMARY KEY (id);
ALTER TABLE public.artworks ADD CONSTRAINT artworks_access_token_key UNIQUE (access_token);
ALTER TABLE public.artworks ADD CONSTRAINT artworks_user_id_fkey
    FOREIGN KEY (user_id) REFERENCES public.users (id) ON DELETE SET NULL;
ALTER TABLE public.orders ADD CONSTRAINT orders_artwork_id_fkey
    FOREIGN KEY (artwork_id) REFERENCES public.artworks (id) ON DELETE CASCADE;
ALTER TABLE public.order_status_history ADD CONSTRAINT order_status_history_order_id_fkey
    FOREIGN KEY (order_id) REFERENCES public.orders (id) ON DELETE CASCADE;
ALTER TABLE public.admin_reviews ADD CONSTRAINT admin_reviews_artwork_id_fkey
    FOREIGN KEY (artwork_id) REFERENCES public.artworks (id) ON DELETE CASCADE;

CREATE INDEX idx_artworks_user ON public.artworks (user_id);
CREATE INDEX idx_artworks_status ON public.artworks (generation_status);
CREATE INDEX idx_artworks_upscale_status ON public.artworks (upscale_status);
CREATE INDEX idx_artworks_token ON public.artworks (access_token);
CREATE INDEX idx_artworks_email ON public.artworks (customer_email);
CREATE INDEX idx_orders_stripe_session ON public.orders (stripe_session_id);
CREATE INDEX idx_orders_status ON public.orders (order_status);
CREATE INDEX idx_orders_printify ON public.orders (printify_order_id);
CREATE INDEX idx_order_history_order ON public.order_status_history (order_id);

CREATE TRIGGER update_artworks_updated_at BEFORE UPDATE ON public.artworks
    FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();
CREATE TRIGGER update_orders_updated_at BEFORE UPDATE ON public.orders
    FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();

ALTER TABLE public.artworks ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.orders ENABLE ROW LEVEL SECURITY;

CREATE VIEW public.gallery AS
    SELECT id, pet_name, generated_image_url FROM public.artworks WHERE generation_status = 'completed';

CREATE FUNCTION public.get_order_with_artwork(order_stripe_session_id TEXT)
RETURNS TABLE (order_id UUID, artwork_id UUID, generated_image_url TEXT, pet_name TEXT)
LANGUAGE plpgsql SECURITY DEFINER
AS $$
BEGIN
    RETURN QUERY
    SELECT o.id, o.artwork_id, a.generated_image_url, a.pet_name
    FROM orders o JOIN artworks a ON o.artwork_id = a.id
    WHERE o.stripe_session_id = order_stripe_session_id;
END
$$;

CREATE FUNCTION public.get_failed_orders()
RETURNS TABLE (order_id UUID, artwork_id UUID, generated_image_url TEXT, pet_name TEXT)
LANGUAGE plpgsql SECURITY DEFINER
AS $$
BEGIN
    RETURN QUERY
    SELECT o.id, o.artwork_id, a.generated_image_url, a.pet_name
    FROM orders o JOIN artworks a ON o.artwork_id = a.id
    WHERE o.order_status = 'paid' AND o.printify_order_id IS NULL AND o.product_type <> 'digital'
    ORDER BY o.created_at;
END
$$;

ANALYZE public.users, public.artworks, public.orders, public.order_status_history, public.admin_reviews;
