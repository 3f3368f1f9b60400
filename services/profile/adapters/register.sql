-- The register of erasures and tombstones. Moments are microseconds since 1970.

-- name: lock_out
-- Waits for all batches of the tenant that are being written; later ones see the tombstones of this transaction.
SELECT pg_advisory_xact_lock(hashtextextended('profile erasure ' || %(tenant)s, 0))

-- name: lock_in
SELECT pg_advisory_xact_lock_shared(hashtextextended('profile erasure ' || %(tenant)s, 0))

-- name: find_tombstones
SELECT id_hash, (extract(epoch FROM erase_time) * 1000000)::bigint
FROM profile.tombstones WHERE tenant_id = %(tenant)s AND id_hash = ANY(%(hashes)s::bytea[]) AND expire_time > now()

-- name: add_tombstones
INSERT INTO profile.tombstones (tenant_id, id_hash, erase_time, expire_time)
SELECT %(tenant)s, hash, now(), now() + %(days)s * interval '1 day' FROM unnest(%(hashes)s::bytea[]) AS hash ORDER BY hash
ON CONFLICT (tenant_id, id_hash) DO UPDATE SET erase_time = excluded.erase_time, expire_time = excluded.expire_time

-- name: own_ids
-- The user, and the visitors that are nobody else's.
SELECT p.user_sealed, ARRAY(
    SELECT v.visitor_sealed FROM profile.visitors v
    WHERE v.tenant_id = p.tenant_id AND v.person_no = p.person_no AND NOT EXISTS (
        SELECT FROM profile.visitor_joins j
        WHERE j.tenant_id = v.tenant_id AND j.visitor_no = v.visitor_no AND j.person_no <> p.person_no)
    ORDER BY v.visitor_no)
FROM profile.people p WHERE p.tenant_id = %(tenant)s AND p.person_no = %(person_no)s

-- name: find_pending
SELECT receipt_id::text, subject FROM profile.erasure_requests
WHERE tenant_id = %(tenant)s AND subject_hash = %(subject_hash)s AND complete_time IS NULL FOR UPDATE

-- name: add_request
INSERT INTO profile.erasure_requests (tenant_id, receipt_id, subject_hash, subject, lease_until)
VALUES (%(tenant)s, %(receipt_id)s, %(subject_hash)s, %(subject)s, now() + %(lease)s * interval '1 second')

-- name: add_stores
INSERT INTO profile.erasure_stores (tenant_id, receipt_id, store)
SELECT %(tenant)s, %(receipt_id)s, store FROM unnest(%(stores)s::text[]) AS store
ON CONFLICT DO NOTHING

-- name: claim
UPDATE profile.erasure_requests r SET lease_until = now() + %(lease)s * interval '1 second'
FROM (
    SELECT tenant_id, receipt_id FROM profile.erasure_requests
    WHERE complete_time IS NULL AND lease_until <= now()
    ORDER BY lease_until LIMIT %(limit)s FOR UPDATE SKIP LOCKED
) due
WHERE r.tenant_id = due.tenant_id AND r.receipt_id = due.receipt_id
RETURNING r.tenant_id, r.receipt_id::text, r.subject

-- name: lock_request
SELECT encode(subject_hash, 'hex'), complete_time IS NOT NULL FROM profile.erasure_requests
WHERE tenant_id = %(tenant)s AND receipt_id = %(receipt_id)s FOR UPDATE

-- name: record_done
INSERT INTO profile.erasure_stores (tenant_id, receipt_id, store, done, row_counts, notes, attempts, complete_time)
VALUES (%(tenant)s, %(receipt_id)s, %(store)s, true, %(row_counts)s, %(notes)s, 1, clock_timestamp())
ON CONFLICT (tenant_id, receipt_id, store) DO UPDATE
SET done = true, row_counts = excluded.row_counts, notes = excluded.notes, attempts = erasure_stores.attempts + 1, failure = '',
    complete_time = excluded.complete_time
WHERE NOT erasure_stores.done

-- name: record_failure
INSERT INTO profile.erasure_stores (tenant_id, receipt_id, store, attempts, failure)
VALUES (%(tenant)s, %(receipt_id)s, %(store)s, 1, %(failure)s)
ON CONFLICT (tenant_id, receipt_id, store) DO UPDATE
SET attempts = erasure_stores.attempts + 1, failure = excluded.failure
WHERE NOT erasure_stores.done

-- name: complete
UPDATE profile.erasure_requests SET complete_time = clock_timestamp(), subject = NULL
WHERE tenant_id = %(tenant)s AND receipt_id = %(receipt_id)s
  AND NOT EXISTS (SELECT FROM profile.erasure_stores WHERE tenant_id = %(tenant)s AND receipt_id = %(receipt_id)s AND NOT done)

-- name: save_receipt
UPDATE profile.erasure_requests SET receipt = %(receipt)s WHERE tenant_id = %(tenant)s AND receipt_id = %(receipt_id)s

-- name: get_request
SELECT receipt_id::text, encode(subject_hash, 'hex'), (extract(epoch FROM request_time) * 1000000)::bigint,
       (extract(epoch FROM complete_time) * 1000000)::bigint, coalesce(receipt, '')
FROM profile.erasure_requests WHERE tenant_id = %(tenant)s AND receipt_id = %(receipt_id)s

-- name: get_stores
SELECT store, done, row_counts, notes, attempts, failure, (extract(epoch FROM complete_time) * 1000000)::bigint
FROM profile.erasure_stores WHERE tenant_id = %(tenant)s AND receipt_id = %(receipt_id)s ORDER BY store
