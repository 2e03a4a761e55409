-- What the policies of the old tables ask of the hosting service, and these policies.
CREATE FUNCTION auth.jwt() RETURNS jsonb
LANGUAGE sql STABLE
AS $$
    SELECT coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}')::jsonb
$$;

CREATE POLICY "Users can view their own artworks" ON public.artworks
    FOR SELECT USING (auth.uid() = user_id);
CREATE POLICY "Users can insert their own artworks" ON public.artworks
    FOR INSERT WITH CHECK (auth.uid() = user_id);
CREATE POLICY "Users can update their own artworks" ON public.artworks
    FOR UPDATE USING (auth.uid() = user_id);
CREATE POLICY "Service role can access all artworks" ON public.artworks
    FOR ALL USING (auth.jwt() ->> 'role' = 'service_role');
CREATE POLICY "Users can view orders for their artworks" ON public.orders
    FOR SELECT USING (EXISTS (SELECT 1 FROM public.artworks
        WHERE artworks.id = orders.artwork_id AND artworks.user_id = auth.uid()));
CREATE POLICY "Service role can access all orders" ON public.orders
    FOR ALL USING (auth.jwt() ->> 'role' = 'service_role');
