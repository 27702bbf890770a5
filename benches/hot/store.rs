//! The store: creating 1,000 jobs, recording 64 requests of 1,560 jobs each, reading one job's
//! history of a day. The first two are compared with plain SQLite: the same rows into the same
//! tables and indexes, by prepared statements in one transaction. Neither is synced: on a node the
//! log is.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput};
use rusqlite::{Connection, params};
use scheduler0::command::{Change, Command, CreateJobs, Error, NewJob, NewProject, Outcome, apply};
use scheduler0::model::attempt::{JournalBatch, JournalEntry};
use scheduler0::model::members::Members;
use scheduler0::model::shard::{Move, MoveKind, SHARDS};
use scheduler0::store::{self, Store, Writer, executions};
use tempfile::TempDir;

use crate::attempt::{JOBS, attempt};
use crate::payload::definition;

const START: i64 = 1_763_700_000_000;
const BATCH: u64 = 1_000;
/// Seconds of a day, in each of which every shard has a record in the history that is read.
const DAY: i64 = 86_400;
/// Jobs of that history, in shard 3.
const EACH_MINUTE: u64 = 3 * 64;
const EACH_SECOND: u64 = (64 << 12) + 3 * 64;
/// Executions in one read.
const PAGE: u64 = 100;

/// The store of a cluster with a project, and a log that is applied to it.
struct AppliedStore {
    writer: Writer,
    index: u64,
    // Removed after it is closed.
    _folder: TempDir,
}

impl AppliedStore {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let (_, writer) = Store::open(folder.path()).unwrap();
        let mut store = Self { writer, index: 0, _folder: folder };
        store.apply(&Command::Init { cluster: 7 });
        let moves =
            (0..SHARDS).map(|shard| Move { shard, to: 1, expects: 0, kind: MoveKind::TakeOver });
        store.apply(&Command::Assign(moves.collect()));
        store.apply(&Command::CreateProject(NewProject {
            name: "p".into(),
            description: "d".into(),
            by: None,
            ..NewProject::default()
        }));
        store
    }

    fn apply(&mut self, command: &Command) {
        self.index += 1;
        let (index, mut change) = (self.index, Change::default());
        let applied: Result<_, Error> = self
            .writer
            .transaction(|tx| apply(tx, index, START, (None, None), command, &mut change));
        let outcome = applied.unwrap();
        assert!(!matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
    }
}

/// The same tables, and a connection like that of the store's writer.
fn plain() -> (TempDir, Connection) {
    let folder = TempDir::new().unwrap();
    drop(Store::open(folder.path()).unwrap());
    let conn = Connection::open(folder.path().join(store::FILE)).unwrap();
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4000;
         PRAGMA cache_size = -32768;",
    )
    .unwrap();
    (folder, conn)
}

pub(crate) fn create(c: &mut Criterion) {
    let mut group = c.benchmark_group("store/create 1,000 jobs");
    group.throughput(Throughput::Elements(BATCH));
    let mut store = AppliedStore::new();
    let mut request = 0;
    group.bench_function("ours", |b| {
        let command = || {
            request += 1;
            let job = |n| NewJob { data: format!("{{\"n\":{n}}}"), ..NewJob::default() };
            let jobs = (0..BATCH).map(job).collect();
            Command::CreateJobs(CreateJobs {
                request,
                definitions: vec![definition()],
                jobs,
                staged: false,
            })
        };
        b.iter_batched(command, |command| store.apply(&command), BatchSize::PerIteration);
    });
    let (_folder, mut conn) = plain();
    let mut first = 1;
    group.bench_function("plain sqlite", |b| {
        let data = || (0..BATCH).map(|n| format!("{{\"n\":{n}}}")).collect::<Vec<_>>();
        let insert = |data: Vec<String>| {
            let tx = conn.transaction().unwrap();
            let mut insert = tx
                .prepare_cached(
                    "INSERT INTO jobs (id, project_id, shape_id, data, created, anchor, plan_from,
                         status, external_id, labelled)
                     VALUES (?1, 1, 1, ?2, ?3, ?3, ?3, 0, NULL, 0)",
                )
                .unwrap();
            for data in data {
                insert.execute(params![first, data, START]).unwrap();
                first += 1;
            }
            drop(insert);
            tx.commit().unwrap();
        };
        b.iter_batched(data, insert, BatchSize::PerIteration);
    });
    group.finish();
}

