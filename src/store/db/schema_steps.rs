//! The steps of the schema, one a version: the SQL that makes the tables of a version from those of
//! the one before. `schema` takes the steps that a file lacks; nothing else reads them.
//!
//! Frozen: a step is never changed once it is released. A change of a table is a new step, and a
//! new folder of fixtures beside the old ones. What a step fills in follows from the rows alone,
//! never from log time or the applied index: nodes take a step at different places in the log, and
//! must come to the same state. Comments within the steps are part of them.

/// The first tables, in the order of the hash.
///
/// Ids come from the sequences of the log, so every table has an explicit key and none uses
/// `AUTOINCREMENT`. `lone` in the tables of occurrences is the job when it is the only member, else
/// 0: with it a single job is found among thousands that went out one by one at the same instant.
pub(super) const V1: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE projects (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT NOT NULL,
    jobs INTEGER NOT NULL, created INTEGER NOT NULL, modified INTEGER, created_by TEXT,
    modified_by TEXT);

-- refs: jobs, staged jobs and closed plans that use it; the row goes when there are none.
CREATE TABLE shapes (
    id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, refs INTEGER NOT NULL,
    body TEXT NOT NULL);

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY, project_id INTEGER NOT NULL, shape_id INTEGER NOT NULL,
    data TEXT NOT NULL, created INTEGER NOT NULL, anchor INTEGER NOT NULL,
    plan_from INTEGER NOT NULL, status INTEGER NOT NULL, modified INTEGER, modified_by TEXT);
CREATE INDEX jobs_by_project ON jobs (project_id);

-- Chunks of large requests, invisible until their task is activated.
CREATE TABLE staged_jobs (
    task INTEGER NOT NULL, seq INTEGER NOT NULL, project_id INTEGER NOT NULL,
    shape_id INTEGER NOT NULL, whole_seconds INTEGER NOT NULL, status INTEGER NOT NULL,
    data TEXT NOT NULL, PRIMARY KEY (task, seq)) WITHOUT ROWID;

CREATE TABLE closed_plans (
    job INTEGER NOT NULL, seq INTEGER NOT NULL, shard INTEGER NOT NULL, shape_id INTEGER NOT NULL,
    anchor INTEGER NOT NULL, plan_from INTEGER NOT NULL, until INTEGER NOT NULL,
    active INTEGER NOT NULL, PRIMARY KEY (job, seq)) WITHOUT ROWID;
CREATE INDEX closed_plans_by_end ON closed_plans (shard, until);

CREATE TABLE credentials (
    id INTEGER PRIMARY KEY, api_key TEXT NOT NULL UNIQUE, verifier BLOB NOT NULL,
    archived INTEGER NOT NULL, created INTEGER NOT NULL, modified INTEGER, created_by TEXT,
    archived_by TEXT);

-- jobs: JSON [[first id, how many], ...]; staged: how many rows of staged_jobs it has.
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY, request BLOB NOT NULL UNIQUE, state INTEGER NOT NULL,
    jobs TEXT NOT NULL, staged INTEGER NOT NULL, created INTEGER NOT NULL);
CREATE INDEX tasks_by_state ON tasks (state, created);

