//! The log survives what a disk does to it.

use std::fs;
use std::path::Path;

use openraft::RaftLogReader;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogStorage, RaftLogStorageExt};
use openraft::vote::RaftLeaderIdExt;

use super::index;
use super::segment::{self, path_of};
use super::store::LogStore;
use crate::raft::types::{Entry, EntryData, LogId, TypeConfig, Vote};

pub(super) fn id(term: u64, index: u64) -> LogId {
    LogId::new(openraft::impls::leader_id_std::LeaderId::<u64, u64>::new_committed(term, 1), index)
}

pub(super) fn entry(term: u64, index: u64, size: usize) -> Entry {
    let command = bytes::Bytes::from(vec![index as u8; size]);
    let data = EntryData { stamp: index as i64, command };
    Entry::new(id(term, index), openraft::EntryPayload::Normal(data))
}

async fn indexes(log: &mut LogStore) -> Vec<u64> {
    let entries = log.try_get_log_entries(..).await.unwrap();
    entries.iter().map(RaftEntry::index).collect()
}

async fn filled(dir: &Path, count: u64, segment: u64) -> LogStore {
    let mut log = LogStore::open_with(dir, segment).unwrap();
    for index in 0..count {
        log.blocking_append([entry(1, index, 40 + index as usize % 7)]).await.unwrap();
    }
    log
}

/// Waits until the thread has let go of the files, by asking it for one more thing.
async fn close(mut log: LogStore) {
    let vote = Vote::new(1, 1);
    log.save_vote(&vote).await.unwrap();
}

#[tokio::test]
async fn a_torn_tail_costs_nothing_that_was_whole() {
    let dir = tempfile::tempdir().unwrap();
    close(filled(dir.path(), 12, 200).await).await;
    let numbers = segment::list(dir.path()).unwrap();
    assert!(numbers.len() > 2, "several segments: {numbers:?}");
    let last = path_of(dir.path(), *numbers.last().unwrap());
    let whole = fs::read(&last).unwrap();
    let ends: Vec<u64> = segment::scan(&last)
        .unwrap()
        .records
        .iter()
        .map(|(at, length, _)| at + u64::from(*length))
        .collect();
    let before = 12 - ends.len() as u64;
    for cut in 0..=whole.len() {
        let copy = tempfile::tempdir().unwrap();
        for file in fs::read_dir(dir.path()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        fs::write(copy.path().join(last.file_name().unwrap()), &whole[..cut]).unwrap();
        let left = before + ends.iter().filter(|end| **end <= cut as u64).count() as u64;
        let mut log = LogStore::open_with(copy.path(), 200).unwrap();
        assert_eq!(indexes(&mut log).await, (0..left).collect::<Vec<_>>(), "cut at {cut}");
        // And it goes on from there.
        log.blocking_append([entry(2, left, 5)]).await.unwrap();
        let mut again = LogStore::open_with(copy.path(), 200).unwrap();
        assert_eq!(indexes(&mut again).await, (0..=left).collect::<Vec<_>>(), "cut at {cut}");
    }
}

#[tokio::test]
async fn a_flipped_bit_before_the_last_segment_refuses_to_start() {
    let dir = tempfile::tempdir().unwrap();
    close(filled(dir.path(), 12, 200).await).await;
    let first = path_of(dir.path(), segment::list(dir.path()).unwrap()[0]);
    let mut bytes = fs::read(&first).unwrap();
    bytes[40] ^= 1;
    fs::write(&first, bytes).unwrap();
    let error = LogStore::open_with(dir.path(), 200).err().unwrap().to_string();
    assert!(error.contains("0000000001.log") && error.contains("offset"), "{error}");
}

#[tokio::test]
async fn vote_purge_and_truncation_outlive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = filled(dir.path(), 20, 200).await;
    log.save_vote(&Vote::new_committed(7, 1)).await.unwrap();
    log.truncate_after(Some(id(1, 14))).await.unwrap();
    log.purge(id(1, 5)).await.unwrap();
    log.blocking_append([entry(2, 15, 9), entry(2, 16, 9)]).await.unwrap();
    log.save_committed(Some(id(1, 14))).await.unwrap();
    log.blocking_append([entry(2, 17, 9)]).await.unwrap();
    assert_eq!(indexes(&mut log).await, (6..=17).collect::<Vec<_>>());
    let mut again = LogStore::open_with(dir.path(), 200).unwrap();
    assert_eq!(indexes(&mut again).await, (6..=17).collect::<Vec<_>>());
    assert_eq!(again.read_vote().await.unwrap(), Some(Vote::new_committed(7, 1)));
    assert_eq!(again.read_committed().await.unwrap(), Some(id(1, 14)));
    let state = again.get_log_state().await.unwrap();
    assert_eq!(state.last_purged_log_id, Some(id(1, 5)));
    assert_eq!(state.last_log_id, Some(id(2, 17)));
    assert!(!path_of(dir.path(), 1).exists(), "a purged segment is removed");
}

