//! The log after a power cut at every operation on the disk: what was acknowledged is there, what
//! was not is there or not, and it goes on.

use std::path::Path;

use openraft::RaftLogReader;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogStorage, RaftLogStorageExt};
use openraft::type_config::TypeConfigExt;

use super::segment::{MARKS, path_of};
use super::store::LogStore;
use super::tests::{entry, id};
use crate::disk::recorder::{DiskRecorder, Loss, quick_dir};
use crate::raft::types::{Entry, LogId, TypeConfig, Vote};

/// So small that there are many.
const SEGMENT: u64 = 600;

/// The content of a log.
#[derive(Clone, Debug, Default, PartialEq)]
struct State {
    vote: Option<Vote>,
    purged: Option<LogId>,
    entries: Vec<Entry>,
}

impl State {
    fn last(&self) -> Option<LogId> {
        self.entries.last().map(RaftEntry::log_id).or(self.purged)
    }

    fn next(&self) -> u64 {
        self.last().map_or(0, |last| last.index + 1)
    }
}

/// A request that was made when so many operations were done, answered when so many were, and the
/// states before and after it.
struct Request {
    asked: usize,
    answered: usize,
    what: Operation,
    before: State,
    after: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operation {
    Append,
    Truncate,
    Purge,
    Vote,
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % n
    }
}

async fn state(log: &mut LogStore) -> State {
    State {
        vote: log.read_vote().await.unwrap(),
        purged: log.get_log_state().await.unwrap().last_purged_log_id,
        entries: log.try_get_log_entries(..).await.unwrap(),
    }
}

/// Drops it and waits until its thread is gone.
fn close(log: LogStore) {
    let thread = log.joiner();
    drop(log);
    thread.lock().unwrap().take().unwrap().join().unwrap();
}

/// A life of a log: appends that overlap, hints, votes, truncations and purges.
async fn live(log: &mut LogStore, recorder: &DiskRecorder, random: &mut Random) -> Vec<Request> {
    let mut requests = Vec::new();
    let (mut now, mut term) = (State::default(), 1);
    for _ in 0..45 {
        let (asked, before) = (recorder.len(), now.clone());
        let what = match random.below(9) {
            0 => {
                term += 1;
                now.vote = Some(Vote::new(term, random.below(3)));
                log.save_vote(&now.vote.unwrap()).await.unwrap();
                Operation::Vote
            }
            1 if now.entries.len() > 1 => {
                let keep = random.below(now.entries.len() as u64) as usize;
                now.entries.truncate(keep);
                term += 1;
                log.truncate_after(now.last()).await.unwrap();
                Operation::Truncate
            }
            2 if now.entries.len() > 3 => {
                let upto = now.entries[random.below(now.entries.len() as u64) as usize].log_id();
                // Now and then to the end, or beyond it, as after the install of a snapshot.
                let upto = match random.below(4) {
                    0 => now.last().unwrap(),
                    1 => id(term, now.next() + 3),
                    _ => upto,
                };
                now.entries.retain(|entry| entry.index() > upto.index);
                now.purged = Some(upto);
                log.purge(upto).await.unwrap();
                Operation::Purge
            }
            _ => {
                let mut waiting = Vec::new();
                for _ in 0..=random.below(3) {
                    let some = (0..=random.below(3))
                        .map(|i| {
                            entry(term, now.next() + i, [20, 90, 400][random.below(3) as usize])
                        })
                        .collect::<Vec<_>>();
                    now.entries.extend(some.iter().cloned());
                    let (done, answer) = TypeConfig::oneshot();
                    log.append(some, IOFlushed::signal(done)).await.unwrap();
                    waiting.push(answer);
                    if random.below(2) == 0 {
                        log.save_committed(now.last()).await.unwrap();
                    }
                }
                for answer in waiting {
                    answer.await.unwrap().unwrap();
                }
                Operation::Append
            }
        };
        requests.push(Request {
            asked,
            answered: recorder.len(),
            what,
            before,
            after: now.clone(),
        });
    }
    requests
}

/// Checks that a log may be like this when the power went after so many operations.
fn may_be(found: &State, requests: &[Request], after: usize) -> Result<(), String> {
    let acknowledged = requests.iter().rev().find(|request| request.answered <= after);
    let base = acknowledged.map_or_else(State::default, |request| request.after.clone());
    let open = requests.iter().find(|r| r.asked <= after && r.answered > after);
    let what = open.map(|request| request.what);
    let end = open.map_or(&base, |request| &request.after);
    if let Some(request) = open {
        assert_eq!(request.before, base, "one request after the other");
    }
    let vote = found.vote == base.vote || (what == Some(Operation::Vote) && found.vote == end.vote);
    let purged = found.purged == end.purged && found.entries == end.entries;
    let (has, had, will) = (&found.entries, &base.entries, &end.entries);
    let entries = match what {
        Some(Operation::Append) => will.starts_with(has) && has.starts_with(had),
        Some(Operation::Truncate) => had.starts_with(has) && has.starts_with(will),
        _ => has == had,
    };
    let kept = found.purged == base.purged && entries;
    if vote && (kept || (what == Some(Operation::Purge) && purged)) {
        return Ok(());
    }
    Err(format!("{what:?} was open:\n found {found:?}\n acknowledged {base:?}\n asked for {end:?}"))
}