CREATE TABLE idempotency (
    key BLOB PRIMARY KEY, body BLOB NOT NULL, outcome BLOB NOT NULL,
    stamp INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (stamp);

CREATE TABLE shards (
    id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, epoch INTEGER NOT NULL,
    watermark INTEGER NOT NULL, last_epoch INTEGER NOT NULL, closing_node INTEGER,
    closing_epoch INTEGER, closing_until INTEGER, closing_watermark INTEGER);

-- since: the log index at which it was bound or removed.
CREATE TABLE nodes (
    node INTEGER PRIMARY KEY, instance BLOB NOT NULL, since INTEGER NOT NULL,
    removed INTEGER NOT NULL, draining INTEGER NOT NULL);

-- One row for each journal file that a node ever had, the last few: a late record of an old file
-- must not look like a new one. opened: the log index of its first record.
CREATE TABLE cursors (
    node INTEGER NOT NULL, incarnation BLOB NOT NULL, seq INTEGER NOT NULL,
    opened INTEGER NOT NULL, PRIMARY KEY (node, incarnation)) WITHOUT ROWID;

CREATE TABLE pending (
    id INTEGER PRIMARY KEY, shard INTEGER NOT NULL, project INTEGER NOT NULL,
    due INTEGER NOT NULL, scheduled INTEGER NOT NULL, attempt INTEGER NOT NULL,
    next_at INTEGER NOT NULL, members BLOB NOT NULL, count INTEGER NOT NULL,
    lone INTEGER NOT NULL);
CREATE INDEX pending_by_time ON pending (shard, next_at);
CREATE INDEX pending_by_occurrence ON pending (shard, scheduled, lone);

-- id: the execution id number of the first member; those of the others follow on.
-- stale: recorded when its epoch was past.
CREATE TABLE blocks (
    id INTEGER PRIMARY KEY, project INTEGER NOT NULL, shard INTEGER NOT NULL,
    node INTEGER NOT NULL, epoch INTEGER NOT NULL, stale INTEGER NOT NULL, due INTEGER NOT NULL,
    scheduled INTEGER NOT NULL, since INTEGER, attempt INTEGER NOT NULL, verdict INTEGER NOT NULL,
    retry_at INTEGER, http_code INTEGER NOT NULL, started INTEGER NOT NULL,
    duration INTEGER NOT NULL, count INTEGER NOT NULL, lone INTEGER NOT NULL,
    created INTEGER NOT NULL, members BLOB NOT NULL, error TEXT);
CREATE INDEX blocks_by_shard ON blocks (shard, due, lone);
CREATE INDEX blocks_by_due ON blocks (due);
CREATE INDEX blocks_ranges ON blocks (shard, due) WHERE since IS NOT NULL;

CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY, block INTEGER NOT NULL, project INTEGER NOT NULL,
    shard INTEGER NOT NULL, due INTEGER NOT NULL, scheduled INTEGER NOT NULL,
    attempt INTEGER NOT NULL, http_code INTEGER NOT NULL, error TEXT, created INTEGER NOT NULL,
    members BLOB NOT NULL, count INTEGER NOT NULL, lone INTEGER NOT NULL);
CREATE INDEX dead_letters_by_occurrence ON dead_letters (shard, scheduled, lone);
CREATE INDEX dead_letters_by_age ON dead_letters (created);

-- How many executions are kept, by the hour they were due, project and sort of verdict.
CREATE TABLE tallies (
    hour INTEGER NOT NULL, project INTEGER NOT NULL, sort INTEGER NOT NULL,
    count INTEGER NOT NULL, PRIMARY KEY (hour, project, sort)) WITHOUT ROWID;
";

/// The tables and columns of one-offs, pauses, targets and runs.
pub(super) const V2: &str = "
-- settings: JSON of `ProjectSettings`.
ALTER TABLE projects ADD COLUMN settings TEXT;
ALTER TABLE projects ADD COLUMN version INTEGER NOT NULL DEFAULT 1;

-- One row a pause, kept as long as the history; until is null while its end is open.
CREATE TABLE project_pauses (
    project INTEGER NOT NULL, seq INTEGER NOT NULL, pause_from INTEGER NOT NULL, until INTEGER,
    PRIMARY KEY (project, seq)) WITHOUT ROWID;

ALTER TABLE jobs ADD COLUMN external_id TEXT;
ALTER TABLE jobs ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
CREATE UNIQUE INDEX jobs_by_external_id ON jobs (project_id, external_id)
    WHERE external_id IS NOT NULL;

-- asleep: when a one-off that does not fire is due; it is over then.
ALTER TABLE jobs ADD COLUMN asleep INTEGER;
CREATE INDEX jobs_asleep ON jobs (asleep) WHERE asleep IS NOT NULL;

-- status: that of the job then.
ALTER TABLE closed_plans ADD COLUMN status INTEGER NOT NULL DEFAULT 0;
UPDATE closed_plans SET status = 1 - active;
ALTER TABLE closed_plans DROP COLUMN active;

-- labelled: its shape has labels; only those are in the index.
ALTER TABLE jobs ADD COLUMN labelled INTEGER NOT NULL DEFAULT 0;
CREATE INDEX jobs_by_shape ON jobs (shape_id) WHERE labelled = 1;

-- at: the instant of a one-off; delay: what to add to the anchor.
ALTER TABLE staged_jobs ADD COLUMN at INTEGER;
ALTER TABLE staged_jobs ADD COLUMN delay INTEGER;
ALTER TABLE staged_jobs ADD COLUMN pause_until INTEGER;
ALTER TABLE staged_jobs ADD COLUMN external_id TEXT;
ALTER TABLE staged_jobs ADD COLUMN labelled INTEGER NOT NULL DEFAULT 0;
-- Those whose rows are not all made alike.
CREATE INDEX staged_jobs_apart ON staged_jobs (task, seq)
    WHERE at IS NOT NULL OR delay IS NOT NULL OR pause_until IS NOT NULL;
