-- Overrides of the configured quotas: one row for a tenant (actor '') or for one caller of it. NULL: as configured.
CREATE TABLE gateway.quotas (
    tenant_id  text NOT NULL,
    actor      text NOT NULL DEFAULT '',
    per_second double precision CHECK (per_second >= 0),
    burst      double precision CHECK (burst > 0),
    at_once    integer CHECK (at_once >= 0),
    PRIMARY KEY (tenant_id, actor)
);

-- Token buckets from which gateways lease. Full again after a crash of the database, which is why they need no log.
CREATE UNLOGGED TABLE gateway.quota_buckets (
    scope       text PRIMARY KEY,
    tokens      double precision NOT NULL,
    refill_time timestamptz NOT NULL
);

-- First answers to writes with an idempotency key. answer NULL: the write is being done until claim_end.
CREATE TABLE gateway.kept_answers (
    tenant_id       text NOT NULL,
    actor           text NOT NULL,
    method          text NOT NULL,
    idempotency_key text NOT NULL,
    request_sha256  bytea NOT NULL CHECK (octet_length(request_sha256) = 32),
    claim           uuid NOT NULL,
    claim_end       timestamptz NOT NULL,
    answer          bytea,
    create_time     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, actor, method, idempotency_key)
);
CREATE INDEX kept_answers_by_age ON gateway.kept_answers (create_time);
