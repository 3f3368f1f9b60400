-- Reading people, for profiles, export and learning. Moments are returned as microseconds since 1970.

-- name: find_people
-- The user, and the visitor's person unless that is another user. facts_version stands in each row.
SELECT p.person_no, p.version, coalesce(p.user_hash, ''::bytea), p.event_count,
       (extract(epoch FROM p.last_event_time) * 1000000)::bigint,
       coalesce((SELECT version FROM profile.facts_versions WHERE tenant_id = %(tenant)s), 0), p.user_sealed
FROM profile.people p
WHERE p.tenant_id = %(tenant)s AND p.user_hash = %(user_hash)s::bytea
UNION ALL
SELECT p.person_no, p.version, coalesce(p.user_hash, ''::bytea), p.event_count,
       (extract(epoch FROM p.last_event_time) * 1000000)::bigint,
       coalesce((SELECT version FROM profile.facts_versions WHERE tenant_id = %(tenant)s), 0), p.user_sealed
FROM profile.visitors v
JOIN profile.people p ON p.tenant_id = v.tenant_id AND p.person_no = v.person_no
WHERE v.tenant_id = %(tenant)s AND v.visitor_hash = %(visitor_hash)s::bytea

-- name: visitor_ids
-- All visitors ever joined to these people, and the visitor of an anonymous person.
SELECT v.visitor_sealed FROM profile.visitor_joins j
JOIN profile.visitors v ON v.tenant_id = j.tenant_id AND v.visitor_no = j.visitor_no
WHERE j.tenant_id = %(tenant)s AND j.person_no = ANY(%(person_nos)s::bigint[])
UNION
SELECT v.visitor_sealed FROM profile.visitors v
WHERE v.tenant_id = %(tenant)s AND v.person_no = ANY(%(person_nos)s::bigint[])

-- name: versions
SELECT person_no, version, event_count, (extract(epoch FROM last_event_time) * 1000000)::bigint,
       coalesce((SELECT version FROM profile.facts_versions WHERE tenant_id = %(tenant)s), 0)
FROM profile.people WHERE tenant_id = %(tenant)s AND person_no = ANY(%(person_nos)s::bigint[])

-- name: purchases
SELECT event_no, event_time, event_type, product_nos, quantities, price_micros, currency, revenue_micros, rating, session_id, search_query, category, key_no,
       content
FROM profile.events WHERE tenant_id = %(tenant)s AND person_no = %(person_no)s AND event_type = 9
ORDER BY event_time DESC LIMIT %(most)s

-- name: others
SELECT event_no, event_time, event_type, product_nos, quantities, price_micros, currency, revenue_micros, rating, session_id, search_query, category, key_no,
       content
FROM profile.events WHERE tenant_id = %(tenant)s AND person_no = %(person_no)s AND event_type <> 9
ORDER BY event_time DESC LIMIT %(most)s

-- name: describe_products
SELECT p.product_no, p.product_id, coalesce(array_to_string(f.category_path, ' > '), ''), coalesce(f.brand, ''), f.price_micros,
       coalesce(f.currency, '')
FROM profile.products p
LEFT JOIN profile.product_facts f ON f.tenant_id = p.tenant_id AND f.product_no = p.product_no
WHERE p.tenant_id = %(tenant)s AND p.product_no = ANY(%(product_nos)s::integer[])

-- name: changed_products
SELECT product_no FROM profile.product_facts WHERE tenant_id = %(tenant)s AND facts_version > %(version)s

-- name: product_ids
SELECT product_no, product_id FROM profile.products WHERE tenant_id = %(tenant)s AND product_no = ANY(%(product_nos)s::integer[])

-- name: count_rows
SELECT coalesce(sum(cardinality(product_nos)), 0)::bigint
FROM profile.events
WHERE tenant_id = %(tenant)s AND event_time >= %(start)s AND event_time < %(end)s AND event_type = ANY(%(event_types)s::smallint[])

-- name: stream_rows
SELECT event_time, event_type, person_no, product_nos, quantities
FROM profile.events
WHERE tenant_id = %(tenant)s AND event_time >= %(start)s AND event_time < %(end)s AND event_type = ANY(%(event_types)s::smallint[])
  AND cardinality(product_nos) > 0
ORDER BY event_time, event_no

-- name: stream_detailed_rows
SELECT event_time, event_type, person_no, product_nos, quantities, price_micros, price_currencies, currency, revenue_micros, device,
       attribution_token
FROM profile.events
WHERE tenant_id = %(tenant)s AND event_time >= %(start)s AND event_time < %(end)s AND event_type = ANY(%(event_types)s::smallint[])
  AND cardinality(product_nos) > 0
ORDER BY event_time, event_no
