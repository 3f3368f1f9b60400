-- name: lock_products
SELECT product_id, basic, details, content_hash, price_units, price_nanos, currency_code, availability, stock, offer_time,
       publish_time, create_time, update_time, change_number
FROM catalog.products WHERE tenant_id = %(tenant)s AND product_id = ANY (%(ids)s) ORDER BY product_id FOR UPDATE

-- name: read_products
SELECT product_id, basic, details, content_hash, price_units, price_nanos, currency_code, availability, stock, offer_time,
       publish_time, create_time, update_time, change_number
FROM catalog.products WHERE tenant_id = %(tenant)s AND product_id = ANY (%(ids)s)

-- name: read_basic_products
SELECT product_id, basic, ''::bytea, ''::bytea, price_units, price_nanos, currency_code, availability, stock, offer_time,
       publish_time, create_time, update_time, change_number
FROM catalog.products WHERE tenant_id = %(tenant)s AND product_id = ANY (%(ids)s)

-- name: list_products
SELECT product_id, basic, details, content_hash, price_units, price_nanos, currency_code, availability, stock, offer_time,
       publish_time, create_time, update_time, change_number
FROM catalog.products
WHERE tenant_id = %(tenant)s AND product_id > %(after)s AND (%(category)s = '' OR category_path @> ARRAY[%(category)s::text])
ORDER BY product_id LIMIT %(limit)s

-- name: read_facts
SELECT product_id, category_path, brand, price_units, price_nanos, currency_code
FROM catalog.products WHERE tenant_id = %(tenant)s AND product_id = ANY (%(ids)s)

-- name: put_products
WITH input AS (
    SELECT * FROM unnest(%(ids)s::text[], %(basics)s::bytea[], %(details)s::bytea[], %(hashes)s::bytea[], %(categories)s::text[],
        %(brands)s::text[], %(units)s::bigint[], %(nanos)s::int[], %(currencies)s::text[], %(availabilities)s::smallint[],
        %(stocks)s::bigint[], %(offer_times)s::timestamptz[], %(publish_times)s::timestamptz[], %(contents)s::boolean[])
    AS t (product_id, basic, details, content_hash, category_path, brand, price_units, price_nanos, currency_code, availability,
        stock, offer_time, publish_time, content)
), written AS (
    INSERT INTO catalog.products AS p (tenant_id, product_id, basic, details, content_hash, category_path, brand, price_units, price_nanos,
        currency_code, availability, stock, offer_time, publish_time, create_time, update_time, change_number)
    SELECT %(tenant)s, product_id, basic, details, content_hash,
        CASE category_path WHEN '' THEN '{}' ELSE string_to_array(category_path, E'\x1f') END, brand, price_units, price_nanos,
        currency_code, availability, stock, offer_time, publish_time, now(), now(), nextval('catalog.change_numbers')
    FROM input ORDER BY product_id
    ON CONFLICT (tenant_id, product_id) DO UPDATE SET basic = excluded.basic, details = excluded.details,
        content_hash = excluded.content_hash, category_path = excluded.category_path, brand = excluded.brand,
        price_units = excluded.price_units, price_nanos = excluded.price_nanos, currency_code = excluded.currency_code,
        availability = excluded.availability, stock = excluded.stock, offer_time = excluded.offer_time,
        publish_time = excluded.publish_time, update_time = excluded.update_time, change_number = excluded.change_number
    RETURNING p.product_id, p.change_number
)
INSERT INTO catalog.product_changes AS c (tenant_id, product_id, change_number, content)
SELECT %(tenant)s, product_id, change_number, input.content FROM written JOIN input USING (product_id) ORDER BY product_id
ON CONFLICT (tenant_id, product_id) DO UPDATE SET change_number = excluded.change_number, content = c.content OR excluded.content,
    claimed_until = '-infinity', attempts = 0, last_error = ''

-- name: confirm_offers
UPDATE catalog.products p SET offer_time = t.offer_time
FROM unnest(%(ids)s::text[], %(times)s::timestamptz[]) AS t (product_id, offer_time)
WHERE p.tenant_id = %(tenant)s AND p.product_id = t.product_id AND p.offer_time < t.offer_time

