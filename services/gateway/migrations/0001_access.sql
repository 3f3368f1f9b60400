CREATE TABLE gateway.api_keys (
    key_id         text PRIMARY KEY,
    key_number     bigint GENERATED ALWAYS AS IDENTITY UNIQUE, -- the order of lists
    tenant_id      text NOT NULL,
    name           text NOT NULL,
    scopes         text[] NOT NULL,
    create_time    timestamptz NOT NULL DEFAULT now(),
    created_by     text NOT NULL,
    expire_time    timestamptz,
    revoke_time    timestamptz,
    last_used_time timestamptz
);
CREATE UNIQUE INDEX api_keys_in_use ON gateway.api_keys (tenant_id, name) WHERE revoke_time IS NULL;
CREATE INDEX api_keys_of_tenant ON gateway.api_keys (tenant_id, key_number);

-- Two rows a key during a rotation. Rows of revoked keys stay, so that no old key file brings them back.
CREATE TABLE gateway.api_key_secrets (
    sha256      bytea PRIMARY KEY CHECK (octet_length(sha256) = 32),
    key_id      text NOT NULL REFERENCES gateway.api_keys,
    create_time timestamptz NOT NULL DEFAULT now(),
    expire_time timestamptz
);
CREATE INDEX api_key_secrets_of_key ON gateway.api_key_secrets (key_id);

-- One row. Every change of keys raises the number in its own transaction; gateways read the keys anew when it moved.
CREATE TABLE gateway.key_changes (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    number bigint NOT NULL
);
INSERT INTO gateway.key_changes (number) VALUES (1);

-- The beginning of an act is committed before the act is done; its outcome is another row, so that nothing is ever changed.
CREATE TABLE gateway.audit_events (
    event_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id    text NOT NULL,
    begin_time   timestamptz NOT NULL DEFAULT now(),
    actor        text NOT NULL,
    action       text NOT NULL,
    peer         text NOT NULL,
    request_id   text NOT NULL
);
CREATE INDEX audit_events_of_tenant ON gateway.audit_events (tenant_id, event_number);
CREATE TABLE gateway.audit_outcomes (
    event_number bigint PRIMARY KEY REFERENCES gateway.audit_events,
    end_time     timestamptz NOT NULL,
    outcome      text NOT NULL,
    target       text NOT NULL
);

CREATE FUNCTION gateway.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on %: the audit log is append-only', TG_OP, TG_TABLE_NAME;
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON gateway.audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON gateway.audit_outcomes
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.refuse_change();
