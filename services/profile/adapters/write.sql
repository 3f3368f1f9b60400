-- Writing a batch. Moments are passed as microseconds since 1970.

-- name: add_keys
-- Sorted hashes: two batches that share ids wait for each other instead of locking each other out. Ids from before events were sealed
-- stand in event_keys.
INSERT INTO profile.event_hashes (tenant_id, event_hash)
SELECT %(tenant)s, u.hash FROM unnest(%(hashes)s::bytea[], %(ids)s::text[]) AS u (hash, id)
WHERE NOT EXISTS (SELECT FROM profile.event_keys k WHERE k.tenant_id = %(tenant)s AND k.event_id = u.id)
ON CONFLICT DO NOTHING
RETURNING event_hash

-- name: find_products
SELECT product_id, product_no FROM profile.products WHERE tenant_id = %(tenant)s AND product_id = ANY(%(ids)s::text[])

-- name: add_products
WITH made AS (
    INSERT INTO profile.products (tenant_id, product_id)
    SELECT %(tenant)s, id FROM unnest(%(ids)s::text[]) AS id
    ON CONFLICT DO NOTHING
    RETURNING product_id, product_no
), asked AS (
    INSERT INTO profile.product_facts (tenant_id, product_no) SELECT %(tenant)s, product_no FROM made
)
SELECT product_id, product_no FROM made

-- name: ensure_partitions
SELECT profile.ensure_partition(timestamptz 'epoch' + time_us * interval '1 microsecond')
FROM unnest(%(times_us)s::bigint[]) AS time_us

-- name: find_visitors_shared
SELECT visitor_hash, visitor_no, person_no, (extract(epoch FROM join_time) * 1000000)::bigint
FROM profile.visitors WHERE tenant_id = %(tenant)s AND visitor_hash = ANY(%(hashes)s::bytea[])
ORDER BY visitor_hash FOR KEY SHARE

-- name: find_visitors_exclusive
SELECT visitor_hash, visitor_no, person_no, (extract(epoch FROM join_time) * 1000000)::bigint
FROM profile.visitors WHERE tenant_id = %(tenant)s AND visitor_hash = ANY(%(hashes)s::bytea[])
ORDER BY visitor_hash FOR UPDATE

-- name: add_visitors
WITH made AS (
    INSERT INTO profile.visitors (tenant_id, visitor_hash, visitor_sealed, person_no)
    SELECT %(tenant)s, hash, sealed, nextval('profile.person_numbers') FROM unnest(%(hashes)s::bytea[], %(sealed)s::bytea[]) AS u (hash, sealed)
    ON CONFLICT DO NOTHING
    RETURNING visitor_hash, visitor_no, person_no
), people AS (
    INSERT INTO profile.people (tenant_id, person_no) SELECT %(tenant)s, person_no FROM made
)
SELECT visitor_hash, visitor_no, person_no FROM made

-- name: find_users
SELECT user_hash, person_no, purchase_count, trusted,
       (extract(epoch FROM suspect_from) * 1000000)::bigint, (extract(epoch FROM suspect_until) * 1000000)::bigint
FROM profile.people WHERE tenant_id = %(tenant)s AND user_hash = ANY(%(hashes)s::bytea[])
ORDER BY user_hash FOR KEY SHARE

-- name: add_users
INSERT INTO profile.people (tenant_id, user_hash, user_sealed)
SELECT %(tenant)s, hash, sealed FROM unnest(%(hashes)s::bytea[], %(sealed)s::bytea[]) AS u (hash, sealed)
ON CONFLICT (tenant_id, user_hash) WHERE user_hash IS NOT NULL DO NOTHING

-- name: find_people
SELECT user_hash, person_no, purchase_count, trusted,
       (extract(epoch FROM suspect_from) * 1000000)::bigint, (extract(epoch FROM suspect_until) * 1000000)::bigint
FROM profile.people WHERE tenant_id = %(tenant)s AND person_no = ANY(%(person_nos)s::bigint[])
ORDER BY person_no FOR KEY SHARE

-- name: join_purchases
UPDATE profile.events e SET person_no = m.target
FROM unnest(%(sources)s::bigint[], %(targets)s::bigint[]) AS m (source, target)
WHERE e.tenant_id = %(tenant)s AND e.person_no = m.source AND e.event_type = 9

-- name: join_others
UPDATE profile.events e SET person_no = m.target
FROM unnest(%(sources)s::bigint[], %(targets)s::bigint[]) AS m (source, target)
WHERE e.tenant_id = %(tenant)s AND e.person_no = m.source AND e.event_type <> 9

-- name: join_quarantine
UPDATE profile.quarantine q SET person_no = m.target
FROM unnest(%(sources)s::bigint[], %(targets)s::bigint[]) AS m (source, target)
WHERE q.tenant_id = %(tenant)s AND q.person_no = m.source

