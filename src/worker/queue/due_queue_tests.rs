//! The due queue against a naive model that asks every job for itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::super::pauses::Pauses;
use super::super::plan::{Member, Plan};
use super::*;
use crate::model::JobId;
use crate::model::delivery::Misfire;
use crate::model::members::Members;
use crate::schedule::{DstRule, Schedule};

const KEY: OwnershipKey = (3, 1);
const T0: Millis = 1_763_700_000_000;

fn plan(definition: u64, spec: &str) -> Arc<Plan> {
    let schedule = Schedule::parse(spec, chrono_tz::UTC, DstRule::default(), 0).unwrap();
    Arc::new(of(definition, schedule))
}

fn of(definition: u64, schedule: Schedule) -> Plan {
    let misfire = Misfire::default();
    Plan {
        definition,
        project: 1,
        schedule,
        seed: None,
        start: None,
        end: None,
        jitter: 0,
        misfire,
    }
}

/// Takes what is due at an instant; what is due before `stale` is past the grace.
fn pop(queue: &mut DueQueue, now: Millis, stale: Millis) -> Option<(OwnershipKey, Popped)> {
    let (grace, pauses) = (now.saturating_sub(stale), Pauses::default());
    let moment = Moment { until: now, now, caught_up_to: now, grace, pauses: &pauses };
    queue.pop(&moment, |_| Millis::MAX)
}

fn member(job: JobId, anchor: Millis, after: Millis) -> Member {
    Member::from(job, anchor, after)
}

/// Takes everything due by `now` and returns (due, job), in the order of the queue.
fn drain(queue: &mut DueQueue, now: Millis, stale: Millis) -> Vec<(Millis, JobId)> {
    let mut out = Vec::new();
    while let Some((_, popped)) = pop(queue, now, stale) {
        for fire in &popped.fire {
            out.extend(fire.members.iter().map(|job| (popped.due, job)));
        }
    }
    out
}

#[test]
fn jobs_of_one_schedule_fire_as_one_group() {
    let mut shard_queue = ShardQueue::new(T0, Millis::MAX);
    let every = plan(1, "@every 1m");
    for job in 64..128 {
        shard_queue.add(&every, member(job, T0, T0));
    }
    let mut queue = DueQueue::default();
    queue.insert(KEY, shard_queue);
    assert_eq!(queue.next_due(|_| Millis::MAX), Some(T0 + 60_000));
    assert!(pop(&mut queue, T0 + 59_999, 0).is_none(), "never early");
    let (key, popped) = pop(&mut queue, T0 + 60_000, 0).unwrap();
    assert_eq!((key, popped.due, popped.fire.len()), (KEY, T0 + 60_000, 1));
    assert_eq!(popped.fire[0].members, Members::from_sorted(64..128));
    assert_eq!(queue.next_due(|_| Millis::MAX), Some(T0 + 120_000));
}

#[test]
fn occurrences_that_are_due_at_once_and_scheduled_apart_both_fire() {
    // A one-off that was moved within its jitter, twice: two plans of one definition, due at one
    // instant.
    let plan = Arc::new(Plan { jitter: 10_000, ..of(1, Schedule::once()) });
    let due = |anchor| plan.of(anchor, 7).due(anchor);
    let (anchors, at) = (0..1_000)
        .map(|n| (T0 + n * 1_000, T0 + n * 1_000 + 1_000))
        .find(|(a, b)| due(*a) == due(*b))
        .map(|(a, b)| ([a, b], due(a)))
        .unwrap();
    for put_back in [false, true] {
        for ends in [[Millis::MAX; 2], [at; 2], [Millis::MAX, at]] {
            let mut shard_queue = ShardQueue::new(T0 - 1, Millis::MAX);
            for (anchor, until) in anchors.into_iter().zip(ends) {
                if put_back {
                    shard_queue.put_back(&plan, at, anchor, &Members::from_sorted([7]));
                } else {
                    shard_queue.add(&plan, Member { until, ..member(7, anchor, T0 - 1) });
                }
            }
            let mut queue = DueQueue::default();
            queue.insert(KEY, shard_queue);
            let mut fired = Vec::new();
            while let Some((_, popped)) = pop(&mut queue, at, 0) {
                assert_eq!(popped.due, at);
                fired.extend(popped.fire.iter().map(|fire| fire.scheduled));
            }
            fired.sort_unstable();
            assert_eq!(fired, anchors, "{put_back}, {ends:?}");
        }
    }
}

#[test]
fn a_promise_and_the_end_of_a_range_stop_it() {
    let mut shard_queue = ShardQueue::new(T0, Millis::MAX);
    shard_queue.add(&plan(1, "@every 1s"), member(7, T0, T0));
    let mut queue = DueQueue::default();
    queue.insert(KEY, shard_queue);
    assert_eq!(queue.next_due(|_| T0 + 999), None, "above the limit there is nothing");
    queue.get_mut(KEY).unwrap().set_until(T0 + 2_000);
    assert_eq!(drain(&mut queue, T0 + 9_000, 0), [(T0 + 1_000, 7), (T0 + 2_000, 7)]);
    assert_eq!(queue.next_due(|_| Millis::MAX), None);
}

