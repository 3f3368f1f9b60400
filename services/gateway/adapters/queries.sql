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

-- name: make_buckets
INSERT INTO gateway.quota_buckets (scope, tokens, refill_time)
SELECT asked.scope, asked.burst, clock_timestamp()
FROM unnest(%(scopes)s::text[], %(bursts)s::float8[]) AS asked (scope, burst)
ORDER BY asked.scope
ON CONFLICT DO NOTHING

-- name: lease_tokens
WITH asked AS (
    SELECT *
    FROM unnest(%(scopes)s::text[], %(rates)s::float8[], %(bursts)s::float8[], %(wanted)s::float8[], %(returned)s::float8[])
        AS asked (scope, rate, burst, wanted, returned)
), locked AS (
    SELECT bucket.scope, bucket.tokens, bucket.refill_time
    FROM gateway.quota_buckets AS bucket
    WHERE bucket.scope = ANY (%(scopes)s::text[])
    ORDER BY bucket.scope
    FOR UPDATE
), refilled AS (
    SELECT
        asked.scope, asked.wanted,
        least(
            asked.burst,
            locked.tokens + asked.returned + asked.rate * extract(epoch FROM clock_timestamp() - locked.refill_time)
        ) AS tokens
    FROM locked JOIN asked USING (scope)
), given AS (
    SELECT scope, tokens, least(wanted, greatest(tokens, 0)) AS given FROM refilled
)
UPDATE gateway.quota_buckets AS bucket
SET tokens = given.tokens - given.given, refill_time = clock_timestamp()
FROM given
WHERE bucket.scope = given.scope
RETURNING bucket.scope, given.given

-- name: forget_buckets
DELETE FROM gateway.quota_buckets WHERE refill_time < clock_timestamp() - make_interval(secs => %(seconds)s)

-- name: all_quotas
SELECT tenant_id, actor, per_second, burst, at_once FROM gateway.quotas

-- name: put_quota
INSERT INTO gateway.quotas (tenant_id, actor, per_second, burst, at_once)
VALUES (%(tenant)s, %(actor)s, %(per_second)s, %(burst)s, %(at_once)s)
ON CONFLICT (tenant_id, actor) DO UPDATE
SET per_second = excluded.per_second, burst = excluded.burst, at_once = excluded.at_once

-- name: remove_quota
DELETE FROM gateway.quotas WHERE tenant_id = %(tenant)s AND actor = %(actor)s

-- name: claim_answer
INSERT INTO gateway.kept_answers AS kept (tenant_id, actor, method, idempotency_key, request_sha256, claim, claim_end)
VALUES (
    %(tenant)s, %(actor)s, %(method)s, %(key)s, %(sha256)s, %(claim)s, now() + make_interval(secs => %(seconds)s)
)
ON CONFLICT (tenant_id, actor, method, idempotency_key) DO UPDATE
SET request_sha256 = excluded.request_sha256, claim = excluded.claim, claim_end = excluded.claim_end,
    answer = NULL, create_time = now()
WHERE (kept.answer IS NULL AND kept.claim_end < now() AND kept.request_sha256 = excluded.request_sha256)
    OR kept.create_time < now() - make_interval(secs => %(keep_seconds)s)
RETURNING claim

-- name: kept_answer
SELECT request_sha256, answer
FROM gateway.kept_answers
WHERE tenant_id = %(tenant)s AND actor = %(actor)s AND method = %(method)s AND idempotency_key = %(key)s

-- name: keep_answer
UPDATE gateway.kept_answers SET answer = %(answer)s
WHERE tenant_id = %(tenant)s AND actor = %(actor)s AND method = %(method)s AND idempotency_key = %(key)s
    AND claim = %(claim)s

-- name: release_answer
DELETE FROM gateway.kept_answers
WHERE tenant_id = %(tenant)s AND actor = %(actor)s AND method = %(method)s AND idempotency_key = %(key)s
    AND claim = %(claim)s AND answer IS NULL

-- name: forget_answers
DELETE FROM gateway.kept_answers WHERE create_time < now() - make_interval(secs => %(keep_seconds)s)