CREATE UNIQUE INDEX staged_jobs_by_external_id ON staged_jobs (task, project_id, external_id)
    WHERE external_id IS NOT NULL;

-- What jobs are found by: one row a label of a shape; gone with the shape.
CREATE TABLE shape_labels (
    project INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, shape_id INTEGER NOT NULL,
    PRIMARY KEY (project, key, value, shape_id)) WITHOUT ROWID;
-- The named executor of a shape, if it has one.
ALTER TABLE shapes ADD COLUMN executor INTEGER;
CREATE INDEX shapes_by_executor ON shapes (executor) WHERE executor IS NOT NULL;

-- body: JSON of `Executor`.
CREATE TABLE executors (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, body TEXT NOT NULL);

ALTER TABLE pending ADD COLUMN run INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pending ADD COLUMN base INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pending ADD COLUMN forced INTEGER NOT NULL DEFAULT 0;
ALTER TABLE blocks ADD COLUMN run INTEGER NOT NULL DEFAULT 0;
ALTER TABLE blocks ADD COLUMN how INTEGER NOT NULL DEFAULT 0;
ALTER TABLE blocks ADD COLUMN response TEXT;
ALTER TABLE dead_letters ADD COLUMN run INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead_letters ADD COLUMN forced INTEGER NOT NULL DEFAULT 0;

-- Runs under way; retry: JSON of `Retry`.
CREATE TABLE runs (
    job INTEGER NOT NULL, scheduled INTEGER NOT NULL, run INTEGER NOT NULL,
    project INTEGER NOT NULL, shard INTEGER NOT NULL, due INTEGER NOT NULL,
    attempt INTEGER NOT NULL, base INTEGER NOT NULL, node INTEGER NOT NULL,
    epoch INTEGER NOT NULL, accepted INTEGER NOT NULL, started INTEGER NOT NULL,
    heard INTEGER NOT NULL, deadline INTEGER NOT NULL, heartbeat_timeout INTEGER, ends INTEGER,
    retry TEXT NOT NULL, forced INTEGER NOT NULL, PRIMARY KEY (job, scheduled, run)) WITHOUT ROWID;
CREATE INDEX runs_by_deadline ON runs (deadline);
CREATE INDEX runs_by_occurrence ON runs (shard, scheduled);
-- The rows that wait behind a run: next_at is `PARKED`.
CREATE INDEX pending_parked ON pending (lone) WHERE next_at = 9223372036854775807;

-- Stretches of time before a restore, in which nothing went out.
CREATE TABLE gaps (
    shard INTEGER NOT NULL, gap_from INTEGER NOT NULL, until INTEGER NOT NULL,
    PRIMARY KEY (shard, gap_from)) WITHOUT ROWID;

-- What the blocks take, as `blocks` reckons it: counted from here on.
INSERT INTO meta (key, value) SELECT 'history_bytes', coalesce(sum(
    200 + length(members) + coalesce(octet_length(error), 0)), 0) FROM blocks;
";

/// The reason why a row was deferred, as text of a `Postponement`; null where it was not.
pub(super) const V3: &str = "ALTER TABLE pending ADD COLUMN postponed TEXT;";

/// The credential whose key made a credential; null where an operator made it.
pub(super) const V4: &str = "
ALTER TABLE credentials ADD COLUMN parent INTEGER;
CREATE INDEX credentials_by_parent ON credentials (parent) WHERE parent IS NOT NULL;
";

/// Offers, and the runs that workers perform. What is not of them has the defaults.
pub(super) const V5: &str = "
-- since, expires: only of a row that waits for a worker (next_at is `OFFERED`): since when it
-- counts, and when nobody need take it any more. executor: the queue, also of a row that was on
-- offer or handed out before.
ALTER TABLE pending ADD COLUMN since INTEGER;
ALTER TABLE pending ADD COLUMN expires INTEGER;
ALTER TABLE pending ADD COLUMN executor INTEGER;
CREATE INDEX pending_parked_by_due ON pending (lone, due) WHERE next_at = 9223372036854775807;
CREATE INDEX pending_by_expiry ON pending (expires) WHERE expires IS NOT NULL;

