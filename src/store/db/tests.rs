//! The store as a file: transactions, caches, snapshots, installs, versions. The rules of what is
//! in it are tested with `command::apply`.

use std::fs;
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use super::{Error, FILE, Label, Store, Tx, Writer, schema, snapshot};
use crate::disk::recorder::{DiskRecorder, Loss, quick_dir};
use crate::model::project::{Project, ProjectSettings};
use crate::store::Page;
use crate::store::empty_tables::Table;
use crate::store::meta::{self, Sequence};
use crate::store::projects;

fn open() -> (TempDir, Store, Writer) {
    let dir = TempDir::new().unwrap();
    let (store, writer) = Store::open(dir.path()).unwrap();
    (dir, store, writer)
}

/// Adds a project and leaves a mark.
fn add(writer: &mut Writer, name: &str, mark: u8) {
    let added: Result<(), Error> = writer.transaction(|tx| {
        let project = Project {
            id: tx.take(Sequence::Project, 1)?,
            name: name.into(),
            description: String::new(),
            created: 0,
            modified: None,
            created_by: None,
            modified_by: None,
            settings: ProjectSettings::default(),
            version: 1,
        };
        projects::insert(tx, 1, &project)?;
        meta::set_applied(tx, &[mark])?;
        Ok(())
    });
    added.unwrap();
}

fn names(store: &Store) -> Vec<String> {
    let page = Page::default();
    let (_, list) = store.read(|c| projects::list(c, &page)).unwrap();
    list.into_iter().map(|p| p.name).collect()
}

#[test]
fn a_failed_transaction_leaves_nothing_behind() {
    let (_dir, store, mut writer) = open();
    add(&mut writer, "a", 1);
    let failed: Result<(), Error> = writer.transaction(|tx| {
        tx.take(Sequence::Project, 5)?;
        tx.advance_log_time(99)?;
        meta::set_applied(tx, &[2])?;
        Err(Error::Damaged("for the sake of the test".into()))
    });
    assert!(failed.is_err());
    assert_eq!(writer.applied().unwrap(), Some(vec![1]));
    add(&mut writer, "b", 3);
    let id = store.read(|c| projects::id_by_name(c, "b")).unwrap();
    assert_eq!((id, store.read(meta::log_time).unwrap()), (Some(2), 0));
}

#[test]
fn readers_cannot_write() {
    let (_dir, store, mut writer) = open();
    add(&mut writer, "a", 1);
    assert!(store.read(|c| c.execute("DELETE FROM projects", [])).is_err());
    assert_eq!(names(&store), ["a"]);
}

#[test]
fn a_read_sees_one_state() {
    let (_dir, store, mut writer) = open();
    add(&mut writer, "a", 1);
    let page = Page::default();
    let totals = store.read(|c| {
        let before = projects::list(c, &page)?.0;
        add(&mut writer, "b", 2);
        Ok((before, projects::list(c, &page)?.0))
    });
    assert_eq!(totals.unwrap(), (1, 1));
    assert_eq!(names(&store), ["a", "b"]);
}

#[test]
fn the_state_is_there_after_a_restart() {
    let (dir, store, mut writer) = open();
    add(&mut writer, "a", 1);
    writer.checkpoint().unwrap();
    add(&mut writer, "b", 2);
    drop((store, writer));
    let (store, mut writer) = Store::open(dir.path()).unwrap();
    assert_eq!(writer.applied().unwrap(), Some(vec![2]));
    add(&mut writer, "c", 3);
    assert_eq!(names(&store), ["a", "b", "c"]);
    assert_eq!(store.read(|c| projects::id_by_name(c, "c")).unwrap(), Some(3));
}

#[test]
fn a_snapshot_holds_what_its_mark_says() {
    let (dir, store, mut writer) = open();
    let path = dir.path().join("snapshot-1");
    assert_eq!(store.snapshot_to(&path).unwrap(), Vec::<u8>::new());
    add(&mut writer, "a", 1);
    assert_eq!(store.snapshot_to(&path).unwrap(), [1]);
    add(&mut writer, "b", 2);

    let (_other_dir, other, mut other_writer) = open();
    add(&mut other_writer, "x", 9);
    assert_eq!(names(&other), ["x"]);
    other.replace_with(&mut other_writer, &path).unwrap();
    assert_eq!((names(&other), other_writer.applied().unwrap()), (vec!["a".into()], Some(vec![1])));
    add(&mut other_writer, "b", 2);
    assert_eq!(other.read(Store::hash).unwrap(), store.read(Store::hash).unwrap());
    assert!(path.exists(), "the snapshot stays for others");
}

