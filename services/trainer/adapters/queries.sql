-- name: insert_release
INSERT INTO trainer.releases (tenant_id, release_id, create_time, data_end_time, purchase_count, user_count, product_count, pair_count,
    parent_release_id, kind, content_hash, metrics, gate, data_card)
VALUES (%(tenant)s, %(id)s, %(create_time)s, %(data_end_time)s, %(purchases)s, %(users)s, %(products)s, %(pairs)s,
    %(parent)s, %(kind)s, %(content_hash)s, %(metrics)s, %(gate)s, %(data_card)s)

-- name: insert_blob
INSERT INTO trainer.blobs (tenant_id, sha256, size_bytes) VALUES (%(tenant)s, %(sha256)s, %(size)s) ON CONFLICT DO NOTHING

-- name: insert_chunk
INSERT INTO trainer.blob_chunks (tenant_id, sha256, number, content)
VALUES (%(tenant)s, %(sha256)s, %(number)s, %(content)s)

-- name: insert_artifact
INSERT INTO trainer.artifacts (tenant_id, release_id, name, sha256) VALUES (%(tenant)s, %(id)s, %(name)s, %(sha256)s)

-- name: lock_tenant
-- Changes of what is current and of what is kept come one after the other.
SELECT pg_advisory_xact_lock(hashtextextended('trainer releases ' || %(tenant)s, 0))

-- name: promote
INSERT INTO trainer.current_releases (tenant_id, release_id, previous_release_id, promote_time) VALUES (%(tenant)s, %(id)s, NULL, now())
ON CONFLICT (tenant_id) DO UPDATE SET previous_release_id = current_releases.release_id, release_id = excluded.release_id,
    promote_time = excluded.promote_time
WHERE current_releases.release_id <> excluded.release_id

-- name: note_promotion
INSERT INTO trainer.promotions (tenant_id, release_id, before_release_id, cause) VALUES (%(tenant)s, %(id)s, %(before)s, %(cause)s)

-- name: get_way_back
-- Where a rollback from a release leads.
SELECT before_release_id FROM trainer.promotions WHERE tenant_id = %(tenant)s AND release_id = %(id)s ORDER BY number DESC LIMIT 1

-- name: delete_old
WITH needed AS (
    SELECT release_id FROM trainer.current_releases WHERE tenant_id = %(tenant)s
    UNION ALL SELECT previous_release_id FROM trainer.current_releases WHERE tenant_id = %(tenant)s AND previous_release_id IS NOT NULL
    UNION ALL SELECT release_id FROM trainer.rollouts WHERE tenant_id = %(tenant)s AND running
    UNION ALL SELECT unnest(release_ids) FROM trainer.experiments WHERE tenant_id = %(tenant)s AND state = 'running'
    UNION ALL (SELECT p.before_release_id FROM trainer.promotions p JOIN trainer.current_releases c USING (tenant_id, release_id)
        WHERE p.tenant_id = %(tenant)s AND p.before_release_id IS NOT NULL ORDER BY p.number DESC LIMIT 1)
    UNION ALL (SELECT release_id FROM trainer.releases WHERE tenant_id = %(tenant)s ORDER BY release_id DESC LIMIT %(kept)s)
)
DELETE FROM trainer.releases WHERE tenant_id = %(tenant)s AND release_id NOT IN (SELECT release_id FROM needed)

-- name: delete_unused_blobs
DELETE FROM trainer.blobs b WHERE tenant_id = %(tenant)s
AND NOT EXISTS (SELECT FROM trainer.artifacts a WHERE a.tenant_id = b.tenant_id AND a.sha256 = b.sha256)

-- name: get_releases
-- Some releases, with their artifacts.
SELECT r.release_id, r.create_time, coalesce(c.release_id = r.release_id, false), r.data_end_time, r.purchase_count, r.user_count, r.product_count,
    r.pair_count, coalesce(r.parent_release_id, ''), r.kind, r.content_hash, r.metrics, r.gate, r.data_card,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(a.name, a.sha256, b.size_bytes) ORDER BY a.name), '[]')
     FROM trainer.artifacts a JOIN trainer.blobs b USING (tenant_id, sha256)
     WHERE a.tenant_id = r.tenant_id AND a.release_id = r.release_id)
FROM trainer.releases r LEFT JOIN trainer.current_releases c ON c.tenant_id = r.tenant_id
WHERE r.tenant_id = %(tenant)s AND r.release_id = ANY(%(ids)s)

-- name: get_current
SELECT release_id, previous_release_id FROM trainer.current_releases WHERE tenant_id = %(tenant)s

-- name: get_lineups
SELECT c.tenant_id, c.release_id, c.previous_release_id, r.release_id
FROM trainer.current_releases c LEFT JOIN trainer.rollouts r ON r.tenant_id = c.tenant_id AND r.running
ORDER BY c.tenant_id

