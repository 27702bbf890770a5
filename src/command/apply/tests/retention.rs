//! Does forgetting slow recording down? History at its limit, steady recording, `Retain` beside it.
//! A measurement, not run with the others:
//! `cargo test --release --lib retention -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use super::*;
use crate::store::attempts;

/// Records that are kept: what the history holds in the long run.
const KEPT: i64 = 400_000;
/// Records a record: what a second of a big cluster comes to.
const WIDE: i64 = 64;
/// Records a round.
const ROUNDS: i64 = 1_500;
/// `coordinator::housekeeping` drops as many an entry.
const LIMIT: i64 = 2_000;

/// A journal that goes on, 64 records an entry, each of a shard's jobs at one instant.
struct Journal {
    state: ApplyFixture,
    written: i64,
}

impl Journal {
    fn write(&mut self) -> Duration {
        let entries = (0..WIDE).map(|i| {
            let instant = START + self.written / WIDE * 1_000;
            let first = i as u64 * 64;
            let record = record(first + 1..first + 60, Verdict::Delivered);
            JournalEntry::Attempt(AttemptRecord {
                due: instant,
                scheduled: instant,
                shard: i as u16,
                ..record
            })
        });
        let first = self.written as u64 + 1;
        let entries = entries.collect();
        self.written += WIDE;
        let batch = Command::Record(JournalBatch { node: 1, incarnation: 1, first, entries });
        let begun = Instant::now();
        self.state.done(batch);
        begun.elapsed()
    }

    fn retain(&mut self) -> Duration {
        let begun = Instant::now();
        let before = Command::Retain { before: i64::MAX, dead_letters: START, limit: LIMIT as u32 };
        assert_eq!(self.state.done(before), Outcome::Dropped(LIMIT as u32));
        begun.elapsed()
    }
}

fn told(name: &str, mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    let at = |part: usize| took[(took.len() - 1) * part / 100];
    println!("{name}: p50 {:.1?}, p99 {:.1?}, most {:.1?}", at(50), at(99), at(100));
    at(99)
}

#[test]
#[ignore = "a measurement"]
fn forgetting_does_not_slow_recording_down() {
    let mut journal = Journal { state: ApplyFixture::new(), written: 0 };
    while journal.written < KEPT {
        journal.write();
    }
    let alone: Vec<_> = (0..ROUNDS).map(|_| journal.write()).collect();
    // All that is written may be dropped.
    let end = START + journal.written * 1_000;
    let entries = (0..SHARDS).map(|shard| mark(shard, 1, end)).collect();
    journal.state.done(Command::Record(JournalBatch {
        node: 1,
        incarnation: 2,
        first: 1,
        entries,
    }));
    let (mut beside, mut retains) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // As much goes as comes.
        if round % (LIMIT / WIDE) == 0 {
            retains.push(journal.retain());
        }
        beside.push(journal.write());
    }
    let bytes = journal.state.read(attempts::bytes);
    println!("{} blocks kept, {} MB", journal.state.count("blocks"), bytes / 1_000_000);
    let alone = told("a record of 64 blocks alone", alone);
    let beside = told("a record with retain beside it", beside);
    let retain = told("a retain of 2,000 blocks", retains);
    assert!(beside < 3 * alone + Duration::from_millis(5), "{beside:?} beside, {alone:?} alone");
    assert!(retain < Duration::from_millis(200), "writes wait behind it: {retain:?}");
}
