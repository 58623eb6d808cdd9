-- Tables of format 1. Functions follow from sql/. Names are resolved by the search path.

CREATE TABLE meta (
    key text PRIMARY KEY,
    value text NOT NULL
);

-- One row a queue, written when people act: never on the hot path.
CREATE TABLE queue (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    paused boolean NOT NULL DEFAULT false,
    fence text
);

-- When a process last reached the queue, and until when attendance of groups is accounted for.
CREATE TABLE contact (
    queue_id integer PRIMARY KEY,
    at bigint NOT NULL,
    attended_at bigint NOT NULL
) WITH (fillfactor = 20);

-- A group that was dropped keeps its row until its deliveries are reaped; its name is free at once.
CREATE TABLE consumer_group (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue_id integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    ephemeral boolean NOT NULL,
    max_stalls integer NOT NULL,
    registered_at bigint NOT NULL,
    dropped boolean NOT NULL DEFAULT false,
    unattended_ms bigint NOT NULL DEFAULT 0,
    warned_at bigint
);
CREATE UNIQUE INDEX consumer_group_name ON consumer_group (queue_id, name) WHERE NOT dropped;
CREATE INDEX consumer_group_dropped ON consumer_group (queue_id) WHERE dropped;

CREATE TABLE epoch (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue_id integer NOT NULL,
    worker text COLLATE "C" NOT NULL,
    lease_ms bigint NOT NULL,
    expires_at bigint NOT NULL,
    report bytea NOT NULL DEFAULT ''
) WITH (fillfactor = 50);
CREATE INDEX epoch_queue ON epoch (queue_id);

-- An epoch in a group. An exchange writes this row alone: its number, its part of the lease, its counts.
CREATE TABLE member (
    epoch bigint NOT NULL,
    group_id integer NOT NULL,
    exchanges bigint NOT NULL DEFAULT 0,
    refused bigint[] NOT NULL DEFAULT '{}',
    expires_at bigint NOT NULL,
    ready bigint NOT NULL DEFAULT 0,
    delayed bigint NOT NULL DEFAULT 0,
    processing bigint NOT NULL DEFAULT 0,
    completed bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    expired bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (epoch, group_id)
) WITH (fillfactor = 50);
CREATE INDEX member_group ON member (group_id, epoch);

-- The lease of an epoch: whichever of its exchanges and heartbeats renewed it last.
CREATE VIEW lease AS
SELECT
    e.number,
    e.queue_id,
    e.worker,
    e.lease_ms,
    greatest(e.expires_at, (SELECT max(m.expires_at) FROM member m WHERE m.epoch = e.number)) AS expires_at
FROM epoch e;

-- Everything else that is counted. Each store writes the rows of its own slot; readers add up.
-- Group 0 has what is in no group, and what groups left that are gone.
CREATE TABLE counter (
    queue_id integer NOT NULL,
    group_id integer NOT NULL,
    slot integer NOT NULL,
    ready bigint NOT NULL DEFAULT 0,
    delayed bigint NOT NULL DEFAULT 0,
    unclaimed bigint NOT NULL DEFAULT 0,
    processing bigint NOT NULL DEFAULT 0,
    completed bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    expired bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    kept bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (queue_id, group_id, slot)
) WITH (fillfactor = 20);

-- A change of one counter.
CREATE TYPE tally AS (group_id integer, kind text, n bigint);

-- One sequence numbers jobs, what becomes ready, claims and revisions: only the order within each matters.
CREATE SEQUENCE number AS bigint;
CREATE SEQUENCE slot AS integer MAXVALUE 32 CYCLE;

