-- Erasure receipts, the pseudonym key, and the release of quarantined events.

CREATE TABLE profile.erasures (
    tenant_id     text        NOT NULL COLLATE "C",
    receipt_id    uuid        NOT NULL DEFAULT gen_random_uuid(),
    erase_time    timestamptz NOT NULL DEFAULT now(),
    event_count   bigint      NOT NULL,
    record_count  bigint      NOT NULL,
    PRIMARY KEY (tenant_id, receipt_id)
);

-- The key of pseudonyms where none is configured.
CREATE TABLE profile.secrets (
    name  text  PRIMARY KEY,
    value bytea NOT NULL
);

-- Takes one person's events out of quarantine and exempts the person from the robot rules. Returns the number of
-- events released. SELECT profile.release_quarantine('default', p_visitor_id => 'v-1');
CREATE FUNCTION profile.release_quarantine(p_tenant text, p_user_id text DEFAULT NULL, p_visitor_id text DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    person bigint;
    released bigint;
    purchases bigint;
    latest timestamptz;
BEGIN
    IF p_visitor_id IS NOT NULL THEN
        SELECT v.person_no INTO person FROM profile.visitors v
        WHERE v.tenant_id = p_tenant AND v.visitor_id = p_visitor_id FOR UPDATE;
    END IF;
    SELECT p.person_no INTO person FROM profile.people p
    WHERE p.tenant_id = p_tenant AND (p.user_id = p_user_id OR (p_user_id IS NULL AND p.person_no = person)) FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    PERFORM profile.ensure_partition(m.month) FROM (
        SELECT DISTINCT date_trunc('month', q.event_time, 'UTC') AS month
        FROM profile.quarantine q WHERE q.tenant_id = p_tenant AND q.person_no = person) m;
    WITH gone AS (
        DELETE FROM profile.quarantine q WHERE q.tenant_id = p_tenant AND q.person_no = person RETURNING q.*
    ), back AS (
        INSERT INTO profile.events (
            tenant_id, event_time, event_no, person_no, visitor_no, event_type, has_user, event_id, product_nos, quantities, price_micros,
            price_currencies, currency, revenue_micros, transaction_id, rating, session_id, attribution_token, search_query, category,
            device, locale, attributes)
        SELECT tenant_id, event_time, event_no, person_no, visitor_no, event_type, has_user, event_id, product_nos, quantities, price_micros,
            price_currencies, currency, revenue_micros, transaction_id, rating, session_id, attribution_token, search_query, category,
            device, locale, attributes
        FROM gone
        RETURNING event_type, event_time
    )
    SELECT count(*), count(*) FILTER (WHERE event_type = 9), max(event_time) INTO released, purchases, latest FROM back;
    UPDATE profile.people p
    SET version = p.version + 1, event_count = p.event_count + released, purchase_count = p.purchase_count + purchases,
        last_event_time = greatest(p.last_event_time, latest), suspect_from = NULL, suspect_until = NULL, trusted = true
    WHERE p.tenant_id = p_tenant AND p.person_no = person;
    RETURN released;
END
$$;
