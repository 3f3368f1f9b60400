CREATE TABLE support.documents (
    tenant_id     text NOT NULL,
    document_id   text NOT NULL,
    title         text NOT NULL,
    body          text NOT NULL,
    uri           text NOT NULL DEFAULT '',
    language_code text NOT NULL DEFAULT '',
    revision      text NOT NULL,            -- hash of title, body and cutting rules: names the passages that belong to it
    update_time   timestamptz NOT NULL,
    passage_count integer NOT NULL,
    PRIMARY KEY (tenant_id, document_id)
);

CREATE TABLE support.passages (
    tenant_id   text NOT NULL,
    document_id text NOT NULL,
    number      integer NOT NULL,
    headings    text[] NOT NULL,
    passage     text NOT NULL,
    PRIMARY KEY (tenant_id, document_id, number),
    FOREIGN KEY (tenant_id, document_id) REFERENCES support.documents ON DELETE CASCADE
);

-- The change feed (transactional outbox): one row a document that waits for the index.
CREATE TABLE support.document_changes (
    tenant_id     text NOT NULL,
    document_id   text NOT NULL,
    change_number bigint GENERATED ALWAYS AS IDENTITY,
    claimed_until timestamptz NOT NULL DEFAULT '-infinity',
    attempts      integer NOT NULL DEFAULT 0,
    last_error    text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, document_id)
);
