//! The journal on a real disk: acknowledged entries stay, forgotten ones go.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::model::attempt::{JournalEntry, Watermark};

/// Small sizes, so that a test sees files come and go.
fn small() -> Options {
    Options { max_bytes: 1 << 20, min_free: 0, reserve: 4096, rotate: 4096, tidy: 0, window: 1024 }
}

pub(super) fn entry(at: i64) -> JournalEntry {
    JournalEntry::Watermarks(vec![Watermark { shard: 7, epoch: 3, at }; 4])
}

fn open(dir: &TempDir, options: Options) -> (Journal, Vec<(u64, JournalEntry)>) {
    Journal::open(dir.path(), options).expect("the journal opens")
}

async fn append(journal: &Journal, range: std::ops::RangeInclusive<i64>) -> u64 {
    journal.append(range.map(entry).collect()).await.expect("it is on disk")
}

/// Everything after a number, page by page.
fn read_all(journal: &Journal, mut after: u64, max_bytes: usize) -> Vec<JournalEntry> {
    let mut all = Vec::new();
    loop {
        let page = journal.read(after, max_bytes);
        assert_eq!(page.first, after.max(journal.state().forgotten) + 1);
        if page.entries.is_empty() {
            return all;
        }
        after = page.first + page.entries.len() as u64 - 1;
        all.extend(page.entries);
    }
}

fn files(dir: &TempDir) -> Vec<u64> {
    segment::list(dir.path()).expect("the folder can be read")
}

