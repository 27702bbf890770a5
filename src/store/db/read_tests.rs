//! Reads: what they wait for, and what ends one.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use super::{Error, ReadClass, ReadEnd, ReadLimit, Store, Writer};
use crate::model::reach::Reach;
use crate::store::meta;

/// A scan without an end.
const ENDLESS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
     SELECT COUNT(*) FROM n";

fn open() -> (TempDir, Store, Writer) {
    let dir = TempDir::new().unwrap();
    let (store, writer) = Store::open(dir.path()).unwrap();
    (dir, store, writer)
}

fn endless(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row(ENDLESS, [], |row| row.get(0))
}

/// As many reads of a class as there may be, which go on until the sender is dropped.
fn fill(store: &Store, class: ReadClass) -> (Sender<()>, Vec<tokio::sync::oneshot::Receiver<()>>) {
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Arc::new(std::sync::Mutex::new(may_go_on));
    let begun = Arc::new(Barrier::new(class.connections() + 1));
    let ends = (0..class.connections()).map(|_| {
        let (store, begun, may_go_on) = (store.clone(), begun.clone(), may_go_on.clone());
        let (ended, has_ended) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let read = store.read_as(class, None, |conn| {
                meta::log_time(conn)?;
                begun.wait();
                // It ends when the sender is gone.
                let wait = |held: &Receiver<()>| held.recv().is_err();
                assert!(wait(&may_go_on.lock().unwrap()));
                Ok(())
            });
            read.unwrap();
            let _ = ended.send(());
        });
        has_ended
    });
    let ends = ends.collect();
    begun.wait();
    (go_on, ends)
}

#[test]
fn what_fires_does_not_wait_for_those_who_ask() {
    let (_dir, store, _writer) = open();
    let (go_on, ends) = fill(&store, ReadClass::Client);
    for class in ReadClass::ALL.into_iter().filter(|class| *class != ReadClass::Client) {
        let found = store.begin(class, None, Reach::all(), meta::log_time).unwrap();
        assert_eq!(found.blocking_recv().unwrap().unwrap(), 0, "{class:?}");
    }
    let mut one_more = store.begin(ReadClass::Client, None, Reach::all(), meta::log_time).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    assert!(one_more.try_recv().is_err(), "there is no room for it");
    drop(go_on);
    assert_eq!(one_more.blocking_recv().unwrap().unwrap(), 0);
    for end in ends {
        end.blocking_recv().unwrap();
    }
}

#[test]
fn a_read_ends_at_its_deadline_and_leaves_its_connection_whole() {
    let (_dir, store, _writer) = open();
    for _ in 0..2 * ReadClass::Client.connections() {
        let limit = Arc::new(ReadLimit::within(Duration::from_millis(20)));
        let ended = store.read_as(ReadClass::Client, Some(&limit), endless);
        assert!(matches!(ended, Err(Error::Ended(ReadEnd::Deadline))), "{ended:?}");
    }
    let late = Arc::new(ReadLimit::within(Duration::ZERO));
    let ended = store.read_as(ReadClass::Client, Some(&late), |_| -> rusqlite::Result<()> {
        panic!("it must not begin")
    });
    assert!(matches!(ended, Err(Error::Ended(ReadEnd::Deadline))), "{ended:?}");
    let limit = Arc::new(ReadLimit::endless());
    assert_eq!(store.read_as(ReadClass::Client, Some(&limit), meta::log_time).unwrap(), 0);
    assert_eq!(store.read_as(ReadClass::Client, None, meta::log_time).unwrap(), 0);
}

#[test]
fn a_read_that_nobody_waits_for_ends_also_between_small_statements() {
    let (_dir, store, _writer) = open();
    let limit = Arc::new(ReadLimit::endless());
    let (started, has_started) = mpsc::channel();
    let found =
        store.begin(ReadClass::Client, Some(Arc::clone(&limit)), Reach::all(), move |conn| {
            started.send(()).unwrap();
            loop {
                // Each is far shorter than what lies between two questions to the limit.
                meta::log_time(conn)?;
            }
            #[expect(unreachable_code, reason = "it says what the read would find")]
            Ok(())
        });
    has_started.recv().unwrap();
    limit.give_up();
    let ended = found.unwrap().blocking_recv().unwrap();
    assert!(matches!(ended, Err(Error::Ended(ReadEnd::Gone))), "{ended:?}");
}

