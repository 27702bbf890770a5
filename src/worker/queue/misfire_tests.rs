//! The due queue after an outage, in a pause and with jitter: the rules one by one, then against a
//! model that asks every occurrence for itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::pauses::Pauses;
use super::super::plan::{Member, Plan};
use super::super::popped::Popped;
use super::super::shard_queue::ShardQueue;
use super::*;
use crate::model::JobId;
use crate::model::delivery::Misfire;
use crate::model::members::Members;
use crate::model::target::ProjectPause;
use crate::schedule::{DstRule, Schedule};

/// A whole hour.
const T0: Millis = 1_763_701_200_000;
const SECOND: Millis = 1_000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;
const DAY: Millis = 24 * HOUR;

fn plan(schedule: Schedule, misfire: Misfire) -> Plan {
    let (start, end, seed) = (None, None, None);
    Plan { definition: 1, project: 1, schedule, seed, start, end, jitter: 0, misfire }
}

fn cron(spec: &str) -> Schedule {
    Schedule::parse(spec, chrono_tz::UTC, DstRule::default(), 0).unwrap()
}

fn policy(policy: MisfirePolicy) -> Misfire {
    Misfire { policy, ..Misfire::default() }
}

fn queue_of(
    plan: Plan,
    jobs: impl IntoIterator<Item = (JobId, Millis)>,
) -> (ShardQueue, Arc<Plan>) {
    let (mut queue, plan) = (ShardQueue::new(T0, Millis::MAX), Arc::new(plan));
    for (job, anchor) in jobs {
        queue.add(&plan, Member::from(job, anchor, T0));
    }
    (queue, plan)
}

fn at(now: Millis, pauses: &Pauses) -> Moment<'_> {
    Moment { until: now, now, caught_up_to: now, grace: MINUTE, pauses }
}

/// Everything that the queue gave out: (scheduled, due, job), and skipped (since, due).
#[derive(Debug, Default)]
struct Came {
    fired: Vec<(Millis, Millis, JobId)>,
    skipped: Vec<(Millis, Millis)>,
}

impl Came {
    fn drain(queue: &mut ShardQueue, moment: &Moment<'_>) -> Self {
        let mut came = Self::default();
        while let Some(popped) = queue.pop(moment).or_else(|| queue.pop_catch_up(moment.until)) {
            came.take(&popped);
        }
        came
    }

    fn take(&mut self, popped: &Popped) {
        for fire in &popped.fire {
            self.fired.extend(fire.members.iter().map(|job| (fire.scheduled, popped.due, job)));
        }
        self.skipped.extend(popped.skipped.iter().map(|skip| (skip.since, skip.due)));
    }

    fn dues(&self) -> Vec<Millis> {
        self.fired.iter().map(|(_, due, _)| *due - T0).collect()
    }
}

/// After a day's outage: how many fire, the first and the last of them, and what is skipped.
fn after_a_day(spec: &str, misfire: Misfire) -> (usize, Millis, Millis, Vec<(Millis, Millis)>) {
    let (mut queue, _) = queue_of(plan(cron(spec), misfire), [(7, T0)]);
    let came = Came::drain(&mut queue, &at(T0 + DAY + 30 * SECOND, &Pauses::default()));
    let mut dues = came.dues();
    let late: Vec<_> = dues.iter().filter(|due| **due < DAY - 30 * SECOND).collect();
    assert!(late.is_sorted() && queue.undispatched() > Some(T0 + DAY), "oldest first: {came:?}");
    dues.sort_unstable();
    let skipped = came.skipped.iter().map(|(since, due)| (since - T0, due - T0)).collect();
    (dues.len(), dues[0], dues[dues.len() - 1], skipped)
}

#[test]
fn a_day_is_caught_up_with_as_each_policy_says() {
    use MisfirePolicy::{All, Latest, Skip};
    let now = DAY + 30 * SECOND;
    for (spec, period) in [("* * * * * *", SECOND), ("* * * * *", MINUTE), ("0 * * * *", HOUR)] {
        let newest = now / period * period;
        let skip_to = |last: Millis| vec![(period, last)];

        let came = after_a_day(spec, policy(Latest));
        assert_eq!(came, (1, newest, newest, skip_to(newest - period)), "{spec}");

        // Whatever is within the minute's grace fires under any policy. 30 s after the full hour
        // there is something in it for all three.
        let within = now - MINUTE;
        let in_time = (newest - within) / period + 1;
        let first = newest - (in_time - 1) * period;
        let came = after_a_day(spec, policy(Skip));
        assert_eq!(came, (in_time as usize, first, newest, skip_to(first - period)), "{spec}");

        let all = Misfire { max: Some(20), ..policy(All) };
        let first = first - 20 * period;
        let came = after_a_day(spec, all);
        let count = in_time as usize + 20;
        assert_eq!(came, (count, first, newest, skip_to(first - period)), "{spec}");
    }
}