/// Waits for a fact that another thread brings about.
async fn eventually(what: &str, fact: impl Fn() -> bool) {
    let waiting = async {
        while !fact() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.expect(what);
}

#[tokio::test]
async fn acknowledged_entries_are_there_after_a_restart() {
    let dir = TempDir::new().expect("a folder");
    let (journal, old) = open(&dir, Options::default());
    assert!(old.is_empty());
    assert_eq!(append(&journal, 1..=3).await, 3);
    assert_eq!(append(&journal, 4..=4).await, 4);
    assert_eq!(*journal.synced().borrow(), 4);
    let before = journal.state();
    drop(journal);
    let (journal, old) = open(&dir, Options::default());
    let expected: Vec<_> = (1..=4).map(|i| (i as u64, entry(i))).collect();
    assert_eq!(old, expected);
    assert_eq!(journal.state().incarnation, before.incarnation);
    assert_eq!(append(&journal, 5..=5).await, 5, "the sequence goes on");
}

#[tokio::test]
async fn a_wiped_folder_is_a_new_incarnation() {
    let dir = TempDir::new().expect("a folder");
    let inside = dir.path().join("journal");
    let (journal, _) = Journal::open(&inside, small()).expect("it opens");
    append(&journal, 1..=3).await;
    let first = journal.state().incarnation;
    drop(journal);
    std::fs::remove_dir_all(&inside).expect("wiped");
    let (journal, old) = Journal::open(&inside, small()).expect("it opens");
    assert!(old.is_empty());
    assert_ne!(journal.state().incarnation, first);
    assert_eq!(append(&journal, 9..=9).await, 1);
}

#[tokio::test]
async fn a_tail_torn_at_any_byte_is_cut_and_the_rest_is_kept() {
    let dir = TempDir::new().expect("a folder");
    let (journal, _) = open(&dir, small());
    append(&journal, 1..=1).await;
    append(&journal, 2..=2).await;
    let two = segment::HEADER + journal.state().bytes;
    append(&journal, 3..=4).await;
    let four = segment::HEADER + journal.state().bytes;
    drop(journal);
    let path = segment::path(dir.path(), 1);
    let whole = std::fs::read(&path).expect("the file");
    for cut in two..four {
        for zeroed in [false, true] {
            // The file ends there, or its later pages never got to the disk.
            let mut bytes = whole[..cut as usize].to_vec();
            if zeroed {
                bytes.resize(whole.len(), 0);
            }
            std::fs::write(&path, bytes).expect("written");
            let (journal, old) = open(&dir, small());
            let third = two + (four - two) / 2;
            let expected = if cut < third { 2 } else { 3 };
            assert_eq!(old.len(), expected, "cut at {cut}");
            append(&journal, 50..=50).await;
            drop(journal);
            let (_, old) = open(&dir, small());
            assert_eq!(old.last(), Some(&(expected as u64 + 1, entry(50))), "cut at {cut}");
        }
    }
}

#[tokio::test]
async fn entries_behind_the_tear_of_a_torn_write_do_not_come_back() {
    let dir = TempDir::new().expect("a folder");
    let (journal, _) = open(&dir, small());
    append(&journal, 1..=1).await;
    let one = segment::HEADER + journal.state().bytes;
    append(&journal, 2..=4).await;
    drop(journal);
    // The first page of the last write is lost, its later ones are there.
    let file = OpenOptions::new().write(true).open(segment::path(dir.path(), 1)).expect("the file");
    file.write_all_at(&[0; 20], one).expect("written");
    let (journal, old) = open(&dir, small());
    assert_eq!(old, [(1, entry(1))]);
    append(&journal, 7..=7).await;
    drop(journal);
    let (_, old) = open(&dir, small());
    assert_eq!(old, [(1, entry(1)), (2, entry(7))]);
}

#[tokio::test]
async fn damage_to_a_safe_record_is_refused_with_its_position() {
    let dir = TempDir::new().expect("a folder");
    let (journal, _) = open(&dir, small());
    for i in 1..=3 {
        append(&journal, i..=i).await;
    }
    drop(journal);
    let path = segment::path(dir.path(), 1);
    let whole = std::fs::read(&path).expect("the file");
    for at in [0, 20, segment::HEADER + 5, segment::HEADER + 30] {
        let mut bytes = whole.clone();
        bytes[at as usize] ^= 0x40;
        std::fs::write(&path, &bytes).expect("written");
        let error = Journal::open(dir.path(), small()).expect_err("it is damaged");
        assert!(matches!(error, Error::Damaged { .. }), "at {at}: {error}");
    }
}

#[tokio::test]
async fn reads_reach_over_memory_and_files_and_keep_to_their_size() {
    let dir = TempDir::new().expect("a folder");
    let (journal, _) = open(&dir, small());
    for i in 0..40 {
        append(&journal, i * 10 + 1..=i * 10 + 10).await;
    }
    assert!(files(&dir).len() > 3);
    let expected: Vec<_> = (1..=400).map(entry).collect();
    for max_bytes in [0, 100, 1_000, 1 << 20] {
        assert_eq!(read_all(&journal, 0, max_bytes), expected, "{max_bytes}");
    }
    for after in [1, 57, 200, 390, 399] {
        assert_eq!(read_all(&journal, after, 300), expected[after as usize..], "{after}");
    }
    let one = journal.read(5, 0);
    assert_eq!((one.first, one.entries.len()), (6, 1), "at least one");
    let size = journal.read(0, 1_000).entries.len();
    assert!((10..40).contains(&size), "{size} entries of about 45 bytes");
    assert_eq!(journal.read(400, 1_000).entries, []);
    assert_eq!(journal.read(u64::MAX, 1_000).entries, []);
    // The same after a restart.
    drop(journal);
    let (journal, old) = open(&dir, small());
    assert_eq!(old.len(), 400);
    assert_eq!(read_all(&journal, 123, 500), expected[123..]);
}

#[tokio::test]
async fn forgotten_entries_leave_memory_and_disk() {
    let dir = TempDir::new().expect("a folder");
    let (journal, _) = open(&dir, small());
    for i in 0..40 {
        append(&journal, i * 10 + 1..=i * 10 + 10).await;
    }
    let incarnation = journal.state().incarnation;
    let (many, bytes) = (files(&dir).len(), journal.state().bytes);
    journal.forget(incarnation ^ 1, 300);
    assert_eq!(journal.state().forgotten, 0, "another journal's number");
    journal.forget(incarnation, 300);
    journal.forget(incarnation, 200);
    assert_eq!(journal.state().forgotten, 300, "never back");
    assert!(journal.state().bytes < bytes / 2);
    eventually("files go", || files(&dir).get(1).is_none_or(|first| *first > 301)).await;
    assert!(files(&dir).len() < many);
    assert_eq!(journal.read(0, 1).first, 301);
    assert_eq!(read_all(&journal, 0, 500), (301..=400).map(entry).collect::<Vec<_>>());
    journal.forget(incarnation, 400);
    eventually("one empty file is left", || files(&dir) == [401]).await;
    assert_eq!(journal.state().bytes, 0);
    assert_eq!(append(&journal, 401..=401).await, 401);
    drop(journal);
    let (journal, old) = open(&dir, small());
    assert_eq!(old, [(401, entry(401))]);
    assert_eq!(journal.state().incarnation, incarnation);
}

#[tokio::test]
async fn appends_at_the_same_time_share_their_syncs() {
    let dir = TempDir::new().expect("a folder");
    let (journal, _) = open(&dir, Options { min_free: 0, ..Options::default() });
    let appends = (0..500).map(|i| {
        let journal = journal.clone();
        async move { (i, append(&journal, i..=i).await) }
    });
    let mut answers = futures_util::future::join_all(appends).await;
    answers.sort_by_key(|(_, seq)| *seq);
    let all = journal.read(0, usize::MAX).entries;
    assert_eq!(all.len(), 500);
    for (place, (i, seq)) in answers.iter().enumerate() {
        assert_eq!(*seq, place as u64 + 1);
        assert_eq!(all[place], entry(*i), "answered with its own number");
    }
    assert!(journal.state().syncs < 250, "{} syncs for 500 appends", journal.state().syncs);
}

#[tokio::test]
async fn too_many_uncollected_entries_leave_no_room_until_they_are_forgotten() {
    let dir = TempDir::new().expect("a folder");
    let (journal, _) = open(&dir, Options { max_bytes: 2_000, ..small() });
    assert!(journal.state().has_room, "{:?}", journal.state());
    append(&journal, 1..=100).await;
    let state = journal.state();
    assert!(!state.has_room);
    assert!(state.trouble.is_some_and(|t| t.contains("collected")));
    append(&journal, 101..=101).await; // results under way can still be noted
    journal.forget(state.incarnation, 101);
    assert!(journal.state().has_room);
}

#[tokio::test]
async fn a_disk_below_its_reserve_leaves_no_room() {
    let dir = TempDir::new().expect("a folder");
    let (journal, _) = open(&dir, Options { min_free: u64::MAX, ..small() });
    let state = journal.state();
    assert!(!state.has_room && !state.failed, "it may come back");
    assert!(state.trouble.is_some_and(|t| t.contains("free on the disk")));
}

#[tokio::test]
async fn an_old_copy_of_the_folder_stops_the_node() {
    let dir = TempDir::new().expect("a folder");
    let (journal, _) = open(&dir, small());
    append(&journal, 1..=5).await;
    journal.forget(journal.state().incarnation, 9);
    let state = journal.state();
    assert!(!state.has_room && state.failed);
    assert_eq!(state.forgotten, 0);
    assert!(matches!(journal.append(vec![entry(6)]).await, Err(Error::Failed(_))));
}

/// Appends a second and bytes an entry; run with `--release -- --ignored --nocapture` to measure.
#[tokio::test]
#[ignore = "a measurement"]
async fn appends_a_second() {
    let dir = TempDir::new_in(".").expect("a folder");
    let (journal, _) = open(&dir, Options::default());
    let start = std::time::Instant::now();
    for _ in 0..50 {
        let appends = (0..1_000).map(|i| append(&journal, i..=i));
        futures_util::future::join_all(appends).await;
    }
    let state = journal.state();
    println!("{:.0} appends/s, {} syncs", 50_000.0 / start.elapsed().as_secs_f64(), state.syncs);
    assert_eq!(state.synced, 50_000);
}
