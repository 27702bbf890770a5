//! Firing: 100,000 jobs that are due together are taken out of the queue and put back for their
//! next instant. It is compared with the ordinary way, a heap of jobs, and with the least that must
//! be done: naming the jobs one by one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput};
use scheduler0::model::delivery::Misfire;
use scheduler0::model::shard::{SHARDS, shard_of};
use scheduler0::schedule::{DstRule, Schedule};
use scheduler0::worker::queue::{DueQueue, Member, Moment, Pauses, Plan, ShardQueue};

const JOBS: u64 = 100_000;
const PERIOD: i64 = 60_000;
const AT: i64 = 1_763_700_000_000;

pub(crate) fn fire(c: &mut Criterion) {
    let mut group = c.benchmark_group("queue/100,000 due together");
    group.throughput(Throughput::Elements(JOBS));

    let mut queue = classes();
    let pauses = Pauses::default();
    let mut now = AT;
    group.bench_function("ours", |b| {
        b.iter(|| {
            now += PERIOD;
            let moment =
                Moment { until: now, now, caught_up_to: now, grace: PERIOD, pauses: &pauses };
            let mut jobs = 0;
            while let Some((_, popped)) = queue.pop(&moment, |_| i64::MAX) {
                let members = popped.fire.iter().flat_map(|fire| fire.members.iter());
                jobs += members.fold(0, |n, job| n + u64::from(black_box(job) > 0));
            }
            assert_eq!(jobs, JOBS);
        });
    });

    let mut heap: BinaryHeap<_> = (1..=JOBS).map(|job| Reverse((AT, job))).collect();
    let mut now = AT;
    group.bench_function("heap of jobs", |b| {
        b.iter(|| {
            let mut jobs = 0;
            while let Some(mut first) = heap.peek_mut().filter(|first| first.0.0 <= now) {
                jobs += u64::from(black_box(first.0.1) > 0);
                first.0.0 = now + PERIOD;
            }
            now += PERIOD;
            assert_eq!(jobs, JOBS);
        });
    });

    group.bench_function("naming them", |b| {
        b.iter(|| (1..=JOBS).fold(0, |n, job| n + u64::from(black_box(job) > 0)));
    });
    group.finish();
}

fn classes() -> DueQueue {
    let schedule = Schedule::parse("@every 1m", chrono_tz::UTC, DstRule::default(), 0).unwrap();
    let misfire = Misfire::default();
    let plan = Plan {
        definition: 1,
        project: 1,
        schedule,
        seed: None,
        start: None,
        end: None,
        jitter: 0,
        misfire,
    };
    let plan = Arc::new(plan);
    let mut parts: Vec<_> = (0..SHARDS).map(|_| ShardQueue::new(AT, i64::MAX)).collect();
    for job in 1..=JOBS {
        let member = Member::from(job, AT, AT);
        parts[usize::from(shard_of(job))].add(&plan, member);
    }
    let mut queue = DueQueue::default();
    for (shard, part) in parts.into_iter().enumerate() {
        queue.insert((shard as u16, 1), part);
    }
    queue
}
