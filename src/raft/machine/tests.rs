//! A store that fails while entries are applied: nothing of the chunk stays, the error goes to Raft
//! (which ends the node), and what comes of it later is what comes of it everywhere. And snapshots
//! that cannot be written or put in place, which end nothing.

use std::io;
use std::sync::Arc;

use futures_util::stream;
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::vote::RaftLeaderIdExt;
use openraft::{EntryPayload, RaftSnapshotBuilder};

use super::Machine;
use crate::command::{Command, LEVEL, NewProject, Proposal};
use crate::model::Millis;
use crate::raft::snapshot::{SnapshotFile, Snapshots};
use crate::raft::types::{EntryData, LogId, SnapshotMeta, TypeConfig};
use crate::store::{FILE, Store};

fn entry(index: u64) -> EntryResponder<TypeConfig> {
    let project = NewProject {
        name: format!("project {index}"),
        description: "d".repeat(3_000),
        ..NewProject::default()
    };
    entry_of(index, Command::CreateProject(project))
}

fn entry_of(index: u64, command: Command) -> EntryResponder<TypeConfig> {
    let leader = openraft::impls::leader_id_std::LeaderId::<u64, u64>::new_committed(1, 1);
    let command = Proposal::from(command).encode(LEVEL).unwrap();
    let data = EntryData { stamp: index as Millis, command };
    let id = LogId::new(leader, index);
    (openraft::entry::RaftEntry::new(id, EntryPayload::Normal(data)), None)
}

fn start(dir: &std::path::Path, most_pages: Option<u32>) -> io::Result<Machine> {
    let (store, writer) = Store::open(dir).map_err(io::Error::other)?;
    if let Some(most) = most_pages {
        writer.connection().pragma_update(None, "max_page_count", most).unwrap();
    }
    Machine::start(store, writer, Arc::new(Snapshots::open(dir)?))
}

async fn apply(machine: &mut Machine, from: u64, to: u64) -> io::Result<()> {
    machine.apply(stream::iter((from..to).map(entry).map(Ok))).await
}

fn applied(machine: &Machine) -> u64 {
    machine.watches().applied.borrow().index
}

fn hash(machine: &Machine) -> [u8; 32] {
    machine.store.read(Store::hash).unwrap()
}

/// Drops it and waits until its files are closed.
fn close(machine: Machine) {
    let thread = machine.joiner();
    drop(machine);
    thread.lock().unwrap().take().unwrap().join().unwrap();
}

#[tokio::test]
async fn a_full_disk_takes_no_entry_in_part_and_room_makes_good() {
    let (dir, free) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut machine = start(dir.path(), Some(120)).unwrap();
    // Chunks of seven: the one that does not fit would fit in part.
    let mut next = 1;
    let error = loop {
        match apply(&mut machine, next, next + 7).await {
            Ok(()) => next += 7,
            Err(error) => break error,
        }
        assert!(next < 1_000, "120 pages hold no thousand projects");
    };
    assert!(error.to_string().contains("full"), "{error}");
    assert!(next > 7, "some did fit");
    assert_eq!(applied(&machine), next - 1, "nobody is told of what failed");
    assert_eq!(machine.watches().applied_commands(), [("create_project", next - 1)].into());
    close(machine);

    let mut machine = start(dir.path(), None).unwrap();
    assert_eq!(applied(&machine), next - 1, "nothing of it stayed");
    apply(&mut machine, next, 200).await.unwrap();
    let mut other = start(free.path(), None).unwrap();
    apply(&mut other, 1, 200).await.unwrap();
    assert_eq!(hash(&machine), hash(&other), "as where there was room all the time");
}

#[tokio::test]
async fn applied_commands_are_counted_by_the_name_of_the_wrapped_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut machine = start(dir.path(), None).unwrap();
    let run = Command::RunJob { id: 7, forced: false }.for_version(7, Some(1));
    let once = Command::Once { key: [1; 32], body: [2; 32], command: Box::new(run.clone()) };
    let commands = [Command::Tick, run, once, Command::Tick];
    let entries = (1..).zip(commands).map(|(index, command)| Ok(entry_of(index, command)));
    machine.apply(stream::iter(entries)).await.unwrap();
    // There is no such job: what is refused was applied, too.
    let counted = machine.watches().applied_commands();
    assert_eq!(counted, [("run_job", 2), ("tick", 2)].into());
}

