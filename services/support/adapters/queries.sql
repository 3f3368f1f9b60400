-- name: read_revisions
SELECT document_id, revision, uri, language_code FROM support.documents
WHERE tenant_id = %(tenant)s AND document_id = ANY (%(ids)s) FOR UPDATE

-- name: put_document
INSERT INTO support.documents (tenant_id, document_id, title, body, uri, language_code, revision, update_time, passage_count)
VALUES (%(tenant)s, %(id)s, %(title)s, %(body)s, %(uri)s, %(language)s, %(revision)s, now(), %(passages)s)
ON CONFLICT (tenant_id, document_id) DO UPDATE SET title = excluded.title, body = excluded.body, uri = excluded.uri,
    language_code = excluded.language_code, revision = excluded.revision, update_time = excluded.update_time,
    passage_count = excluded.passage_count

-- name: delete_passages
DELETE FROM support.passages WHERE tenant_id = %(tenant)s AND document_id = %(id)s

-- name: insert_passage
INSERT INTO support.passages (tenant_id, document_id, number, headings, passage)
VALUES (%(tenant)s, %(id)s, %(number)s, %(headings)s, %(passage)s)

-- name: note_change
INSERT INTO support.document_changes (tenant_id, document_id) VALUES (%(tenant)s, %(id)s)
ON CONFLICT (tenant_id, document_id) DO UPDATE SET change_number = DEFAULT, claimed_until = '-infinity', attempts = 0, last_error = ''

-- name: delete_document
DELETE FROM support.documents WHERE tenant_id = %(tenant)s AND document_id = %(id)s

-- name: get_document
SELECT document_id, title, body, uri, language_code, revision, update_time, passage_count FROM support.documents
WHERE tenant_id = %(tenant)s AND document_id = %(id)s

-- name: list_documents
SELECT document_id, title, '' AS body, uri, language_code, revision, update_time, passage_count FROM support.documents
WHERE tenant_id = %(tenant)s AND document_id > %(after)s ORDER BY document_id LIMIT %(limit)s

-- name: read_passages
SELECT p.document_id, p.number, d.title, d.uri, p.headings, p.passage, d.revision
FROM support.passages p JOIN support.documents d USING (tenant_id, document_id)
WHERE p.tenant_id = %(tenant)s AND (p.document_id, p.number) IN (SELECT * FROM unnest(%(ids)s::text[], %(numbers)s::int[]))

-- name: document_passages
SELECT p.document_id, p.number, d.title, d.uri, p.headings, p.passage, d.revision
FROM support.passages p JOIN support.documents d USING (tenant_id, document_id)
WHERE p.tenant_id = %(tenant)s AND p.document_id = %(id)s ORDER BY p.number

-- name: claim_changes
-- `claimed_until`: not due before; `lease_until`: a worker is at it, whatever is noted meanwhile. Equal: nothing was.
UPDATE support.document_changes c
SET claimed_until = now() + %(lease)s * interval '1 second', lease_until = now() + %(lease)s * interval '1 second',
    attempts = attempts + 1
FROM (SELECT tenant_id, document_id FROM support.document_changes WHERE claimed_until < now() AND lease_until < now()
      ORDER BY change_number LIMIT %(limit)s FOR UPDATE SKIP LOCKED) AS due
WHERE c.tenant_id = due.tenant_id AND c.document_id = due.document_id
RETURNING c.tenant_id, c.document_id, c.change_number, c.attempts, c.lease_until, extract(epoch FROM now() - c.note_time)::float8

-- name: finish_change
WITH gone AS (
    DELETE FROM support.document_changes
    WHERE tenant_id = %(tenant)s AND document_id = %(id)s AND lease_until = %(lease)s
        AND change_number = %(number)s AND claimed_until = lease_until -- not noted again meanwhile
    RETURNING document_id
)
UPDATE support.document_changes SET lease_until = '-infinity'
WHERE tenant_id = %(tenant)s AND document_id = %(id)s AND lease_until = %(lease)s AND NOT EXISTS (SELECT FROM gone)

-- name: put_back_change
UPDATE support.document_changes SET last_error = %(error)s, lease_until = '-infinity',
    claimed_until = CASE WHEN claimed_until = lease_until THEN now() + %(wait)s * interval '1 second' ELSE claimed_until END
WHERE tenant_id = %(tenant)s AND document_id = %(id)s AND lease_until = %(lease)s

-- name: note_all
INSERT INTO support.document_changes (tenant_id, document_id)
SELECT tenant_id, document_id FROM support.documents WHERE tenant_id = %(tenant)s
ON CONFLICT (tenant_id, document_id) DO UPDATE SET claimed_until = '-infinity'

-- name: backlog
SELECT count(*), coalesce(extract(epoch FROM now() - min(note_time)), 0)::float8 FROM support.document_changes

-- name: list_tenants
SELECT DISTINCT tenant_id FROM support.documents ORDER BY tenant_id

-- name: count_settled_passages
SELECT coalesce(sum(d.passage_count), 0) FROM support.documents d
WHERE d.tenant_id = %(tenant)s AND NOT EXISTS (
    SELECT FROM support.document_changes c WHERE c.tenant_id = d.tenant_id AND c.document_id = d.document_id)

-- name: count_documents
SELECT (SELECT count(*) FROM support.documents WHERE tenant_id = %(tenant)s),
       (SELECT count(*) FROM support.document_changes WHERE tenant_id = %(tenant)s)