#[test]
fn too_late_means_only_the_newest_fires_and_the_rest_is_one_range() {
    let mut shard_queue = ShardQueue::new(T0, Millis::MAX);
    shard_queue.add(&plan(1, "@every 1m"), member(7, T0, T0));
    shard_queue.add(&plan(2, "0 0 * * *"), member(8, T0, T0));
    let mut queue = DueQueue::default();
    queue.insert(KEY, shard_queue);
    let now = T0 + 10 * 60_000 + 500;
    let (_, popped) = pop(&mut queue, now, now - 60_000).unwrap();
    assert!(popped.fire.is_empty());
    let skip = &popped.skipped[0];
    assert_eq!((skip.since, skip.due), (T0 + 60_000, T0 + 9 * 60_000));
    assert_eq!(skip.members, Members::from_sorted([7]));
    assert_eq!(drain(&mut queue, now, now - 60_000), [(T0 + 10 * 60_000, 7)]);
    // An occurrence that waits alone is the newest, however late it is.
    let late = T0 + 100_000_000;
    let fired = drain(&mut queue, late, late - 60_000);
    assert_eq!(fired.iter().filter(|(_, job)| *job == 8).count(), 1);
}

#[test]
fn within_the_grace_everything_fires_oldest_first() {
    let mut shard_queue = ShardQueue::new(T0, Millis::MAX);
    shard_queue.add(&plan(1, "@every 10s"), member(7, T0, T0));
    let mut queue = DueQueue::default();
    queue.insert(KEY, shard_queue);
    let now = T0 + 55_000;
    let fired = drain(&mut queue, now, now - 60_000);
    assert_eq!(fired, (1..=5).map(|k| (T0 + k * 10_000, 7)).collect::<Vec<_>>());
}

#[test]
fn what_was_handed_back_fires_once_more_and_no_other_time() {
    let mut shard_queue = ShardQueue::new(T0, Millis::MAX);
    let every = plan(1, "@every 1s");
    shard_queue.add(&every, member(7, T0, T0));
    let mut queue = DueQueue::default();
    queue.insert(KEY, shard_queue);
    assert_eq!(drain(&mut queue, T0 + 3_000, 0).len(), 3);
    queue.get_mut(KEY).unwrap().put_back(
        &every,
        T0 + 2_000,
        T0 + 2_000,
        &Members::from_sorted([7]),
    );
    assert_eq!(queue.next_due(|_| Millis::MAX), Some(T0 + 2_000));
    assert_eq!(drain(&mut queue, T0 + 4_000, 0), [(T0 + 2_000, 7), (T0 + 4_000, 7)]);
}

#[test]
fn the_bounds_of_a_definition_bound_its_jobs() {
    let schedule = Schedule::parse("@every 1s", chrono_tz::UTC, DstRule::default(), 0).unwrap();
    let (start, end) = (Some(T0 + 3_000), Some(T0 + 5_000));
    let bounded = Arc::new(Plan { start, end, ..of(1, schedule) });
    let mut shard_queue = ShardQueue::new(T0, Millis::MAX);
    shard_queue.add(&bounded, member(7, T0, T0));
    let mut queue = DueQueue::default();
    queue.insert(KEY, shard_queue);
    let due: Vec<_> = drain(&mut queue, T0 + 60_000, 0).into_iter().map(|f| f.0 - T0).collect();
    assert_eq!(due, [3_000, 4_000, 5_000]);
}