-- name: list_releases
SELECT release_id FROM trainer.releases
WHERE tenant_id = %(tenant)s AND (%(before)s = '' OR release_id < %(before)s) ORDER BY release_id DESC LIMIT %(limit)s

-- name: get_artifact
SELECT a.sha256, count(c.number) FROM trainer.artifacts a LEFT JOIN trainer.blob_chunks c USING (tenant_id, sha256)
WHERE a.tenant_id = %(tenant)s AND a.release_id = %(id)s AND a.name = %(name)s GROUP BY a.sha256

-- name: read_chunk
SELECT content FROM trainer.blob_chunks WHERE tenant_id = %(tenant)s AND sha256 = %(sha256)s AND number = %(number)s

-- name: put_rollout
INSERT INTO trainer.rollouts (tenant_id, release_id, baseline_release_id, mode, share, start_time, running)
VALUES (%(tenant)s, %(id)s, %(baseline)s, %(mode)s, %(share)s, now(), true)
ON CONFLICT (tenant_id) DO UPDATE SET release_id = excluded.release_id, baseline_release_id = excluded.baseline_release_id,
    mode = excluded.mode, share = excluded.share, start_time = excluded.start_time, running = true, finding = '', arms = '[]',
    difference_low = -1, difference_high = 1

-- name: get_rollout
SELECT release_id, baseline_release_id, mode, share, start_time, running, finding, arms, difference_low, difference_high
FROM trainer.rollouts WHERE tenant_id = %(tenant)s

-- name: get_running_rollouts
SELECT tenant_id FROM trainer.rollouts WHERE running AND mode = 'canary'

-- name: note_finding
-- Only of the rollout that was looked at: another may have begun meanwhile.
UPDATE trainer.rollouts SET finding = %(finding)s, arms = %(arms)s, difference_low = %(low)s, difference_high = %(high)s, running = %(running)s
WHERE tenant_id = %(tenant)s AND release_id = %(id)s AND start_time = %(start_time)s AND running

-- name: end_rollout
UPDATE trainer.rollouts SET running = false, finding = %(finding)s WHERE tenant_id = %(tenant)s AND running

-- name: insert_experiment
INSERT INTO trainer.experiments (tenant_id, experiment_id, state, layer, salt, definition, release_ids, buckets, create_time, start_time, end_time,
    stop_time, stop_cause)
VALUES (%(tenant)s, %(id)s, %(state)s, %(layer)s, %(salt)s, %(definition)s, %(release_ids)s, %(buckets)s, %(create_time)s, %(start_time)s,
    %(end_time)s, %(stop_time)s, %(stop_cause)s)
ON CONFLICT DO NOTHING

-- name: update_experiment
UPDATE trainer.experiments SET state = %(state)s, layer = %(layer)s, definition = %(definition)s, release_ids = %(release_ids)s,
    buckets = %(buckets)s, start_time = %(start_time)s, end_time = %(end_time)s, stop_time = %(stop_time)s, stop_cause = %(stop_cause)s
WHERE tenant_id = %(tenant)s AND experiment_id = %(id)s

-- name: delete_experiment
DELETE FROM trainer.experiments WHERE tenant_id = %(tenant)s AND experiment_id = %(id)s

-- name: end_experiments
-- Those whose time has come.
UPDATE trainer.experiments SET state = 'stopped', stop_time = end_time, stop_cause = 'its end came' WHERE state = 'running' AND end_time <= now()

-- name: get_experiment
SELECT experiment_id, state, layer, salt, definition, buckets, create_time, start_time, end_time, stop_time, stop_cause, tenant_id, number
FROM trainer.experiments WHERE tenant_id = %(tenant)s AND experiment_id = %(id)s

-- name: list_experiments
SELECT experiment_id, state, layer, salt, definition, buckets, create_time, start_time, end_time, stop_time, stop_cause, tenant_id, number
FROM trainer.experiments
WHERE tenant_id = %(tenant)s AND (%(before)s = 0 OR number < %(before)s) AND (%(state)s = '' OR state = %(state)s)
ORDER BY number DESC LIMIT %(limit)s

-- name: get_running_experiments
SELECT experiment_id, state, layer, salt, definition, buckets, create_time, start_time, end_time, stop_time, stop_cause, tenant_id, number
FROM trainer.experiments WHERE state = 'running' AND (%(tenant)s = '' OR tenant_id = %(tenant)s) ORDER BY tenant_id, number

-- name: get_experiment_releases
SELECT DISTINCT tenant_id, unnest(release_ids) FROM trainer.experiments WHERE state = 'running' ORDER BY 1, 2
