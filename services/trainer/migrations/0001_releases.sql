CREATE TABLE trainer.releases (
    tenant_id      text NOT NULL,
    release_id     text NOT NULL,
    create_time    timestamptz NOT NULL,
    data_end_time  timestamptz NOT NULL,
    purchase_count bigint NOT NULL,
    user_count     bigint NOT NULL,
    product_count  bigint NOT NULL,
    pair_count     bigint NOT NULL,
    PRIMARY KEY (tenant_id, release_id)
);

-- One pointer a tenant; moving it is the release.
CREATE TABLE trainer.current_releases (
    tenant_id    text NOT NULL PRIMARY KEY,
    release_id   text NOT NULL,
    promote_time timestamptz NOT NULL,
    FOREIGN KEY (tenant_id, release_id) REFERENCES trainer.releases
);

-- The tables of a release, as the messages that readers are sent.
CREATE TABLE trainer.release_chunks (
    tenant_id  text NOT NULL,
    release_id text NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('neighbours', 'statistics')),
    number     integer NOT NULL,
    content    bytea NOT NULL,
    PRIMARY KEY (tenant_id, release_id, kind, number),
    FOREIGN KEY (tenant_id, release_id) REFERENCES trainer.releases ON DELETE CASCADE
);
ALTER TABLE trainer.release_chunks ALTER COLUMN content SET STORAGE EXTERNAL;
