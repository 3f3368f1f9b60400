-- name: get_change_number
SELECT number FROM gateway.key_changes

-- name: note_change
UPDATE gateway.key_changes SET number = number + 1

-- name: has_keys
SELECT EXISTS (SELECT FROM gateway.api_keys)

-- name: load_secrets
SELECT s.sha256, k.key_id, k.tenant_id, k.scopes, extract(epoch FROM least(k.expire_time, s.expire_time))::float8
FROM gateway.api_keys k JOIN gateway.api_key_secrets s USING (key_id)
WHERE k.revoke_time IS NULL AND coalesce(least(k.expire_time, s.expire_time), 'infinity') > now()

-- name: insert_key
INSERT INTO gateway.api_keys (key_id, tenant_id, name, scopes, created_by, expire_time)
VALUES (%(id)s, %(tenant)s, %(name)s, %(scopes)s, %(by)s, now() + make_interval(secs => %(lifetime)s))
ON CONFLICT (tenant_id, name) WHERE revoke_time IS NULL DO NOTHING RETURNING key_id

-- name: insert_secret
INSERT INTO gateway.api_key_secrets (sha256, key_id) VALUES (%(sha256)s, %(id)s)

-- name: has_secret
SELECT EXISTS (SELECT FROM gateway.api_key_secrets WHERE sha256 = %(sha256)s)

-- name: get_key
SELECT k.key_id, k.key_number, k.tenant_id, k.name, k.scopes, k.create_time, k.created_by, k.expire_time, k.revoke_time, k.last_used_time,
    (SELECT count(*) FROM gateway.api_key_secrets s WHERE s.key_id = k.key_id AND k.revoke_time IS NULL
        AND coalesce(least(k.expire_time, s.expire_time), 'infinity') > now())
FROM gateway.api_keys k WHERE k.tenant_id = %(tenant)s AND k.key_id = %(id)s

-- name: list_keys
SELECT k.key_id, k.key_number, k.tenant_id, k.name, k.scopes, k.create_time, k.created_by, k.expire_time, k.revoke_time, k.last_used_time,
    (SELECT count(*) FROM gateway.api_key_secrets s WHERE s.key_id = k.key_id AND k.revoke_time IS NULL
        AND coalesce(least(k.expire_time, s.expire_time), 'infinity') > now())
FROM gateway.api_keys k
WHERE k.tenant_id = %(tenant)s AND (%(before)s::bigint IS NULL OR k.key_number < %(before)s)
    AND (%(ended)s OR (k.revoke_time IS NULL AND coalesce(k.expire_time, 'infinity') > now()))
ORDER BY k.key_number DESC LIMIT %(limit)s

-- name: lock_valid_key
SELECT key_id FROM gateway.api_keys
WHERE tenant_id = %(tenant)s AND key_id = %(id)s AND revoke_time IS NULL AND coalesce(expire_time, 'infinity') > now() FOR UPDATE

-- name: end_older_secrets
UPDATE gateway.api_key_secrets SET expire_time = now() WHERE key_id = %(id)s AND expire_time > now()

-- name: end_latest_secret
UPDATE gateway.api_key_secrets SET expire_time = now() + make_interval(secs => %(overlap)s)
WHERE key_id = %(id)s AND expire_time IS NULL RETURNING expire_time

-- name: revoke_key
UPDATE gateway.api_keys SET revoke_time = coalesce(revoke_time, now()) WHERE tenant_id = %(tenant)s AND key_id = %(id)s

-- name: note_used
UPDATE gateway.api_keys k SET last_used_time = to_timestamp(u.used)
FROM unnest(%(ids)s::text[], %(times)s::float8[]) AS u (key_id, used)
WHERE k.key_id = u.key_id AND coalesce(k.last_used_time, '-infinity') < to_timestamp(u.used)

-- name: begin_act
INSERT INTO gateway.audit_events (tenant_id, actor, action, peer, request_id)
VALUES (%(tenant)s, %(actor)s, %(action)s, %(peer)s, %(request_id)s) RETURNING event_number

-- name: end_act
INSERT INTO gateway.audit_outcomes (event_number, end_time, outcome, target)
VALUES (%(number)s, to_timestamp(%(end_s)s), %(outcome)s, %(target)s) ON CONFLICT DO NOTHING

-- name: list_acts
SELECT e.event_number, e.begin_time, o.end_time, e.tenant_id, e.actor, e.action, e.peer, e.request_id, coalesce(o.target, ''), coalesce(o.outcome, '')
FROM gateway.audit_events e LEFT JOIN gateway.audit_outcomes o USING (event_number)
WHERE e.tenant_id = %(tenant)s AND (%(before)s::bigint IS NULL OR e.event_number < %(before)s)
    AND (%(actor)s = '' OR e.actor = %(actor)s) AND (%(action)s = '' OR e.action = %(action)s)
    AND (%(start)s::timestamptz IS NULL OR e.begin_time >= %(start)s) AND (%(end)s::timestamptz IS NULL OR e.begin_time < %(end)s)
ORDER BY e.event_number DESC LIMIT %(limit)s
