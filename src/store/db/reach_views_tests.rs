//! Reads within a reach: which tables have views, what a query finds by them, and which indexes it
//! uses.

use std::collections::BTreeSet;

use rusqlite::Connection;
use tempfile::TempDir;

use super::super::schema::TABLES;
use super::super::{ReadClass, Store, Writer};
use super::*;
use crate::store::db::Error;

/// A store with three projects: 1 and 2 of the first account, 3 of the second one. Each has a
/// hundred jobs, one row of each other kind, and each account has an executor and a credential.
fn filled() -> (TempDir, Store, Writer) {
    let dir = TempDir::new().unwrap();
    let (store, mut writer) = Store::open(dir.path()).unwrap();
    let done: Result<(), Error> = writer.transaction(|tx| {
        for (project, account) in [(1, 1), (2, 1), (3, 2)] {
            fill(tx, project, account)?;
        }
        Ok(())
    });
    done.unwrap();
    (dir, store, writer)
}

fn fill(conn: &Connection, project: i64, account: i64) -> rusqlite::Result<()> {
    let p = project;
    if account > 1 {
        conn.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('had_accounts', 1)", [])?;
    }
    conn.execute_batch(&format!(
        "INSERT INTO projects (id, account, name, description, jobs, created)
             VALUES ({p}, {account}, 'p{p}', '', 100, 0);
         INSERT INTO shapes (id, digest, refs, body)
             VALUES ({p}, x'0{p}', 100, '{{\"project\":{p}}}');
         INSERT INTO jobs (id, project_id, shape_id, data, created, anchor, plan_from, status,
                 external_id)
             WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99)
             SELECT i * 3 + {p}, {p}, {p}, '', 0, 0, 0, 0, 'x' || i FROM n;
         INSERT INTO staged_jobs (task, seq, project_id, shape_id, whole_seconds, status, data)
             VALUES ({p}, 0, {p}, {p}, 0, 0, '');
         INSERT INTO closed_plans (job, seq, shard, shape_id, anchor, plan_from, until, status)
             VALUES ({p}, 1, 0, {p}, 0, 0, 0, 0);
         INSERT OR IGNORE INTO credentials (id, api_key, verifier, archived, created, account)
             VALUES ({account}, 'k{account}', x'', 0, 0, {account});
         INSERT OR IGNORE INTO executors (id, account, name, body)
             VALUES ({account}, {account}, 'e', '{{}}');
         INSERT INTO tasks (id, request, state, jobs, created, staged, projects)
             VALUES ({p}, x'0{p}', 2, '[]', 0, 0, '[{p}]');
         INSERT INTO pending (id, shard, project, due, scheduled, attempt, next_at, members, count,
                 lone)
             VALUES ({p}, 0, {p}, 0, 0, 1, 0, x'', 1, {p});
         INSERT INTO blocks (id, project, shard, node, epoch, stale, due, scheduled, attempt,
                 verdict, http_code, started, duration, count, lone, created, members)
             VALUES ({p}, {p}, 0, 1, 1, 0, 0, 0, 1, 0, 200, 0, 0, 1, {p}, 0, x'');
         INSERT INTO dead_letters (id, block, project, shard, due, scheduled, attempt, http_code,
                 created, members, count, lone)
             VALUES ({p}, {p}, {p}, 0, 0, 0, 1, 500, 0, x'', 1, {p});
         INSERT INTO tallies (hour, project, sort, count) VALUES (0, {p}, 0, 1);
         INSERT INTO project_pauses (project, seq, pause_from) VALUES ({p}, 1, 0);
         INSERT INTO shape_labels (project, key, value, shape_id) VALUES ({p}, 'k', 'v', {p});
         INSERT INTO runs (job, scheduled, run, project, shard, due, attempt, base, node, epoch,
                 accepted, started, heard, deadline, retry, forced)
             VALUES ({p}, 0, 0, {p}, 0, 0, 1, 0, 1, 1, 0, 0, 0, 0, '{{}}', 0);
         INSERT INTO counts (project, status, n) VALUES ({p}, 0, 100);
         INSERT INTO templates (id, project, type, user_triggered, active, body)
             VALUES ({p}, {p}, 't', 1, 1, '{{}}');
         INSERT INTO template_versions (template, version, body) VALUES ({p}, 1, '{{}}');
         INSERT INTO template_jobs (id, template, version, over) VALUES ({p}, {p}, 1, 0);
         INSERT INTO audit (id, at, actor_kind, node, action, noun, project, account, detail, chain,
                 total)
             VALUES ({p}, 0, 'operator', 1, 'create', 'job', {p}, {account}, '{{}}', x'', 1);"
    ))
}

fn read<T>(store: &Store, reach: &Reach, f: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> T {
    store.read_within(ReadClass::Client, None, reach, f).unwrap()
}

fn number(conn: &Connection, sql: &str) -> rusqlite::Result<i64> {
    conn.query_row(sql, [], |row| row.get(0))
}

fn plan(conn: &Connection, sql: &str) -> rusqlite::Result<String> {
    let lines: Vec<String> = conn
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?
        .query_map([], |row| row.get(3))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(lines.join("; "))
}

/// The tables whose rows are of a project, of an account, or of a row of such a table.
fn shadowed() -> BTreeSet<&'static str> {
    let of_projects = OF_PROJECTS.iter().map(|(table, _)| *table);
    let of_others = OF_OTHERS.iter().map(|(table, ..)| *table);
    of_projects
        .chain(of_others)
        .chain(OF_ACCOUNTS.iter().copied())
        .chain(["audit", "tasks"])
        .collect()
}

