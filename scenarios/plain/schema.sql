-- A small web shop as an application framework makes it: one schema, one owner, no triggers, nothing clever.
CREATE TABLE public.users (
  id bigserial PRIMARY KEY,
  email varchar(255) NOT NULL UNIQUE,
  password_digest varchar(255) NOT NULL,
  admin boolean NOT NULL DEFAULT false,
  created_at timestamp NOT NULL DEFAULT now(),
  updated_at timestamp NOT NULL DEFAULT now()
);
CREATE TABLE public.products (
  id bigserial PRIMARY KEY,
  sku varchar(32) NOT NULL UNIQUE,
  name varchar(255) NOT NULL,
  price_cents integer NOT NULL CHECK (price_cents >= 0),
  stock integer NOT NULL DEFAULT 0,
  attributes jsonb NOT NULL DEFAULT '{}'
);
CREATE TABLE public.orders (
  id bigserial PRIMARY KEY,
  user_id bigint NOT NULL REFERENCES public.users (id),
  state varchar(20) NOT NULL DEFAULT 'cart' CHECK (state IN ('cart', 'paid', 'shipped', 'refunded')),
  total_cents integer NOT NULL DEFAULT 0,
  placed_at timestamp
);
CREATE TABLE public.order_items (
  id bigserial PRIMARY KEY,
  order_id bigint NOT NULL REFERENCES public.orders (id) ON DELETE CASCADE,
  product_id bigint NOT NULL REFERENCES public.products (id),
  quantity integer NOT NULL CHECK (quantity > 0)
);
CREATE TABLE public.sessions (id uuid PRIMARY KEY, user_id bigint REFERENCES public.users (id), data text, expires_at timestamp NOT NULL);
CREATE TABLE public.schema_migrations (version varchar(255) PRIMARY KEY);
CREATE INDEX orders_user ON public.orders (user_id);
CREATE INDEX order_items_order ON public.order_items (order_id);
CREATE VIEW public.sales AS SELECT p.name, sum(i.quantity) AS sold FROM public.order_items AS i JOIN public.products AS p ON p.id = i.product_id GROUP BY p.name;
