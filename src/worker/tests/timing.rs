//! Timing: one-offs, jitter, misfire policies, pauses of projects.

use std::sync::atomic::{AtomicU64, Ordering};

use super::fixture::{T0, WorkerFixture, definition, pause_and_resume};
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

impl WorkerFixture {
    /// Creates `n` jobs of a definition and returns the first id.
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

    /// Waits until all ranges are loaded: what is too late is judged from then on.
    async fn loaded(&self) {
        while self.ownerships() < 64 {
            self.settle().await;
        }
    }

    /// Lets the log and the watermarks go on.
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
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let at = fixture.make(one_off(Timing::At), Some(T0 + 12_000), 3);
    let after = fixture.make(one_off(Timing::After(7_000)), None, 1);
    let now = fixture.make(one_off(Timing::At), Some(T0 - 5_000), 1);
    let far = fixture.make(one_off(Timing::At), Some(T0 + 40_000), 1);
    fixture.settle().await;
    fixture.pass(8_000, 500).await;
    assert_eq!((fixture.calls_of(after), fixture.calls_of(at)), (vec![(7, 1)], vec![]));
    assert_eq!(fixture.calls_of(now), [(0, 1)], "due at its creation");
    fixture.stop().await;
    fixture.clock.advance(std::time::Duration::from_secs(10));
    fixture.start();
    fixture.settle().await;
    fixture.tick().await;
    for job in at..at + 3 {
        assert_eq!(fixture.calls_of(job).len(), 1);
    }
    assert_eq!(fixture.calls_of(after).len(), 1, "its end is in the own journal");
    // Paused over its instant, it does not fire.
    let until = Some(T0 + 45_000);
    let jobs = vec![(far, 1)];
    fixture.apply(&Command::ChangeJobs { jobs, action: JobAction::Pause { until }, by: None });
    fixture.settle().await;
    fixture.pass(30_000, 1_000).await;
    assert_eq!(fixture.calls_of(far), []);
    fixture.tick().await;
    assert!(fixture.shard(shard_of(at)).watermark > T0 + 45_000);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jitter_delays_each_job_by_its_own_and_keeps_the_scheduled_instant() {
    let mut fixture = WorkerFixture::new();
    let jittered = JobDefinition { jitter: 30_000, ..definition("@every 60s", URL) };
    fixture.start();
    let first = fixture.make(jittered, None, 40);
    fixture.settle().await;
    // A take-over between the scheduled instant and most of the due ones, with the watermark in
    // between.
    fixture.pass(65_000, 1_000).await;
    fixture.tick().await;
    fixture.stop().await;
    fixture.clock.advance(std::time::Duration::from_secs(5));
    fixture.start();
    fixture.settle().await;
    fixture.pass(20_000, 1_000).await;
    let seen = fixture.seen();
    let scheduled = rfc3339(T0 + 60_000);
    assert!(seen.iter().all(|call| call.scheduled == scheduled), "{seen:?}");
    let mut jobs: Vec<_> = seen.iter().flat_map(|call| call.jobs.clone()).collect();
    jobs.sort_unstable();
    assert_eq!(jobs, (first..first + 40).collect::<Vec<_>>(), "each once");
    let delays: std::collections::BTreeSet<_> = seen.iter().map(|call| call.at - T0).collect();
    assert!(delays.len() > 10 && seen.len() < 35, "spread, and together where they meet");
    assert!(delays.iter().all(|at| (60_000..90_000).contains(at)), "{delays:?}");
    fixture.tick().await;
    let records = fixture.records(shard_of(first));
    assert!(records.iter().all(|b| b.record.scheduled == T0 + 60_000));
    assert!(records.iter().any(|b| b.record.due > T0 + 80_000));
    assert!(fixture.shard(shard_of(first)).watermark >= T0 + 90_000);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_day_each_job_gets_what_its_policy_says() {
    let mut fixture = WorkerFixture::new();
    let all = Misfire { policy: MisfirePolicy::All, max: Some(20), ..Misfire::default() };
    let skip = Misfire { policy: MisfirePolicy::Skip, ..Misfire::default() };
    let seconds = fixture.make(policy("@every 1s", all), None, 3);
    let minutes = fixture.make(policy("@every 60s", all), None, 3);
    let hours = fixture.make(policy("@every 3600s", skip), None, 3);
    // Half a minute after the full hour, a day later.
    fixture.clock.advance(std::time::Duration::from_secs(86_430));
    fixture.start();
    fixture.loaded().await;
    fixture.settle().await;
    fixture.tick().await;
    let now = 86_430;
    let instants = |job: JobId| {
        let seen = fixture.seen();
        let of = seen.iter().filter(|call| call.jobs.contains(&job));
        let mut all: Vec<_> = of.map(|call| call.scheduled.clone()).collect();
        all.sort_unstable();
        all
    };
    let at = |second: i64| rfc3339(T0 + second * 1_000);
    // Twenty late ones each; within the grace all of the last minute, and what came since.
    let since = now - 60 - 20;
    assert_eq!(instants(seconds), (since..=now + 6).map(at).collect::<Vec<_>>());
    assert_eq!(instants(minutes), (1_420..=1_440).map(|m| at(m * 60)).collect::<Vec<_>>());
    assert_eq!(instants(hours), [at(86_400)]);
    let skipped: Vec<_> = fixture
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
    assert!(fixture.shard(0).watermark >= T0 + now * 1_000);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_caught_up_for_a_hanging_target_delays_nobody_else() {
    let mut fixture = WorkerFixture::new();
    let all = Misfire { policy: MisfirePolicy::All, ..Misfire::default() };
    let short = Misfire { grace: Some(5_000), ..all };
    let hanging = fixture.make(policy("@every 1s", short), None, 1);
    let other = JobDefinition { misfire: all, ..definition("@every 60s", OTHER) };
    let fine = fixture.make(other, None, 1);
    fixture.hang(&[URL]);
    fixture.clock.advance(std::time::Duration::from_mins(30));
    fixture.start();
    fixture.loaded().await;
    fixture.settle().await;
    fixture.pass(1_000, 500).await;
    // The other target has caught up with its half hour. Of what hangs, four are under way beside
    // what is due in time.
    assert_eq!(fixture.calls_of(fine).len(), 30);
    let late = rfc3339(T0 + 1_795_000);
    let seen = fixture.seen();
    let caught_up = seen.iter().filter(|call| call.url == URL && call.scheduled < late);
    assert_eq!(caught_up.count(), 4);
    fixture.hang(&[]);
    fixture.settle().await;
    fixture.pass(3_000, 500).await;
    fixture.tick().await;
    let calls = fixture.calls_of(hanging).len();
    assert_eq!(calls, 100 + 6 + 10, "a hundred late ones, six in time, ten since");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_project_rests_and_its_watermarks_go_on() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let job = fixture.make(definition("@every 10s", URL), None, 2);
    fixture.settle().await;
    fixture.pass(15_000, 1_000).await;
    fixture.apply(&Command::project_action(1, ProjectAction::Pause { until: None }, None));
    fixture.settle().await;
    fixture.pass(30_000, 1_000).await;
    assert_eq!(fixture.calls_of(job), [(10, 1)]);
    fixture.tick().await;
    let watermark = fixture.shard(shard_of(job)).watermark - T0;
    assert!(watermark >= 45_000, "nothing holds it back: {watermark}");
    // Over a restart, too.
    fixture.stop().await;
    fixture.start();
    fixture.settle().await;
    fixture.pass(20_000, 1_000).await;
    assert_eq!(fixture.calls_of(job), [(10, 1)]);
    fixture.apply(&Command::project_action(1, ProjectAction::Resume, None));
    fixture.settle().await;
    fixture.pass(20_000, 1_000).await;
    assert_eq!(
        fixture.calls_of(job),
        [(10, 1), (80, 1), (90, 1)],
        "nothing of it is caught up with"
    );
    fixture.tick().await;
    let skips = fixture.records(0).into_iter().filter(|b| b.record.verdict != Verdict::Delivered);
    assert_eq!(skips.count(), 0, "the pause is the record");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_with_an_end_is_over_by_itself_and_can_be_cut_short() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let job = fixture.make(definition("@every 10s", URL), None, 1);
    fixture.settle().await;
    fixture.apply(&Command::project_action(
        1,
        ProjectAction::Pause { until: Some(T0 + 25_000) },
        None,
    ));
    fixture.settle().await;
    fixture.pass(31_000, 1_000).await;
    assert_eq!(fixture.calls_of(job), [(30, 1)]);
    fixture.apply(&Command::project_action(
        1,
        ProjectAction::Pause { until: Some(T0 + 3_600_000) },
        None,
    ));
    fixture.settle().await;
    // The log says nothing more until the resume: what is due is held, and fires after all if it is
    // due after that.
    fixture.pass(18_900, 900).await;
    assert_eq!(fixture.calls_of(job), [(30, 1)], "40 is paused");
    fixture.apply(&Command::project_action(1, ProjectAction::Resume, None));
    fixture.settle().await;
    fixture.pass(2_000, 500).await;
    assert_eq!(fixture.calls_of(job), [(30, 1), (50, 1)]);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_built_when_its_project_is_paused_does_not_go_out() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let job = fixture.make(definition("@every 10s", URL), None, 1);
    fixture.settle().await;
    fixture.pass(9_950, 9_950).await;
    fixture.apply(&Command::project_action(1, ProjectAction::Pause { until: None }, None));
    fixture.settle().await;
    fixture.pass(5_000, 500).await;
    assert_eq!(fixture.calls_of(job), []);
    fixture.tick().await;
    assert!(fixture.shard(0).watermark > T0 + 10_000);
    fixture.stop().await;
}
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_moves_a_one_off() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let job = fixture.make(one_off(Timing::At), Some(T0 + 10_000), 1);
    fixture.settle().await;
    fixture.pass(5_000, 1_000).await;
    let (definition, at) = (one_off(Timing::At), Some(T0 + 20_000));
    let edit = crate::command::JobEdit { id: job, definition, at, ..Default::default() };
    fixture.apply(&Command::UpdateJob(Box::new(edit)));
    fixture.settle().await;
    fixture.pass(20_000, 1_000).await;
    assert_eq!(fixture.calls_of(job), [(20, 1)]);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_off_in_a_pause_of_its_project_is_skipped_and_over() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let job = fixture.make(one_off(Timing::At), Some(T0 + 10_000), 2);
    let far = fixture.make(one_off(Timing::At), Some(T0 + 300_000), 1);
    fixture.make(definition("@every 10s", URL), None, 1);
    fixture.apply(&Command::project_action(1, ProjectAction::Pause { until: None }, None));
    fixture.settle().await;
    fixture.pass(12_000, 500).await;
    assert_eq!(fixture.job(job).status, JobStatus::Active, "until it is certain");
    fixture.tick().await;
    let records = fixture.records(shard_of(job));
    assert_eq!(records.len(), 1, "{records:?}");
    let record = &records[0].record;
    assert_eq!(record.verdict, Verdict::Skipped(SkipReason::Paused));
    assert_eq!((record.due, record.members.len()), (T0 + 10_000, 2));
    assert_eq!(fixture.job(job).status, JobStatus::Completed);
    assert_eq!(fixture.job(job + 1).status, JobStatus::Completed);
    assert!(fixture.shard(shard_of(job)).watermark > T0 + 10_000);
    // Also where nobody was there to look, and it is far past every grace.
    fixture.stop().await;
    fixture.clock.advance(std::time::Duration::from_hours(1));
    fixture.start();
    fixture.loaded().await;
    fixture.tick().await;
    fixture.tick().await;
    assert_eq!(fixture.job(far).status, JobStatus::Completed);
    let records = fixture.records(shard_of(far));
    let reasons: Vec<_> = records.iter().map(|b| b.record.verdict).collect();
    assert_eq!(reasons, [Verdict::Skipped(SkipReason::Paused); 2]);
    assert!(fixture.seen().is_empty());
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_is_over_before_the_instant_takes_nothing_away() {
    for of_project in [true, false] {
        let mut fixture = WorkerFixture::new();
        fixture.start();
        let job = fixture.make(definition("@every 10s", URL), None, 1);
        let (pause, resume) = pause_and_resume(job, of_project);
        fixture.settle().await;
        // It is built when the pause comes. When it is due, the end of the pause, stamped by a
        // clock that is a little behind, is not in the store yet.
        fixture.pass(9_950, 9_950).await;
        fixture.apply(&pause);
        fixture.settle().await;
        fixture.pass(300, 100).await;
        assert_eq!(fixture.calls_of(job), []);
        fixture.apply_at(T0 + 9_990, &resume);
        fixture.settle().await;
        fixture.pass(1_000, 500).await;
        assert_eq!(fixture.calls_of(job), [(10, 1)], "{of_project}");
        fixture.tick().await;
        assert!(fixture.shard(0).watermark > T0 + 10_000);
        fixture.stop().await;
    }
}