-- name: join_keys
UPDATE profile.person_keys k SET person_no = m.target
FROM unnest(%(sources)s::bigint[], %(targets)s::bigint[]) AS m (source, target)
WHERE k.tenant_id = %(tenant)s AND k.person_no = m.source

-- name: remove_anonymous
DELETE FROM profile.people WHERE tenant_id = %(tenant)s AND person_no = ANY(%(sources)s::bigint[])
RETURNING person_no, event_count, purchase_count, (extract(epoch FROM last_event_time) * 1000000)::bigint

-- name: update_visitors
UPDATE profile.visitors v
SET person_no = u.person_no, join_time = timestamptz 'epoch' + u.join_us * interval '1 microsecond'
FROM unnest(%(visitor_nos)s::bigint[], %(person_nos)s::bigint[], %(join_times_us)s::bigint[]) AS u (visitor_no, person_no, join_us)
WHERE v.tenant_id = %(tenant)s AND v.visitor_no = u.visitor_no

-- name: add_joins
INSERT INTO profile.visitor_joins (tenant_id, person_no, visitor_no, join_time)
SELECT %(tenant)s, person_no, visitor_no, timestamptz 'epoch' + join_us * interval '1 microsecond'
FROM unnest(%(person_nos)s::bigint[], %(visitor_nos)s::bigint[], %(join_times_us)s::bigint[]) AS u (person_no, visitor_no, join_us)
ON CONFLICT DO NOTHING

-- name: recent_acts
-- For the robot rules: what each person did around the new events, quarantined or not. first and last are there for the planner, who
-- leaves partitions out by constants only.
SELECT a.person_no, e.time_us, e.event_type, e.product_no
FROM unnest(%(person_nos)s::bigint[], %(from_us)s::bigint[], %(to_us)s::bigint[]) AS a (person_no, from_us, to_us)
CROSS JOIN LATERAL (
    (SELECT (extract(epoch FROM event_time) * 1000000)::bigint AS time_us, event_type, product_nos[1] AS product_no
     FROM profile.events
     WHERE tenant_id = %(tenant)s AND person_no = a.person_no AND event_type <> 9
       AND event_time >= %(first)s::timestamptz AND event_time <= %(last)s::timestamptz
       AND event_time >= timestamptz 'epoch' + a.from_us * interval '1 microsecond'
       AND event_time <= timestamptz 'epoch' + a.to_us * interval '1 microsecond'
     ORDER BY event_time DESC LIMIT 5000)
    UNION ALL
    (SELECT (extract(epoch FROM event_time) * 1000000)::bigint, event_type, product_nos[1]
     FROM profile.events
     WHERE tenant_id = %(tenant)s AND person_no = a.person_no AND event_type = 9
       AND event_time >= %(first)s::timestamptz AND event_time <= %(last)s::timestamptz
       AND event_time >= timestamptz 'epoch' + a.from_us * interval '1 microsecond'
       AND event_time <= timestamptz 'epoch' + a.to_us * interval '1 microsecond'
     LIMIT 100)
    UNION ALL
    (SELECT (extract(epoch FROM event_time) * 1000000)::bigint, event_type, product_nos[1]
     FROM profile.quarantine
     WHERE tenant_id = %(tenant)s AND person_no = a.person_no
       AND event_time >= timestamptz 'epoch' + a.from_us * interval '1 microsecond'
       AND event_time <= timestamptz 'epoch' + a.to_us * interval '1 microsecond'
     ORDER BY event_time DESC LIMIT 5000)
) e

-- name: quarantine_stored
-- Purchases stay: what was stored of them belongs to a buyer.
WITH gone AS (
    DELETE FROM profile.events e
    USING unnest(%(person_nos)s::bigint[], %(from_us)s::bigint[], %(to_us)s::bigint[], %(rules)s::text[]) AS s (person_no, from_us, to_us, rule)
    WHERE e.tenant_id = %(tenant)s AND e.person_no = s.person_no AND e.event_type <> 9
      AND e.event_time >= timestamptz 'epoch' + s.from_us * interval '1 microsecond'
      AND e.event_time <= timestamptz 'epoch' + s.to_us * interval '1 microsecond'
    RETURNING e.*, s.rule
), moved AS (
    INSERT INTO profile.quarantine (
    tenant_id, event_time, event_no, person_no, visitor_no, event_type, has_user, event_id, product_nos, quantities, price_micros, price_currencies,
    currency, revenue_micros, transaction_id, rating, session_id, attribution_token, search_query, category, device, locale, attributes,
    event_hash, key_no, content, rule)
    SELECT tenant_id, event_time, event_no, person_no, visitor_no, event_type, has_user, event_id, product_nos, quantities, price_micros, price_currencies,
    currency, revenue_micros, transaction_id, rating, session_id, attribution_token, search_query, category, device, locale, attributes,
    event_hash, key_no, content, rule
    FROM gone RETURNING person_no
)
SELECT person_no, count(*) FROM moved GROUP BY person_no