-- A job is written once and removed once.
CREATE TABLE job (
    key bigint NOT NULL,
    enqueued_at bigint NOT NULL,
    expires_at bigint,
    queue_id integer NOT NULL,
    priority integer NOT NULL,
    format smallint NOT NULL DEFAULT 1,
    drop_unclaimed boolean NOT NULL,
    id text COLLATE "C" NOT NULL,
    data bytea NOT NULL,
    metadata bytea NOT NULL,
    token text COLLATE "C" NOT NULL,
    schedule text COLLATE "C",
    PRIMARY KEY (queue_id, key)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
CREATE UNIQUE INDEX job_id ON job (queue_id, id) WHERE schedule IS NULL;
CREATE UNIQUE INDEX job_occurrence ON job (queue_id, id) WHERE schedule IS NOT NULL;
CREATE INDEX job_schedule ON job (queue_id, schedule) WHERE schedule IS NOT NULL;

-- What callers' transactions have added, until somebody takes it in: one row a call, its jobs as parallel arrays.
-- A caller's transaction writes this table alone, so nobody ever waits for it; `at` is the time of the call.
CREATE TABLE inbox (
    queue_id integer NOT NULL,
    key bigint GENERATED ALWAYS AS IDENTITY,
    at bigint NOT NULL,
    jobs integer NOT NULL,
    bytes bigint NOT NULL,
    ids text[] NOT NULL,
    data bytea[] NOT NULL,
    metadata bytea[] NOT NULL,
    priorities integer[] NOT NULL,
    delays bigint[] NOT NULL,
    expiries bigint[] NOT NULL,
    drops boolean[] NOT NULL,
    tokens text[] NOT NULL,
    PRIMARY KEY (queue_id, key)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

-- How many deliveries of a job are open, where it ever had more than one: whoever takes it to 0 ends the job.
CREATE TABLE share (
    key bigint PRIMARY KEY,
    open integer NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

-- A delivery; in group 0 a job that waits for its delay (4) or for a first group (2).
-- state: 0 ready, 1 claimed, 2 unclaimed, 3 waits for a retry, 4 waits for its delay.
-- place: order within a priority while ready, number of the claim while claimed.
-- at: since when it is ready or unclaimed, or when it is due. expires_at: NULL once it was claimed.
CREATE TABLE delivery (
    key bigint NOT NULL,
    place bigint NOT NULL,
    at bigint NOT NULL,
    expires_at bigint,
    epoch bigint,
    exchange bigint,
    queue_id integer NOT NULL,
    group_id integer NOT NULL,
    priority integer NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    stalls integer NOT NULL DEFAULT 0,
    state smallint NOT NULL,
    started boolean NOT NULL DEFAULT false,
    lapsed boolean NOT NULL DEFAULT false,
    cancelled boolean NOT NULL DEFAULT false,
    PRIMARY KEY (key, group_id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX delivery_ready ON delivery (group_id, priority DESC, place) WHERE state = 0;
CREATE INDEX delivery_claimed ON delivery (epoch, place) WHERE state = 1;
CREATE INDEX delivery_lapsed ON delivery (epoch) WHERE lapsed;
CREATE INDEX delivery_unclaimed ON delivery (queue_id, place) WHERE state = 2;
CREATE INDEX delivery_waiting ON delivery (queue_id, at, key) INCLUDE (group_id) WHERE state >= 3;
CREATE INDEX delivery_listed ON delivery (queue_id, state, key) WHERE state >= 2;
CREATE INDEX delivery_expiring ON delivery (queue_id, expires_at, key) WHERE expires_at IS NOT NULL;
CREATE INDEX delivery_cancelled ON delivery (epoch, group_id) WHERE cancelled;

-- Deliveries that a join still owes, in key order: `unclaimed` jobs, or all unfinished ones, up to a key.
CREATE TABLE owed (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue_id integer NOT NULL,
    unclaimed boolean NOT NULL,
    group_ids integer[] NOT NULL,
    after bigint NOT NULL,
    upto bigint NOT NULL
);
CREATE INDEX owed_queue ON owed (queue_id, id);

CREATE TABLE failed (
    entry bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key bigint NOT NULL,
    failed_at bigint NOT NULL,
    enqueued_at bigint NOT NULL,
    queue_id integer NOT NULL,
    priority integer NOT NULL,
    attempts integer NOT NULL,
    format smallint NOT NULL,
    drop_unclaimed boolean NOT NULL,
    group_name text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    schedule text COLLATE "C",
    data bytea NOT NULL,
    metadata bytea NOT NULL,
    error_type bytea NOT NULL,
    message bytea NOT NULL,
    traceback bytea NOT NULL
);
CREATE INDEX failed_queue ON failed (queue_id, entry);
CREATE INDEX failed_id ON failed (queue_id, id, key);

CREATE TABLE schedule (
    queue_id integer NOT NULL,
    id text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    anchor bigint NOT NULL,
    next_at bigint,
    last_run_at bigint,
    data bytea NOT NULL,
    definition text NOT NULL,
    timing text NOT NULL,
    interval_seconds double precision,
    cron_pattern text,
    timezone text NOT NULL,
    priority integer NOT NULL,
    misfire text NOT NULL,
    overlap boolean NOT NULL,
    drop_unclaimed boolean NOT NULL,
    first_at bigint NOT NULL,
    PRIMARY KEY (queue_id, id)
) WITH (fillfactor = 70);
CREATE INDEX schedule_next ON schedule (queue_id, next_at) WHERE next_at IS NOT NULL;

-- A schedule as it is read.
CREATE TYPE plan AS (
    id text,
    revision bigint,
    anchor bigint,
    next_at bigint,
    last_run_at bigint,
    last_outcome text,
    data bytea,
    definition text,
    timing text,
    interval_seconds double precision,
    cron_pattern text,
    timezone text,
    priority integer,
    misfire text,
    overlap boolean,
    drop_unclaimed boolean,
    first_at bigint
);

-- Apart from `schedule`, so that settling never waits for one that fires.
CREATE TABLE outcome (
    queue_id integer NOT NULL,
    schedule text COLLATE "C" NOT NULL,
    last text,
    PRIMARY KEY (queue_id, schedule)
) WITH (fillfactor = 50);

-- When somebody last found nothing to do at a queue; it is written only for whoever may have to be woken.
CREATE UNLOGGED TABLE sleeper (
    queue_id integer PRIMARY KEY,
    at bigint NOT NULL
) WITH (fillfactor = 20);

CREATE TABLE setting (
    key text COLLATE "C" PRIMARY KEY,
    value text NOT NULL,
    version bigint NOT NULL
);
