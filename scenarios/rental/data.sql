-- Deterministic rows; `rental.scale` 1 makes about 200,000 of them.
INSERT INTO public.customers (email, full_name, loyalty_points, preferences, phones, created_at)
SELECT 'customer' || n || '@example.com', (ARRAY['Ada', 'Grace', 'Alan', 'Edsger', 'Barbara', 'Tony'])[1 + n % 6] || ' Nr ' || n,
       n % 500, jsonb_build_object('gps', n % 2 = 0, 'colour', (ARRAY['red', 'blue', 'white'])[1 + n % 3]), ARRAY['+44 20 ' || (7000 + n)],
       timestamptz '2024-01-01 00:00:00Z' + n * interval '37 minutes'
FROM generate_series(1, greatest(20, (12000 * current_setting('rental.scale')::numeric)::integer)) AS n;

INSERT INTO public.vehicles (plate, model, daily_rate, retired)
SELECT 'R-' || upper(to_hex(4096 + n)), (ARRAY['Compact', 'Estate', 'Van', 'Convertible'])[1 + n % 4], 39 + n % 80, n % 50 = 0
FROM generate_series(1, greatest(20, (800 * current_setting('rental.scale')::numeric)::integer)) AS n;

ALTER TABLE public.reservations DISABLE TRIGGER reservations_audit;
INSERT INTO public.reservations (customer_id, vehicle_id, status, starts_on, ends_on)
SELECT 1 + n % (SELECT count(*) FROM public.customers), 1 + (n * 7) % (SELECT count(*) FROM public.vehicles),
       (ARRAY['quoted', 'booked', 'picked_up', 'returned', 'returned', 'cancelled'])[1 + n % 6]::public.reservation_status,
       date '2026-01-01' + n % 330, date '2026-01-01' + n % 330 + 1 + n % 9
FROM generate_series(1, greatest(60, (48000 * current_setting('rental.scale')::numeric)::integer)) AS n;
ALTER TABLE public.reservations ENABLE TRIGGER reservations_audit;

INSERT INTO public.payments (reservation_id, amount, paid_at, settled)
SELECT r.id, 45.50 + r.id % 300, r.starts_on + time '12:00' + p * interval '1 day', r.status = 'returned'
FROM public.reservations AS r, generate_series(1, 2) AS p WHERE r.id % 8 <> 0 OR p = 1;

INSERT INTO public.damage_reports (reservation_id, vehicle_id, description)
SELECT id, vehicle_id, 'scratch on the ' || (ARRAY['left', 'right'])[1 + id % 2] || ' door' FROM public.reservations WHERE id % 40 = 0;

INSERT INTO public.telemetry (vehicle_id, at, odometer_km, fuel_percent)
SELECT 1 + n % (SELECT count(*) FROM public.vehicles), timestamptz '2026-09-01 00:00:00Z' + (n % 91) * interval '1 day' + (n % 1440) * interval '1 minute', 10000 + n, n % 101
FROM generate_series(1, greatest(90, (50000 * current_setting('rental.scale')::numeric)::integer)) AS n;

INSERT INTO public.schema_migrations (version, applied_at)
SELECT '2026' || lpad(n::text, 4, '0'), timestamptz '2026-01-01Z' + n * interval '9 days' FROM generate_series(1, 24) AS n;