#[test]
fn each_table_is_shadowed_or_said_to_concern_everybody() {
    let mut known = shadowed();
    known.extend(OF_ALL);
    let all: BTreeSet<_> = TABLES.iter().map(|(table, _)| *table).collect();
    assert_eq!(known, all, "a new table needs a row here, or everybody sees it");
}

#[test]
fn a_query_finds_what_is_in_reach_and_nothing_else() {
    let (_dir, store, _writer) = filled();
    let reaches = [
        (Reach::all(), [3, 2]),
        (Reach::of_account(1), [2, 1]),
        (Reach::of_account(2), [1, 1]),
        (Reach::of_account(7), [0, 0]),
        (Reach::of_projects(1, Some(&[2])), [1, 1]),
        (Reach::of_projects(1, Some(&[1, 2, 9])), [2, 1]),
        (Reach::of_projects(2, Some(&[])), [0, 1]),
    ];
    // Twice: connections are used again, for the same reach and for others.
    for (reach, [projects, accounts]) in reaches.iter().chain(&reaches) {
        for table in shadowed() {
            let found =
                read(&store, reach, |conn| number(conn, &format!("SELECT COUNT(*) FROM {table}")));
            let wanted = match table {
                "jobs" => 100 * projects,
                table if OF_ACCOUNTS.contains(&table) => *accounts,
                _ => *projects,
            };
            assert_eq!(found, wanted, "{reach:?} {table}");
        }
        let sums =
            read(&store, reach, |conn| number(conn, "SELECT COALESCE(SUM(n), 0) FROM counts"));
        assert_eq!(sums, 100 * projects, "{reach:?}");
    }
}

#[test]
fn a_key_of_the_only_account_reads_without_views() {
    let dir = TempDir::new().unwrap();
    let (store, mut writer) = Store::open(dir.path()).unwrap();
    let done: Result<(), Error> = writer.transaction(|tx| Ok(fill(tx, 1, 1)?));
    done.unwrap();
    let account = Reach::of_account(1);
    assert!(!read(&store, &account, is_limited));
    assert!(!store.has_other_accounts());
    assert!(read(&store, &Reach::of_projects(1, Some(&[1])), is_limited));
    // From the first record of another account on it is limited.
    let done: Result<(), Error> = writer.transaction(|tx| Ok(fill(tx, 3, 2)?));
    done.unwrap();
    assert!(read(&store, &account, is_limited));
    assert_eq!(read(&store, &account, |conn| number(conn, "SELECT COUNT(*) FROM jobs")), 100);
    assert!(store.has_other_accounts());
    assert!(!read(&store, &Reach::all(), is_limited), "who reaches everything never is");
}

#[test]
fn connections_within_a_reach_cannot_write() {
    let (_dir, store, _writer) = filled();
    let bound = Reach::of_projects(1, Some(&[1]));
    for sql in ["DELETE FROM main.jobs", "CREATE TABLE x (y)", "CREATE TEMP TABLE x (y)"] {
        let done = store.read_within(ReadClass::Client, None, &bound, |conn| conn.execute(sql, []));
        assert!(done.is_err(), "{sql}");
    }
}

#[test]
fn a_bound_list_uses_the_indexes_of_the_table() {
    let (_dir, store, mut writer) = filled();
    let one = Reach::of_projects(1, Some(&[2]));
    let two = Reach::of_projects(1, Some(&[1, 2]));
    let list = "SELECT id FROM jobs WHERE TRUE ORDER BY id LIMIT 10";
    let of_project = "SELECT id FROM jobs WHERE project_id = 2 ORDER BY id LIMIT 10";
    let plan_of = |reach: &Reach, sql: &str| read(&store, reach, |conn| plan(conn, sql));
    for (reach, sql, part) in [
        (&one, list, "COVERING INDEX jobs_by_project (project_id=?)"),
        (&one, of_project, "jobs_by_project (project_id=?)"),
        (&two, of_project, "jobs_by_project (project_id=?)"),
        // They have most of the jobs: in the order of the list.
        (&two, list, "SCAN"),
        (&one, "SELECT data FROM jobs WHERE id = 7", "USING INTEGER PRIMARY KEY"),
        (&two, "SELECT id FROM jobs WHERE project_id = 2 AND external_id = 'x'", "by_external_id"),
        (&one, "SELECT body FROM shapes WHERE id = 1", "USING INTEGER PRIMARY KEY"),
        (&one, "SELECT n FROM counts WHERE project = 2", "USING PRIMARY KEY (project=?)"),
        (&one, "SELECT job FROM runs WHERE job = 1", "USING PRIMARY KEY (job=?)"),
        (&one, "SELECT id FROM blocks ORDER BY due DESC, id DESC LIMIT 9", "blocks_by_due"),
        (
            &one,
            "SELECT MAX(scheduled) FROM pending WHERE shard = 1 AND lone = 2 AND scheduled <= 3",
            "pending_of_job",
        ),
        (&Reach::of_account(2), "SELECT data FROM jobs WHERE id = 7", "USING INTEGER PRIMARY KEY"),
    ] {
        let plan = plan_of(reach, sql);
        assert!(plan.contains(part), "{reach:?} {sql}: {plan}");
        assert!(!plan.contains("TEMP B-TREE FOR ORDER BY"), "{sql}: {plan}");
    }
    // Where they have few of many, those few are sorted.
    let done: Result<(), Error> = writer
        .transaction(|tx| Ok(tx.execute_batch("UPDATE projects SET jobs = 9000 WHERE id = 3")?));
    done.unwrap();
    let other = Reach::of_projects(1, Some(&[1, 2, 8]));
    assert!(plan_of(&other, list).contains("jobs_by_project (project_id=?)"));
}