#[test]
fn a_damaged_snapshot_changes_nothing() {
    let (dir, store, mut writer) = open();
    for i in 0..200 {
        add(&mut writer, &format!("{i:0100}"), 1);
    }
    let path = dir.path().join("snapshot-1");
    store.snapshot_to(&path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    let empty = dir.path().join("empty");
    fs::write(&empty, []).unwrap();
    for bad in [path, empty] {
        let refused = store.replace_with(&mut writer, &bad);
        assert!(matches!(refused, Err(Error::Damaged(_))), "{refused:?}");
    }
    add(&mut writer, "still here", 2);
    assert_eq!(store.read(|c| projects::id_by_name(c, "still here")).unwrap(), Some(201));
}

#[test]
fn an_install_that_a_crash_cut_short_is_finished_or_forgotten() {
    let (dir, store, mut writer) = open();
    let path = dir.path().join("snapshot-1");
    add(&mut writer, "a", 1);
    store.snapshot_to(&path).unwrap();
    add(&mut writer, "b", 2);
    // Decided, but not carried out: the old write-ahead log is still there.
    let staged = snapshot::stage(dir.path(), &path).unwrap();
    snapshot::decide(dir.path(), &staged).unwrap();
    snapshot::decide(dir.path(), &staged).expect("it may be repeated");
    drop(staged);
    let wal = dir.path().join("state.db-wal");
    let log = fs::read(&wal).unwrap();
    drop((store, writer));
    fs::write(&wal, log).unwrap();
    let (store, mut writer) = Store::open(dir.path()).unwrap();
    assert_eq!((names(&store), writer.applied().unwrap()), (vec!["a".to_owned()], Some(vec![1])));
    // Copied, but not decided.
    add(&mut writer, "c", 2);
    drop((store, writer));
    fs::copy(&path, dir.path().join("state.db.incoming")).unwrap();
    let (store, _writer) = Store::open(dir.path()).unwrap();
    assert_eq!(names(&store), ["a", "c"]);
    assert!(!dir.path().join("state.db.incoming").exists());
}

#[test]
fn an_install_that_a_power_cut_ends_is_made_or_not() {
    let (dir, store, mut writer) = open();
    add(&mut writer, "old", 1);
    let (_other_dir, other, mut other_writer) = open();
    add(&mut other_writer, "new", 2);
    let snapshot = quick_dir();
    let path = snapshot.path().join("snapshot");
    other.snapshot_to(&path).unwrap();
    // While another connection has it open, SQLite leaves the write-ahead log where it is.
    let reader = Connection::open(dir.path().join(FILE)).unwrap();
    reader.query_row("SELECT count(*) FROM projects", [], |_| Ok(())).unwrap();
    let recorder = DiskRecorder::begin(dir.path());
    store.replace_with(&mut writer, &path).unwrap();
    let mut found = Vec::new();
    for cut in 0..=recorder.len() {
        for loss in Loss::few(cut, 20) {
            let left = recorder.power_cut(cut, loss);
            let (store, writer) =
                Store::open(left.path()).unwrap_or_else(|e| panic!("cut at {cut}, {loss:?}: {e}"));
            let mark = writer.applied().unwrap().unwrap();
            let expected = if mark == [1] { ["old"] } else { ["new"] };
            assert_eq!(names(&store), expected, "cut at {cut}, {loss:?}");
            assert!(cut < recorder.len() || mark == [2], "it was done: {loss:?}");
            found.push(mark);
        }
    }
    assert!(found.contains(&vec![1]) && found.contains(&vec![2]));
}

#[test]
fn an_install_waits_for_reads_and_reads_wait_for_it() {
    let (dir, store, mut writer) = open();
    let path = dir.path().join("snapshot-1");
    store.snapshot_to(&path).unwrap();
    add(&mut writer, "a", 1);
    let (started, has_started) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let (installed, is_installed) = mpsc::channel();
    std::thread::scope(|threads| {
        let reader = store.clone();
        let read = threads.spawn(move || {
            reader.read(|c| {
                started.send(()).unwrap();
                may_go_on.recv().unwrap();
                projects::id_by_name(c, "a")
            })
        });
        has_started.recv().unwrap();
        let (store, writer, path) = (&store, &mut writer, &path);
        threads.spawn(move || {
            store.replace_with(writer, path).unwrap();
            installed.send(()).unwrap();
        });
        assert!(is_installed.recv_timeout(Duration::from_millis(50)).is_err());
        go_on.send(()).unwrap();
        assert_eq!(read.join().unwrap().unwrap(), Some(1), "it reads what it began with");
        is_installed.recv_timeout(Duration::from_secs(20)).unwrap();
    });
    assert!(names(&store).is_empty());
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let (dir, store, writer) = open();
    drop((store, writer));
    let conn = Connection::open(dir.path().join(FILE)).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    drop(conn);
    let refused = Store::open(dir.path()).map(|_| ());
    assert!(matches!(refused, Err(Error::Newer { found: 99, .. })), "{refused:?}");
    let (_other, store, mut writer) = open();
    add(&mut writer, "a", 1);
    let refused = store.replace_with(&mut writer, &dir.path().join(FILE));
    assert!(matches!(refused, Err(Error::Newer { found: 99, .. })), "{refused:?}");
    add(&mut writer, "b", 2);
    assert_eq!(names(&store), ["a", "b"]);
}

#[test]
fn the_hash_sees_every_table() {
    let (_dir, store, mut writer) = open();
    let tables: Vec<String> = store
        .read(|c| {
            c.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?
                .query_map([], |row| row.get(0))?
                .collect()
        })
        .unwrap();
    let mut hashed: Vec<_> = schema::TABLES.iter().map(|(table, _)| *table).collect();
    hashed.sort_unstable();
    assert_eq!(tables, hashed);
    let before = store.read(Store::hash).unwrap();
    let marked: Result<(), Error> = writer.transaction(|tx| Ok(meta::set_applied(tx, &[7])?));
    marked.unwrap();
    assert_eq!(store.read(Store::hash).unwrap(), before, "raft's mark is raft's own");
    add(&mut writer, "a", 7);
    assert_ne!(store.read(Store::hash).unwrap(), before);
}

#[test]
fn a_copy_that_differs_from_its_backup_is_never_restored() {
    let (dir, store, mut writer) = open();
    add(&mut writer, "a", 7);
    let backup = dir.path().join("backup");
    store.backup_to(&backup, |_, _, _| Ok::<_, Error>(Label::new())).unwrap();
    let empty = TempDir::new().unwrap();
    let restore = || Store::restore(&backup, empty.path(), |_| Ok::<_, Error>(()));
    let whole = fs::read(&backup).unwrap();
    // A letter of a name: SQLite sees nothing wrong.
    let text = b"CREATE TABLE shapes";
    let at = whole.windows(text.len()).position(|part| part == text).unwrap();
    let mut bytes = whole.clone();
    bytes[at] = b'c';
    fs::write(&backup, bytes).unwrap();
    assert!(matches!(restore(), Err(Error::Altered)));
    assert!(!empty.path().join(FILE).exists());
    fs::write(&backup, whole).unwrap();
    restore().unwrap();
    assert!(empty.path().join(FILE).exists());
}

#[test]
fn a_shard_is_empty_until_a_row_is_added_and_read_again_by_the_next_transaction() {
    let (_dir, _store, mut writer) = open();
    let add = |tx: &Tx<'_>| {
        tx.execute_batch(
            "INSERT INTO dead_letters (id, block, project, shard, due, scheduled, attempt,
                 http_code, created, members, count, lone)
             VALUES (1, 1, 1, 63, 0, 0, 1, 0, 0, x'', 0, 0)",
        )
    };
    let empty = |tx: &Tx<'_>, shard| tx.is_empty(Table::DeadLetters, shard).unwrap();
    let done: rusqlite::Result<()> = writer.transaction(|tx| {
        assert!(empty(tx, 63) && empty(tx, 0) && tx.is_empty(Table::Runs, 63)?);
        add(tx)?;
        tx.mark_occupied(Table::DeadLetters, 63);
        assert!(!empty(tx, 63) && empty(tx, 0) && tx.is_empty(Table::Pending, 63)?);
        Ok(())
    });
    done.unwrap();
    let done: rusqlite::Result<()> = writer.transaction(|tx| {
        assert!(!empty(tx, 63) && empty(tx, 62));
        tx.execute_batch("DELETE FROM dead_letters")?;
        assert!(!empty(tx, 63), "a search that finds nothing does no harm");
        Ok(())
    });
    done.unwrap();
    let done: rusqlite::Result<()> = writer.transaction(|tx| {
        assert!(empty(tx, 63));
        Ok(())
    });
    done.unwrap();
}
