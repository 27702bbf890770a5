//! The record of a request for 1,560 jobs of one shard, encoded and decoded. It is compared with
//! the plain ids, eight bytes each, which a row for each execution needs at least.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use scheduler0::command::{Command, LEVEL, Proposal};
use scheduler0::model::attempt::{AttemptRecord, JournalBatch, JournalEntry, Occurrences, Verdict};
use scheduler0::model::members::Members;
use scheduler0::model::result_code::ResultCode;

/// Jobs in the record.
pub(crate) const JOBS: u64 = 1_560;

/// Ids of one shard as a cluster of 100,000 jobs has them: runs of 64.
pub(crate) fn ids(shard: u64) -> impl Iterator<Item = u64> {
    let runs = (0..).map(move |turn| (turn * 64 + shard) * 64);
    runs.flat_map(|first| first..first + 64).filter(|id| *id > 0).take(JOBS as usize)
}

/// A request of one shard, delivered.
pub(crate) fn attempt(shard: u64, due: i64) -> AttemptRecord {
    let (members, shard) = (Members::from_sorted(ids(shard)), shard as u16);
    let occurrences = Occurrences { project: 1, shard, epoch: 1, due, scheduled: due, members };
    AttemptRecord {
        result: ResultCode::Http(200),
        started: due + 3,
        duration: 2,
        ..AttemptRecord::attempt(occurrences, Verdict::Delivered)
    }
}

pub(crate) fn code(c: &mut Criterion) {
    let mut group = c.benchmark_group("block/1,560 members");
    group.throughput(Throughput::Elements(JOBS));
    let jobs: Vec<u64> = ids(3).collect();

    group.bench_function("ours, members only", |b| {
        b.iter(|| Members::from_sorted(black_box(&jobs).iter().copied()).iter().sum::<u64>());
    });
    group.bench_function("ours, as a log entry", |b| {
        let batch = JournalBatch { node: 1, incarnation: 7, first: 1, entries: Vec::new() };
        let entry = JournalEntry::Attempt(attempt(3, 1_763_700_000_000));
        let command = Command::Record(JournalBatch { entries: vec![entry], ..batch });
        let proposal = Proposal::from(command);
        b.iter(|| Proposal::decode(&black_box(&proposal).encode(LEVEL).unwrap()).unwrap());
    });
    group.bench_function("plain ids", |b| {
        b.iter(|| {
            let bytes: Vec<u8> = black_box(&jobs).iter().flat_map(|id| id.to_le_bytes()).collect();
            let ids = bytes.chunks_exact(8).map(|id| u64::from_le_bytes(id.try_into().unwrap()));
            ids.sum::<u64>()
        });
    });
    group.finish();
}
