//! Rests: what is not handed to its bus for a while after a run came back, and what is all the
//! same. And buses that come and go with their shards.

use super::super::event::{Event, Loaded, PublishOutcome, Source};
use super::fixture::*;
use super::publishes::{jobs, published, withdrawn};
use crate::model::shard::Shard;

/// A run comes back for a reason that concerns its job alone.
fn of_job(until: u64) -> PublishOutcome {
    PublishOutcome::Back { until, of_broker: false, may_be_out: false }
}

#[test]
fn a_job_that_nobody_listens_to_rests_alone() {
    let mut fixture = SupervisorFixture::with_broker();
    let claim = fixture.publish(1, [1, 2]);
    let until = fixture.boot + 5_000;
    fixture.answer(claim, 1, of_job(until));
    fixture.answer(claim, 2, PublishOutcome::Passed);
    let effects = fixture.dispatch(2, source(DUE + 1, BROKER), [1, 3], None);
    assert_eq!(jobs(&fixture.carry_out(effects)), [3], "also later runs of the job rest");
    assert_eq!(jobs(&fixture.wait(4_800)), Vec::<u64>::new());
    assert_eq!(jobs(&fixture.wait(400)), [1, 1]);
}

#[test]
fn runs_of_a_job_that_rests_fill_no_round() {
    let mut fixture = SupervisorFixture::new();
    for n in 0..1_100 {
        fixture.dispatch(n, source(DUE + n.cast_signed(), BROKER), [1], None);
    }
    fixture.dispatch(2_000, source(DUE + 2_000, BROKER), [2], None);
    let effects = fixture.step(Event::Bus { shard: 0, queue: BROKER, up: true });
    let first = published(&fixture.carry_out(effects));
    assert_eq!(first.len(), 1_024);
    let (until, mut next) = (fixture.boot + 5_000, Vec::new());
    for (claim, run) in first {
        assert_eq!(run.of.job, 1);
        let event = Event::Published { claim, of: run.of, outcome: of_job(until) };
        let effects = fixture.step(event);
        next.extend(jobs(&fixture.carry_out(effects)));
    }
    assert_eq!(next, [2], "the younger run of another job");
}

#[test]
fn what_was_withdrawn_lets_nothing_else_rest() {
    let mut fixture = SupervisorFixture::with_broker();
    let claim = fixture.publish(1, [1]);
    assert_eq!(withdrawn(&fixture.step(Event::JobsGone(vec![1]))), [1]);
    let until = fixture.boot + 5_000;
    fixture.answer(claim, 1, PublishOutcome::Back { until, of_broker: true, may_be_out: false });
    let effects = fixture.dispatch(2, source(DUE, BROKER), [3], None);
    assert_eq!(jobs(&fixture.carry_out(effects)), [3]);
}

impl SupervisorFixture {
    /// The shard goes to node 2, and comes back under the epoch after that.
    fn regain_shard(&mut self, epoch: u64) {
        self.step(Event::Shards(vec![Shard { owner: 2, ..shard(epoch - 1) }]));
        self.step(Event::Shards(vec![shard(epoch)]));
        self.step(Event::Loaded(Box::new(Loaded { epoch, ..loaded(Vec::new()) })));
    }

    /// The jobs that are published at once, of one that falls due under an epoch.
    fn due_under(&mut self, epoch: u64, job: u64) -> Vec<u64> {
        let its = Source { epoch, ..source(DUE, BROKER) };
        let effects = self.dispatch(job, its, [job], None);
        jobs(&self.carry_out(effects))
    }
}

#[test]
fn a_bus_is_up_until_it_is_said_to_be_away() {
    let mut fixture = SupervisorFixture::with_broker();
    fixture.regain_shard(EPOCH + 2);
    assert_eq!(fixture.due_under(EPOCH + 2, 1), [1], "it was never said to be away");
    fixture.step(Event::Bus { shard: 0, queue: BROKER, up: false });
    assert_eq!(fixture.due_under(EPOCH + 2, 2), Vec::<u64>::new());
    fixture.regain_shard(EPOCH + 4);
    assert_eq!(fixture.due_under(EPOCH + 4, 3), Vec::<u64>::new());
    let effects = fixture.step(Event::Bus { shard: 0, queue: BROKER, up: true });
    assert_eq!(jobs(&fixture.carry_out(effects)), [3]);
}

#[test]
fn a_bus_that_goes_with_its_shard_is_away_when_that_comes_back() {
    let mut fixture = SupervisorFixture::with_broker();
    fixture.step(Event::Shards(vec![Shard { owner: 2, ..shard(EPOCH + 1) }]));
    fixture.step(Event::Bus { shard: 0, queue: BROKER, up: false });
    fixture.regain_shard(EPOCH + 2);
    assert_eq!(fixture.due_under(EPOCH + 2, 1), Vec::<u64>::new());
}