-- name: delete_product
WITH gone AS (DELETE FROM catalog.products WHERE tenant_id = %(tenant)s AND product_id = %(id)s RETURNING product_id)
INSERT INTO catalog.product_changes (tenant_id, product_id, change_number, content)
SELECT %(tenant)s, product_id, nextval('catalog.change_numbers'), true FROM gone
ON CONFLICT (tenant_id, product_id) DO UPDATE SET change_number = excluded.change_number, content = true,
    claimed_until = '-infinity', attempts = 0, last_error = ''

-- name: claim_changes
-- `claimed_until`: not due before; `lease_until`: a worker is at it, whatever is noted meanwhile. Equal: nothing was.
UPDATE catalog.product_changes c
SET claimed_until = now() + %(lease)s * interval '1 second', lease_until = now() + %(lease)s * interval '1 second',
    attempts = c.attempts + 1
FROM (
    SELECT tenant_id, product_id FROM catalog.product_changes
    WHERE claimed_until < now() AND lease_until < now() AND tenant_id = (
        SELECT tenant_id FROM catalog.product_changes WHERE claimed_until < now() AND lease_until < now()
        ORDER BY change_number LIMIT 1)
    ORDER BY change_number LIMIT %(limit)s FOR UPDATE SKIP LOCKED
) AS due
WHERE c.tenant_id = due.tenant_id AND c.product_id = due.product_id
RETURNING c.tenant_id, c.product_id, c.change_number, c.content, c.attempts, c.lease_until,
    extract(epoch FROM now() - c.note_time)::float8

-- name: claim_products
-- Products that wait already go on waiting when the lease ends; the others are no change.
INSERT INTO catalog.product_changes AS c (tenant_id, product_id, change_number, content, claimed_until, lease_until)
SELECT tenant_id, product_id, change_number, true, now() + %(lease)s * interval '1 second', now() + %(lease)s * interval '1 second'
FROM catalog.products WHERE tenant_id = %(tenant)s AND product_id = ANY (%(ids)s) ORDER BY product_id
ON CONFLICT (tenant_id, product_id) DO UPDATE SET lease_until = excluded.lease_until WHERE c.lease_until < now()
RETURNING tenant_id, product_id, change_number, content, attempts, lease_until

-- name: finish_changes
WITH done AS (
    SELECT * FROM unnest(%(ids)s::text[], %(numbers)s::bigint[]) AS done (product_id, change_number)
), gone AS (
    DELETE FROM catalog.product_changes c USING done
    WHERE c.tenant_id = %(tenant)s AND c.product_id = done.product_id AND c.lease_until = %(lease)s
        AND c.change_number = done.change_number AND c.claimed_until = c.lease_until -- not noted again meanwhile
    RETURNING c.product_id
)
UPDATE catalog.product_changes c SET lease_until = '-infinity' FROM done
WHERE c.tenant_id = %(tenant)s AND c.product_id = done.product_id AND c.lease_until = %(lease)s
    AND NOT EXISTS (SELECT FROM gone WHERE gone.product_id = c.product_id)

-- name: put_back_changes
UPDATE catalog.product_changes c SET last_error = %(error)s, lease_until = '-infinity',
    claimed_until = CASE WHEN c.claimed_until = c.lease_until THEN now() + %(wait)s * interval '1 second' ELSE c.claimed_until END,
    attempts = greatest(c.attempts - %(forgiven)s, 0)
FROM unnest(%(ids)s::text[]) AS due (product_id)
WHERE c.tenant_id = %(tenant)s AND c.product_id = due.product_id AND c.lease_until = %(lease)s

-- name: note_all
INSERT INTO catalog.product_changes (tenant_id, product_id, change_number, content)
SELECT tenant_id, product_id, change_number, true FROM catalog.products WHERE tenant_id = %(tenant)s
ON CONFLICT (tenant_id, product_id) DO UPDATE SET content = true, claimed_until = '-infinity'

-- name: backlog
SELECT count(*), coalesce(extract(epoch FROM now() - min(note_time)), 0)::float8 FROM catalog.product_changes

-- name: read_tenants
SELECT DISTINCT tenant_id FROM catalog.products

-- name: state
SELECT (SELECT count(*) FROM catalog.products WHERE tenant_id = %(tenant)s), count(*),
       coalesce(extract(epoch FROM now() - min(note_time)), 0)::float8
FROM catalog.product_changes WHERE tenant_id = %(tenant)s
