//! Days of schedules in seconds: one node in this process, on a clock that the test moves.

mod explain;
mod jitter;
mod unserved;

use std::time::Duration;

use scheduler0::clock::Clock as _;
use scheduler0::command::{Command, CreateJobs, NewJob, ProjectAction};
use scheduler0::model::job::{JobDefinition, Timing};
use scheduler0::model::time::rfc3339;
use serde_json::json;

use crate::harness::{Planned, VirtualClockNode, judge};

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The way in which a node is down for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Away {
    /// It is stopped in order, and started again.
    Stopped,
    /// It crashes, and is started again.
    Crashed,
    /// It runs all the time, and its wall clock is set ahead.
    SetAhead,
}

impl VirtualClockNode {
    /// Takes the node down for a time.
    async fn away(&mut self, how: Away, ms: i64) {
        match how {
            Away::Stopped => self.stop().await,
            Away::Crashed => self.crash().await,
            Away::SetAhead => {
                let before = self.now();
                self.clock.step(ms);
                let followed = async |node: &Self| (node.now() >= before + ms).then_some(());
                self.until("the node follows its wall clock", followed).await;
                return;
            }
        }
        self.clock.advance(Duration::from_millis(ms.cast_unsigned()));
        self.start().await;
    }
}

/// Asserts that everything due up to an instant came exactly once and not early, and nothing else.
fn assert_all(node: &VirtualClockNode, jobs: &[Planned], until: i64) {
    let found = judge(jobs, &node.receiver.arrivals(), 0, until, 0);
    found.assert_sound();
    found.assert_once();
}

