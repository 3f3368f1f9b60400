-- People, their browsers and devices, and who was seen on which.
-- A person is a user, or a visitor who never logged in. Numbers stand for ids everywhere else, so that rows are
-- small and a person who was erased and comes again is somebody new.
-- Order of locks, for all writers: event_keys, visitors, people; within each by key.

CREATE SEQUENCE profile.person_numbers;

CREATE TABLE profile.people (
    tenant_id       text        NOT NULL COLLATE "C",
    person_no       bigint      NOT NULL DEFAULT nextval('profile.person_numbers'),
    user_id         text        COLLATE "C",            -- NULL: a visitor who never logged in
    version         bigint      NOT NULL DEFAULT 1,     -- grows with every change of what profiles are made of
    event_count     bigint      NOT NULL DEFAULT 0,     -- stored, quarantine not counted
    purchase_count  bigint      NOT NULL DEFAULT 0,     -- stored purchases, quarantine not counted
    last_event_time timestamptz,
    suspect_from    timestamptz,                        -- events of this span look like a robot's
    suspect_until   timestamptz,
    trusted         boolean     NOT NULL DEFAULT false, -- released by an operator: robot rules do not apply
    PRIMARY KEY (tenant_id, person_no)
) WITH (fillfactor = 70);                               -- room for heap-only updates of the counters

CREATE UNIQUE INDEX people_by_user ON profile.people (tenant_id, user_id) WHERE user_id IS NOT NULL;

CREATE TABLE profile.visitors (
    tenant_id  text        NOT NULL COLLATE "C",
    visitor_id text        NOT NULL COLLATE "C",
    visitor_no bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    person_no  bigint      NOT NULL,                    -- whose the next event without a user is
    join_time  timestamptz,                             -- event time of the login that made it so; NULL: never logged in
    PRIMARY KEY (tenant_id, visitor_id)
);

CREATE UNIQUE INDEX visitors_by_number ON profile.visitors (tenant_id, visitor_no);
CREATE INDEX visitors_by_person ON profile.visitors (tenant_id, person_no);

CREATE TABLE profile.visitor_joins (
    tenant_id  text        NOT NULL COLLATE "C",
    person_no  bigint      NOT NULL,
    visitor_no bigint      NOT NULL,
    join_time  timestamptz NOT NULL,                    -- the first login of this user on this visitor's device
    PRIMARY KEY (tenant_id, person_no, visitor_no)
);

CREATE INDEX visitor_joins_by_visitor ON profile.visitor_joins (tenant_id, visitor_no, join_time);