#[tokio::test]
async fn a_power_cut_at_any_operation_loses_nothing_that_was_acknowledged() {
    for seed in 1..=3 {
        let dir = quick_dir();
        let recorder = DiskRecorder::begin(dir.path());
        let inside = dir.path().join("raft");
        let mut log = LogStore::open_with(&inside, SEGMENT).unwrap();
        let requests = live(&mut log, &recorder, &mut Random(seed)).await;
        close(log);
        for cut in 0..=recorder.len() {
            for loss in Loss::few(cut, 4) {
                let place = format!("seed {seed}, cut at {cut}, {loss:?}");
                let left = recorder.power_cut(cut, loss);
                let inside = left.path().join("raft");
                let open = || LogStore::open_with(&inside, SEGMENT);
                let mut log = open().unwrap_or_else(|e| panic!("{place}: {e}"));
                let mut found = state(&mut log).await;
                may_be(&found, &requests, cut).unwrap_or_else(|e| panic!("{place}: {e}"));
                let committed = log.read_committed().await.unwrap();
                assert!(committed <= found.last(), "{place}: {committed:?} of {found:?}");
                // And it goes on from there.
                let more = entry(99, found.next(), 30);
                log.blocking_append([more.clone()]).await.unwrap();
                found.entries.push(more);
                close(log);
                let mut log = open().unwrap_or_else(|e| panic!("{place}, then: {e}"));
                assert_eq!(state(&mut log).await, found, "{place}");
                close(log);
            }
        }
    }
}

#[tokio::test]
async fn what_was_read_after_a_kill_is_there_after_a_power_cut() {
    let dir = quick_dir();
    let recorder = DiskRecorder::begin(dir.path());
    let mut log = LogStore::open_with(&dir.path().join("raft"), SEGMENT).unwrap();
    let requests = live(&mut log, &recorder, &mut Random(7)).await;
    close(log);
    for cut in 0..=recorder.len() {
        let (dir, recorder) = recorder.killed(cut);
        let mut log = LogStore::open_with(&dir.path().join("raft"), SEGMENT).unwrap();
        let found = state(&mut log).await;
        may_be(&found, &requests, cut).unwrap_or_else(|e| panic!("killed at {cut}: {e}"));
        close(log);
        let left = recorder.power_cut(recorder.len(), Loss::All);
        let mut log = LogStore::open_with(&left.path().join("raft"), SEGMENT).unwrap();
        assert_eq!(state(&mut log).await, found, "killed at {cut}, then a power cut");
        close(log);
    }
}

/// Copies a log's folder with other bytes in one of its files.
fn with(dir: &Path, name: &Path, bytes: &[u8]) -> tempfile::TempDir {
    let copy = quick_dir();
    for file in std::fs::read_dir(dir).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    std::fs::write(copy.path().join(name.file_name().unwrap()), bytes).unwrap();
    copy
}

#[tokio::test]
async fn whatever_follows_the_last_whole_record_is_cut() {
    let dir = quick_dir();
    let mut log = LogStore::open_with(dir.path(), 1 << 20).unwrap();
    for index in 0..4 {
        log.blocking_append([entry(1, index, 50)]).await.unwrap();
    }
    let whole = state(&mut log).await;
    close(log);
    let path = path_of(dir.path(), 1);
    let bytes = std::fs::read(&path).unwrap();
    let record = &bytes[bytes.len() - 60..];
    let tails: [(&str, Vec<u8>); 5] = [
        ("zeros, as a file that was extended", vec![0; 5_000]),
        ("garbage", (0..777_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 9) as u8).collect()),
        ("ones", vec![0xff; 40]),
        ("the end of an old record", record.to_vec()),
        ("zeros and then a record", [&[0; 512], record].concat()),
    ];
    for (what, tail) in tails {
        for length in (1..=tail.len()).step_by(tail.len().div_ceil(40)) {
            let copy = with(dir.path(), &path, &[&bytes, &tail[..length]].concat());
            let mut log = LogStore::open_with(copy.path(), 1 << 20).unwrap();
            assert_eq!(state(&mut log).await, whole, "{length} of {what}");
            log.blocking_append([entry(2, 4, 9)]).await.unwrap();
            close(log);
            let mut log = LogStore::open_with(copy.path(), 1 << 20).unwrap();
            assert_eq!(state(&mut log).await.next(), 5, "{length} of {what}");
            close(log);
        }
    }
}

#[tokio::test]
async fn damaged_marks_and_whole_segments_that_end_early_refuse_to_start() {
    let dir = quick_dir();
    let mut log = LogStore::open_with(dir.path(), 200).unwrap();
    for index in 0..8 {
        log.blocking_append([entry(1, index, 50)]).await.unwrap();
    }
    log.save_vote(&Vote::new(3, 1)).await.unwrap();
    close(log);
    let refusal = |name: &Path, bytes: &[u8]| {
        let copy = with(dir.path(), name, bytes);
        LogStore::open_with(copy.path(), 200).err().map(|error| error.to_string())
    };
    let marks = dir.path().join(MARKS);
    let bytes = std::fs::read(&marks).unwrap();
    for cut in 0..bytes.len() {
        let error = refusal(&marks, &bytes[..cut]).expect("a vote must not be forgotten");
        assert!(error.contains("marks") && error.contains("damaged"), "cut at {cut}: {error}");
    }
    // A segment that is not the last was whole before the next one was begun.
    let first = path_of(dir.path(), 1);
    let bytes = std::fs::read(&first).unwrap();
    for cut in 0..bytes.len() {
        // Between two records nothing is damaged, but the entries after it are missing.
        let error = refusal(&first, &bytes[..cut]).unwrap_or_else(|| panic!("cut at {cut}"));
        let told = error.contains("0000000001.log is damaged") || error.contains("is missing");
        assert!(told, "cut at {cut}: {error}");
        let mut flipped = bytes.clone();
        flipped[cut] ^= 0x10;
        let error = refusal(&first, &flipped).unwrap_or_else(|| panic!("flipped at {cut}"));
        assert!(error.contains("0000000001.log"), "flipped at {cut}: {error}");
    }
}
