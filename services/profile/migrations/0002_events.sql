-- Events in monthly partitions (UTC), one row an event; its products are parallel arrays, because an event is
-- written, read, joined and erased as a whole. The view event_products shows one row a product.

-- Product ids as numbers. No personal data; never erased.
CREATE TABLE profile.products (
    tenant_id  text    NOT NULL COLLATE "C",
    product_id text    NOT NULL COLLATE "C",
    product_no integer NOT NULL GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (tenant_id, product_id)
);

CREATE UNIQUE INDEX products_by_number ON profile.products (tenant_id, product_no);

-- Idempotency across all partitions and the quarantine.
CREATE TABLE profile.event_keys (
    tenant_id text NOT NULL COLLATE "C",
    event_id  text NOT NULL COLLATE "C",
    PRIMARY KEY (tenant_id, event_id)
);

CREATE SEQUENCE profile.event_numbers CACHE 1;

CREATE TABLE profile.events (
    tenant_id         text        NOT NULL COLLATE "C",
    event_time        timestamptz NOT NULL,
    event_no          bigint      NOT NULL DEFAULT nextval('profile.event_numbers'),
    person_no         bigint      NOT NULL,
    visitor_no        bigint,
    event_type        smallint    NOT NULL,             -- mercato.gateway.v1.UserEventType
    has_user          boolean     NOT NULL,             -- whether the event itself named the user
    event_id          text        NOT NULL COLLATE "C",
    product_nos       integer[]   NOT NULL,
    quantities        integer[]   NOT NULL,
    price_micros      bigint[],                         -- of one unit, in millionths; NULL: no product has one
    price_currencies  text[],                           -- only where one differs from currency
    currency          text,                             -- of revenue, else of the first price
    revenue_micros    bigint,
    transaction_id    text,
    rating            double precision,
    session_id        text,
    attribution_token text,
    search_query      text,
    category          text,
    device            smallint,                         -- mercato.gateway.v1.DeviceType
    locale            text,
    attributes        jsonb,                            -- [[name, value], ...] in the order sent
    PRIMARY KEY (tenant_id, event_time, event_no)
) PARTITION BY RANGE (event_time);

-- Each event stands in exactly one of these two.
CREATE INDEX events_purchases ON profile.events (tenant_id, person_no, event_time) WHERE event_type = 9;
CREATE INDEX events_others ON profile.events (tenant_id, person_no, event_time) WHERE event_type <> 9;

CREATE VIEW profile.event_products AS
SELECT e.tenant_id, e.event_time, e.event_no, e.person_no, e.event_type, u.position, u.product_no, u.quantity, u.price_micros,
       coalesce(u.price_currency, e.currency) AS currency
FROM profile.events e
CROSS JOIN LATERAL unnest(e.product_nos, e.quantities, e.price_micros, e.price_currencies)
    WITH ORDINALITY AS u (product_no, quantity, price_micros, price_currency, position);

-- Events that look like a robot's. Stored, used by nothing.
CREATE TABLE profile.quarantine (
    LIKE profile.events INCLUDING DEFAULTS,
    rule            text        NOT NULL,
    quarantine_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, person_no, event_time, event_no)
);

-- Makes the partition of a moment's month. Attaching takes no lock that stops readers or writers, unlike
-- CREATE TABLE ... PARTITION OF.
CREATE FUNCTION profile.ensure_partition(moment timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    first_day timestamptz := date_trunc('month', moment, 'UTC');
    next_month timestamptz := (date_trunc('month', moment, 'UTC') AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
    partition text := 'events_' || to_char(first_day AT TIME ZONE 'UTC', 'YYYYMM');
BEGIN
    IF to_regclass('profile.' || partition) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('profile partitions', 0));
    -- Not to_regclass again: it may answer from a cache older than the lock.
    IF EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace = 'profile'::regnamespace AND relname = partition) THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE profile.%I (LIKE profile.events INCLUDING DEFAULTS)', partition);
    EXECUTE format('ALTER TABLE profile.events ATTACH PARTITION profile.%I FOR VALUES FROM (%L) TO (%L)',
                   partition, first_day, next_month);
END
$$;
