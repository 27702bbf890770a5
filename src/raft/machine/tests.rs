//! A store that fails while entries are applied: nothing of the chunk stays, the error goes to Raft
//! (which ends the node), and what comes of it later is what comes of it everywhere.

use futures_util::stream;
use openraft::vote::RaftLeaderIdExt;

use super::*;
use crate::command::{Command, NewProject};
use crate::raft::types::Proposal;
use crate::store::FILE;

fn entry(index: u64) -> EntryResponder<TypeConfig> {
    let leader = openraft::impls::leader_id_std::LeaderId::<u64, u64>::new_committed(1, 1);
    let project = NewProject {
        name: format!("project {index}"),
        description: "d".repeat(3_000),
        ..NewProject::default()
    };
    let command = Command::CreateProject(project).encode().unwrap();
    let proposal = Proposal { stamp: index as Millis, command };
    let id = LogId::new(leader, index);
    (openraft::entry::RaftEntry::new(id, EntryPayload::Normal(proposal)), None)
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
    close(machine);

    let mut machine = start(dir.path(), None).unwrap();
    assert_eq!(applied(&machine), next - 1, "nothing of it stayed");
    apply(&mut machine, next, 200).await.unwrap();
    let mut other = start(free.path(), None).unwrap();
    apply(&mut other, 1, 200).await.unwrap();
    assert_eq!(hash(&machine), hash(&other), "as where there was room all the time");
}

#[tokio::test]
async fn damaged_books_are_an_error_never_another_state() {
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
