//! The connections that are closed, and those that never are: the registry at instants of its
//! clock.

use axum::http::StatusCode;
use futures_util::FutureExt;

use super::*;

fn registry(connections: usize, per_network: Option<usize>) -> Arc<ConnectionRegistry> {
    ConnectionRegistry::new(Bounds::api(connections, per_network))
}

fn at(host: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], 1))
}

/// Opens `count` connections from one address.
fn come(registry: &Arc<ConnectionRegistry>, host: u8, count: usize) -> Vec<ConnectionSlot> {
    (0..count).map(|_| registry.admit(at(host), registry.now()).expect("a place")).collect()
}

fn principal(number: u64) -> Principal {
    Principal::new(number).unwrap()
}

fn authenticate(slots: &[ConnectionSlot], number: u64) {
    for slot in slots {
        slot.connection.authenticate(principal(number)).unwrap();
    }
}

/// The number of them that could still begin a request.
fn open(slots: &[ConnectionSlot]) -> usize {
    slots.iter().filter(|slot| slot.connection.begin_request().is_some()).count()
}

/// More than a second later.
const LATER: u64 = GRACE_MS + 100;

#[test]
fn on_a_full_port_an_anonymous_connection_of_the_largest_crowd_is_closed_for_a_newcomer() {
    let registry = registry(8, None);
    let crowd = come(&registry, 1, 5);
    let (lone, client) = (come(&registry, 2, 1), come(&registry, 3, 2));
    authenticate(&client, 7);
    let newcomers = come(&registry, 4, 3);
    assert_eq!((open(&crowd), open(&lone), open(&client), open(&newcomers)), (2, 1, 2, 3));
    assert_eq!(registry.counted(), (8, 6, 2));
    drop((crowd, lone, client, newcomers));
    assert_eq!(registry.counted(), (0, 0, 0));
}

#[test]
fn the_connection_of_a_crowd_that_waits_longest_is_closed() {
    let registry = registry(3, None);
    let crowd = come(&registry, 1, 3);
    // The first two have had an answer since.
    std::thread::sleep(Duration::from_millis(5));
    for slot in &crowd[..2] {
        drop(slot.connection.begin_request());
    }
    come(&registry, 2, 1).clear();
    assert!(crowd[2].connection.begin_request().is_none());
    assert_eq!(open(&crowd), 2);
}

#[test]
fn a_request_under_way_is_not_cut_off_for_a_newcomer() {
    let registry = registry(2, None);
    let busy = come(&registry, 1, 2);
    let first = busy[0].connection.begin_request().unwrap();
    let second = busy[1].connection.begin_request().unwrap();
    assert!(registry.admit(at(2), LATER).is_none());
    registry.sweep(3_600_000);
    assert_eq!(registry.counted().0, 2);
    drop(first);
    assert!(registry.admit(at(2), LATER).is_some());
    drop(second);
}

#[test]
fn where_all_are_authenticated_an_idle_one_of_the_largest_principal_is_closed() {
    let registry = registry(6, None);
    let (many, few) = (come(&registry, 1, 4), come(&registry, 2, 2));
    authenticate(&many[..3], 7);
    authenticate(&few, 8);
    authenticate(&many[3..], 9);
    assert!(registry.admit(at(3), registry.now()).is_none(), "none has waited for a second");
    let newcomer = registry.admit(at(3), registry.now() + LATER);
    assert!(newcomer.is_some());
    assert_eq!((open(&many), open(&few)), (3, 2));
}

#[test]
fn a_client_that_has_half_of_a_crowded_port_is_refused_more() {
    let registry = registry(8, None);
    let (one, other) = (come(&registry, 1, 5), come(&registry, 2, 3));
    authenticate(&one[..4], 7);
    let more = &one[4].connection;
    assert_eq!(more.authenticate(principal(7)), Err(Crowded));
    assert!(more.ends_with(StatusCode::SERVICE_UNAVAILABLE, 100), "the last answer on it");
    authenticate(&other, 8);
    authenticate(&one[..4], 7);
    assert_eq!(registry.counted(), (8, 1, 7));
    drop(other);
    // Connections are not scarce any more.
    assert_eq!(more.authenticate(principal(7)), Ok(()));
    // A proxy sends the request of another client by the same connection.
    assert_eq!(more.authenticate(principal(9)), Ok(()));
    assert_eq!(registry.counts().by_principal[&principal(7)], 4);
}

#[test]
fn the_anonymous_connections_of_one_network_are_bounded() {
    let registry = registry(100, Some(4));
    let (crowd, client, lone) =
        (come(&registry, 1, 10), come(&registry, 1, 6), come(&registry, 2, 4));
    authenticate(&client, 7);
    let busy = crowd[0].connection.begin_request().unwrap();
    registry.sweep(registry.now());
    assert_eq!(registry.counted().0, 20, "their first requests may be on their way");
    registry.sweep(registry.now() + LATER);
    assert_eq!((open(&crowd), open(&client), open(&lone)), (4, 6, 4));
    drop(busy);
}

#[test]
fn without_a_bound_by_network_all_stay() {
    let registry = registry(100, None);
    let crowd = come(&registry, 1, 90);
    registry.sweep(registry.now() + LATER);
    assert_eq!(open(&crowd), 90);
}

#[test]
fn idle_connections_and_slow_heads_are_closed_in_their_time() {
    let registry = ConnectionRegistry::new(Bounds {
        head: Duration::from_secs(5),
        idle: Duration::from_secs(10),
        ..Bounds::api(9, None)
    });
    let slots = come(&registry, 1, 3);
    authenticate(&slots[2..], 7);
    slots[0].connection.head_begins();
    registry.sweep(4_900);
    assert_eq!(registry.counted().0, 3);
    registry.sweep(5_100);
    assert_eq!(registry.counted(), (2, 1, 1));
    assert!(slots[0].connection.begin_request().is_none());
    registry.sweep(10_100);
    assert_eq!(registry.counted().0, 0, "a client's too");
}