#[tokio::test]
async fn a_damaged_state_is_an_error_never_another_state() {
    let dir = tempfile::tempdir().unwrap();
    let mut machine = start(dir.path(), None).unwrap();
    apply(&mut machine, 1, 200).await.unwrap();
    close(machine);
    let file = dir.path().join(FILE);
    let whole = std::fs::read(&file).unwrap();
    let mut refused = 0;
    for page in 2..40 {
        let mut bytes = whole.clone();
        bytes[page * 4096..(page + 1) * 4096].fill(0xab);
        std::fs::write(&file, bytes).unwrap();
        let Ok(mut machine) = start(dir.path(), None) else {
            refused += 1;
            continue;
        };
        if let Err(error) = apply(&mut machine, 200, 230).await {
            let said = error.to_string();
            assert!(said.contains("malformed") || said.contains("corrupt"), "page {page}: {said}");
            assert_eq!(applied(&machine), 199, "page {page}");
            refused += 1;
        }
        close(machine);
    }
    assert!(refused > 3, "pages that are needed are missed: {refused}");
}

async fn build(machine: &mut Machine, force: bool) -> io::Result<u64> {
    let mut builder = machine.try_create_snapshot_builder(force).await.unwrap();
    let built = builder.build_snapshot().await?;
    Ok(built.meta.last_log_id.map_or(0, |id| id.index))
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_written_is_the_one_before_and_the_next_one_works() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("snapshots");
    let away = dir.path().join("away");
    let mut machine = start(dir.path(), None).unwrap();
    let failures = |machine: &Machine| machine.snapshots.failures().count();
    apply(&mut machine, 1, 10).await.unwrap();

    // A folder that is gone: as where the disk is full or no descriptor is left, SQLite cannot
    // open.
    std::fs::rename(&folder, &away).unwrap();
    assert_eq!(build(&mut machine, false).await.unwrap(), 0, "there was none before");
    assert_eq!(failures(&machine), 1);
    assert!(machine.snapshots.failures().trouble().is_some());
    assert!(machine.snapshots.failures().is_recent(), "the next one is not tried at once");
    build(&mut machine, true).await.expect_err("a start that cannot be without says so");
    std::fs::rename(&away, &folder).unwrap();
    assert_eq!(build(&mut machine, false).await.unwrap(), 9);
    assert_eq!(machine.snapshots.failures().trouble(), None);

    apply(&mut machine, 10, 20).await.unwrap();
    std::fs::rename(&folder, &away).unwrap();
    for count in 2..5 {
        assert_eq!(build(&mut machine, false).await.unwrap(), 9, "the one before stands");
        assert_eq!(failures(&machine), count);
    }
    // Whoever falls behind gets it, although its folder is gone: it is open.
    let kept = machine.get_current_snapshot().await.unwrap().unwrap();
    assert!(kept.snapshot.file().unwrap().metadata().unwrap().len() > 4_096);
    std::fs::rename(&away, &folder).unwrap();
    assert_eq!(build(&mut machine, false).await.unwrap(), 19);
    let left = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(left, 2, "the snapshot and its name: no try left anything behind");
}

#[tokio::test]
async fn a_snapshot_of_a_damaged_state_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut machine = start(dir.path(), None).unwrap();
    apply(&mut machine, 1, 200).await.unwrap();
    close(machine);
    let file = dir.path().join(FILE);
    let mut bytes = std::fs::read(&file).unwrap();
    let pages = bytes.len() / 4_096;
    bytes[pages / 2 * 4_096..(pages / 2 + 10) * 4_096].fill(0xab);
    std::fs::write(&file, bytes).unwrap();
    let mut machine = start(dir.path(), None).unwrap();
    let error = build(&mut machine, false).await.unwrap_err().to_string();
    assert!(error.contains("malformed") || error.contains("corrupt"), "{error}");
    assert_eq!(machine.snapshots.failures().count(), 0);
}

#[tokio::test]
async fn an_install_waits_for_what_it_lacks_and_goes_on() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut leader = start(other.path(), None).unwrap();
    apply(&mut leader, 1, 50).await.unwrap();
    let mut builder = leader.get_snapshot_builder().await;
    let built = builder.build_snapshot().await.unwrap();
    let mut machine = start(dir.path(), None).unwrap();
    let path = machine.snapshots.fresh_path();
    std::fs::copy(built.snapshot.path(), &path).unwrap();
    let turn = Arc::new(tokio::sync::Mutex::new(())).try_lock_owned().unwrap();
    let gone = path.clone();
    let mut received = SnapshotFile::received(path, turn).unwrap();
    received.stage(machine.store.stage(received.path()).unwrap());

    // Its name cannot be written: a folder is in the way. And then the file is gone.
    let in_the_way = dir.path().join("snapshots").join("current.tmp");
    std::fs::create_dir(&in_the_way).unwrap();
    let snapshots = machine.snapshots.clone();
    let cleared = std::thread::spawn(move || {
        while snapshots.failures().count() == 0 {
            std::thread::yield_now();
        }
        std::fs::remove_file(&gone).unwrap();
        std::fs::remove_dir(&in_the_way).unwrap();
    });
    machine.install_snapshot(&built.meta, received).await.unwrap();
    cleared.join().unwrap();
    assert_eq!(applied(&machine), 49);
    assert_eq!(hash(&machine), hash(&leader));
    assert_eq!(machine.snapshots.failures().trouble(), None);
    let current = machine.get_current_snapshot().await.unwrap().unwrap();
    assert_eq!(current.meta, built.meta);
}