-- name: insert_events
INSERT INTO profile.events (
    tenant_id, event_time, person_no, visitor_no, event_type, has_user, event_hash, product_nos, quantities, price_micros, price_currencies,
    currency, revenue_micros, rating, attribution_token, category, device, key_no, content)
SELECT %(tenant)s, timestamptz 'epoch' + time_us * interval '1 microsecond', person_no, visitor_no, event_type, has_user, event_hash,
    product_nos::integer[], quantities::integer[], price_micros::bigint[], price_currencies::text[],
    currency, revenue_micros, rating, attribution_token, category, device, key_no, content
FROM unnest(
    %(time_us)s::bigint[], %(person_no)s::bigint[], %(visitor_no)s::bigint[], %(event_type)s::smallint[], %(has_user)s::boolean[],
    %(event_hash)s::bytea[], %(product_nos)s::text[], %(quantities)s::text[], %(price_micros)s::text[], %(price_currencies)s::text[],
    %(currency)s::text[], %(revenue_micros)s::bigint[], %(rating)s::float8[], %(attribution_token)s::text[], %(category)s::text[],
    %(device)s::smallint[], %(key_no)s::bigint[], %(content)s::bytea[]) AS u (
    time_us, person_no, visitor_no, event_type, has_user, event_hash, product_nos, quantities, price_micros, price_currencies,
    currency, revenue_micros, rating, attribution_token, category, device, key_no, content)

-- name: insert_quarantine
INSERT INTO profile.quarantine (
    tenant_id, event_time, person_no, visitor_no, event_type, has_user, event_hash, product_nos, quantities, price_micros, price_currencies,
    currency, revenue_micros, rating, attribution_token, category, device, key_no, content, rule)
SELECT %(tenant)s, timestamptz 'epoch' + time_us * interval '1 microsecond', person_no, visitor_no, event_type, has_user, event_hash,
    product_nos::integer[], quantities::integer[], price_micros::bigint[], price_currencies::text[],
    currency, revenue_micros, rating, attribution_token, category, device, key_no, content, rule
FROM unnest(
    %(time_us)s::bigint[], %(person_no)s::bigint[], %(visitor_no)s::bigint[], %(event_type)s::smallint[], %(has_user)s::boolean[],
    %(event_hash)s::bytea[], %(product_nos)s::text[], %(quantities)s::text[], %(price_micros)s::text[], %(price_currencies)s::text[],
    %(currency)s::text[], %(revenue_micros)s::bigint[], %(rating)s::float8[], %(attribution_token)s::text[], %(category)s::text[],
    %(device)s::smallint[], %(key_no)s::bigint[], %(content)s::bytea[], %(rule)s::text[]) AS u (
    time_us, person_no, visitor_no, event_type, has_user, event_hash, product_nos, quantities, price_micros, price_currencies,
    currency, revenue_micros, rating, attribution_token, category, device, key_no, content, rule)

-- name: lock_people
SELECT 1 FROM profile.people WHERE tenant_id = %(tenant)s AND person_no = ANY(%(person_nos)s::bigint[])
ORDER BY person_no FOR NO KEY UPDATE

-- name: update_people
UPDATE profile.people p
SET version = p.version + 1,
    event_count = p.event_count + c.events,
    purchase_count = p.purchase_count + c.purchases,
    last_event_time = greatest(p.last_event_time, timestamptz 'epoch' + c.last_us * interval '1 microsecond'),
    suspect_from = coalesce(timestamptz 'epoch' + c.suspect_from_us * interval '1 microsecond', p.suspect_from),
    suspect_until = coalesce(timestamptz 'epoch' + c.suspect_until_us * interval '1 microsecond', p.suspect_until)
FROM unnest(%(person_nos)s::bigint[], %(events)s::bigint[], %(purchases)s::bigint[], %(last_us)s::bigint[],
            %(suspect_from_us)s::bigint[], %(suspect_until_us)s::bigint[])
    AS c (person_no, events, purchases, last_us, suspect_from_us, suspect_until_us)
WHERE p.tenant_id = %(tenant)s AND p.person_no = c.person_no

-- name: state
SELECT (SELECT coalesce(sum(event_count), 0)::bigint FROM profile.people WHERE tenant_id = %(tenant)s),
       (SELECT count(*) FROM profile.quarantine WHERE tenant_id = %(tenant)s),
       (SELECT count(*) FROM profile.people WHERE tenant_id = %(tenant)s AND event_count > 0)
