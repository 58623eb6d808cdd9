-- The first schema. Times are milliseconds since the Unix epoch.
--
-- A delivery lives in exactly one of three tables, by what happens to it: ready, claimed or waiting. Moving a
-- row costs less than keeping indexes on one wide table, and each table is clustered by how it is read.

CREATE TABLE registry (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  successor TEXT                     -- set: queues that are not known yet are refused (a fence)
);

INSERT INTO registry (id) VALUES (1);

-- `last_key` numbers jobs and the order of becoming ready; it starts at id << 42, so that the keys of a queue
-- are neighbours in `job` and never meet those of another one.
CREATE TABLE queue (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  successor TEXT,
  paused INTEGER NOT NULL DEFAULT 0,
  contact_at INTEGER NOT NULL,
  attended_at INTEGER NOT NULL,      -- until when the unattended time of groups has been added up
  last_key INTEGER NOT NULL,
  last_claim INTEGER NOT NULL DEFAULT 0,
  last_revision INTEGER NOT NULL DEFAULT 0,
  delayed INTEGER NOT NULL DEFAULT 0,
  unclaimed INTEGER NOT NULL DEFAULT 0,
  kept_failures INTEGER NOT NULL DEFAULT 0,
  completed INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  expired INTEGER NOT NULL DEFAULT 0,
  cancelled INTEGER NOT NULL DEFAULT 0
);

-- A group without a name was dropped; its row goes when the last of its ready rows has been cleared away.
-- `backfill_from` and `backfill_to`: the keys that a group which started from the earliest still has to get.
CREATE TABLE consumer_group (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  queue INTEGER NOT NULL,
  name TEXT,
  ephemeral INTEGER NOT NULL,
  max_stalls INTEGER NOT NULL,
  registered_at INTEGER NOT NULL,
  unattended_ms INTEGER NOT NULL DEFAULT 0,
  warned_at INTEGER,
  backfill_from INTEGER,
  backfill_to INTEGER,
  pending INTEGER NOT NULL DEFAULT 0,
  retrying INTEGER NOT NULL DEFAULT 0,
  processing INTEGER NOT NULL DEFAULT 0,
  completed INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  expired INTEGER NOT NULL DEFAULT 0,
  cancelled INTEGER NOT NULL DEFAULT 0
);

CREATE UNIQUE INDEX consumer_group_name ON consumer_group (queue, name);

CREATE TABLE epoch (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  queue INTEGER NOT NULL,
  worker TEXT NOT NULL,
  lease_ms INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  report BLOB NOT NULL DEFAULT x''
);

CREATE INDEX epoch_worker ON epoch (queue, worker);

CREATE TABLE member (
  epoch INTEGER NOT NULL,
  grp INTEGER NOT NULL,
  exchanges INTEGER NOT NULL DEFAULT 0,
  refused TEXT NOT NULL DEFAULT '[]',  -- the keys that the last exchange refused, should it be repeated
  PRIMARY KEY (epoch, grp)
) WITHOUT ROWID;

CREATE INDEX member_group ON member (grp);

-- state: 0 delayed, 1 unclaimed, 2 fanned out. namespace: 0 users' ids, 1 occurrences of schedules.
-- holders: the open deliveries, plus one; counted from there since 0 and 1 are stored in another size than
-- 2 to 127, and a row that keeps its size is changed in place, whatever its payload.
-- sweep_at: when something of the job may expire. `data` and `metadata` may be anything: a hand may have
-- been there, and whoever claims the job finds out. What verbs compute with may not.
CREATE TABLE job (
  key INTEGER PRIMARY KEY,
  queue INTEGER NOT NULL,
  namespace INTEGER NOT NULL,
  state INTEGER NOT NULL,
  holders INTEGER NOT NULL,
  pos INTEGER NOT NULL,              -- its place among the ready ones, where a delivery has not moved since
  priority INTEGER NOT NULL,
  enqueued_at INTEGER NOT NULL,
  due_at INTEGER,
  expires_at INTEGER,
  sweep_at INTEGER,
  drop_unclaimed INTEGER NOT NULL,
  format INTEGER NOT NULL,           -- of the record (RECORD_FORMAT)
  id TEXT NOT NULL,
  schedule TEXT,
  token TEXT NOT NULL,
  metadata BLOB,
  data BLOB,
  CHECK (
    typeof(priority) = 'integer' AND typeof(enqueued_at) = 'integer'
    AND (due_at IS NULL OR typeof(due_at) = 'integer')
    AND (expires_at IS NULL OR typeof(expires_at) = 'integer')
    AND (sweep_at IS NULL OR typeof(sweep_at) = 'integer')
  )
);