pub(crate) fn record(c: &mut Criterion) {
    let mut group = c.benchmark_group("store/record 100,000 executions");
    group.throughput(Throughput::Elements(JOBS * u64::from(SHARDS)));
    let mut store = AppliedStore::new();
    let (mut first, mut due) = (1, START);
    group.bench_function("ours", |b| {
        let command = || {
            let entries = (0..u64::from(SHARDS)).map(|s| JournalEntry::Attempt(attempt(s, due)));
            let entries: Vec<_> = entries.collect();
            due += 1_000;
            first += entries.len() as u64;
            let first = first - entries.len() as u64;
            Command::Record(JournalBatch { node: 1, incarnation: 7, first, entries })
        };
        b.iter_batched(command, |command| store.apply(&command), BatchSize::PerIteration);
    });
    let (_folder, mut conn) = plain();
    let (mut id, mut due) = (1_i64, START);
    group.bench_function("plain sqlite, a row a block", |b| {
        let records = || {
            due += 1_000;
            (0..u64::from(SHARDS)).map(|shard| attempt(shard, due)).collect::<Vec<_>>()
        };
        b.iter_batched(
            records,
            |records| {
                let tx = conn.transaction().unwrap();
                let mut insert = tx
                    .prepare_cached(
                        "INSERT INTO blocks (id, project, shard, node, epoch, stale, due, scheduled,
                             attempt, verdict, http_code, started, duration, count, lone, created,
                             members)
                         VALUES (?1, 1, ?2, 1, 1, 0, ?3, ?3, 1, 0, 200, ?4, 2, ?5, 0, ?3, ?6)",
                    )
                    .unwrap();
                for record in records {
                    let bytes = record.members.as_bytes();
                    let row =
                        params![id, record.shard, record.due, record.started, JOBS as i64, bytes];
                    insert.execute(row).unwrap();
                    id += JOBS as i64;
                }
                drop(insert);
                tx.commit().unwrap();
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

pub(crate) fn history(c: &mut Criterion) {
    let mut group = c.benchmark_group("store/history of a job over a day");
    let folder = TempDir::new().unwrap();
    let (store, writer) = Store::open(folder.path()).unwrap();
    drop(writer);
    day(&folder.path().join(store::FILE));
    let filter = |job| executions::Filter {
        job: Some(job),
        from: Some(START),
        until: Some(START + DAY * 1_000),
        ..executions::Filter::default()
    };
    for (name, job, all) in
        [("@every 1m", EACH_MINUTE, DAY as u64 / 60), ("@every 1s", EACH_SECOND, DAY as u64)]
    {
        let first = filter(job);
        let page = |filter: &executions::Filter, offset| {
            let list =
                |conn: &Connection| executions::list(conn, black_box(filter), PAGE, offset, true);
            store.read(list).unwrap()
        };
        let (total, newest) = page(&first, 0);
        assert_eq!((total.count.abs_diff(all) < all / 20, newest.len() as u64), (true, PAGE));
        let middle = (START + DAY * 500, 0);
        let by_key = executions::Filter { after: Some(middle), ..first.clone() };
        assert_eq!(page(&by_key, 0).1.len() as u64, PAGE);
        for (place, filter, offset) in [
            ("first page", &first, 0),
            ("a page by key at noon", &by_key, 0),
            ("the last page by offset", &first, all - PAGE),
        ] {
            group.bench_function(format!("{name}, {place}"), |b| b.iter(|| page(filter, offset)));
        }
    }
    group.finish();
}

/// Records as 64 shards write them that each send every second of a day, in one file. Each shard
/// has 64 jobs of `@every 1s`, and in one second of a minute 64 more of `@every 1m`.
fn day(file: &std::path::Path) {
    let seconds: Vec<u64> = (EACH_SECOND..EACH_SECOND + 64).collect();
    let minutes = (EACH_MINUTE..EACH_MINUTE + 64).chain(seconds.iter().copied());
    let lists = (Members::from_sorted(minutes), Members::from_sorted(seconds.iter().copied()));
    let conn = Connection::open(file).unwrap();
    conn.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;").unwrap();
    conn.execute(
        "INSERT INTO blocks (id, project, shard, node, epoch, stale, due, scheduled, attempt,
             verdict, http_code, started, duration, count, lone, created, members)
         WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 64 * ?1 - 1),
             at (i, due) AS (SELECT i, ?2 + (i / 64) * 1000 FROM n)
         SELECT 1 + i * 200, 1, i % 64, 1, 1, 0, due, due, 1, 0, 200, due + 3, 2, 128, 0, due,
             CASE i / 64 % 60 WHEN 0 THEN ?3 ELSE ?4 END FROM at",
        params![DAY, START, lists.0.as_bytes(), lists.1.as_bytes()],
    )
    .unwrap();
}
