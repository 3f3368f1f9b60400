-- Data keys of people.

-- name: find_keys
SELECT DISTINCT ON (person_no) person_no, key_no, sealed_key
FROM profile.person_keys WHERE tenant_id = %(tenant)s AND person_no = ANY(%(person_nos)s::bigint[])
ORDER BY person_no, key_no DESC

-- name: read_keys
SELECT key_no, sealed_key FROM profile.person_keys WHERE tenant_id = %(tenant)s AND key_no = ANY(%(key_nos)s::bigint[])

-- name: add_keys
INSERT INTO profile.person_keys (tenant_id, person_no, sealed_key)
SELECT %(tenant)s, person_no, sealed FROM unnest(%(person_nos)s::bigint[], %(sealed)s::bytea[]) AS u (person_no, sealed)
RETURNING person_no, key_no, sealed_key