#[derive(Clone, Debug)]
enum Op {
    Add { job: JobId, plan: usize, anchor: i64, after: i64, length: Option<i64> },
    Remove(BTreeSet<JobId>),
    Pass(i64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let job = 0_u64..40;
    let add =
        (job.clone(), 0_usize..4, 0_i64..4, -9_000_i64..9_000, prop::option::of(0_i64..20_000));
    prop::collection::vec(
        prop_oneof![
            6 => add.prop_map(|(job, plan, anchor, after, length)| {
                Op::Add { job, plan, anchor: anchor * 1_000, after, length }
            }),
            1 => prop::collection::btree_set(job, 1..10).prop_map(Op::Remove),
            3 => (1_i64..15_000).prop_map(Op::Pass),
        ],
        1..80,
    )
}

proptest! {
    #[test]
    fn it_fires_what_each_job_asked_alone_would(ops in ops()) {
        let plans = [plan(1, "@every 3s"), plan(2, "*/2 * * * * *"), plan(3, "@every 7s"), plan(4, "* * * * *")];
        let mut queue = DueQueue::default();
        queue.insert(KEY, ShardQueue::new(T0, Millis::MAX));
        let mut waiting: BTreeMap<JobId, (usize, Millis, Millis, Millis)> = BTreeMap::new();
        let mut now = T0;
        for op in ops {
            match op {
                Op::Add { job, plan, anchor, after, length } => {
                    if waiting.contains_key(&job) { continue; }
                    let (anchor, after) = (T0 + anchor, now + after);
                    let until = length.map_or(Millis::MAX, |l| after + l);
                    queue.get_mut(KEY).unwrap().add(&plans[plan], Member { until, ..Member::from(job, anchor, after) });
                    waiting.insert(job, (plan, anchor, after.max(T0), until));
                }
                Op::Remove(jobs) => {
                    queue.get_mut(KEY).unwrap().remove(&jobs.iter().copied().collect::<Vec<_>>());
                    waiting.retain(|job, _| !jobs.contains(job));
                }
                Op::Pass(by) => {
                    now += by;
                    let fired = drain(&mut queue, now, Millis::MIN);
                    prop_assert!(fired.is_sorted_by_key(|(due, _)| *due));
                    let mut naive = Vec::new();
                    for (job, (plan, anchor, after, until)) in &mut waiting {
                        while let Some(due) = plans[*plan].schedule.next(*anchor, *after)
                            .filter(|due| due <= until && *due <= now) {
                            naive.push((due, *job));
                            *after = due;
                        }
                    }
                    let mut fired = fired;
                    fired.sort_unstable();
                    naive.sort_unstable();
                    prop_assert_eq!(fired, naive);
                }
            }
        }
    }
}

/// A measurement, no check: `cargo test --release --lib queue_costs -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn queue_costs() {
    for phases in [1, 60] {
        let every = plan(1, "@every 1m");
        let mut queue = DueQueue::default();
        for shard in 0..64 {
            queue.insert((shard, 1), ShardQueue::new(T0, Millis::MAX));
        }
        let begun = std::time::Instant::now();
        for job in 0..1_000_000_u64 {
            let anchor = T0 + (job as i64 * 7_919 % phases) * 1_000;
            let shard_queue = queue.get_mut((crate::model::shard::shard_of(job), 1)).unwrap();
            shard_queue.add(&every, member(job, anchor, anchor));
        }
        let loaded = begun.elapsed();
        let keys: Vec<_> = queue.keys().collect();
        let bytes: usize = keys
            .iter()
            .map(|key| {
                let shard_queue = queue.get_mut(*key).unwrap();
                shard_queue.shrink();
                shard_queue.bytes()
            })
            .sum();
        let begun = std::time::Instant::now();
        let mut jobs = 0;
        let mut pops = 0;
        while let Some((_, popped)) = pop(&mut queue, T0 + 119_000, 0) {
            jobs += popped.fire.iter().map(|fire| fire.members.len()).sum::<u64>();
            pops += 1;
        }
        println!(
            "{phases} phases: {:.1} B a job, loaded in {loaded:?}; {jobs} jobs in {pops} pops in {:?}",
            bytes as f64 / 1e6,
            begun.elapsed()
        );
    }
}

/// As [`queue_costs`], for one-offs at instants of their own, and for jobs with jitter.
#[test]
#[ignore = "a measurement"]
fn single_costs() {
    let once = Arc::new(of(1, Schedule::once()));
    let minutes = Schedule::parse("0 * * * *", chrono_tz::UTC, DstRule::default(), 0).unwrap();
    let jittered = Arc::new(Plan { jitter: 3_600_000, ..of(2, minutes) });
    for (what, plan, step) in
        [("one-offs, all alike", &once, 0), ("one-offs", &once, 7_919), ("jitter", &jittered, 0)]
    {
        let mut queue = DueQueue::default();
        for shard in 0..64 {
            queue.insert((shard, 1), ShardQueue::new(T0, Millis::MAX));
        }
        let begun = std::time::Instant::now();
        for job in 0..100_000_u64 {
            let anchor = T0 + 1_000 + (job as i64 * step) % 100_003;
            let shard_queue = queue.get_mut((crate::model::shard::shard_of(job), 1)).unwrap();
            shard_queue.add(plan, member(job, anchor, T0));
        }
        let loaded = begun.elapsed();
        let mut bytes = 0;
        for key in queue.keys().collect::<Vec<_>>() {
            let shard_queue = queue.get_mut(key).unwrap();
            shard_queue.shrink();
            bytes += shard_queue.bytes();
        }
        let begun = std::time::Instant::now();
        let (mut jobs, mut pops) = (0, 0);
        while let Some((_, popped)) = pop(&mut queue, T0 + 7_200_000, 0) {
            jobs += popped.fire.iter().map(|fire| fire.members.len()).sum::<u64>();
            pops += 1;
        }
        println!(
            "{what}: {:.1} B a job, loaded in {loaded:?}; {jobs} jobs in {pops} pops in {:?}",
            f64::from(bytes as u32) / 1e5,
            begun.elapsed()
        );
    }
}