#[tokio::test]
async fn a_purge_beyond_the_end_leaves_an_empty_log_that_goes_on_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = filled(dir.path(), 5, 1 << 20).await;
    log.purge(id(3, 100)).await.unwrap();
    assert_eq!(indexes(&mut log).await, Vec::<u64>::new());
    assert!(log.blocking_append([entry(3, 5, 1)]).await.is_err(), "a hole is refused");
    log.blocking_append([entry(3, 101, 1)]).await.unwrap();
    let mut again = LogStore::open_with(dir.path(), 1 << 20).unwrap();
    assert_eq!(indexes(&mut again).await, [101]);
    assert_eq!(again.get_log_state().await.unwrap().last_log_id, Some(id(3, 101)));
}

#[tokio::test]
async fn old_entries_are_read_back_from_the_disk_in_bounded_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = LogStore::open_with(dir.path(), 4 << 20).unwrap();
    for index in 0..60 {
        log.blocking_append([entry(1, index, 500_000)]).await.unwrap();
    }
    let some = log.limited_get_log_entries(0, 60).await.unwrap();
    assert!((4..=9).contains(&some.len()), "about 4 MB: {}", some.len());
    assert_eq!(some[3], entry(1, 3, 500_000));
    assert_eq!(indexes(&mut log).await, (0..60).collect::<Vec<_>>());
}

#[tokio::test]
async fn many_appends_share_a_sync() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = LogStore::open_with(dir.path(), 4 << 20).unwrap();
    let mut done = Vec::new();
    for index in 0..2_000 {
        let (tx, rx) = <TypeConfig as openraft::type_config::TypeConfigExt>::oneshot();
        log.append([entry(1, index, 100)], IOFlushed::signal(tx)).await.unwrap();
        done.push(rx);
    }
    for rx in done {
        rx.await.unwrap().unwrap();
    }
    let syncs = log.counters().syncs.load(std::sync::atomic::Ordering::Relaxed);
    assert!(syncs < 1_000, "{syncs} syncs for 2,000 appends");
}

#[test]
fn entries_on_disk_leave_memory_beyond_16_mb_and_the_others_stay() {
    const MB: usize = 1 << 20;
    let mut index = index::Index::default();
    let push = |index: &mut index::Index, n: u64| {
        let place = index::Place { segment: 1, offset: n, length: MB as u32 };
        index.push(entry(1, n, MB), place);
    };
    for n in 1..=40 {
        push(&mut index, n);
    }
    let held = |index: &index::Index, from: u64| match index.get(from, index.next(), usize::MAX) {
        index::Found::Entries(entries) => entries.len(),
        index::Found::Places(..) => 0,
    };
    assert_eq!(held(&index, 1), 40, "none is on the disk");
    index.written(40);
    // 15 with what each costs beside its command.
    assert_eq!((held(&index, 25), held(&index, 26)), (0, 15));
    push(&mut index, 41);
    index.written(42);
    assert_eq!((held(&index, 26), held(&index, 27)), (0, 15), "it stays so");
}