#[test]
fn all_means_a_hundred_unless_told_otherwise_and_nothing_beyond_the_window() {
    let all = policy(MisfirePolicy::All);
    let (fired, .., skipped) = after_a_day("* * * * *", all);
    // 100 that are late, and one within the grace.
    assert_eq!((fired, skipped), (101, vec![(MINUTE, DAY - 101 * MINUTE)]));
    let hour = Misfire { window: Some(HOUR), ..all };
    let (fired, .., skipped) = after_a_day("* * * * *", hour);
    assert_eq!((fired, skipped), (60, vec![(MINUTE, DAY - 60 * MINUTE)]));
    let every = Misfire { max: Some(u32::MAX), ..all };
    let (fired, .., skipped) = after_a_day("0 * * * *", every);
    assert_eq!((fired, skipped), (24, vec![]));
    // The window bounds the other policies too: the newest is too old.
    let narrow = Misfire { window: Some(10 * SECOND), ..policy(MisfirePolicy::Latest) };
    let (mut queue, _) = queue_of(plan(cron("0 * * * *"), narrow), [(7, T0)]);
    let came = Came::drain(&mut queue, &at(T0 + DAY + 30 * SECOND, &Pauses::default()));
    assert_eq!((came.dues(), came.skipped), (vec![], vec![(T0 + HOUR, T0 + DAY)]));
    assert_eq!(queue.next_due(), Some(T0 + DAY + HOUR));
}

#[test]
fn what_came_back_is_not_judged_again() {
    let (mut queue, plan) =
        queue_of(plan(cron("* * * * *"), policy(MisfirePolicy::Skip)), [(7, T0)]);
    let pauses = Pauses::default();
    let due = T0 + MINUTE;
    assert_eq!(Came::drain(&mut queue, &at(due, &pauses)).dues(), [MINUTE]);
    queue.put_back(&plan, due, due, &Members::from_sorted([7]));
    let came = Came::drain(&mut queue, &at(due + HOUR, &pauses));
    // The newest two are within the grace.
    let dues = [MINUTE, 60 * MINUTE, 61 * MINUTE];
    assert_eq!(came.dues(), dues, "given out before: it goes out");
    assert_eq!(came.skipped, [(due + MINUTE, due + 58 * MINUTE)]);
}

#[test]
fn what_is_caught_up_with_takes_turns_and_delays_nobody() {
    let mut queue = ShardQueue::new(T0, Millis::MAX);
    let all = |definition, spec| {
        let all = policy(MisfirePolicy::All);
        Arc::new(Plan { definition, ..plan(cron(spec), all) })
    };
    let (seconds, minutes) = (all(1, "* * * * * *"), all(2, "* * * * *"));
    let hourly = Arc::new(Plan { definition: 3, ..plan(cron("0 * * * *"), Misfire::default()) });
    for (job, plan) in [(1, &seconds), (2, &minutes), (3, &hourly)] {
        queue.add(plan, Member::from(job, T0, T0));
    }
    let (pauses, now) = (Pauses::default(), T0 + HOUR);
    // In time first: the full hour is among it, whatever the seconds have to catch up.
    let mut in_time = Came::default();
    while let Some(popped) = queue.pop(&at(now, &pauses)) {
        in_time.take(&popped);
    }
    assert!(in_time.fired.contains(&(now, now, 3)));
    assert!(in_time.fired.iter().all(|(_, due, _)| *due >= now - MINUTE), "{in_time:?}");
    // Four of each are under way, and no more before one is over.
    let mut under_way: Vec<Popped> = std::iter::from_fn(|| queue.pop_catch_up(now)).collect();
    let jobs: Vec<_> = under_way.iter().map(|p| p.fire[0].members.iter().next().unwrap()).collect();
    assert_eq!(jobs, [1, 2, 1, 2, 1, 2, 1, 2]);
    assert_eq!(queue.undispatched(), Some(T0 + 5 * MINUTE));
    under_way.remove(1);
    let next = queue.pop_catch_up(now).unwrap();
    assert_eq!(next.fire[0].members, Members::from_sorted([2]));
    assert!(queue.pop_catch_up(now).is_none());
    drop((under_way, next));
    assert!(queue.pop_catch_up(now).is_some());
}