#[test]
fn an_answer_that_is_not_taken_ends_its_connection_with_a_request_under_way() {
    let registry = registry(9, None);
    let slots = come(&registry, 1, 2);
    let under_way: Vec<_> = slots.iter().map(|slot| slot.connection.begin_request()).collect();
    slots[0].connection.refused();
    registry.sweep(29_000);
    assert_eq!(registry.counted().0, 2);
    registry.sweep(30_100);
    assert_eq!(registry.counted().0, 1);
    drop(under_way);
    assert!(slots[0].connection.begin_request().is_none(), "closed for good");
}

#[test]
fn an_answer_is_taken_at_the_least_speed_or_not_at_all() {
    let registry = registry(9, None);
    let state = |refused_ms, refused_before_ms, taken| ConnectionState {
        idle: false,
        in_head: false,
        found_empty: true,
        age_ms: 0,
        waits_ms: 0,
        refused_ms,
        refused_before_ms,
        taken,
    };
    for (refused, before, taken, stalled) in [
        (None, 3_600_000, 0, false),
        (Some(29_999), 0, 0, false),
        (Some(30_000), 0, u64::MAX, true),
        // A kilobyte every 29 s.
        (Some(29_000), 1_000, 2_000, false),
        (Some(29_000), 29_000, 2_000, true),
        // 64 kB a second.
        (Some(1_000), 599_000, 38_400_000, false),
        (Some(1_000), 629_000, 38_400_000, true),
    ] {
        let state = state(refused, before, taken);
        assert_eq!(registry.is_stalled(&state), stalled, "{state:?}");
    }
}

#[test]
fn anonymous_connections_and_members_have_slots_of_their_own() {
    let registry = ConnectionRegistry::new(Bounds::raft(2, 3));
    let members = come(&registry, 1, 2);
    authenticate(&members, 1);
    let more = come(&registry, 1, 1);
    authenticate(&more, 1);
    let anonymous = come(&registry, 2, 2);
    for slot in &anonymous {
        slot.connection.finds_empty();
    }
    assert_eq!(anonymous[0].connection.authenticate(principal(1)), Err(Crowded));
    let busy: Vec<_> = anonymous.iter().map(|slot| slot.connection.begin_request()).collect();
    assert!(
        registry.admit(at(3), registry.now() + LATER).is_none(),
        "no member is closed for an anonymous connection"
    );
    drop(busy);
    assert!(registry.admit(at(3), registry.now() + LATER).is_some());
    assert_eq!((open(&members), open(&more), open(&anonymous)), (2, 1, 1));
}

#[test]
fn where_anonymous_connections_have_slots_none_is_closed_whose_first_message_may_be_on_its_way() {
    let registry = ConnectionRegistry::new(Bounds::raft(2, 3));
    let before = registry.now();
    let anonymous = come(&registry, 1, 2);
    assert!(registry.admit(at(2), before + LATER).is_none(), "nothing was read of either yet");
    anonymous[1].connection.finds_empty();
    assert!(registry.admit(at(2), before + YOUNG_MS - 1).is_none(), "too young");
    assert!(registry.admit(at(2), registry.now() + YOUNG_MS).is_some());
    assert!(anonymous[1].connection.begin_request().is_none());
    assert_eq!(open(&anonymous[..1]), 1);
}

#[test]
fn a_member_that_authenticates_frees_a_slot_and_a_newcomer_is_notified() {
    let registry = ConnectionRegistry::new(Bounds::raft(1, 3));
    let member = come(&registry, 1, 1);
    registry.set_wanted(true);
    assert!(registry.admit(at(2), registry.now()).is_none());
    assert!(registry.freed().now_or_never().is_none());
    authenticate(&member, 1);
    assert!(registry.freed().now_or_never().is_some());
    assert!(registry.admit(at(2), registry.now()).is_some());
}

#[test]
fn anonymous_connections_that_do_not_take_their_answers_count_by_their_network() {
    let registry = registry(100, Some(4));
    let (crowd, client) = (come(&registry, 1, 10), come(&registry, 1, 6));
    authenticate(&client, 7);
    // The answers of one half are being made, those of the other are complete.
    let made: Vec<_> = crowd[..5].iter().map(|slot| slot.connection.begin_request()).collect();
    for slot in crowd.iter().chain(&client) {
        slot.connection.refused();
    }
    registry.sweep(registry.now());
    assert_eq!(registry.counted().0, 16, "their clients may be slow");
    registry.sweep(registry.now() + LATER);
    assert_eq!(registry.counted(), (10, 4, 6));
    drop(made);
    assert_eq!((open(&crowd), open(&client)), (4, 6));
}

#[test]
fn a_port_full_of_answers_that_are_not_taken_has_a_slot_for_a_newcomer() {
    let registry = registry(4, None);
    let (crowd, client) = (come(&registry, 1, 3), come(&registry, 2, 1));
    authenticate(&client, 7);
    let all = || crowd.iter().chain(&client);
    let under_way: Vec<_> = all().map(|slot| slot.connection.begin_request()).collect();
    all().for_each(|slot| slot.connection.refused());
    assert!(registry.admit(at(3), registry.now()).is_none());
    let newcomer = registry.admit(at(3), registry.now() + LATER);
    assert!(newcomer.is_some());
    drop(under_way);
    assert_eq!((open(&crowd), open(&client)), (2, 1));
}
