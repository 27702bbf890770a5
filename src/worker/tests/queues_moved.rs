//! Queues of workers while shards move: hand-overs, take-overs, a snapshot in the place of the
//! state.

use super::fixture::{
    NODE, T0, WorkerFixture, alone, collected, instants, later, of_worker, queued,
};
use crate::command::Command;
use crate::model::attempt::JournalBatch;
use crate::model::shard::{Move, MoveKind};

fn hand_over(fixture: &WorkerFixture, until: i64) -> Command {
    let expects = fixture.shard(0).epoch;
    Command::Assign(vec![Move { shard: 0, to: 2, expects, kind: MoveKind::HandOver { until } }])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_watermark_waits_for_a_claim_that_is_under_way() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let queue = fixture.queue("emails", None);
    let job = fixture.create(alone("@every 10s", queue), 1);
    later(&fixture, 12_000).await;
    collected(&fixture).await;
    assert!(fixture.rows(0)[0].is_offered());
    // Another owner would have to ask for leave; a reload makes this one ask.
    fixture.stop().await;
    fixture.start();
    later(&fixture, 1_000).await;
    let held = fixture.hold_begin_run();
    let (supervision, ask) = (fixture.supervision(), of_worker("w", queue, 1));
    let claim = tokio::spawn(async move { supervision.claim(ask).await });
    held.reached().await;
    let (epoch, until) = (fixture.shard(0).epoch, T0 + 13_500);
    fixture.lease.promise(0, epoch, until);
    fixture.apply(&hand_over(&fixture, until));
    fixture.settle().await;
    fixture.apply(&Command::Tick);
    fixture.pass(700, 100).await;
    fixture.apply(&Command::Tick);
    fixture.pass(600, 100).await;
    let stated = fixture.stated(0, epoch);
    assert!(stated < Some(until), "the claim may still be journaled: {stated:?}");
    held.release();
    assert_eq!(claim.await.unwrap().unwrap(), [], "the shard is promised away");
    fixture.settle().await;
    fixture.pass(1_000, 250).await;
    assert_eq!(fixture.stated(0, epoch), Some(until), "job {job}");
    assert_eq!(fixture.taken().len(), 0);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_before_a_hand_over_is_offered_at_once_and_not_handed_out() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let queue = fixture.queue("emails", None);
    fixture.create(queued("@every 10s", queue), 1);
    later(&fixture, 9_500).await;
    let (epoch, until) = (fixture.shard(0).epoch, T0 + 11_000);
    fixture.lease.promise(0, epoch, until);
    fixture.pass(500, 250).await;
    assert_eq!(fixture.offered().len(), 1, "it does not wait for a second");
    assert_eq!(fixture.claim(queue, 10).await, []);
    fixture.apply(&hand_over(&fixture, until));
    fixture.settle().await;
    fixture.apply(&Command::Tick);
    fixture.pass(2_000, 250).await;
    fixture.apply(&Command::Tick);
    fixture.pass(1_000, 250).await;
    assert_eq!(fixture.stated(0, epoch), Some(until));
    assert_eq!(fixture.taken().len(), 0);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_owner_hands_out_offers_of_the_one_before_when_that_has_closed() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let queue = fixture.queue("emails", None);
    fixture.create(queued("@every 10s", queue), 1);
    later(&fixture, 12_000).await;
    collected(&fixture).await;
    let away = |to, expects, until| {
        Command::Assign(vec![Move { shard: 0, to, expects, kind: MoveKind::HandOver { until } }])
    };
    let first = fixture.shard(0).epoch;
    fixture.lease.promise(0, first, T0 + 13_000);
    fixture.apply(&away(2, first, T0 + 13_000));
    fixture.settle().await;
    fixture.apply(&Command::Tick);
    fixture.pass(2_000, 250).await;
    fixture.apply(&Command::Tick);
    fixture.pass(1_000, 250).await;
    collected(&fixture).await;
    assert_eq!(fixture.shard(0).closing, None, "this node has closed");
    let second = fixture.shard(0).epoch;
    fixture.apply(&away(NODE, second, T0 + 16_000));
    fixture.settle().await;
    assert!(fixture.shard(0).closing.is_some());
    assert_eq!(fixture.claim(queue, 10).await, [], "node 2 may have handed it out");
    fixture.apply(&Command::Tick);
    let batch = JournalBatch {
        node: 2,
        incarnation: 9,
        first: 1,
        entries: vec![crate::model::attempt::JournalEntry::Watermarks(vec![
            crate::model::attempt::Watermark { shard: 0, epoch: second, at: T0 + 16_000 },
        ])],
    };
    fixture.pass(2_000, 500).await;
    fixture.apply(&Command::Record(batch));
    fixture.settle().await;
    assert_eq!(fixture.shard(0).closing, None);
    assert_eq!(instants(&fixture.claim(queue, 10).await), [(10, 1)]);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_under_a_past_epoch_is_given_out_again_and_a_claim_is_not() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let queue = fixture.queue("emails", None);
    fixture.create(queued("@every 10s", queue), 2);
    later(&fixture, 10_000).await;
    let taken = fixture.claim(queue, 1).await;
    assert_eq!(taken.len(), 1);
    fixture.pass(2_000, 500).await;
    assert_eq!(fixture.offered().len(), 1);
    // Nothing was collected when this node was taken for dead and took over from itself.
    let expects = fixture.shard(0).epoch;
    let take = Move { shard: 0, to: NODE, expects, kind: MoveKind::TakeOver };
    fixture.apply(&Command::Assign(vec![take]));
    fixture.settle().await;
    fixture.pass(3_000, 500).await;
    let rest = fixture.claim(queue, 10).await;
    assert_eq!(instants(&rest), [(10, 1)]);
    assert_ne!(rest[0].occurrence, taken[0].occurrence);
    collected(&fixture).await;
    fixture.pass(500, 500).await;
    collected(&fixture).await;
    assert_eq!((fixture.pending(0), fixture.claim(queue, 10).await), (0, vec![]));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_a_worker_has_is_not_sent_again_from_memory() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let queue = fixture.queue("emails", None);
    let job = fixture.create(queued("@every 1000s", queue), 1);
    // A manual run is a row from the beginning.
    fixture.apply(&Command::RunJob { id: job, forced: false });
    later(&fixture, 500).await;
    let runs = fixture.claim(queue, 10).await;
    assert_eq!((runs.len(), runs[0].occurrence.run), (1, 1));
    // The store does not know of the claim, and the node gets another epoch.
    let expects = fixture.shard(0).epoch;
    let take = Move { shard: 0, to: NODE, expects, kind: MoveKind::TakeOver };
    fixture.apply(&Command::Assign(vec![take]));
    fixture.settle().await;
    fixture.pass(3_000, 500).await;
    assert_eq!(fixture.claim(queue, 10).await, [], "somebody has it");
    assert_eq!((fixture.taken().len(), fixture.offered().len()), (1, 0));
    collected(&fixture).await;
    assert_eq!((fixture.runs(job), fixture.pending(0)), (1, 0));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_snapshot_everything_is_read_again_and_handed_out_once() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let queue = fixture.queue("emails", None);
    fixture.create(queued("@every 10s", queue), 4);
    later(&fixture, 12_000).await;
    let unrecorded = fixture.claim(queue, 1).await;
    fixture.publish_replaced();
    fixture.settle().await;
    let before = fixture.claim(queue, 1).await;
    collected(&fixture).await;
    fixture.publish_replaced();
    fixture.settle().await;
    let rest = fixture.claim(queue, 10).await;
    let mut all: Vec<_> = [unrecorded, before, rest].concat();
    all.sort_by_key(|run| run.occurrence);
    all.dedup_by_key(|run| run.occurrence);
    assert_eq!(instants(&all), [(10, 1); 4]);
    assert_eq!(fixture.claim(queue, 10).await, []);
    fixture.stop().await;
}
