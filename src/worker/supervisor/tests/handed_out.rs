//! Whether an attempt was handed out: what somebody has is known, and only an owner that knows all
//! of its shard denies the rest.

use super::super::event::{Event, Moment};
use super::fixture::*;
use crate::model::claim::{HandOutQuestion, HandedOut};
use crate::model::lease::Now;

impl SupervisorFixture {
    fn says(&self, job: u64, attempt: u32, worker: &str) -> HandedOut {
        let now = Now { boot: self.boot, sched: DUE };
        let at = Moment { now, lease: &self.lease, has_room: true };
        let (occurrence, worker) = (of(job), worker.to_owned());
        self.supervisor.handed_out(&at, &HandOutQuestion { occurrence, attempt, worker })
    }
}

#[test]
fn an_owner_says_what_it_has_handed_out_and_denies_all_else() {
    let mut fixture = SupervisorFixture::new();
    fixture.dispatch(1, source(DUE, 7), [1, 2, 3], None);
    assert_eq!(fixture.take(1), [1]);
    for (job, attempt, worker, expected) in [
        (1, 1, "w", HandedOut::Yes),
        (1, 0, "", HandedOut::Yes),
        (1, 2, "w", HandedOut::No),
        (1, 1, "v", HandedOut::No),
        (2, 1, "w", HandedOut::No),
        (9, 1, "w", HandedOut::No),
    ] {
        assert_eq!(fixture.says(job, attempt, worker), expected, "{job} {attempt} {worker}");
    }
    // On its way to the journal.
    let claim = fixture.claim(1);
    let effects = fixture.step(Event::Claim(claim));
    assert_eq!(fixture.says(2, 1, "w"), HandedOut::Unknown);
    assert_eq!(fixture.says(2, 2, "w"), HandedOut::No);
    fixture.carry_out(effects);
    assert_eq!(fixture.says(2, 1, "w"), HandedOut::Yes);
}

#[test]
fn who_may_not_know_all_of_a_shard_denies_nothing() {
    let mut fixture = SupervisorFixture::new();
    fixture.dispatch(1, source(DUE, 7), [1, 2], None);
    assert_eq!(fixture.take(1), [1]);
    let both = |fixture: &SupervisorFixture| [fixture.says(1, 1, "w"), fixture.says(2, 1, "w")];
    assert_eq!(both(&fixture), [HandedOut::Yes, HandedOut::No]);
    fixture.lease.since = None;
    assert_eq!(both(&fixture), [HandedOut::Yes, HandedOut::Unknown], "without a lease");
    fixture.lease.since = Some(0);
    fixture.lease.promised.insert((0, EPOCH));
    assert_eq!(both(&fixture), [HandedOut::Yes, HandedOut::Unknown], "it is promised away");
    fixture.lease.promised.clear();
    fixture.step(Event::Reload(vec![0]));
    assert_eq!(both(&fixture), [HandedOut::Yes, HandedOut::Unknown], "it is read again");
    fixture.step(Event::Loaded(Box::new(loaded(Vec::new()))));
    assert_eq!(both(&fixture), [HandedOut::Yes, HandedOut::No]);
    fixture.step(Event::Shards(vec![closing_shard()]));
    assert_eq!(both(&fixture), [HandedOut::Yes, HandedOut::Unknown], "another owner is closing");
    fixture.step(Event::Shards(vec![shard(EPOCH + 1)]));
    assert_eq!(both(&fixture), [HandedOut::Unknown; 2], "it is not read");
    let other = crate::model::shard::Shard { owner: 2, ..shard(EPOCH + 2) };
    fixture.step(Event::Shards(vec![other]));
    assert_eq!(both(&fixture), [HandedOut::Unknown; 2], "it is another node's");
}
