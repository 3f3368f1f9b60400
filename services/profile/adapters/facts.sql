-- What the catalogue says of products seen in events.

-- name: tenants
SELECT DISTINCT tenant_id FROM profile.product_facts WHERE ask_time <= now()

-- name: claim
-- Nobody else asks for these within a minute; they come back if the answer never arrives.
WITH due AS (
    SELECT product_no FROM profile.product_facts
    WHERE tenant_id = %(tenant)s AND ask_time <= now()
    ORDER BY ask_time LIMIT %(most)s FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE profile.product_facts f SET ask_time = now() + interval '1 minute'
    FROM due WHERE f.tenant_id = %(tenant)s AND f.product_no = due.product_no
)
SELECT p.product_id, p.product_no FROM due JOIN profile.products p ON p.tenant_id = %(tenant)s AND p.product_no = due.product_no

-- name: release
UPDATE profile.product_facts SET ask_time = now()
WHERE tenant_id = %(tenant)s AND product_no = ANY(%(product_nos)s::integer[])

-- name: ensure_version
INSERT INTO profile.facts_versions (tenant_id) VALUES (%(tenant)s) ON CONFLICT DO NOTHING

-- name: lock_version
SELECT version + 1 FROM profile.facts_versions WHERE tenant_id = %(tenant)s FOR UPDATE

-- name: set_version
UPDATE profile.facts_versions SET version = %(version)s WHERE tenant_id = %(tenant)s

-- name: save_known
-- Stamps with the new version only what differs. Prices: -1 is unknown.
UPDATE profile.product_facts f
SET known = true, category_path = u.category_path, brand = u.brand, price_micros = nullif(u.price_micros, -1), currency = nullif(u.currency, ''),
    facts_version = CASE WHEN u.changed THEN %(version)s ELSE f.facts_version END,
    ask_time = now() + %(refresh_seconds)s * interval '1 second', attempts = 0
FROM (
    SELECT g.product_no, g.category_path::text[] AS category_path, g.brand, g.price_micros, g.currency,
           (o.category_path, o.brand, coalesce(o.price_micros, -1), coalesce(o.currency, ''))
               IS DISTINCT FROM (g.category_path::text[], g.brand, g.price_micros, g.currency) AS changed
    FROM unnest(%(product_nos)s::integer[], %(category_paths)s::text[], %(brands)s::text[], %(prices)s::bigint[], %(currencies)s::text[])
        AS g (product_no, category_path, brand, price_micros, currency)
    JOIN profile.product_facts o ON o.tenant_id = %(tenant)s AND o.product_no = g.product_no
) u
WHERE f.tenant_id = %(tenant)s AND f.product_no = u.product_no
RETURNING u.changed

-- name: save_unknown
-- Asks again after 5, 10, 20 ... seconds, at most every ten minutes.
UPDATE profile.product_facts
SET attempts = attempts + 1, ask_time = now() + least(600, 5 * 2 ^ least(attempts, 10)) * interval '1 second'
WHERE tenant_id = %(tenant)s AND product_no = ANY(%(product_nos)s::integer[])