#[test]
fn a_one_off_fires_at_its_instant_and_leaves() {
    let once = || plan(Schedule::once(), Misfire::default());
    let (mut queue, plan) = queue_of(once(), [(1, T0 + 5_000), (2, T0 + 7_000), (3, T0 + 5_000)]);
    queue.add(&plan, Member::from(4, T0 - 1, T0 - 9));
    queue.add(&plan, Member { until: T0 + 5_999, ..Member::from(5, T0 + 6_000, T0) });
    let pauses = Pauses::default();
    let popped = queue.pop(&at(T0 + 6_500, &pauses)).unwrap();
    assert_eq!((popped.due, popped.fire.len()), (T0 + 5_000, 1), "one group");
    assert_eq!(popped.fire[0].members, Members::from_sorted([1, 3]));
    queue.put_back(&plan, T0 + 5_000, T0 + 5_000, &Members::from_sorted([3]));
    let came = Came::drain(&mut queue, &at(T0 + DAY, &pauses));
    assert_eq!(came.fired, [(T0 + 5_000, T0 + 5_000, 3), (T0 + 7_000, T0 + 7_000, 2)]);
    assert_eq!((queue.undispatched(), queue.waiting(Millis::MAX)), (None, 0));
}

#[test]
fn a_job_paused_until_an_instant_begins_after_it() {
    let mut queue = ShardQueue::new(T0, Millis::MAX);
    for (definition, spec) in [(1, "* * * * *"), (2, "@every 1m")] {
        let plan = Arc::new(Plan { definition, ..plan(cron(spec), Misfire::default()) });
        let after = T0 + 10 * MINUTE;
        queue.add(&plan, Member::from(definition, T0, after));
        queue.add(&plan, Member::from(9 + definition, T0, T0));
    }
    let (pauses, mut fired) = (Pauses::default(), Vec::new());
    for minute in 1..=12 {
        fired.extend(Came::drain(&mut queue, &at(T0 + minute * MINUTE, &pauses)).fired);
    }
    for job in [1, 2] {
        let of = |job| fired.iter().filter(move |fired| fired.2 == job);
        assert_eq!(of(job).map(|f| f.1 - T0).collect::<Vec<_>>(), [11 * MINUTE, 12 * MINUTE]);
        assert_eq!(of(job + 9).count(), 12);
    }
}

#[test]
fn what_falls_into_a_pause_is_dropped_once_it_is_certain() {
    let (mut queue, _) = queue_of(plan(cron("* * * * *"), Misfire::default()), [(7, T0)]);
    let pause = |until| ProjectPause { project: 1, from: T0 + MINUTE, until, by_quota: false };
    let paused: Pauses = [pause(None)].into_iter().collect();
    assert_eq!(Came::drain(&mut queue, &at(T0 + MINUTE, &paused)).dues(), [MINUTE], "not after it");
    // The log is known up to the third minute.
    let moment = Moment { caught_up_to: T0 + 3 * MINUTE, ..at(T0 + 4 * MINUTE, &paused) };
    assert!(Came::drain(&mut queue, &moment).fired.is_empty());
    assert_eq!((queue.next_due(), queue.undispatched()), (None, Some(T0 + 4 * MINUTE)));
    // It ended before the fourth: that one fires, the others are gone.
    let over: Pauses = [pause(Some(T0 + 3 * MINUTE + 1))].into_iter().collect();
    queue.release(Millis::MAX);
    assert_eq!(Came::drain(&mut queue, &at(T0 + 4 * MINUTE, &over)).dues(), [4 * MINUTE]);
    // A known end is passed in one step.
    let long: Pauses = [ProjectPause {
        project: 1,
        from: T0 + 5 * MINUTE,
        until: Some(T0 + DAY),
        by_quota: false,
    }]
    .into_iter()
    .collect();
    let came = Came::drain(&mut queue, &at(T0 + DAY + MINUTE, &long));
    assert_eq!((came.dues(), came.skipped), (vec![5 * MINUTE, DAY + MINUTE], vec![]));
}

