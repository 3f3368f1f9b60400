-- Experiments with people. A running one owns buckets of its layer, 0 to 9,999; nobody else's may overlap.
CREATE TABLE trainer.experiments (
    tenant_id     text        NOT NULL,
    experiment_id text        NOT NULL,
    number        bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    state         text        NOT NULL CHECK (state IN ('draft', 'running', 'stopped')),
    layer         text        NOT NULL,
    salt          text        NOT NULL,              -- of the hash that chooses the variant
    definition    jsonb       NOT NULL,              -- description, shares, variants and how it is judged
    release_ids   text[]      NOT NULL DEFAULT '{}', -- that its variants answer with
    buckets       jsonb       NOT NULL DEFAULT '[]', -- pairs of first bucket and count
    create_time   timestamptz NOT NULL,
    start_time    timestamptz,
    end_time      timestamptz,                       -- when it is to stop by itself
    stop_time     timestamptz,
    stop_cause    text        NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, experiment_id)
);
CREATE INDEX experiments_by_number ON trainer.experiments (tenant_id, number);
CREATE INDEX experiments_running ON trainer.experiments (tenant_id) WHERE state = 'running';
