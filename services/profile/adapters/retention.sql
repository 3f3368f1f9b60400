-- Removing by age, a batch a transaction. Kinds: events, quarantine, receipts, tombstones.

-- name: tenants
SELECT tenant_id FROM profile.people UNION SELECT tenant_id FROM profile.erasure_requests UNION SELECT tenant_id FROM profile.tombstones
ORDER BY 1

-- name: count_events
SELECT count(*) FROM profile.events WHERE tenant_id = %(tenant)s AND event_time < now() - %(days)s * interval '1 day'

-- name: remove_events
-- Counters of people follow, and who has nothing left is forgotten by remove_idle_people.
WITH old AS (
    SELECT event_time, event_no FROM profile.events
    WHERE tenant_id = %(tenant)s AND event_time < now() - %(days)s * interval '1 day'
    ORDER BY event_time, event_no LIMIT %(most)s
), gone AS (
    DELETE FROM profile.events e USING old
    WHERE e.tenant_id = %(tenant)s AND e.event_time = old.event_time AND e.event_no = old.event_no
    RETURNING e.event_id, e.event_hash, e.person_no, e.event_type
), keys AS (
    DELETE FROM profile.event_keys k USING gone WHERE k.tenant_id = %(tenant)s AND k.event_id = gone.event_id
), hashes AS (
    DELETE FROM profile.event_hashes h USING gone WHERE h.tenant_id = %(tenant)s AND h.event_hash = gone.event_hash
), sums AS (
    SELECT person_no, count(*) AS events, count(*) FILTER (WHERE event_type = 9) AS purchases FROM gone GROUP BY person_no
), locked AS (
    SELECT p.person_no FROM profile.people p JOIN sums s USING (person_no)
    WHERE p.tenant_id = %(tenant)s ORDER BY p.person_no FOR NO KEY UPDATE OF p
), changed AS (
    UPDATE profile.people p
    SET version = p.version + 1, event_count = p.event_count - s.events, purchase_count = p.purchase_count - s.purchases
    FROM sums s JOIN locked USING (person_no)
    WHERE p.tenant_id = %(tenant)s AND p.person_no = s.person_no
)
SELECT count(*) FROM gone

-- name: count_people
SELECT count(*) FROM profile.people p
WHERE p.tenant_id = %(tenant)s AND p.event_count = 0 AND p.last_event_time < now() - %(days)s * interval '1 day'
  AND NOT EXISTS (SELECT FROM profile.quarantine q WHERE q.tenant_id = p.tenant_id AND q.person_no = p.person_no)

-- name: idle_people
-- People of whom only ids are left; erased one by one, with the locks of an erasure.
SELECT p.person_no FROM profile.people p
WHERE p.tenant_id = %(tenant)s AND p.event_count = 0 AND p.last_event_time < now() - %(days)s * interval '1 day'
  AND NOT EXISTS (SELECT FROM profile.quarantine q WHERE q.tenant_id = p.tenant_id AND q.person_no = p.person_no)
ORDER BY p.person_no LIMIT %(most)s

-- name: count_quarantine
SELECT count(*) FROM profile.quarantine WHERE tenant_id = %(tenant)s AND quarantine_time < now() - %(days)s * interval '1 day'

-- name: remove_quarantine
WITH old AS (
    SELECT person_no, event_time, event_no FROM profile.quarantine
    WHERE tenant_id = %(tenant)s AND quarantine_time < now() - %(days)s * interval '1 day' LIMIT %(most)s
), gone AS (
    DELETE FROM profile.quarantine q USING old
    WHERE q.tenant_id = %(tenant)s AND q.person_no = old.person_no AND q.event_time = old.event_time AND q.event_no = old.event_no
    RETURNING q.event_id, q.event_hash
), keys AS (
    DELETE FROM profile.event_keys k USING gone WHERE k.tenant_id = %(tenant)s AND k.event_id = gone.event_id
), hashes AS (
    DELETE FROM profile.event_hashes h USING gone WHERE h.tenant_id = %(tenant)s AND h.event_hash = gone.event_hash
)
SELECT count(*) FROM gone

-- name: count_receipts
SELECT count(*) FROM profile.erasure_requests
WHERE tenant_id = %(tenant)s AND complete_time < now() - %(days)s * interval '1 day'

-- name: remove_receipts
WITH old AS (
    SELECT receipt_id FROM profile.erasure_requests
    WHERE tenant_id = %(tenant)s AND complete_time < now() - %(days)s * interval '1 day' LIMIT %(most)s
), records AS (
    DELETE FROM profile.erasures e USING old WHERE e.tenant_id = %(tenant)s AND e.receipt_id = old.receipt_id
), gone AS (
    DELETE FROM profile.erasure_requests r USING old WHERE r.tenant_id = %(tenant)s AND r.receipt_id = old.receipt_id
    RETURNING r.receipt_id
)
SELECT count(*) FROM gone

-- name: count_tombstones
SELECT count(*) FROM profile.tombstones WHERE tenant_id = %(tenant)s AND expire_time < now() AND %(days)s > 0

-- name: remove_tombstones
WITH old AS (
    SELECT id_hash FROM profile.tombstones WHERE tenant_id = %(tenant)s AND expire_time < now() AND %(days)s > 0 LIMIT %(most)s
), gone AS (
    DELETE FROM profile.tombstones t USING old WHERE t.tenant_id = %(tenant)s AND t.id_hash = old.id_hash RETURNING 1
)
SELECT count(*) FROM gone
