-- One person's rights.

-- name: export_events
SELECT e.event_id, e.event_type, (extract(epoch FROM e.event_time) * 1000000)::bigint,
       CASE WHEN e.has_user THEN p.user_sealed END, v.visitor_sealed, e.session_id,
       ARRAY(SELECT n.product_id FROM unnest(e.product_nos) WITH ORDINALITY AS u (product_no, position)
             JOIN profile.products n ON n.tenant_id = e.tenant_id AND n.product_no = u.product_no ORDER BY u.position),
       e.quantities, e.price_micros, e.price_currencies, e.currency, e.revenue_micros, e.transaction_id, e.rating, e.attribution_token,
       e.search_query, e.category, e.device, e.locale, e.attributes, e.key_no, e.content
FROM (
    SELECT tenant_id, event_time, event_no, person_no, visitor_no, event_type, has_user, event_id, product_nos, quantities, price_micros,
        price_currencies, currency, revenue_micros, transaction_id, rating, session_id, attribution_token, search_query, category,
        device, locale, attributes, key_no, content
    FROM profile.events WHERE tenant_id = %(tenant)s AND person_no = ANY(%(person_nos)s::bigint[]) AND event_type = 9
    UNION ALL
    SELECT tenant_id, event_time, event_no, person_no, visitor_no, event_type, has_user, event_id, product_nos, quantities, price_micros,
        price_currencies, currency, revenue_micros, transaction_id, rating, session_id, attribution_token, search_query, category,
        device, locale, attributes, key_no, content
    FROM profile.events WHERE tenant_id = %(tenant)s AND person_no = ANY(%(person_nos)s::bigint[]) AND event_type <> 9
    UNION ALL
    SELECT tenant_id, event_time, event_no, person_no, visitor_no, event_type, has_user, event_id, product_nos, quantities, price_micros,
        price_currencies, currency, revenue_micros, transaction_id, rating, session_id, attribution_token, search_query, category,
        device, locale, attributes, key_no, content
    FROM profile.quarantine WHERE tenant_id = %(tenant)s AND person_no = ANY(%(person_nos)s::bigint[])
) e
JOIN profile.people p ON p.tenant_id = e.tenant_id AND p.person_no = e.person_no
LEFT JOIN profile.visitors v ON v.tenant_id = e.tenant_id AND v.visitor_no = e.visitor_no
ORDER BY e.event_time, e.event_no

-- name: find_person
SELECT person_no FROM profile.people WHERE tenant_id = %(tenant)s AND user_hash = %(user_hash)s::bytea
UNION ALL
SELECT person_no FROM profile.visitors WHERE tenant_id = %(tenant)s AND visitor_hash = %(visitor_hash)s::bytea
LIMIT 1

-- name: lock_visitors
SELECT v.visitor_no FROM profile.visitors v
WHERE v.tenant_id = %(tenant)s AND v.visitor_no IN (
    SELECT visitor_no FROM profile.visitors WHERE tenant_id = %(tenant)s AND person_no = %(person_no)s
    UNION ALL
    SELECT visitor_no FROM profile.visitor_joins WHERE tenant_id = %(tenant)s AND person_no = %(person_no)s)
ORDER BY v.visitor_hash FOR UPDATE

-- name: lock_person
SELECT 1 FROM profile.people WHERE tenant_id = %(tenant)s AND person_no = %(person_no)s FOR UPDATE

-- name: erase_purchases
WITH gone AS (
    DELETE FROM profile.events WHERE tenant_id = %(tenant)s AND person_no = %(person_no)s AND event_type = 9 RETURNING event_id, event_hash
), keys AS (
    DELETE FROM profile.event_keys k USING gone WHERE k.tenant_id = %(tenant)s AND k.event_id = gone.event_id
), hashes AS (
    DELETE FROM profile.event_hashes h USING gone WHERE h.tenant_id = %(tenant)s AND h.event_hash = gone.event_hash
)
SELECT count(*) FROM gone

-- name: erase_others
WITH gone AS (
    DELETE FROM profile.events WHERE tenant_id = %(tenant)s AND person_no = %(person_no)s AND event_type <> 9 RETURNING event_id, event_hash
), keys AS (
    DELETE FROM profile.event_keys k USING gone WHERE k.tenant_id = %(tenant)s AND k.event_id = gone.event_id
), hashes AS (
    DELETE FROM profile.event_hashes h USING gone WHERE h.tenant_id = %(tenant)s AND h.event_hash = gone.event_hash
)
SELECT count(*) FROM gone

-- name: erase_quarantine
WITH gone AS (
    DELETE FROM profile.quarantine WHERE tenant_id = %(tenant)s AND person_no = %(person_no)s RETURNING event_id, event_hash
), keys AS (
    DELETE FROM profile.event_keys k USING gone WHERE k.tenant_id = %(tenant)s AND k.event_id = gone.event_id
), hashes AS (
    DELETE FROM profile.event_hashes h USING gone WHERE h.tenant_id = %(tenant)s AND h.event_hash = gone.event_hash
)
SELECT count(*) FROM gone

-- name: erase_joins
DELETE FROM profile.visitor_joins WHERE tenant_id = %(tenant)s AND person_no = %(person_no)s

-- name: hand_over_visitors
-- A device that others logged in on stays theirs: the latest of them gets it. After erase_joins.
UPDATE profile.visitors v SET person_no = j.person_no, join_time = j.join_time
FROM (
    SELECT DISTINCT ON (o.visitor_no) o.visitor_no, o.person_no, o.join_time
    FROM profile.visitors mine
    JOIN profile.visitor_joins o ON o.tenant_id = mine.tenant_id AND o.visitor_no = mine.visitor_no
    WHERE mine.tenant_id = %(tenant)s AND mine.person_no = %(person_no)s
    ORDER BY o.visitor_no, o.join_time DESC
) j
WHERE v.tenant_id = %(tenant)s AND v.visitor_no = j.visitor_no

-- name: erase_visitors
DELETE FROM profile.visitors WHERE tenant_id = %(tenant)s AND person_no = %(person_no)s

-- name: erase_keys
-- Here the contents of events end, whatever copies of them there are.
DELETE FROM profile.person_keys WHERE tenant_id = %(tenant)s AND person_no = %(person_no)s

-- name: erase_person
DELETE FROM profile.people WHERE tenant_id = %(tenant)s AND person_no = %(person_no)s

-- name: add_receipt
INSERT INTO profile.erasures (tenant_id, receipt_id, event_count, record_count)
VALUES (%(tenant)s, coalesce(%(receipt_id)s::uuid, gen_random_uuid()), %(events)s, %(records)s)
ON CONFLICT (tenant_id, receipt_id) DO UPDATE
SET event_count = erasures.event_count + excluded.event_count, record_count = erasures.record_count + excluded.record_count
RETURNING receipt_id::text, (extract(epoch FROM erase_time) * 1000000)::bigint, event_count, record_count