CREATE UNIQUE INDEX job_id ON job (queue, id, namespace);

CREATE INDEX job_due ON job (queue, due_at, key) WHERE due_at IS NOT NULL;

CREATE INDEX job_sweep ON job (queue, sweep_at, key) WHERE sweep_at IS NOT NULL;

CREATE INDEX job_unclaimed ON job (queue, pos) WHERE state = 1;

CREATE INDEX job_schedule ON job (queue, schedule, key) WHERE schedule IS NOT NULL;

-- rank: the priority negated. pos: the key that was drawn when it became ready; for one that was given back
-- or lapsed its claim's number minus 2^52. mark: 0 never claimed and at the job's own pos, 1 never claimed and
-- elsewhere, 2 claimed before.
CREATE TABLE ready (
  grp INTEGER NOT NULL,
  rank INTEGER NOT NULL,
  pos INTEGER NOT NULL,
  key INTEGER NOT NULL,
  mark INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  stalls INTEGER NOT NULL,
  ready_at INTEGER NOT NULL,
  PRIMARY KEY (grp, rank, pos)
) WITHOUT ROWID;

CREATE INDEX ready_moved ON ready (key, grp) WHERE mark > 0;

-- flags: 1 it was cancelled, 2 it lapsed and is held for settlement by the epoch that ticked.
CREATE TABLE claimed (
  grp INTEGER NOT NULL,
  key INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  exchange INTEGER NOT NULL,
  number INTEGER NOT NULL,
  rank INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  stalls INTEGER NOT NULL,
  ready_at INTEGER NOT NULL,
  flags INTEGER NOT NULL,
  schedule TEXT,
  PRIMARY KEY (grp, key)
) WITHOUT ROWID;

CREATE INDEX claimed_flagged ON claimed (epoch, grp) WHERE flags > 0;

CREATE TABLE waiting (
  grp INTEGER NOT NULL,
  key INTEGER NOT NULL,
  queue INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  rank INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  stalls INTEGER NOT NULL,
  PRIMARY KEY (grp, key),
  CHECK (typeof(due_at) = 'integer')
) WITHOUT ROWID;

CREATE INDEX waiting_due ON waiting (queue, due_at, key);

CREATE TABLE failure (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  queue INTEGER NOT NULL,
  key INTEGER NOT NULL,
  job_id TEXT NOT NULL,
  namespace INTEGER NOT NULL,
  schedule TEXT,
  group_name TEXT NOT NULL,
  priority INTEGER NOT NULL,
  enqueued_at INTEGER NOT NULL,
  drop_unclaimed INTEGER NOT NULL,
  format INTEGER NOT NULL,
  failed_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  error_type TEXT NOT NULL,
  message TEXT NOT NULL,
  traceback TEXT NOT NULL,
  metadata BLOB,
  data BLOB
);

CREATE INDEX failure_job ON failure (queue, job_id, number);

CREATE INDEX failure_group ON failure (queue, group_name, number);

CREATE INDEX failure_order ON failure (queue, number);

CREATE TABLE schedule (
  queue INTEGER NOT NULL,
  id TEXT NOT NULL,
  revision INTEGER NOT NULL,
  anchor INTEGER NOT NULL,
  next_at INTEGER,
  last_run_at INTEGER,
  last_outcome TEXT,
  definition TEXT NOT NULL,
  timing TEXT NOT NULL,
  first_at INTEGER NOT NULL,
  interval_seconds REAL,
  cron_pattern TEXT,
  timezone TEXT NOT NULL,
  priority INTEGER NOT NULL,
  misfire TEXT NOT NULL,
  overlap INTEGER NOT NULL,
  unclaimed TEXT NOT NULL,
  data BLOB,
  UNIQUE (queue, id),
  CHECK (typeof(priority) = 'integer' AND (next_at IS NULL OR typeof(next_at) = 'integer'))
);

CREATE INDEX schedule_due ON schedule (queue, next_at, id) WHERE next_at IS NOT NULL;

-- Processes to be told when something of a queue can start; `address` is a local port and a word for it.
CREATE TABLE sleeper (
  queue INTEGER NOT NULL,
  address TEXT NOT NULL,
  PRIMARY KEY (queue, address)
) WITHOUT ROWID;

CREATE TABLE setting (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  version INTEGER NOT NULL
) WITHOUT ROWID;