-- kept: a worker has been handed the run, and its silence is the supervisor's; the other columns
-- are of such a run only. since: when it was handed out; why: JSON of `CancelCause`; terms: JSON of
-- `RunTerms`.
ALTER TABLE runs ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN phase INTEGER NOT NULL DEFAULT 1;
ALTER TABLE runs ADD COLUMN since INTEGER;
ALTER TABLE runs ADD COLUMN why TEXT;
ALTER TABLE runs ADD COLUMN worker TEXT;
ALTER TABLE runs ADD COLUMN executor INTEGER;
ALTER TABLE runs ADD COLUMN progress INTEGER;
ALTER TABLE runs ADD COLUMN message TEXT;
ALTER TABLE runs ADD COLUMN terms TEXT;
CREATE INDEX runs_by_worker ON runs (worker) WHERE worker IS NOT NULL;

-- The ends and failed attempts that something else than an answer told of: finished runs.
CREATE INDEX blocks_reported ON blocks (due, id) WHERE how <> 0;
";

/// Numbers of jobs by status, indexes of what lists show newest first, templates of jobs, and the
/// end of sessions.
pub(super) const V6: &str = "
-- The number of jobs of each project and status. A number that comes to 0 has no row.
CREATE TABLE counts (
    project INTEGER NOT NULL, status INTEGER NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (project, status)) WITHOUT ROWID;
INSERT INTO counts (project, status, n)
    SELECT project_id, status, COUNT(*) FROM jobs GROUP BY project_id, status;
-- Neither of these grows with jobs that are active.
CREATE INDEX jobs_at_rest ON jobs (status, id) WHERE status <> 0;
CREATE INDEX jobs_in_timed_pause ON jobs (project_id, plan_from)
    WHERE status = 0 AND plan_from > coalesce(modified, created);

-- The runs that a worker has, and the rows of a job, by time.
DROP INDEX runs_by_worker;
CREATE INDEX runs_of_worker ON runs (worker, scheduled) WHERE worker IS NOT NULL;
CREATE INDEX pending_of_job ON pending (shard, lone, scheduled);