#[test]
fn an_install_waits_for_no_reader_that_can_be_ended() {
    let (dir, store, mut writer) = open();
    let path = dir.path().join("snapshot-1");
    store.snapshot_to(&path).unwrap();
    let (started, has_started) = mpsc::channel();
    let reads: Vec<_> = [ReadClass::Client, ReadClass::Checksum]
        .into_iter()
        .map(|class| {
            let started = started.clone();
            let limit = Some(Arc::new(ReadLimit::endless()));
            let read = move |conn: &Connection| {
                started.send(()).unwrap();
                endless(conn)
            };
            store.begin(class, limit, Reach::all(), read).unwrap()
        })
        .collect();
    for _ in &reads {
        has_started.recv().unwrap();
    }
    store.replace_with(&mut writer, &path).unwrap();
    for read in reads {
        let ended = read.blocking_recv().unwrap();
        assert!(matches!(ended, Err(Error::Ended(ReadEnd::Replaced))), "{ended:?}");
    }
    assert_eq!(store.read(meta::log_time).unwrap(), 0);
}

#[test]
fn an_install_ends_a_backup_and_waits_until_its_connection_is_closed() {
    let (dir, store, mut writer) = open();
    let path = dir.path().join("snapshot-1");
    store.snapshot_to(&path).unwrap();
    let limit = Arc::new(ReadLimit::endless());
    let copying = store.shared.pool.copying(Some(&limit));
    let (installed, is_installed) = mpsc::channel();
    let other = store.clone();
    std::thread::spawn(move || {
        other.replace_with(&mut writer, &path).unwrap();
        installed.send(()).unwrap();
    });
    while limit.ended() != Some(ReadEnd::Replaced) {
        std::thread::yield_now();
    }
    assert!(is_installed.try_recv().is_err(), "the file is still open");
    drop(copying);
    is_installed.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(store.read(meta::log_time).unwrap(), 0);
}

#[test]
fn an_install_ends_a_snapshot_that_is_being_written() {
    let (dir, store, writer) = open();
    let filler = "CREATE TABLE filler (bytes BLOB);
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000)
         INSERT INTO filler SELECT randomblob(1000) FROM n;";
    writer.connection().execute_batch(filler).unwrap();
    let path = dir.path().join("snapshot-1");
    let begun = path.with_extension("tmp");
    // One may be through before it is ended, where the machine is busy: that does not count.
    let ended = (0..50).any(|_| {
        let (store, path) = (store.clone(), path.clone());
        let pool = &store.shared.pool;
        std::thread::scope(|scope| {
            let writing = scope.spawn(|| store.snapshot_to(&path));
            while !begun.exists() && !writing.is_finished() {
                std::thread::yield_now();
            }
            let closed = pool.close_all();
            let written = writing.join().unwrap();
            drop(closed);
            let ended = matches!(written, Err(Error::Ended(ReadEnd::Replaced)));
            assert!(ended || written.is_ok(), "{written:?}");
            assert_eq!((begun.exists(), path.exists()), (false, !ended));
            ended
        })
    });
    assert!(ended, "it was waited for");
    store.snapshot_to(&path).unwrap();
}

#[test]
fn a_hash_of_the_state_is_refused_rather_than_waited_for() {
    let (_dir, store, _writer) = open();
    let (go_on, ends) = fill(&store, ReadClass::Checksum);
    let refused = store.read_as(ReadClass::Checksum, None, meta::log_time);
    assert!(matches!(refused, Err(Error::Busy(_))), "{refused:?}");
    drop(go_on);
    for end in ends {
        end.blocking_recv().unwrap();
    }
    assert_eq!(store.read_as(ReadClass::Checksum, None, meta::log_time).unwrap(), 0);
}

#[test]
fn a_panic_in_a_read_costs_neither_its_thread_nor_its_connection() {
    let (_dir, store, _writer) = open();
    for _ in 0..3 {
        let read = |_: &Connection| -> rusqlite::Result<()> { panic!("a fault of ours") };
        let found = store.begin(ReadClass::Credentials, None, Reach::all(), read).unwrap();
        assert!(found.blocking_recv().is_err());
        let found =
            store.begin(ReadClass::Credentials, None, Reach::all(), meta::log_time).unwrap();
        assert_eq!(found.blocking_recv().unwrap().unwrap(), 0);
    }
}

/// The planner may not look at bound values: where it does, the statement is compiled anew for each
/// value, which costs more than to run it.
#[test]
fn a_statement_is_compiled_once_whatever_is_bound() {
    let (_dir, store, writer) = open();
    let sql = "SELECT id FROM blocks WHERE due >= ?1 AND due <= ?2 AND shard = ?3
         AND lone IN (0, ?4) AND scheduled = ?5 AND run = ?6 AND since IS NULL";
    let compiled = |conn: &Connection| {
        let mut statement = conn.prepare(sql)?;
        for n in 1..10 {
            statement.query_map([n; 6], |_| Ok(()))?.for_each(drop);
        }
        Ok(statement.get_status(rusqlite::StatementStatus::RePrepare))
    };
    assert_eq!(store.read(compiled).unwrap(), 0);
    assert_eq!(writer.read(compiled).unwrap(), 0);
}
