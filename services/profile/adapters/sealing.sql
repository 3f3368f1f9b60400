-- Sealing rows from before ids and contents were sealed, and sealing anew by the current key. All tenants; a batch a transaction.

-- name: people_in_clear
SELECT tenant_id, person_no, user_id FROM profile.people WHERE user_id IS NOT NULL LIMIT %(most)s FOR UPDATE SKIP LOCKED

-- name: seal_people
UPDATE profile.people p SET user_hash = u.hash, user_sealed = u.sealed, user_id = NULL
FROM unnest(%(tenants)s::text[], %(numbers)s::bigint[], %(hashes)s::bytea[], %(sealed)s::bytea[]) AS u (tenant_id, number, hash, sealed)
WHERE p.tenant_id = u.tenant_id AND p.person_no = u.number

-- name: visitors_in_clear
SELECT tenant_id, visitor_no, visitor_id FROM profile.visitors WHERE visitor_id IS NOT NULL LIMIT %(most)s FOR UPDATE SKIP LOCKED

-- name: seal_visitors
UPDATE profile.visitors v SET visitor_hash = u.hash, visitor_sealed = u.sealed, visitor_id = NULL
FROM unnest(%(tenants)s::text[], %(numbers)s::bigint[], %(hashes)s::bytea[], %(sealed)s::bytea[]) AS u (tenant_id, number, hash, sealed)
WHERE v.tenant_id = u.tenant_id AND v.visitor_no = u.number

-- name: events_in_clear
SELECT tenant_id, event_time, event_no, person_no, event_id, session_id, transaction_id, search_query, locale, attributes
FROM profile.events WHERE content IS NULL LIMIT %(most)s FOR UPDATE SKIP LOCKED

-- name: seal_events
UPDATE profile.events e
SET event_hash = u.hash, key_no = u.key_no, content = u.content, event_id = NULL, session_id = NULL, transaction_id = NULL,
    search_query = NULL, locale = NULL, attributes = NULL
FROM unnest(%(tenants)s::text[], %(times)s::timestamptz[], %(numbers)s::bigint[], %(hashes)s::bytea[], %(key_nos)s::bigint[],
            %(contents)s::bytea[]) AS u (tenant_id, event_time, number, hash, key_no, content)
WHERE e.tenant_id = u.tenant_id AND e.event_time = u.event_time AND e.event_no = u.number

-- name: quarantine_in_clear
SELECT tenant_id, event_time, event_no, person_no, event_id, session_id, transaction_id, search_query, locale, attributes
FROM profile.quarantine WHERE content IS NULL LIMIT %(most)s FOR UPDATE SKIP LOCKED

-- name: seal_quarantine
UPDATE profile.quarantine e
SET event_hash = u.hash, key_no = u.key_no, content = u.content, event_id = NULL, session_id = NULL, transaction_id = NULL,
    search_query = NULL, locale = NULL, attributes = NULL
FROM unnest(%(tenants)s::text[], %(times)s::timestamptz[], %(numbers)s::bigint[], %(hashes)s::bytea[], %(key_nos)s::bigint[],
            %(contents)s::bytea[]) AS u (tenant_id, event_time, number, hash, key_no, content)
WHERE e.tenant_id = u.tenant_id AND e.event_time = u.event_time AND e.event_no = u.number

-- name: add_hashes
INSERT INTO profile.event_hashes (tenant_id, event_hash)
SELECT * FROM unnest(%(tenants)s::text[], %(hashes)s::bytea[]) AS u (tenant_id, hash) ORDER BY 1, 2 ON CONFLICT DO NOTHING

-- name: remove_keys
DELETE FROM profile.event_keys k USING unnest(%(tenants)s::text[], %(ids)s::text[]) AS u (tenant_id, event_id)
WHERE k.tenant_id = u.tenant_id AND k.event_id = u.event_id

-- name: lock_rotation
SELECT pg_try_advisory_lock(hashtextextended('profile key rotation', 0))

