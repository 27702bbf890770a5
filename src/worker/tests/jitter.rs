//! Changes between the scheduled instant of an occurrence and its due instant: what was planned
//! fires, what is paused by then does not, and all of it is in the ledger.

use super::fixture::{NODE, T0, WorkerFixture, definition};
use crate::command::{Command, JobAction, JobEdit, ProjectAction};
use crate::model::attempt::SkipReason;
use crate::model::delivery::{Misfire, MisfirePolicy, Overlap};
use crate::model::job::{JobDefinition, JobStatus};
use crate::model::shard::{Move, MoveKind, shard_of};
use crate::model::target::HttpTarget;
use crate::model::{JobId, Millis};
use crate::schedule::{Jittered, Schedule};
use crate::store::ledger::State;

const URL: &str = "http://receiver/a";
/// An occurrence scheduled then is due half a minute to 50 seconds later.
const MINUTE: Millis = T0 + 60_000;
/// The instant of the changes.
const WITHIN: Millis = T0 + 70_000;

fn jittered() -> JobDefinition {
    JobDefinition { jitter: 50_000, ..definition("@every 60s", URL) }
}

impl WorkerFixture {
    /// Creates a job that is due long after the first minute, and returns it with its due instant.
    fn late_job(&self, definition: &JobDefinition) -> (JobId, Millis) {
        let minutes = Schedule::parse("@every 60s", chrono_tz::UTC, definition.dst, 0).unwrap();
        loop {
            let job = self.create(definition.clone(), 1);
            let of = Jittered { schedule: &minutes, anchor: T0, job, jitter: definition.jitter };
            if of.due(MINUTE) >= T0 + 90_000 {
                return (job, of.due(MINUTE));
            }
        }
    }
}

/// A change of a job.
type Edit = fn(&mut JobEdit);

/// The fate of the worker after the changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Nothing,
    Restarted,
    TakenOver,
    HandedOver,
    Reinstalled,
}