#[tokio::test]
async fn the_state_is_looked_at_without_opening_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut machine = start(dir.path(), None).unwrap();
    apply(&mut machine, 1, 10).await.unwrap();
    close(machine);
    let (store, writer) = Store::open(dir.path()).unwrap();
    // A file that is gone cannot be opened: as where no descriptor is left, just after an install.
    std::fs::rename(dir.path().join(FILE), dir.path().join("away")).unwrap();
    store.read(|_| Ok(())).unwrap_err();
    let snapshots = Arc::new(Snapshots::open(dir.path()).unwrap());
    let machine = Machine::start(store, writer, snapshots).unwrap();
    let seen = *machine.watches().applied.borrow();
    assert_eq!((seen.index, seen.stamp), (9, 9));
}

/// An install that cannot go on is told to probes, and is no more once it has worked.
#[tokio::test]
async fn an_install_that_is_tried_again_is_told() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut leader = start(other.path(), None).unwrap();
    apply(&mut leader, 1, 50).await.unwrap();
    let built = leader.get_snapshot_builder().await.build_snapshot().await.unwrap();
    let mut machine = start(dir.path(), None).unwrap();
    let path = machine.snapshots.fresh_path();
    std::fs::copy(built.snapshot.path(), &path).unwrap();
    let turn = Arc::new(tokio::sync::Mutex::new(())).try_lock_owned().unwrap();
    let mut received = SnapshotFile::received(path, turn).unwrap();
    received.stage(machine.store.stage(received.path()).unwrap());
    let in_the_way = dir.path().join("snapshots").join("current.tmp");
    std::fs::create_dir(&in_the_way).unwrap();
    let snapshots = machine.snapshots.clone();
    assert_eq!(snapshots.installing().trouble(), None);
    let cleared = std::thread::spawn(move || {
        while !snapshots.installing().trouble().is_some_and(|said| said.contains("tried again")) {
            std::thread::yield_now();
        }
        std::fs::remove_dir(&in_the_way).unwrap();
    });
    machine.install_snapshot(&built.meta, received).await.unwrap();
    cleared.join().unwrap();
    assert_eq!(machine.snapshots.installing().trouble(), None);
}

/// A state of a kept version, as a snapshot of one of its nodes.
fn kept_state(version: &str, to: &std::path::Path) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats");
    let sql = std::fs::read_to_string(root.join(version).join("restored/state.sql")).unwrap();
    let conn = rusqlite::Connection::open(to).unwrap();
    conn.execute_batch(&format!("BEGIN;\n{sql}COMMIT;")).unwrap();
}

fn schema_version(file: &std::path::Path) -> i64 {
    let conn = rusqlite::Connection::open(file).unwrap();
    conn.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn an_older_snapshot_takes_the_steps_that_it_lacks_and_a_newer_one_is_refused() {
    let turn = || Arc::new(tokio::sync::Mutex::new(())).try_lock_owned().unwrap();
    for version in ["v1", "v2"] {
        let dir = tempfile::tempdir().unwrap();
        let mut machine = start(dir.path(), None).unwrap();
        let newest = schema_version(&dir.path().join(FILE));
        let path = machine.snapshots.fresh_path();
        kept_state(version, &path);
        assert!(schema_version(&path) < newest, "{version}");
        let mut received = SnapshotFile::received(path, turn()).unwrap();
        let staged = machine.store.stage(received.path()).unwrap();
        let last_log_id = super::covered_by(&staged).unwrap();
        received.stage(staged);
        let meta = SnapshotMeta { last_log_id, ..SnapshotMeta::default() };
        machine.install_snapshot(&meta, received).await.unwrap();
        assert_eq!(schema_version(&dir.path().join(FILE)), newest, "{version}");
        let last = last_log_id.unwrap().index;
        assert_eq!(applied(&machine), last);
        apply(&mut machine, last + 1, last + 10).await.expect(version);

        let path = machine.snapshots.fresh_path();
        kept_state(version, &path);
        let conn = rusqlite::Connection::open(&path).unwrap();
        conn.pragma_update(None, "user_version", newest + 1).unwrap();
        drop(conn);
        let refused = machine.store.stage(&path).unwrap_err().to_string();
        assert!(refused.contains("upgrade it"), "{refused}");
        assert_eq!(applied(&machine), last + 9, "nothing happened to the state");
    }
}