-- name: unlock_rotation
SELECT pg_advisory_unlock(hashtextextended('profile key rotation', 0))

-- name: count_older
SELECT (SELECT count(*) FROM profile.people WHERE substring(user_sealed FROM 2 FOR 4) <> %(current)s::bytea)
     + (SELECT count(*) FROM profile.visitors WHERE substring(visitor_sealed FROM 2 FOR 4) <> %(current)s::bytea)
     + (SELECT count(*) FROM profile.person_keys WHERE substring(sealed_key FROM 2 FOR 4) <> %(current)s::bytea)
     + (SELECT count(*) FROM profile.ring_check WHERE substring(sealed FROM 2 FOR 4) <> %(current)s::bytea)
     + (SELECT count(*) FROM profile.erasure_requests WHERE substring(subject FROM 2 FOR 4) <> %(current)s::bytea)

-- name: older_people
SELECT tenant_id, person_no, user_sealed FROM profile.people
WHERE substring(user_sealed FROM 2 FOR 4) <> %(current)s::bytea AND (tenant_id, person_no) > (%(tenant)s, %(number)s)
ORDER BY tenant_id, person_no LIMIT %(most)s FOR UPDATE

-- name: reseal_people
UPDATE profile.people p SET user_sealed = u.sealed
FROM unnest(%(tenants)s::text[], %(numbers)s::bigint[], %(sealed)s::bytea[]) AS u (tenant_id, number, sealed)
WHERE p.tenant_id = u.tenant_id AND p.person_no = u.number

-- name: older_visitors
SELECT tenant_id, visitor_no, visitor_sealed FROM profile.visitors
WHERE substring(visitor_sealed FROM 2 FOR 4) <> %(current)s::bytea AND (tenant_id, visitor_no) > (%(tenant)s, %(number)s)
ORDER BY tenant_id, visitor_no LIMIT %(most)s FOR UPDATE

-- name: reseal_visitors
UPDATE profile.visitors v SET visitor_sealed = u.sealed
FROM unnest(%(tenants)s::text[], %(numbers)s::bigint[], %(sealed)s::bytea[]) AS u (tenant_id, number, sealed)
WHERE v.tenant_id = u.tenant_id AND v.visitor_no = u.number

-- name: older_person_keys
SELECT tenant_id, key_no, sealed_key FROM profile.person_keys
WHERE substring(sealed_key FROM 2 FOR 4) <> %(current)s::bytea AND (tenant_id, key_no) > (%(tenant)s, %(number)s)
ORDER BY tenant_id, key_no LIMIT %(most)s FOR UPDATE

-- name: reseal_person_keys
UPDATE profile.person_keys k SET sealed_key = u.sealed
FROM unnest(%(tenants)s::text[], %(numbers)s::bigint[], %(sealed)s::bytea[]) AS u (tenant_id, number, sealed)
WHERE k.tenant_id = u.tenant_id AND k.key_no = u.number

-- name: add_check
INSERT INTO profile.ring_check (sealed) VALUES (%(sealed)s) ON CONFLICT DO NOTHING

-- name: get_check
SELECT sealed FROM profile.ring_check

-- name: set_check
UPDATE profile.ring_check SET sealed = %(sealed)s

-- name: older_subjects
SELECT tenant_id, receipt_id::text, subject FROM profile.erasure_requests
WHERE substring(subject FROM 2 FOR 4) <> %(current)s::bytea LIMIT %(most)s FOR UPDATE

-- name: reseal_subjects
UPDATE profile.erasure_requests r SET subject = u.sealed
FROM unnest(%(tenants)s::text[], %(numbers)s::uuid[], %(sealed)s::bytea[]) AS u (tenant_id, receipt_id, sealed)
WHERE r.tenant_id = u.tenant_id AND r.receipt_id = u.receipt_id

-- name: last_erasure
SELECT extract(epoch FROM max(complete_time))::bigint FROM profile.erasure_requests
