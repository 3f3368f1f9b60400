CREATE SEQUENCE catalog.change_numbers;

CREATE TABLE catalog.products (
    tenant_id     text NOT NULL,
    product_id    text NOT NULL,
    basic         bytea NOT NULL,              -- serialized Product without description, attributes, offer and times
    details       bytea NOT NULL,              -- serialized Product with description and attributes alone
    content_hash  bytea NOT NULL,              -- of both; equal content is not encoded again
    category_path text[] NOT NULL,
    brand         text NOT NULL,
    price_units   bigint,                      -- null: unknown
    price_nanos   integer NOT NULL DEFAULT 0,
    currency_code text NOT NULL DEFAULT '',
    availability  smallint NOT NULL,
    stock         bigint,                      -- null: unknown
    offer_time    timestamptz NOT NULL,
    publish_time  timestamptz NOT NULL,
    create_time   timestamptz NOT NULL,
    update_time   timestamptz NOT NULL,
    change_number bigint NOT NULL,
    PRIMARY KEY (tenant_id, product_id)
);
CREATE INDEX products_by_category ON catalog.products USING gin (category_path);

-- The change feed (transactional outbox): one row a product that waits for the index; changes of one product coalesce.
CREATE TABLE catalog.product_changes (
    tenant_id     text NOT NULL,
    product_id    text NOT NULL,
    change_number bigint NOT NULL,
    content       boolean NOT NULL,            -- false: price and availability alone
    note_time     timestamptz NOT NULL DEFAULT now(),
    claimed_until timestamptz NOT NULL DEFAULT '-infinity',
    attempts      integer NOT NULL DEFAULT 0,
    last_error    text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, product_id)
);
CREATE INDEX product_changes_due ON catalog.product_changes (change_number);