async fn what_an_edit_found_planned_fires_when_it_was_due(then: Then) {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let edits: [(&str, Edit); 10] = [
        ("end", |edit| edit.definition.end = Some(T0 + 86_400_000)),
        ("an end that has passed", |edit| edit.definition.end = Some(T0)),
        ("start", |edit| edit.definition.start = Some(T0 - 86_400_000)),
        ("dst", |edit| edit.definition.dst.gap = crate::schedule::Gap::Skip),
        ("misfire", |edit| {
            edit.definition.misfire = Misfire { policy: MisfirePolicy::All, ..Misfire::default() };
        }),
        ("more jitter", |edit| edit.definition.jitter = 59_000),
        ("less jitter", |edit| edit.definition.jitter = 8_000),
        ("no jitter", |edit| edit.definition.jitter = 0),
        ("another spec", |edit| {
            (edit.definition.spec, edit.definition.period) = ("0 0 1 1 *".into(), None);
        }),
        ("a target of its own", |edit| {
            edit.definition.callback_url = String::new();
            let url = "http://receiver/single".to_owned();
            edit.definition.http = Some(Box::new(HttpTarget { url, ..HttpTarget::default() }));
            (edit.definition.overlap, edit.definition.end) = (Overlap::Skip, Some(T0 + 86_400_000));
        }),
    ];
    let jobs: Vec<_> = edits.iter().map(|_| fixture.late_job(&jittered())).collect();
    fixture.settle().await;
    fixture.reach(WITHIN).await;
    // The watermark is beyond the scheduled instant.
    fixture.recorded().await;
    for ((what, change), (job, due)) in edits.iter().zip(&jobs) {
        fixture.edit(*job, change);
        // And two more edits.
        fixture.edit(*job, |edit| edit.definition.retry_max = Some(1));
        fixture.edit(*job, |edit| edit.definition.misfire.max = Some(7));
        assert!(fixture.time.now() < *due, "{what}");
    }
    fixture.settle().await;
    let takes = |kind| Move { shard: shard_of(jobs[0].0), to: NODE, expects: 1, kind };
    match then {
        Then::Nothing => {}
        Then::Restarted => {
            fixture.stop().await;
            fixture.start();
        }
        Then::TakenOver => {
            fixture.apply(&Command::Assign(vec![takes(MoveKind::TakeOver)]));
        }
        Then::HandedOver => {
            let until = fixture.time.now() + 9_000;
            fixture.lease.promise(shard_of(jobs[0].0), 1, until);
            fixture.apply(&Command::Assign(vec![takes(MoveKind::HandOver { until })]));
        }
        Then::Reinstalled => fixture.publish_replaced(),
    }
    fixture.settle().await;
    fixture.reach(T0 + 125_000).await;
    fixture.recorded().await;
    for ((what, _), (job, due)) in edits.iter().zip(&jobs) {
        assert_eq!(fixture.calls_for(*job, MINUTE), [*due], "{what}, then {then:?}");
        assert_eq!(fixture.state(*job, MINUTE), State::Delivered, "{what}, then {then:?}");
    }
    // The plan after it goes on from its own beginning.
    let next = T0 + 120_000;
    assert_eq!(fixture.calls_for(jobs[7].0, next), [next], "without jitter");
    assert_eq!(fixture.calls_for(jobs[1].0, next), [0; 0], "after its end");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_edit_found_planned_fires_when_it_was_due_whatever_is_edited() {
    what_an_edit_found_planned_fires_when_it_was_due(Then::Nothing).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn what_an_edit_found_planned_fires_after_a_restart() {
    what_an_edit_found_planned_fires_when_it_was_due(Then::Restarted).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn what_an_edit_found_planned_fires_after_a_take_over() {
    what_an_edit_found_planned_fires_when_it_was_due(Then::TakenOver).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_edit_found_planned_fires_through_a_hand_over() {
    what_an_edit_found_planned_fires_when_it_was_due(Then::HandedOver).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn what_an_edit_found_planned_fires_after_a_snapshot_is_installed() {
    what_an_edit_found_planned_fires_when_it_was_due(Then::Reinstalled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_decides_about_what_is_due_in_it_and_a_deletion_about_the_rest() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let make = || fixture.late_job(&jittered());
    let [resumed, paused, over, ends, reaches, at_its_end, early, gone] = [(); 8].map(|()| make());
    let pause = |job: JobId, until| fixture.act(job, JobAction::Pause { until });
    fixture.settle().await;
    fixture.reach(MINUTE - 5_000).await;
    pause(early.0, None);
    pause(over.0, Some(WITHIN));
    fixture.settle().await;
    fixture.reach(WITHIN).await;
    for job in [resumed, paused] {
        pause(job.0, None);
    }
    fixture.edit(ends.0, |edit| edit.pause_until = Some(WITHIN + 3_000));
    pause(reaches.0, Some(reaches.1 + 1));
    pause(at_its_end.0, Some(at_its_end.1));
    fixture.settle().await;
    fixture.act(gone.0, JobAction::Delete);
    fixture.act(resumed.0, JobAction::Resume);
    fixture.act(early.0, JobAction::Resume);
    // And it gets another schedule meanwhile.
    fixture.edit(paused.0, |edit| edit.definition.jitter = 0);
    fixture.settle().await;
    fixture.reach(T0 + 119_000).await;
    fixture.recorded().await;
    for (job, due) in [resumed, over, ends, at_its_end, early] {
        assert_eq!(fixture.calls_for(job, MINUTE), [due]);
        assert_eq!(fixture.state(job, MINUTE), State::Delivered);
    }
    for ((job, _), reason) in
        [(paused, SkipReason::Paused), (reaches, SkipReason::Paused), (gone, SkipReason::Ended)]
    {
        assert_eq!(fixture.calls_for(job, MINUTE), [0; 0]);
        assert_eq!(fixture.state(job, MINUTE), State::Skipped(reason));
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_pause_of_the_project_decides_about_what_is_due_in_it() {
    for skips in [false, true] {
        let mut fixture = WorkerFixture::new();
        fixture.start();
        let (job, due) = fixture.late_job(&jittered());
        let until = if skips { due + 1 } else { due };
        fixture.settle().await;
        fixture.reach(WITHIN).await;
        let pause = ProjectAction::Pause { until: Some(until) };
        fixture.apply(&Command::project_action(1, pause, None));
        fixture.edit(job, |edit| edit.definition.end = Some(T0 + 86_400_000));
        fixture.settle().await;
        fixture.reach(T0 + 119_000).await;
        fixture.recorded().await;
        let (calls, state) = if skips {
            (vec![], State::Skipped(SkipReason::Paused))
        } else {
            (vec![due], State::Delivered)
        };
        assert_eq!((fixture.calls_for(job, MINUTE), fixture.state(job, MINUTE)), (calls, state));
        fixture.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_scheduled_in_the_pause_a_job_begins_with_fires_after_it() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let (job, due) = fixture.late_job(&jittered());
    fixture.edit(job, |edit| edit.pause_until = Some(WITHIN));
    let new = crate::command::CreateJobs {
        request: 99,
        definitions: vec![jittered()],
        jobs: (0..20)
            .map(|_| crate::command::NewJob {
                pause_until: Some(WITHIN),
                status: JobStatus::Active,
                ..crate::command::NewJob::default()
            })
            .collect(),
        staged: false,
    };
    fixture.apply(&Command::CreateJobs(new));
    fixture.settle().await;
    fixture.reach(T0 + 119_000).await;
    fixture.recorded().await;
    assert_eq!(fixture.calls_for(job, MINUTE), [due]);
    let begun = job + 1..job + 21;
    let fired: Vec<_> =
        begun.clone().filter(|id| fixture.calls_for(*id, MINUTE).len() == 1).collect();
    assert!(fired.len() > 5, "about three of four are due after the pause: {fired:?}");
    for id in begun {
        let skipped = State::Skipped(SkipReason::Paused);
        let state = if fired.contains(&id) { State::Delivered } else { skipped };
        assert_eq!(fixture.state(id, MINUTE), state);
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn the_last_run_before_the_end_fires_after_it() {
    let mut fixture = WorkerFixture::new();
    let bounded = JobDefinition { start: Some(MINUTE), end: Some(MINUTE), ..jittered() };
    fixture.start();
    let (job, due) = fixture.late_job(&bounded);
    fixture.settle().await;
    fixture.reach(T0 + 185_000).await;
    fixture.recorded().await;
    assert_eq!(fixture.calls_of(job), [((due - T0) / 1_000, 1)]);
    assert_eq!(fixture.state(job, MINUTE), State::Delivered);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn two_occurrences_that_are_due_at_once_both_fire() {
    for restarted in [false, true] {
        let mut fixture = WorkerFixture::new();
        fixture.start();
        let (job, due) = fixture.late_job(&jittered());
        fixture.settle().await;
        fixture.reach(WITHIN).await;
        fixture.edit(job, |edit| {
            edit.definition = JobDefinition { period: Some(1_000), ..definition("@every 1s", URL) };
        });
        fixture.settle().await;
        if restarted {
            // The one is delivered, and recorded only in the journal.
            fixture.reach(due).await;
            fixture.stop().await;
            fixture.start();
            fixture.settle().await;
        }
        fixture.reach(due + 2_000).await;
        fixture.recorded().await;
        for scheduled in [MINUTE, due - 1_000, due, due + 1_000] {
            let at = if scheduled == MINUTE { due } else { scheduled };
            assert_eq!(fixture.calls_for(job, scheduled), [at], "{restarted}");
            assert_eq!(fixture.state(job, scheduled), State::Delivered, "{restarted}");
        }
        fixture.stop().await;
    }
}
