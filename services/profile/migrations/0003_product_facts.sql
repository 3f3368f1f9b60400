-- What the catalogue says of products seen in events; filled in the background.

CREATE TABLE profile.product_facts (
    tenant_id     text        NOT NULL COLLATE "C",
    product_no    integer     NOT NULL,
    known         boolean     NOT NULL DEFAULT false,   -- whether the catalogue has it
    category_path text[]      NOT NULL DEFAULT '{}',    -- root first
    brand         text        NOT NULL DEFAULT '',
    price_micros  bigint,
    currency      text,
    facts_version bigint      NOT NULL DEFAULT 0,       -- profile.facts_versions.version that brought this row
    ask_time      timestamptz NOT NULL DEFAULT now(),   -- when to ask the catalogue (again)
    attempts      integer     NOT NULL DEFAULT 0,       -- answers "unknown" in a row
    PRIMARY KEY (tenant_id, product_no)
);

CREATE INDEX product_facts_by_ask_time ON profile.product_facts (tenant_id, ask_time);
CREATE INDEX product_facts_by_version ON profile.product_facts (tenant_id, facts_version);

-- Grows with every change of facts; the row is locked by who changes them, so versions commit in order.
CREATE TABLE profile.facts_versions (
    tenant_id text   NOT NULL COLLATE "C" PRIMARY KEY,
    version   bigint NOT NULL DEFAULT 0
);
