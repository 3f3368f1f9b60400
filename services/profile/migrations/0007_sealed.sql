-- What identifies a person is sealed (AES-256-GCM) or a keyed hash (HMAC-SHA256): see docs/adr and docs/privacy.md.
-- This expands: the columns in clear stay, empty in new rows, and the service seals old rows in the background; nothing
-- reads them once all are sealed.

ALTER TABLE profile.people ADD COLUMN user_hash bytea, ADD COLUMN user_sealed bytea;
CREATE UNIQUE INDEX people_by_user_hash ON profile.people (tenant_id, user_hash) WHERE user_hash IS NOT NULL;

ALTER TABLE profile.visitors DROP CONSTRAINT visitors_pkey;
ALTER TABLE profile.visitors ALTER COLUMN visitor_id DROP NOT NULL, ADD COLUMN visitor_hash bytea, ADD COLUMN visitor_sealed bytea,
    ADD PRIMARY KEY (tenant_id, visitor_no);
DROP INDEX profile.visitors_by_number;
CREATE UNIQUE INDEX visitors_by_hash ON profile.visitors (tenant_id, visitor_hash);

-- The data keys of a person, sealed by the ring: destroying them makes everything sealed by them unreadable.
CREATE TABLE profile.person_keys (
    tenant_id  text   NOT NULL COLLATE "C",
    key_no     bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    person_no  bigint NOT NULL,
    sealed_key bytea  NOT NULL,
    PRIMARY KEY (tenant_id, key_no)
);
CREATE INDEX person_keys_by_person ON profile.person_keys (tenant_id, person_no);

-- Idempotency by keyed hash; event_keys holds what is not sealed yet.
CREATE TABLE profile.event_hashes (
    tenant_id  text  NOT NULL COLLATE "C",
    event_hash bytea NOT NULL,
    PRIMARY KEY (tenant_id, event_hash)
);

-- content: id of the event, session, transaction, token, query, locale and attributes, sealed by the key key_no.
ALTER TABLE profile.events ALTER COLUMN event_id DROP NOT NULL, ADD COLUMN event_hash bytea, ADD COLUMN key_no bigint, ADD COLUMN content bytea;
ALTER TABLE profile.quarantine ALTER COLUMN event_id DROP NOT NULL, ADD COLUMN event_hash bytea, ADD COLUMN key_no bigint,
    ADD COLUMN content bytea;
CREATE INDEX events_unsealed ON profile.events (tenant_id, event_time) WHERE content IS NULL;

-- As before, by hashes.
DROP FUNCTION profile.release_quarantine(text, text, text);
CREATE FUNCTION profile.release_person(p_tenant text, p_person bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    released bigint;
    purchases bigint;
    latest timestamptz;
BEGIN
    PERFORM FROM profile.people p WHERE p.tenant_id = p_tenant AND p.person_no = p_person FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    PERFORM profile.ensure_partition(m.month) FROM (
        SELECT DISTINCT date_trunc('month', q.event_time, 'UTC') AS month
        FROM profile.quarantine q WHERE q.tenant_id = p_tenant AND q.person_no = p_person) m;
    WITH gone AS (
        DELETE FROM profile.quarantine q WHERE q.tenant_id = p_tenant AND q.person_no = p_person RETURNING q.*
    ), back AS (
        INSERT INTO profile.events (
            tenant_id, event_time, event_no, person_no, visitor_no, event_type, has_user, event_id, product_nos, quantities, price_micros,
            price_currencies, currency, revenue_micros, transaction_id, rating, session_id, attribution_token, search_query, category,
            device, locale, attributes, event_hash, key_no, content)
        SELECT tenant_id, event_time, event_no, person_no, visitor_no, event_type, has_user, event_id, product_nos, quantities, price_micros,
            price_currencies, currency, revenue_micros, transaction_id, rating, session_id, attribution_token, search_query, category,
            device, locale, attributes, event_hash, key_no, content
        FROM gone
        RETURNING event_type, event_time
    )
    SELECT count(*), count(*) FILTER (WHERE event_type = 9), max(event_time) INTO released, purchases, latest FROM back;
    UPDATE profile.people p
    SET version = p.version + 1, event_count = p.event_count + released, purchase_count = p.purchase_count + purchases,
        last_event_time = greatest(p.last_event_time, latest), suspect_from = NULL, suspect_until = NULL, trusted = true
    WHERE p.tenant_id = p_tenant AND p.person_no = p_person;
    RETURN released;
END
$$;
