//! The journal after a power cut at every operation on the disk: entries that were acknowledged are
//! there with their numbers, no other entries come back, and the journal goes on.

use super::tests::entry;
use super::*;
use crate::disk::recorder::{DiskRecorder, Loss, quick_dir};
use crate::model::attempt::JournalEntry;

/// Small sizes, so that files come and go.
fn options() -> Options {
    Options { max_bytes: 1 << 20, min_free: 0, reserve: 1024, rotate: 1500, tidy: 0, window: 500 }
}

/// The facts when `at` operations were done.
struct Fact {
    at: usize,
    /// The last entry that had been acknowledged.
    answered: u64,
    /// The last entry that the journal had been told to forget.
    forgotten: u64,
    /// The last entry that had been appended.
    given: u64,
}

/// Appends that share syncs, and forgetting.
async fn live(journal: &Journal, recorder: &DiskRecorder) -> Vec<Fact> {
    let incarnation = journal.state().incarnation;
    let (mut answered, mut forgotten, mut facts) = (0, 0, Vec::new());
    for round in 0..24_u64 {
        let lengths: Vec<u64> = (0..=round % 3).map(|i| 1 + (round + i) % 4).collect();
        let given = answered + lengths.iter().sum::<u64>();
        facts.push(Fact { at: recorder.len(), answered, forgotten, given });
        let (mut from, mut appends) = (answered, Vec::new());
        for length in lengths {
            let entries = (from + 1..=from + length).map(|seq| entry(seq as i64)).collect();
            appends.push(journal.append(entries));
            from += length;
        }
        // They are polled in order, so that each gets the numbers that come next.
        let last = futures_util::future::join_all(appends).await.pop().unwrap().unwrap();
        assert_eq!(last, given);
        answered = given;
        if round % 5 == 4 {
            // Sometimes all are forgotten: then the last file is replaced, too.
            forgotten = if round % 10 == 9 { answered } else { answered - 3 };
        }
        facts.push(Fact { at: recorder.len(), answered, forgotten, given });
        journal.forget(incarnation, forgotten);
    }
    facts.push(Fact { at: recorder.len(), answered, forgotten, given: answered });
    facts
}

fn check(old: &[(u64, JournalEntry)], synced: u64, fact: &Fact) -> Result<(), String> {
    let first = old.first().map_or(synced + 1, |(seq, _)| *seq);
    let whole = old.iter().zip(first..).all(|((seq, e), n)| *seq == n && *e == entry(n as i64));
    let there = first + old.len() as u64 == synced + 1;
    let bounds = synced >= fact.answered && synced <= fact.given && first <= fact.forgotten + 1;
    if whole && there && bounds {
        return Ok(());
    }
    Err(format!(
        "{} entries from {first} to {synced} (whole: {whole}); answered up to {}, forgotten up to \
         {}, given up to {}",
        old.len(),
        fact.answered,
        fact.forgotten,
        fact.given
    ))
}

#[tokio::test]
async fn a_power_cut_at_any_operation_loses_no_acknowledged_entry() {
    let dir = quick_dir();
    let recorder = DiskRecorder::begin(dir.path());
    let (journal, _) = Journal::open(&dir.path().join("journal"), options()).unwrap();
    let (opened, incarnation) = (recorder.len(), journal.state().incarnation);
    let facts = live(&journal, &recorder).await;
    drop(journal);
    let nothing = Fact { at: 0, answered: 0, forgotten: 0, given: 0 };
    for cut in 0..=recorder.len() {
        let fact = facts.iter().rev().find(|fact| fact.at <= cut).unwrap_or(&nothing);
        for loss in Loss::few(cut, 5) {
            let place = format!("cut at {cut}, {loss:?}");
            let left = recorder.power_cut(cut, loss);
            let inside = left.path().join("journal");
            let open = || Journal::open(&inside, options());
            let (journal, old) = open().unwrap_or_else(|e| panic!("{place}: {e}"));
            let state = journal.state();
            check(&old, state.synced, fact).unwrap_or_else(|e| panic!("{place}: {e}"));
            assert!(cut < opened || state.incarnation == incarnation, "{place}: another journal");
            let seq = journal.append(vec![entry(9_999)]).await.unwrap();
            assert_eq!(seq, state.synced + 1, "{place}");
            drop(journal);
            let (journal, old) = open().unwrap_or_else(|e| panic!("{place}, then: {e}"));
            assert_eq!(old.last(), Some(&(seq, entry(9_999))), "{place}");
            assert_eq!(journal.state().incarnation, state.incarnation, "{place}");
        }
        // A process that is killed may have shown entries to the collector: they must outlive a
        // power cut.
        let (dir, recorder) = recorder.killed(cut);
        let (journal, old) = Journal::open(&dir.path().join("journal"), options()).unwrap();
        let state = journal.state();
        check(&old, state.synced, fact).unwrap_or_else(|e| panic!("killed at {cut}: {e}"));
        drop(journal);
        let left = recorder.power_cut(recorder.len(), Loss::All);
        let (journal, again) = Journal::open(&left.path().join("journal"), options()).unwrap();
        assert_eq!(again, old, "killed at {cut}, then a power cut");
        assert_eq!(journal.state().incarnation, state.incarnation, "killed at {cut}");
    }
}

#[tokio::test]
async fn bytes_behind_the_last_whole_record_are_cut() {
    let dir = quick_dir();
    let (journal, _) = Journal::open(dir.path(), options()).unwrap();
    for seq in 1..=4 {
        journal.append(vec![entry(seq)]).await.unwrap();
    }
    let end = (segment::HEADER + journal.state().bytes) as usize;
    drop(journal);
    let path = segment::path(dir.path(), 1);
    let whole = std::fs::read(&path).unwrap();
    let record = whole[end - (end - segment::HEADER as usize) / 4..end].to_vec();
    let tails: [(&str, Vec<u8>); 4] = [
        ("zeros, as space that was reserved", vec![0; 3_000]),
        ("garbage", (0..777_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 9) as u8).collect()),
        ("ones", vec![0xff; 40]),
        ("half an old record", record[..record.len() / 2].to_vec()),
    ];
    for (what, tail) in tails {
        for length in (0..=tail.len()).step_by(tail.len().div_ceil(40)) {
            std::fs::write(&path, [&whole[..end], &tail[..length]].concat()).unwrap();
            let (journal, old) = Journal::open(dir.path(), options()).unwrap();
            assert_eq!(old.len(), 4, "{length} of {what}");
            assert_eq!(journal.append(vec![entry(5)]).await.unwrap(), 5, "{length} of {what}");
            drop(journal);
            let (_, old) = Journal::open(dir.path(), options()).unwrap();
            assert_eq!(old.last(), Some(&(5, entry(5))), "{length} of {what}");
        }
    }
}

#[tokio::test]
async fn a_file_before_the_last_that_ends_early_refuses_to_start() {
    let dir = quick_dir();
    let (journal, _) = Journal::open(dir.path(), options()).unwrap();
    for seq in 1..=60 {
        journal.append(vec![entry(seq)]).await.unwrap();
    }
    drop(journal);
    assert!(segment::list(dir.path()).unwrap().len() > 1, "several files");
    let path = segment::path(dir.path(), 1);
    let whole = std::fs::read(&path).unwrap();
    for cut in (0..whole.len()).step_by(7) {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let error =
            Journal::open(dir.path(), options()).map(|_| ()).expect_err("something is lost");
        assert!(matches!(error, Error::Damaged { .. }), "cut at {cut}: {error}");
    }
}
