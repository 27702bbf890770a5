//! Stories of what is due when: one-offs, jitter, misfire policies, pauses of projects.

use std::sync::atomic::{AtomicU64, Ordering};

use super::world::{T0, World, definition, pause_and_resume};
use crate::command::{Command, CreateJobs, JobAction, NewJob, Outcome, ProjectAction};
use crate::model::attempt::{SkipReason, Verdict};
use crate::model::delivery::{Misfire, MisfirePolicy};
use crate::model::job::{JobDefinition, JobStatus, Timing};
use crate::model::shard::shard_of;
use crate::model::time::rfc3339;
use crate::model::{JobId, Millis};

const URL: &str = "http://receiver/a";
const OTHER: &str = "http://receiver/b";

static REQUESTS: AtomicU64 = AtomicU64::new(1_000_000);

impl World {
    /// Makes so many jobs of a definition; their first id.
    fn make(&self, definition: JobDefinition, at: Option<Millis>, n: u64) -> JobId {
        let job = |_| NewJob { data: "d".to_owned(), at, ..NewJob::default() };
        let made = self.apply(&Command::CreateJobs(CreateJobs {
            request: REQUESTS.fetch_add(1, Ordering::SeqCst).into(),
            definitions: vec![definition],
            jobs: (0..n).map(job).collect(),
            staged: false,
        }));
        match made {
            Outcome::Jobs { jobs, .. } => jobs[0].0,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until all parts are loaded: what is too late is judged from then on.
    async fn loaded(&self) {
        while self.parts() < 64 {
            self.settle().await;
        }
    }

    /// The log goes on and so do the watermarks.
    async fn tick(&self) {
        self.apply(&Command::Tick);
        self.settle().await;
        self.pass(6_000, 500).await;
        self.collect();
        self.settle().await;
    }
}

fn one_off(timing: Timing) -> JobDefinition {
    JobDefinition { spec: String::new(), period: None, timing, ..definition("", URL) }
}

fn policy(spec: &str, misfire: Misfire) -> JobDefinition {
    JobDefinition { misfire, ..definition(spec, URL) }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_offs_fire_once_at_their_instants_whatever_happens_in_between() {
    let mut world = World::new();
    world.start();
    let at = world.make(one_off(Timing::At), Some(T0 + 12_000), 3);
    let after = world.make(one_off(Timing::After(7_000)), None, 1);
    let now = world.make(one_off(Timing::At), Some(T0 - 5_000), 1);
    let far = world.make(one_off(Timing::At), Some(T0 + 40_000), 1);
    world.settle().await;
    world.pass(8_000, 500).await;
    assert_eq!((world.calls_of(after), world.calls_of(at)), (vec![(7, 1)], vec![]));
    assert_eq!(world.calls_of(now), [(0, 1)], "due at its creation");
    world.stop().await;
    world.clock.advance(std::time::Duration::from_secs(10));
    world.start();
    world.settle().await;
    world.tick().await;
    for job in at..at + 3 {
        assert_eq!(world.calls_of(job).len(), 1);
    }
    assert_eq!(world.calls_of(after).len(), 1, "its end is in the own journal");
    // Paused over its instant, it does not fire.
    let until = Some(T0 + 45_000);
    let jobs = vec![(far, 1)];
    world.apply(&Command::ChangeJobs { jobs, action: JobAction::Pause { until }, by: None });
    world.settle().await;
    world.pass(30_000, 1_000).await;
    assert_eq!(world.calls_of(far), []);
    world.tick().await;
    assert!(world.shard(shard_of(at)).watermark > T0 + 45_000);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jitter_delays_each_job_by_its_own_and_keeps_the_scheduled_instant() {
    let mut world = World::new();
    let jittered = JobDefinition { jitter: 30_000, ..definition("@every 60s", URL) };
    world.start();
    let first = world.make(jittered, None, 40);
    world.settle().await;
    // Taken over between the scheduled instant and most of the due ones, with W in between.
    world.pass(65_000, 1_000).await;
    world.tick().await;
    world.stop().await;
    world.clock.advance(std::time::Duration::from_secs(5));
    world.start();
    world.settle().await;
    world.pass(20_000, 1_000).await;
    let seen = world.seen();
    let scheduled = rfc3339(T0 + 60_000);
    assert!(seen.iter().all(|call| call.scheduled == scheduled), "{seen:?}");
    let mut jobs: Vec<_> = seen.iter().flat_map(|call| call.jobs.clone()).collect();
    jobs.sort_unstable();
    assert_eq!(jobs, (first..first + 40).collect::<Vec<_>>(), "each once");
    let delays: std::collections::BTreeSet<_> = seen.iter().map(|call| call.at - T0).collect();
    assert!(delays.len() > 10 && seen.len() < 35, "spread, and together where they meet");
    assert!(delays.iter().all(|at| (60_000..90_000).contains(at)), "{delays:?}");
    world.tick().await;
    let records = world.records(shard_of(first));
    assert!(records.iter().all(|b| b.record.scheduled == T0 + 60_000));
    assert!(records.iter().any(|b| b.record.due > T0 + 80_000));
    assert!(world.shard(shard_of(first)).watermark >= T0 + 90_000);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_day_each_job_gets_what_its_policy_says() {
    let mut world = World::new();
    let all = Misfire { policy: MisfirePolicy::All, max: Some(20), ..Misfire::default() };
    let skip = Misfire { policy: MisfirePolicy::Skip, ..Misfire::default() };
    let seconds = world.make(policy("@every 1s", all), None, 3);
    let minutes = world.make(policy("@every 60s", all), None, 3);
    let hours = world.make(policy("@every 3600s", skip), None, 3);
    // Half a minute after the full hour, a day later.
    world.clock.advance(std::time::Duration::from_secs(86_430));
    world.start();
    world.loaded().await;
    world.settle().await;
    world.tick().await;
    let now = 86_430;
    let instants = |job: JobId| {
        let seen = world.seen();
        let of = seen.iter().filter(|call| call.jobs.contains(&job));
        let mut all: Vec<_> = of.map(|call| call.scheduled.clone()).collect();
        all.sort_unstable();
        all
    };
    let at = |second: i64| rfc3339(T0 + second * 1_000);
    // Late ones: twenty each; within the grace: all of the last minute, and what came since.
    let since = now - 60 - 20;
    assert_eq!(instants(seconds), (since..=now + 6).map(at).collect::<Vec<_>>());
    assert_eq!(instants(minutes), (1_420..=1_440).map(|m| at(m * 60)).collect::<Vec<_>>());
    assert_eq!(instants(hours), [at(86_400)]);
    let skipped: Vec<_> = world
        .records(shard_of(seconds))
        .into_iter()
        .filter(|b| b.record.verdict.name() == "skipped")
        .map(|b| (b.record.since.unwrap(), b.record.due, b.record.members.iter().next().unwrap()))
        .collect();
    let range = |job, first: i64, last: i64| (T0 + first * 1_000, T0 + last * 1_000, job);
    let mut expected = vec![
        range(seconds, 1, since - 1),
        range(minutes, 60, 1_419 * 60),
        range(hours, 3_600, 86_400 - 3_600),
    ];
    expected.sort_unstable_by_key(|range| range.2);
    let mut skipped = skipped;
    skipped.sort_unstable_by_key(|range| range.2);
    assert_eq!(skipped, expected, "one row each");
    assert!(world.shard(0).watermark >= T0 + now * 1_000);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_up_for_a_hanging_target_delays_nobody_else() {
    let mut world = World::new();
    let all = Misfire { policy: MisfirePolicy::All, ..Misfire::default() };
    let short = Misfire { grace: Some(5_000), ..all };
    let hanging = world.make(policy("@every 1s", short), None, 1);
    let other = JobDefinition { misfire: all, ..definition("@every 60s", OTHER) };
    let fine = world.make(other, None, 1);
    world.hang(&[URL]);
    world.clock.advance(std::time::Duration::from_mins(30));
    world.start();
    world.loaded().await;
    world.settle().await;
    world.pass(1_000, 500).await;
    // The other target has made up its half hour; of what hangs, four are under way beside what
    // is due in time.
    assert_eq!(world.calls_of(fine).len(), 30);
    let late = rfc3339(T0 + 1_795_000);
    let seen = world.seen();
    let made_up = seen.iter().filter(|call| call.url == URL && call.scheduled < late);
    assert_eq!(made_up.count(), 4);
    world.hang(&[]);
    world.settle().await;
    world.pass(3_000, 500).await;
    world.tick().await;
    let calls = world.calls_of(hanging).len();
    assert_eq!(calls, 100 + 6 + 10, "a hundred late ones, six in time, ten since");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_project_rests_and_its_watermarks_go_on() {
    let mut world = World::new();
    world.start();
    let job = world.make(definition("@every 10s", URL), None, 2);
    world.settle().await;
    world.pass(15_000, 1_000).await;
    world.apply(&Command::turn_project(1, ProjectAction::Pause { until: None }, None));
    world.settle().await;
    world.pass(30_000, 1_000).await;
    assert_eq!(world.calls_of(job), [(10, 1)]);
    world.tick().await;
    let w = world.shard(shard_of(job)).watermark - T0;
    assert!(w >= 45_000, "nothing holds it back: {w}");
    // Over a restart, too.
    world.stop().await;
    world.start();
    world.settle().await;
    world.pass(20_000, 1_000).await;
    assert_eq!(world.calls_of(job), [(10, 1)]);
    world.apply(&Command::turn_project(1, ProjectAction::Resume, None));
    world.settle().await;
    world.pass(20_000, 1_000).await;
    assert_eq!(world.calls_of(job), [(10, 1), (80, 1), (90, 1)], "nothing of it is made up");
    world.tick().await;
    let skips = world.records(0).into_iter().filter(|b| b.record.verdict != Verdict::Delivered);
    assert_eq!(skips.count(), 0, "the pause is the record");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_with_an_end_is_over_by_itself_and_can_be_cut_short() {
    let mut world = World::new();
    world.start();
    let job = world.make(definition("@every 10s", URL), None, 1);
    world.settle().await;
    world.apply(&Command::turn_project(1, ProjectAction::Pause { until: Some(T0 + 25_000) }, None));
    world.settle().await;
    world.pass(31_000, 1_000).await;
    assert_eq!(world.calls_of(job), [(30, 1)]);
    world.apply(&Command::turn_project(
        1,
        ProjectAction::Pause { until: Some(T0 + 3_600_000) },
        None,
    ));
    world.settle().await;
    // The log says nothing more until the resume: what is due is held, and fires after all if it
    // is due after that.
    world.pass(18_900, 900).await;
    assert_eq!(world.calls_of(job), [(30, 1)], "40 is paused");
    world.apply(&Command::turn_project(1, ProjectAction::Resume, None));
    world.settle().await;
    world.pass(2_000, 500).await;
    assert_eq!(world.calls_of(job), [(30, 1), (50, 1)]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_built_when_its_project_is_paused_does_not_go_out() {
    let mut world = World::new();
    world.start();
    let job = world.make(definition("@every 10s", URL), None, 1);
    world.settle().await;
    world.pass(9_950, 9_950).await;
    world.apply(&Command::turn_project(1, ProjectAction::Pause { until: None }, None));
    world.settle().await;
    world.pass(5_000, 500).await;
    assert_eq!(world.calls_of(job), []);
    world.tick().await;
    assert!(world.shard(0).watermark > T0 + 10_000);
    world.stop().await;
}
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_moves_a_one_off() {
    let mut world = World::new();
    world.start();
    let job = world.make(one_off(Timing::At), Some(T0 + 10_000), 1);
    world.settle().await;
    world.pass(5_000, 1_000).await;
    let (definition, at) = (one_off(Timing::At), Some(T0 + 20_000));
    let edit = crate::command::JobEdit { id: job, definition, at, ..Default::default() };
    world.apply(&Command::UpdateJob(edit));
    world.settle().await;
    world.pass(20_000, 1_000).await;
    assert_eq!(world.calls_of(job), [(20, 1)]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_off_in_a_pause_of_its_project_is_skipped_and_over() {
    let mut world = World::new();
    world.start();
    let job = world.make(one_off(Timing::At), Some(T0 + 10_000), 2);
    let far = world.make(one_off(Timing::At), Some(T0 + 300_000), 1);
    world.make(definition("@every 10s", URL), None, 1);
    world.apply(&Command::turn_project(1, ProjectAction::Pause { until: None }, None));
    world.settle().await;
    world.pass(12_000, 500).await;
    assert_eq!(world.job(job).status, JobStatus::Active, "until it is certain");
    world.tick().await;
    let records = world.records(shard_of(job));
    assert_eq!(records.len(), 1, "{records:?}");
    let record = &records[0].record;
    assert_eq!(record.verdict, Verdict::Skipped(SkipReason::Paused));
    assert_eq!((record.due, record.members.len()), (T0 + 10_000, 2));
    assert_eq!(world.job(job).status, JobStatus::Completed);
    assert_eq!(world.job(job + 1).status, JobStatus::Completed);
    assert!(world.shard(shard_of(job)).watermark > T0 + 10_000);
    // Also where nobody was there to look, and it is far past every grace.
    world.stop().await;
    world.clock.advance(std::time::Duration::from_hours(1));
    world.start();
    world.loaded().await;
    world.tick().await;
    world.tick().await;
    assert_eq!(world.job(far).status, JobStatus::Completed);
    let records = world.records(shard_of(far));
    let reasons: Vec<_> = records.iter().map(|b| b.record.verdict).collect();
    assert_eq!(reasons, [Verdict::Skipped(SkipReason::Paused); 2]);
    assert!(world.seen().is_empty());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_is_over_before_the_instant_takes_nothing_away() {
    for of_project in [true, false] {
        let mut world = World::new();
        world.start();
        let job = world.make(definition("@every 10s", URL), None, 1);
        let (pause, resume) = pause_and_resume(job, of_project);
        world.settle().await;
        // It is built when the pause comes, and due when the end of the pause, stamped by a clock
        // that is a little behind, is not yet in the store.
        world.pass(9_950, 9_950).await;
        world.apply(&pause);
        world.settle().await;
        world.pass(300, 100).await;
        assert_eq!(world.calls_of(job), []);
        world.apply_at(T0 + 9_990, &resume);
        world.settle().await;
        world.pass(1_000, 500).await;
        assert_eq!(world.calls_of(job), [(10, 1)], "{of_project}");
        world.tick().await;
        assert!(world.shard(0).watermark > T0 + 10_000);
        world.stop().await;
    }
}
