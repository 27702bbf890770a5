//! Rows that the store names again and again while their members are claimed: they are put once,
//! and what went leaves them.

use super::super::event::Event;
use super::super::offers::GroupId;
use super::fixture::*;

impl SupervisorFixture {
    fn read_offer(&mut self, id: u64, jobs: &[u64]) {
        let offer = Some(Box::new(row(id, 1, jobs.iter().copied())));
        self.step(Event::OfferRead { id, offer });
    }

    fn group_of(&self, job: u64) -> Option<GroupId> {
        self.supervisor.offers.find(0, of(job)).map(|(id, _)| id)
    }
}

#[test]
fn a_row_that_members_left_is_not_put_anew() {
    let mut fixture = SupervisorFixture::new();
    fixture.read_offer(4, &[1, 2, 3, 4]);
    let group = fixture.group_of(3);
    assert!(group.is_some());
    assert_eq!(fixture.take(2), [1, 2]);
    // The store has recorded one of the two claims.
    fixture.read_offer(4, &[2, 3, 4]);
    assert_eq!(fixture.group_of(3), group);
    assert_eq!(fixture.group_of(2), None, "it is taken");
    // A client has cancelled what waits.
    fixture.read_offer(4, &[4]);
    assert_eq!((fixture.group_of(3), fixture.group_of(4)), (None, group));
    assert_eq!(fixture.supervisor.queues()[0].offers, 1);
    assert_eq!(fixture.take(9), [4]);
}

#[test]
fn a_row_is_put_anew_where_a_member_waits_that_was_not_there() {
    let mut fixture = SupervisorFixture::new();
    fixture.read_offer(4, &[1, 3]);
    let group = fixture.group_of(3);
    fixture.read_offer(4, &[1, 2, 3]);
    assert_ne!(fixture.group_of(3), group);
    assert_eq!(fixture.group_of(2), fixture.group_of(3));
    assert_eq!(fixture.take(9), [1, 2, 3]);
}

#[test]
fn what_is_looked_up_goes_with_its_row_and_with_no_other() {
    let mut fixture = SupervisorFixture::new();
    fixture.read_offer(4, &[1, 2]);
    fixture.read_offer(5, &[3]);
    let claim = fixture.claim(9);
    let id = claim.id;
    fixture.step(Event::Claim(claim));
    let members = |fixture: &SupervisorFixture| {
        let hand = &fixture.supervisor.hands[&id];
        hand.members.keys().map(|of| of.job).collect::<Vec<_>>()
    };
    fixture.step(Event::OfferRead { id: 6, offer: None });
    assert_eq!(members(&fixture), [1, 2, 3]);
    fixture.read_offer(4, &[2]);
    assert_eq!(members(&fixture), [2, 3]);
    fixture.step(Event::OfferRead { id: 5, offer: None });
    assert_eq!(members(&fixture), [2]);
}
