-- Erasures that reach into other stores: what was asked for, which stores are done, and who stays out.
-- No id stands here in clear: subject_hash and id_hash are keyed hashes, subject is sealed and destroyed when all is done.

CREATE TABLE profile.erasure_requests (
    tenant_id     text        NOT NULL COLLATE "C",
    receipt_id    uuid        NOT NULL DEFAULT gen_random_uuid(),
    subject_hash  bytea       NOT NULL,
    subject       bytea,                              -- NULL: done
    request_time  timestamptz NOT NULL DEFAULT now(),
    complete_time timestamptz,
    receipt       text,
    lease_until   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, receipt_id)
);

CREATE UNIQUE INDEX erasure_requests_pending ON profile.erasure_requests (tenant_id, subject_hash) WHERE complete_time IS NULL;
CREATE INDEX erasure_requests_by_lease ON profile.erasure_requests (lease_until) WHERE complete_time IS NULL;

CREATE TABLE profile.erasure_stores (
    tenant_id     text        NOT NULL COLLATE "C",
    receipt_id    uuid        NOT NULL,
    store         text        NOT NULL,
    done          boolean     NOT NULL DEFAULT false,
    row_counts    jsonb       NOT NULL DEFAULT '{}',
    notes         jsonb       NOT NULL DEFAULT '[]',
    attempts      integer     NOT NULL DEFAULT 0,
    failure       text        NOT NULL DEFAULT '',
    complete_time timestamptz,
    PRIMARY KEY (tenant_id, receipt_id, store),
    FOREIGN KEY (tenant_id, receipt_id) REFERENCES profile.erasure_requests ON DELETE CASCADE
);

-- Events of these ids from before erase_time are refused.
CREATE TABLE profile.tombstones (
    tenant_id   text        NOT NULL COLLATE "C",
    id_hash     bytea       NOT NULL,
    erase_time  timestamptz NOT NULL,
    expire_time timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id_hash)
);

CREATE INDEX tombstones_by_expiry ON profile.tombstones (expire_time);
