//! Changes that a node hears of when it has given an occurrence out already, by the plan before
//! them: the occurrence is the same under its new due instant, and is not sent again.

use super::fixture::{NODE, T0, WorkerFixture, definition};
use crate::command::Command;
use crate::model::job::JobDefinition;
use crate::model::shard::{Move, MoveKind, shard_of};
use crate::model::{JobId, Millis};
use crate::schedule::{Jittered, Schedule};
use crate::store::ledger::State;

const URL: &str = "http://receiver/a";
/// The scheduled instant of the occurrences.
const MINUTE: Millis = T0 + 60_000;
/// The stamp of the changes: just before that.
const STAMP: Millis = MINUTE - 15;
/// The jitter before or after the change, in milliseconds.
const JITTER: Millis = 50_000;

fn plain() -> JobDefinition {
    definition("@every 60s", URL)
}

fn jittered() -> JobDefinition {
    JobDefinition { jitter: JITTER, ..plain() }
}

/// The due instant of a job's occurrence with the jitter.
fn due(job: JobId, dst: crate::schedule::DstRule) -> Millis {
    let minutes = Schedule::parse("@every 60s", chrono_tz::UTC, dst, 0).unwrap();
    Jittered { schedule: &minutes, anchor: T0, job, jitter: JITTER }.due(MINUTE)
}

impl WorkerFixture {
    /// Creates a job whose occurrence is due long after it is scheduled, with the jitter.
    fn delayed(&self, definition: &JobDefinition) -> (JobId, Millis) {
        loop {
            let job = self.create(definition.clone(), 1);
            let due = due(job, definition.dst);
            if due >= MINUTE + 20_000 {
                return (job, due);
            }
        }
    }

    fn move_to_itself(&self, job: JobId, kind: MoveKind) {
        let (shard, expects) = (shard_of(job), self.shard(shard_of(job)).epoch);
        self.apply(&Command::Assign(vec![Move { shard, to: NODE, expects, kind }]));
    }
}

/// The fate of the worker after the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Nothing,
    Restarted,
    TakenOver,
    HandedOver,
    Reinstalled,
}

const FATES: [Then; 5] =
    [Then::Nothing, Then::Restarted, Then::TakenOver, Then::HandedOver, Then::Reinstalled];

impl WorkerFixture {
    async fn meets(&mut self, job: JobId, fate: Then) {
        match fate {
            Then::Nothing => {}
            Then::Restarted => {
                self.stop().await;
                self.start();
            }
            Then::TakenOver => self.move_to_itself(job, MoveKind::TakeOver),
            Then::HandedOver => {
                let until = self.time.now() + 2_000;
                self.lease.promise(shard_of(job), self.shard(shard_of(job)).epoch, until);
                self.move_to_itself(job, MoveKind::HandOver { until });
            }
            Then::Reinstalled => self.publish_replaced(),
        }
        self.settle().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_before_a_late_change_delays_it_is_not_sent_again() {
    for fate in FATES {
        let mut fixture = WorkerFixture::new();
        fixture.start();
        let (job, due) = fixture.delayed(&plain());
        fixture.settle().await;
        fixture.reach(MINUTE).await;
        assert_eq!(fixture.calls_for(job, MINUTE), [MINUTE], "by the plan before");
        fixture.edit_at(STAMP, job, |edit| edit.definition.jitter = JITTER);
        fixture.settle().await;
        fixture.meets(job, fate).await;
        fixture.recorded().await;
        fixture.reach(due + 5_000).await;
        fixture.recorded().await;
        assert_eq!(fixture.calls_for(job, MINUTE), [MINUTE], "{fate:?}");
        assert_eq!(fixture.state(job, MINUTE), State::Delivered, "{fate:?}");
        assert!(fixture.shard(shard_of(job)).settled() > due, "{fate:?}: nothing holds it back");
        fixture.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_before_a_late_change_moves_it_ahead_is_not_sent_again() {
    for fate in FATES {
        let mut fixture = WorkerFixture::new();
        fixture.start();
        let (job, due) = fixture.delayed(&jittered());
        fixture.settle().await;
        let passed = fixture.time.now().max(due) + 1_000;
        fixture.reach(passed).await;
        let [sent] = fixture.calls_for(job, MINUTE)[..] else { panic!("it was due by now") };
        fixture.edit_at(STAMP, job, |edit| edit.definition.jitter = 0);
        fixture.settle().await;
        fixture.meets(job, fate).await;
        fixture.recorded().await;
        fixture.recorded().await;
        assert_eq!(fixture.calls_for(job, MINUTE), [sent], "{fate:?}");
        assert_eq!(fixture.state(job, MINUTE), State::Delivered, "{fate:?}");
        assert!(fixture.shard(shard_of(job)).settled() > due, "{fate:?}: nothing holds it back");
        fixture.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_until_the_store_knows_whether_it_was_sent() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let (job, due) = fixture.delayed(&plain());
    fixture.settle().await;
    fixture.reach(MINUTE - 1_000).await;
    // It is given out, and comes back: the lease ends before the first byte.
    fixture.lease.give(false);
    fixture.reach(MINUTE).await;
    fixture.edit_at(STAMP, job, |edit| edit.definition.jitter = JITTER);
    fixture.settle().await;
    fixture.lease.give(true);
    fixture.settle().await;
    fixture.reach(due + 3_000).await;
    assert_eq!(fixture.calls_for(job, MINUTE), [0; 0], "an owner before may have sent it");
    fixture.recorded().await;
    let calls = fixture.calls_for(job, MINUTE);
    assert_eq!(calls.len(), 1, "nobody has: {calls:?}");
    fixture.recorded().await;
    assert_eq!(fixture.state(job, MINUTE), State::Delivered);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_knew_of_the_change_in_time_does_not_wait_for_the_store() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let (job, due) = fixture.delayed(&plain());
    fixture.settle().await;
    fixture.reach(MINUTE - 30_000).await;
    fixture.edit(job, |edit| edit.definition.jitter = JITTER);
    fixture.settle().await;
    // Nothing is collected: the watermark of the store stays where it is.
    fixture.reach(MINUTE + 1_000).await;
    assert_eq!(fixture.calls_for(job, MINUTE), [0; 0], "it is due later now");
    fixture.pass(u64::try_from(due - fixture.time.now()).unwrap(), 100).await;
    assert_eq!(fixture.calls_for(job, MINUTE).len(), 1, "it goes out when it is due");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_under_way_is_the_occurrence_that_a_late_change_moves() {
    let mut fixture = WorkerFixture::new();
    fixture.hang(&[URL]);
    fixture.start();
    let (job, due) = fixture.delayed(&jittered());
    fixture.settle().await;
    fixture.reach(due + 1_000).await;
    let sent = fixture.calls_for(job, MINUTE);
    assert_eq!(sent.len(), 1, "it hangs");
    fixture.edit_at(STAMP, job, |edit| edit.definition.jitter = 0);
    fixture.settle().await;
    fixture.apply(&Command::Tick);
    fixture.pass(6_000, 1_000).await;
    fixture.collect();
    let settled = fixture.shard(shard_of(job)).settled();
    assert!(settled < MINUTE, "the next owner must find it, if nothing comes of the call");
    fixture.hang(&[]);
    fixture.settle().await;
    fixture.recorded().await;
    assert_eq!(fixture.calls_for(job, MINUTE), sent);
    assert!(fixture.shard(shard_of(job)).settled() > MINUTE, "it is over");
    assert_eq!(fixture.state(job, MINUTE), State::Delivered);
    fixture.stop().await;
}