async fn a_job_due_in_three_days_survives_a_day(how: Away) {
    let mut node = VirtualClockNode::build().await;
    // The second job shows that the node has got to the minute before the first one is due.
    let jobs = node.jobs(&["@every 72h", "@every 71h59m"]).await;
    let (far, near) = (&jobs[0], &jobs[1]);
    let due = far.anchor + 72 * HOUR;
    node.away(how, 24 * HOUR).await;
    node.jump_and_arrive(near.job, due - MINUTE).await;
    assert_eq!(node.arrivals_of(far.job), [0; 0], "nothing comes before its time");
    node.jump_and_arrive(far.job, due).await;
    assert_eq!(node.arrivals_of(far.job), [due]);
    for (job, due) in [(near, due - MINUTE), (far, due)] {
        let done = node.recorded(job.job, "delivered", 1).await;
        assert_eq!(done[0]["scheduledAt"], rfc3339(due));
    }
    // After the second downtime the delivered occurrences are not sent again.
    node.away(how, 24 * HOUR).await;
    let last = near.anchor + 2 * (72 * HOUR - MINUTE);
    node.jump_and_arrive(near.job, last).await;
    assert_all(&node, &jobs, last);
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_job_due_in_three_days_survives_a_day_of_downtime() {
    a_job_due_in_three_days_survives_a_day(Away::Stopped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_due_in_three_days_survives_a_crash_and_a_day() {
    a_job_due_in_three_days_survives_a_day(Away::Crashed).await;
}

/// After a downtime longer than the grace the newest occurrence is sent, and the others are one
/// range of skips.
async fn only_the_newest_is_caught_up(how: Away) {
    let mut node = VirtualClockNode::build().await;
    let job = &node.jobs(&["* * * * *"]).await[0];
    let first = job.from + MINUTE - job.from % MINUTE;
    node.jump_and_arrive(job.job, first).await;
    node.recorded(job.job, "delivered", 1).await;
    // The downtime begins and ends between two minutes, three hours apart.
    node.jump_to(first + 20 * SECOND);
    node.away(how, 3 * HOUR).await;
    let newest = first + 3 * HOUR;
    node.arrives(job.job, newest).await;
    node.jump_and_arrive(job.job, newest + MINUTE).await;
    assert_eq!(node.arrivals_of(job.job), [first, newest, newest + MINUTE]);

    let skipped = node.recorded(job.job, "skipped", 1).await;
    assert_eq!(skipped[0]["reason"], "misfire");
    assert_eq!(skipped[0]["skippedSince"], rfc3339(first + MINUTE));
    assert_eq!(skipped[0]["scheduledAt"], rfc3339(newest - MINUTE));
    node.recorded(job.job, "delivered", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_long_downtime_only_the_newest_is_caught_up() {
    only_the_newest_is_caught_up(Away::Stopped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_and_a_long_downtime_only_the_newest_is_caught_up() {
    only_the_newest_is_caught_up(Away::Crashed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_clock_set_ahead_counts_as_downtime() {
    only_the_newest_is_caught_up(Away::SetAhead).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn after_a_short_downtime_everything_is_caught_up() {
    let mut node = VirtualClockNode::build().await;
    let jobs = node.jobs(&["*/10 * * * * *", "@every 10s"]).await;
    let mut due = jobs[0].from + 10 * SECOND - jobs[0].from % (10 * SECOND);
    for how in [Away::Stopped, Away::Crashed, Away::SetAhead] {
        for job in &jobs {
            node.delivered(job.job, due).await;
        }
        // What has come is recorded before the node goes down, or it would come again.
        due = node
            .arrivals_of(jobs[0].job)
            .into_iter()
            .chain(node.arrivals_of(jobs[1].job))
            .max()
            .unwrap();
        for job in &jobs {
            node.delivered(job.job, due).await;
        }
        node.away(how, 30 * SECOND).await;
        due += 40 * SECOND;
    }
    for job in &jobs {
        node.arrives(job.job, due).await;
    }
    assert_all(&node, &jobs, due);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_clock_set_back_fires_nothing_twice() {
    let mut node = VirtualClockNode::build().await;
    let jobs = node.jobs(&["* * * * *"]).await;
    let job = &jobs[0];
    let mut due = job.from + MINUTE - job.from % MINUTE;
    node.jump_and_arrive(job.job, due).await;
    node.recorded(job.job, "delivered", 1).await;

    // While it runs, scheduler time waits until the wall clock has caught up ...
    node.clock.step(-10 * MINUTE);
    let mut before = 0;
    let stands = async |node: &VirtualClockNode| {
        let now = node.now();
        (std::mem::replace(&mut before, now) == now).then_some(())
    };
    node.until("scheduler time stands still", stands).await;
    let caught_up = due + MINUTE - SECOND;
    let passed = async |node: &VirtualClockNode| (node.clock.wall() >= caught_up).then_some(());
    node.until_by(Duration::from_secs(5), "ten minutes pass again", passed).await;
    due += MINUTE;
    node.arrives(job.job, due).await;
    node.recorded(job.job, "delivered", 2).await;

    // ... and when it was set back during a downtime, the watermarks say what is done.
    node.stop().await;
    node.clock.step(-10 * MINUTE);
    node.start().await;
    node.until_by(
        Duration::from_secs(5),
        "ten minutes pass again",
        async |node: &VirtualClockNode| (node.clock.wall() >= due + MINUTE - SECOND).then_some(()),
    )
    .await;
    due += MINUTE;
    node.arrives(job.job, due).await;
    node.recorded(job.job, "delivered", 3).await;
    assert_all(&node, &jobs, due);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_job_rests_and_a_deleted_one_is_gone() {
    let node = VirtualClockNode::build().await;
    let jobs = node.jobs(&["* * * * *", "* * * * *"]).await;
    let (job, witness) = (jobs[0].job, jobs[1].job);
    let path = format!("/api/v1/jobs/{job}");
    let mut due = jobs[0].from - jobs[0].from % MINUTE;
    let mut minutes = async |count: usize| {
        for _ in 0..count {
            due += MINUTE;
            node.jump_and_arrive(witness, due).await;
        }
        node.jump_to(due + 30 * SECOND);
        due
    };
    let one = minutes(1).await;
    node.arrives(job, one).await;

    let (code, body) = node.ask("PUT", &path, Some(json!({"status": "inactive"}))).await;
    assert_eq!((code, &body["data"]["status"]), (200, &json!("inactive")), "{body}");
    let paused = minutes(3).await;
    assert_eq!(node.arrivals_of(job), [one], "a paused job does not fire");

    let (code, body) = node.ask("PUT", &path, Some(json!({"status": "active"}))).await;
    assert_eq!((code, &body["data"]["status"]), (200, &json!("active")), "{body}");
    let resumed = minutes(1).await;
    node.arrives(job, resumed).await;
    assert_eq!(resumed, paused + MINUTE);
    assert_eq!(node.arrivals_of(job), [one, resumed], "what was due in the pause is not caught up");

    let (code, body) = node.ask("DELETE", &path, None).await;
    assert_eq!(code, 204, "{body}");
    let last = minutes(3).await;
    assert_eq!(node.arrivals_of(job), [one, resumed], "a deleted job does not fire");
    assert_eq!(last, one + 7 * MINUTE);
    let minutes: Vec<i64> = (0..8).map(|n| one + n * MINUTE).collect();
    assert_eq!(node.arrivals_of(witness), minutes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_is_paused_rests_over_a_restart() {
    let mut node = VirtualClockNode::build().await;
    let jobs = node.jobs(&["* * * * *"]).await;
    let (job, due) = (jobs[0].job, jobs[0].from + MINUTE - jobs[0].from % MINUTE);
    node.jump_and_arrive(job, due).await;
    node.recorded(job, "delivered", 1).await;
    let pause = Command::project_action(1, ProjectAction::Pause { until: None }, None);
    node.propose(pause).await;
    node.away(Away::Stopped, HOUR).await;
    let resumed = node.propose(Command::project_action(1, ProjectAction::Resume, None)).await;
    let next = resumed + MINUTE - resumed % MINUTE;
    node.jump_and_arrive(job, next).await;
    node.recorded(job, "delivered", 2).await;
    assert_eq!(node.arrivals_of(job), [due, next], "nothing of the pause is caught up");
    node.recorded(job, "skipped", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_off_fires_once_after_a_day_away() {
    let mut node = VirtualClockNode::build().await;
    let witness = node.jobs(&["@every 1h"]).await[0].job;
    let at = node.now() + 2 * HOUR;
    let definition = JobDefinition {
        project: 1,
        timing: Timing::At,
        timezone: "UTC".to_owned(),
        callback_url: node.receiver.url(),
        execution_type: "http".to_owned(),
        ..JobDefinition::default()
    };
    let job = NewJob { data: "{}".to_owned(), at: Some(at), ..NewJob::default() };
    let new =
        CreateJobs { request: 7, definitions: vec![definition], jobs: vec![job], staged: false };
    node.propose(Command::CreateJobs(new)).await;
    node.away(Away::Crashed, DAY).await;
    // Its only occurrence is the newest one, however late.
    node.arrives(witness + 1, at).await;
    node.recorded(witness + 1, "delivered", 1).await;
    node.away(Away::Stopped, DAY).await;
    node.recorded(witness, "skipped", 2).await;
    assert_eq!(node.arrivals_of(witness + 1), [at]);
}