#[test]
fn with_jitter_what_is_due_keeps_the_instant_it_was_scheduled_for() {
    let jittered = Plan { jitter: HOUR, ..plan(cron("0 * * * *"), Misfire::default()) };
    let (mut queue, plan) = queue_of(jittered, (0..500).map(|job| (job, T0)));
    let pauses = Pauses::default();
    let mut now = T0;
    let mut fired = Vec::new();
    for _ in 0..2 * 120 {
        now += 30 * SECOND;
        fired.extend(Came::drain(&mut queue, &at(now, &pauses)).fired);
    }
    assert!(fired.iter().all(|f| f.1 == plan.of(0, f.2).due(f.0)));
    let hours: Vec<_> =
        (1..=2).map(|h| fired.iter().filter(|f| f.0 == T0 + h * HOUR).count()).collect();
    // The second one's are due up to three hours after the beginning.
    assert_eq!(hours, [500, 0]);
    let distinct: BTreeSet<_> = fired.iter().map(|fired| fired.1).collect();
    assert!(distinct.len() > 300, "spread: {}", distinct.len());
    let (scheduled, due, job) = fired[0];
    queue.put_back(&plan, due, scheduled, &Members::from_sorted([job, job + 1]));
    let again = Came::drain(&mut queue, &at(now, &pauses)).fired;
    assert_eq!(again, [(scheduled, due, job), (scheduled, due, job + 1)]);
}

/// The expected occurrences by the rules, from the list of all.
fn expected(
    dues: &[Millis],
    misfire: Misfire,
    pauses: &[ProjectPause],
    now: Millis,
) -> (Vec<Millis>, Vec<Millis>) {
    let stale = now - misfire.grace.unwrap_or(MINUTE);
    let oldest = misfire.window.map_or(Millis::MIN, |window| now - window);
    let awake = |due: &Millis| !pauses.iter().any(|pause| pause.covers(*due));
    // Each interval between pauses is judged by itself.
    let stretch = |due: &Millis| pauses.iter().filter(|pause| pause.from < *due).count();
    let mut fire = Vec::new();
    let mut skip = Vec::new();
    let awake: Vec<_> = dues.iter().copied().filter(awake).collect();
    for lot in awake.chunk_by(|a, b| stretch(a) == stretch(b)) {
        let late = lot.iter().filter(|due| **due < stale).count();
        let keep = match misfire.policy {
            MisfirePolicy::Latest if late > 0 => lot.len() - 1,
            MisfirePolicy::Skip => late,
            MisfirePolicy::All => late.saturating_sub(misfire.max.unwrap_or(100) as usize),
            MisfirePolicy::Latest => 0,
        };
        for (n, due) in lot.iter().enumerate() {
            if n >= keep && *due >= oldest { fire.push(*due) } else { skip.push(*due) }
        }
    }
    (fire, skip)
}

proptest! {
    #[test]
    fn every_occurrence_fires_or_is_skipped_as_the_policy_says(
        which in 0_usize..5, kind in 0_u8..3, jitter in prop_oneof![Just(0), 1_i64..400_000],
        grace in prop::option::of(0_i64..300_000), window in prop::option::of(0_i64..900_000),
        max in prop::option::of(0_u32..40), away in 1_i64..2_000_000,
        mut edges in prop::collection::btree_set(0_i64..2_000_000, 0..6),
    ) {
        let policy = [MisfirePolicy::Latest, MisfirePolicy::All, MisfirePolicy::Skip][usize::from(kind)];
        let misfire = Misfire { policy, grace, window, max };
        let specs = ["* * * * * *", "*/7 * * * * *", "@every 11s", "* * * * *", "*/10 * * * *"];
        let jittered = Plan { jitter, ..plan(cron(specs[which]), misfire) };
        if edges.len() % 2 == 1 { edges.pop_last(); }
        let edges: Vec<_> = edges.into_iter().collect();
        let pauses: Vec<_> = edges.chunks(2).map(|pair| ProjectPause {
            project: 1, from: T0 + pair[0], until: Some(T0 + pair[1]), by_quota: false,
        }).collect();
        let (mut queue, plan) = queue_of(jittered, [(7, T0)]);
        let now = T0 + away;
        let of = plan.of(T0, 7);
        let mut all = Vec::new();
        let mut next = plan.schedule.next(T0, T0);
        while let Some(scheduled) = next.filter(|scheduled| *scheduled <= now) {
            all.push(of.due(scheduled));
            next = plan.schedule.next(T0, scheduled);
        }
        all.retain(|due| *due <= now);
        let (fire, skip) = expected(&all, misfire, &pauses, now);
        let known: Pauses = pauses.iter().copied().collect();
        let came = Came::drain(&mut queue, &at(now, &known));
        let mut fired: Vec<_> = came.fired.iter().map(|fired| fired.1).collect();
        fired.sort_unstable();
        prop_assert_eq!(fired, fire);
        let over = |due: &Millis| came.skipped.iter().any(|(since, last)| since <= due && due <= last);
        let skipped: Vec<_> = all.iter().copied().filter(over).collect();
        prop_assert_eq!(skipped, skip);
        prop_assert!(came.fired.iter().all(|f| of.due(f.0) == f.1));
        prop_assert!(queue.undispatched().is_none_or(|next| next > now));
    }
}