-- body: JSON of `Template`; executor: the named executor of its jobs, if it has one; over: the
-- number of its instances that are over.
CREATE TABLE templates (
    id INTEGER PRIMARY KEY, project INTEGER NOT NULL, type TEXT NOT NULL,
    user_triggered INTEGER NOT NULL, active INTEGER NOT NULL, executor INTEGER,
    body TEXT NOT NULL, over INTEGER NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX templates_by_type ON templates (project, type);
CREATE INDEX templates_by_executor ON templates (executor) WHERE executor IS NOT NULL;

CREATE TABLE template_versions (
    template INTEGER NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (template, version)) WITHOUT ROWID;

-- id: the job; over: when it was over, 0 while it is live; reschedule: whether another one follows,
-- where that is not to be as the template says.
CREATE TABLE template_jobs (
    id INTEGER PRIMARY KEY, template INTEGER NOT NULL, version INTEGER NOT NULL,
    over INTEGER NOT NULL, reschedule INTEGER);
CREATE INDEX template_jobs_by_template ON template_jobs (template);
CREATE INDEX template_jobs_by_version ON template_jobs (template, version);
CREATE INDEX template_jobs_by_end ON template_jobs (template, over);

-- Sessions that were begun up to this instant are over.
ALTER TABLE credentials ADD COLUMN sessions_from INTEGER;

-- Failures of a day are found among the records of a day.
CREATE INDEX blocks_not_delivered ON blocks (due) WHERE verdict <> 0;

-- Lists by status look at the definitions with a last date: few among many.
CREATE INDEX shapes_with_end ON shapes (id) WHERE json_extract(body, '$.end') IS NOT NULL;
";

/// The terms of credentials, their old secrets, and their last use.
pub(super) const V7: &str = "
-- terms: JSON of `KeyTerms`, null for a key without any. old_verifier: that of the secret before,
-- which opens until old_until. used: the hour of the last use, counted from 1970; used_from: an
-- address of that hour.
ALTER TABLE credentials ADD COLUMN terms TEXT;
ALTER TABLE credentials ADD COLUMN old_verifier BLOB;
ALTER TABLE credentials ADD COLUMN old_until INTEGER;
ALTER TABLE credentials ADD COLUMN used INTEGER;
ALTER TABLE credentials ADD COLUMN used_from TEXT;
";

/// Who did what, and how far each reaches.
pub(super) const V8: &str = "
-- reach: the account of what belongs to no project of its own. What was there before is of
-- account 1. A name is free in each account by itself.
CREATE TABLE projects_of_accounts (
    id INTEGER PRIMARY KEY, account INTEGER NOT NULL DEFAULT 1, name TEXT NOT NULL,
    description TEXT NOT NULL, jobs INTEGER NOT NULL, created INTEGER NOT NULL, modified INTEGER,
    created_by TEXT, modified_by TEXT, settings TEXT, version INTEGER NOT NULL DEFAULT 1);
INSERT INTO projects_of_accounts (id, name, description, jobs, created, modified, created_by,
        modified_by, settings, version)
    SELECT id, name, description, jobs, created, modified, created_by, modified_by, settings,
        version FROM projects;
DROP TABLE projects;
ALTER TABLE projects_of_accounts RENAME TO projects;
CREATE UNIQUE INDEX projects_by_account ON projects (account, name);
CREATE INDEX projects_by_name ON projects (name);

CREATE TABLE executors_of_accounts (
    id INTEGER PRIMARY KEY, account INTEGER NOT NULL DEFAULT 1, name TEXT NOT NULL,
    body TEXT NOT NULL);
INSERT INTO executors_of_accounts (id, name, body) SELECT id, name, body FROM executors;
DROP TABLE executors;
ALTER TABLE executors_of_accounts RENAME TO executors;
CREATE UNIQUE INDEX executors_by_account ON executors (account, name);
CREATE INDEX executors_by_name ON executors (name);

ALTER TABLE credentials ADD COLUMN account INTEGER NOT NULL DEFAULT 1;
CREATE INDEX credentials_by_account ON credentials (account);

-- projects: JSON of the projects of its jobs, ascending; null for a task of an older level.
ALTER TABLE tasks ADD COLUMN projects TEXT;

-- Accounts. features: the bits of `Features`; limits: JSON of `Limits`, null without any. projects
-- to credentials: what it has. month: the month in UTC, January 1970 being 0, of `used`, the
-- executions that were recorded in it, and `granted`, those beside the limit. created: null for the
-- account that came with the cluster, and is as old.
CREATE TABLE accounts (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, features INTEGER NOT NULL, limits TEXT,
    projects INTEGER NOT NULL, jobs INTEGER NOT NULL, executors INTEGER NOT NULL,
    credentials INTEGER NOT NULL, month INTEGER NOT NULL, used INTEGER NOT NULL,
    granted INTEGER NOT NULL, created INTEGER, modified INTEGER, created_by TEXT,
    modified_by TEXT, version INTEGER NOT NULL);
INSERT INTO accounts (id, name, features, projects, jobs, executors, credentials, month, used,
    granted, version)
    SELECT 1, 'default', 31, (SELECT COUNT(*) FROM projects), (SELECT COUNT(*) FROM jobs),
        (SELECT COUNT(*) FROM executors), (SELECT COUNT(*) FROM credentials), 0, 0, 0, 1;
INSERT INTO meta (key, value) VALUES ('last_account', 1);

-- The times in which nothing of an account fires because its executions are used up: one row each,
-- kept as long as the history.
CREATE TABLE quota_pauses (
    account INTEGER NOT NULL, seq INTEGER NOT NULL, pause_from INTEGER NOT NULL,
    until INTEGER NOT NULL, PRIMARY KEY (account, seq)) WITHOUT ROWID;
-- The audit. id: the log index of the entry << 8, or the next number where that is higher; object:
-- ids as ranges; detail: JSON of what changed; chain: SHA-256 of the chain before it and of the
-- row's line; total: the bytes of all rows up to it.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor_kind TEXT NOT NULL, actor_id TEXT,
    actor_name TEXT, address TEXT, node INTEGER NOT NULL, action TEXT NOT NULL, noun TEXT NOT NULL,
    object TEXT, project INTEGER, account INTEGER NOT NULL DEFAULT 1, detail TEXT NOT NULL,
    chain BLOB NOT NULL, total INTEGER NOT NULL);
-- Sessions of browsers that were ended before their time. id: the random number of the session;
-- expires: when it would have ended, and the row can go.
CREATE TABLE ended_sessions (id INTEGER PRIMARY KEY, expires INTEGER NOT NULL);
";
