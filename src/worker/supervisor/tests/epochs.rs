//! The epoch rule: nothing of a past epoch is handed out, also where the same node has the shard
//! again under the next one.

use super::super::event::{Effect, Event, Loaded, OfferRow, Source};
use super::fixture::*;
use crate::model::attempt::JournalEntry;
use crate::model::members::Members;

/// The epoch after [`EPOCH`], which node 1 has as well.
const NEXT: u64 = EPOCH + 1;

impl SupervisorFixture {
    /// Node 1 loses the shard, gets it again under the next epoch, and reads it.
    fn regain(&mut self, offers: Vec<OfferRow>, journal: Vec<(u64, JournalEntry)>) -> Vec<Effect> {
        let mut effects = self.step(Event::Shards(vec![shard(NEXT)]));
        let found = Loaded { epoch: NEXT, journal, ..loaded(offers) };
        effects.extend(self.step(Event::Loaded(Box::new(found))));
        effects
    }
}

#[test]
fn what_was_popped_under_a_past_epoch_is_not_taken() {
    let mut fixture = SupervisorFixture::new();
    fixture.step(Event::OfferRead { id: 4, offer: Some(Box::new(row(4, 1, [1]))) });
    let claim = fixture.claim(1);
    let effects = fixture.step(Event::Claim(claim));
    fixture.regain(vec![row(4, 1, [1])], Vec::new());
    let effects = fixture.carry_out(effects);
    assert!(taken(&effects).is_empty(), "{effects:?}");
    let claim = fixture.claim(1);
    let effects = fixture.step(Event::Claim(claim));
    let effects = fixture.carry_out(effects);
    let [taken] = &taken(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(taken.offer.epoch, NEXT, "the offer of the next epoch is handed out");
}

#[test]
fn what_is_journaled_as_taken_under_a_past_epoch_counts_and_is_not_handed_out() {
    let mut fixture = SupervisorFixture::new();
    fixture.dispatch(1, source(DUE, 7), [1], None);
    let claim = fixture.claim(1);
    let effects = fixture.step(Event::Claim(claim));
    let [Effect::Prepare { claim, parts }] = effects.as_slice() else { panic!("{effects:?}") };
    let (claim, parts) = (*claim, SupervisorFixture::prepared(parts));
    let effects = fixture.step(Event::Prepared { claim, parts });
    fixture.regain(Vec::new(), Vec::new());
    let effects = fixture.carry_out(effects);
    assert!(effects.contains(&Effect::Answer { claim, runs: Vec::new() }), "{effects:?}");
    fixture.dispatch(2, Source { epoch: NEXT, ..source(DUE, 7) }, [1], None);
    assert_eq!(fixture.take(1), Vec::<u64>::new(), "somebody has it");
}

#[test]
fn what_is_looked_up_under_a_past_epoch_goes_back_to_the_engine() {
    let mut fixture = SupervisorFixture::new();
    fixture.dispatch(1, source(DUE, 7), [1], None);
    let claim = fixture.claim(1);
    let effects = fixture.step(Event::Claim(claim));
    fixture.regain(Vec::new(), Vec::new());
    let effects = fixture.carry_out(effects);
    let members = Members::from_sorted([1]);
    assert!(effects.contains(&Effect::Returned { dispatch: 1, members }), "{effects:?}");
    assert!(effects.contains(&Effect::Finished { dispatch: 1 }), "{effects:?}");
    assert_eq!(fixture.take(1), Vec::<u64>::new(), "the engine brings it again");
}

#[test]
fn an_offer_that_is_journaled_under_a_past_epoch_is_not_handed_out() {
    let mut fixture = SupervisorFixture::new();
    fixture.dispatch(1, source(DUE, 7), [1], None);
    let effects = fixture.pass(1_000);
    let [entry @ JournalEntry::Offered(_)] = &entries(&effects)[..] else { panic!("{effects:?}") };
    // The journal has it when the shard is read, and says so a moment later.
    fixture.regain(Vec::new(), vec![(1, entry.clone())]);
    let effects = fixture.carry_out(effects);
    assert!(effects.contains(&Effect::Finished { dispatch: 1 }), "{effects:?}");
    assert_eq!(fixture.take(1), Vec::<u64>::new(), "for the present epoch it settles nothing");
    fixture.dispatch(2, Source { epoch: NEXT, ..source(DUE, 7) }, [1], None);
    assert_eq!(fixture.take(1), [1]);
}

#[test]
fn offers_of_a_past_epoch_are_forgotten() {
    let mut fixture = SupervisorFixture::new();
    fixture.step(Event::OfferRead { id: 4, offer: Some(Box::new(row(4, 1, [1]))) });
    // Meanwhile another owner has handed the row out.
    fixture.regain(Vec::new(), Vec::new());
    assert_eq!(fixture.take(1), Vec::<u64>::new());
}

#[test]
fn what_waits_outside_the_journal_under_a_past_epoch_goes_back_to_the_engine() {
    let mut fixture = SupervisorFixture::new();
    fixture.dispatch(1, source(DUE, 7), [1], None);
    let effects = fixture.regain(Vec::new(), Vec::new());
    let members = Members::from_sorted([1]);
    assert!(effects.contains(&Effect::Returned { dispatch: 1, members }), "{effects:?}");
    assert_eq!(fixture.take(1), Vec::<u64>::new());
}
