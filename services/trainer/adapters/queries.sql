-- name: insert_release
INSERT INTO trainer.releases (tenant_id, release_id, create_time, data_end_time, purchase_count, user_count, product_count, pair_count)
VALUES (%(tenant)s, %(id)s, %(create_time)s, %(data_end_time)s, %(purchases)s, %(users)s, %(products)s, %(pairs)s)

-- name: insert_chunk
INSERT INTO trainer.release_chunks (tenant_id, release_id, kind, number, content)
VALUES (%(tenant)s, %(id)s, %(kind)s, %(number)s, %(content)s)

-- name: promote
INSERT INTO trainer.current_releases (tenant_id, release_id, promote_time) VALUES (%(tenant)s, %(id)s, now())
ON CONFLICT (tenant_id) DO UPDATE SET release_id = excluded.release_id, promote_time = excluded.promote_time

-- name: delete_old
DELETE FROM trainer.releases r WHERE tenant_id = %(tenant)s AND release_id NOT IN (
    SELECT release_id FROM trainer.releases WHERE tenant_id = %(tenant)s ORDER BY release_id DESC LIMIT %(kept)s)
AND NOT EXISTS (SELECT FROM trainer.current_releases c WHERE c.tenant_id = r.tenant_id AND c.release_id = r.release_id)

-- name: get_release
SELECT r.release_id, r.create_time, c.release_id IS NOT NULL, r.data_end_time, r.purchase_count, r.user_count, r.product_count, r.pair_count
FROM trainer.releases r LEFT JOIN trainer.current_releases c USING (tenant_id, release_id)
WHERE r.tenant_id = %(tenant)s AND r.release_id = %(id)s

-- name: get_current
SELECT r.release_id, r.create_time, true, r.data_end_time, r.purchase_count, r.user_count, r.product_count, r.pair_count
FROM trainer.releases r JOIN trainer.current_releases c USING (tenant_id, release_id) WHERE r.tenant_id = %(tenant)s

-- name: get_all_current
SELECT r.tenant_id, r.release_id, r.create_time, true, r.data_end_time, r.purchase_count, r.user_count, r.product_count, r.pair_count
FROM trainer.releases r JOIN trainer.current_releases c USING (tenant_id, release_id) ORDER BY r.tenant_id

-- name: list_releases
SELECT r.release_id, r.create_time, c.release_id IS NOT NULL, r.data_end_time, r.purchase_count, r.user_count, r.product_count, r.pair_count
FROM trainer.releases r LEFT JOIN trainer.current_releases c USING (tenant_id, release_id)
WHERE r.tenant_id = %(tenant)s AND (%(before)s = '' OR r.release_id < %(before)s) ORDER BY r.release_id DESC LIMIT %(limit)s

-- name: count_chunks
SELECT count(*) FROM trainer.release_chunks
WHERE tenant_id = %(tenant)s AND release_id = %(id)s AND kind = %(kind)s

-- name: read_chunk
SELECT content FROM trainer.release_chunks
WHERE tenant_id = %(tenant)s AND release_id = %(id)s AND kind = %(kind)s AND number = %(number)s
