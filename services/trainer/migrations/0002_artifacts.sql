-- Releases become content-addressed: artifacts point to blobs by their hash, and equal blobs are stored once.

ALTER TABLE trainer.releases
    ADD COLUMN parent_release_id text,
    ADD COLUMN kind              text  NOT NULL DEFAULT 'tables' CHECK (kind IN ('tables', 'full', 'incremental')),
    ADD COLUMN content_hash      text  NOT NULL DEFAULT '',
    ADD COLUMN metrics           jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN gate              jsonb,
    ADD COLUMN data_card         text  NOT NULL DEFAULT '';

CREATE TABLE trainer.blobs (
    tenant_id  text   NOT NULL,
    sha256     text   NOT NULL,
    size_bytes bigint NOT NULL,
    PRIMARY KEY (tenant_id, sha256)
);

CREATE TABLE trainer.blob_chunks (
    tenant_id text    NOT NULL,
    sha256    text    NOT NULL,
    number    integer NOT NULL,
    content   bytea   NOT NULL,
    PRIMARY KEY (tenant_id, sha256, number),
    FOREIGN KEY (tenant_id, sha256) REFERENCES trainer.blobs ON DELETE CASCADE
);
ALTER TABLE trainer.blob_chunks ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE trainer.artifacts (
    tenant_id  text NOT NULL,
    release_id text NOT NULL,
    name       text NOT NULL,
    sha256     text NOT NULL,
    PRIMARY KEY (tenant_id, release_id, name),
    FOREIGN KEY (tenant_id, release_id) REFERENCES trainer.releases ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, sha256) REFERENCES trainer.blobs
);
CREATE INDEX artifacts_by_blob ON trainer.artifacts (tenant_id, sha256);

-- Releases made before keep their tables.
CREATE TEMPORARY TABLE moved ON COMMIT DROP AS
SELECT tenant_id, release_id, kind, encode(sha256(string_agg(content, ''::bytea ORDER BY number)), 'hex') AS sha256,
       sum(length(content)) AS size_bytes
FROM trainer.release_chunks GROUP BY tenant_id, release_id, kind;
INSERT INTO trainer.blobs SELECT DISTINCT tenant_id, sha256, size_bytes FROM moved;
INSERT INTO trainer.blob_chunks
SELECT DISTINCT ON (m.tenant_id, m.sha256, c.number) m.tenant_id, m.sha256, c.number, c.content
FROM moved m JOIN trainer.release_chunks c USING (tenant_id, release_id, kind);
INSERT INTO trainer.artifacts SELECT tenant_id, release_id, kind, sha256 FROM moved;
DROP TABLE trainer.release_chunks;

-- What was current when, and what it replaced: the way back.
CREATE TABLE trainer.promotions (
    tenant_id         text        NOT NULL,
    number            bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    release_id        text        NOT NULL,
    before_release_id text,                          -- where a rollback leads; NULL: nowhere
    cause             text        NOT NULL,
    promote_time      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, number)
);
INSERT INTO trainer.promotions (tenant_id, release_id, cause, promote_time)
SELECT tenant_id, release_id, 'promoted', promote_time FROM trainer.current_releases;

-- The release that readers still hold because requests in flight may name it.
ALTER TABLE trainer.current_releases ADD COLUMN previous_release_id text;

-- The latest rollout of each tenant.
CREATE TABLE trainer.rollouts (
    tenant_id           text        NOT NULL PRIMARY KEY,
    release_id          text        NOT NULL,
    baseline_release_id text        NOT NULL,
    mode                text        NOT NULL CHECK (mode IN ('shadow', 'canary')),
    share               double precision NOT NULL CHECK (share > 0 AND share <= 1),
    start_time          timestamptz NOT NULL,
    running             boolean     NOT NULL,
    finding             text        NOT NULL DEFAULT '',
    arms                jsonb       NOT NULL DEFAULT '[]',
    difference_low      double precision NOT NULL DEFAULT -1,
    difference_high     double precision NOT NULL DEFAULT 1
);
