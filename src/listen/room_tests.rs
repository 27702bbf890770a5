//! Who is closed, and who never is: the room, asked at instants of its clock.

use axum::http::StatusCode;
use futures_util::FutureExt;

use super::*;

fn room(connections: usize, per_network: Option<usize>) -> Arc<Room> {
    Room::new(Bounds::api(connections, per_network))
}

fn at(host: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], 1))
}

/// So many connections from one address.
fn come(room: &Arc<Room>, host: u8, count: usize) -> Vec<Place> {
    (0..count).map(|_| room.admit(at(host), room.now()).expect("a place")).collect()
}

fn principal(number: u64) -> Principal {
    Principal::new(number).unwrap()
}

fn prove(places: &[Place], number: u64) {
    for place in places {
        place.connection.prove(principal(number)).unwrap();
    }
}

/// How many of them could still begin a request.
fn open(places: &[Place]) -> usize {
    places.iter().filter(|place| place.connection.begin().is_some()).count()
}

/// A second and more later.
const LATER: u64 = GRACE_MS + 100;

#[test]
fn a_newcomer_to_a_full_port_takes_the_place_of_a_stranger_of_the_largest_crowd() {
    let room = room(8, None);
    let crowd = come(&room, 1, 5);
    let (lone, client) = (come(&room, 2, 1), come(&room, 3, 2));
    prove(&client, 7);
    let newcomers = come(&room, 4, 3);
    assert_eq!((open(&crowd), open(&lone), open(&client), open(&newcomers)), (2, 1, 2, 3));
    assert_eq!(room.counted(), (8, 6, 2));
    drop((crowd, lone, client, newcomers));
    assert_eq!(room.counted(), (0, 0, 0));
}

#[test]
fn of_a_crowd_the_longest_waiting_goes() {
    let room = room(3, None);
    let crowd = come(&room, 1, 3);
    // The first two have had an answer since.
    std::thread::sleep(Duration::from_millis(5));
    for place in &crowd[..2] {
        drop(place.connection.begin());
    }
    come(&room, 2, 1).clear();
    assert!(crowd[2].connection.begin().is_none());
    assert_eq!(open(&crowd), 2);
}

#[test]
fn a_request_under_way_is_cut_off_by_no_newcomer() {
    let room = room(2, None);
    let busy = come(&room, 1, 2);
    let first = busy[0].connection.begin().unwrap();
    let second = busy[1].connection.begin().unwrap();
    assert!(room.admit(at(2), LATER).is_none());
    room.sweep(3_600_000);
    assert_eq!(room.counted().0, 2);
    drop(first);
    assert!(room.admit(at(2), LATER).is_some());
    drop(second);
}

#[test]
fn where_all_are_clients_the_one_with_most_connections_gives_way_and_only_what_is_idle() {
    let room = room(6, None);
    let (many, few) = (come(&room, 1, 4), come(&room, 2, 2));
    prove(&many[..3], 7);
    prove(&few, 8);
    prove(&many[3..], 9);
    assert!(room.admit(at(3), room.now()).is_none(), "they have waited for no second");
    let newcomer = room.admit(at(3), room.now() + LATER);
    assert!(newcomer.is_some());
    assert_eq!((open(&many), open(&few)), (3, 2));
}

#[test]
fn a_client_that_has_half_of_a_crowded_port_is_refused_more() {
    let room = room(8, None);
    let (one, other) = (come(&room, 1, 5), come(&room, 2, 3));
    prove(&one[..4], 7);
    let more = &one[4].connection;
    assert_eq!(more.prove(principal(7)), Err(Crowded));
    assert!(more.ends_with(StatusCode::SERVICE_UNAVAILABLE, 100), "the last answer on it");
    prove(&other, 8);
    prove(&one[..4], 7);
    assert_eq!(room.counted(), (8, 1, 7));
    drop(other);
    // There is plenty.
    assert_eq!(more.prove(principal(7)), Ok(()));
    // A proxy has another client's request on the same connection.
    assert_eq!(more.prove(principal(9)), Ok(()));
    assert_eq!(room.held().proved[&principal(7)], 4);
}

#[test]
fn of_one_network_so_many_strangers_stay() {
    let room = room(100, Some(4));
    let (crowd, client, lone) = (come(&room, 1, 10), come(&room, 1, 6), come(&room, 2, 4));
    prove(&client, 7);
    let busy = crowd[0].connection.begin().unwrap();
    room.sweep(room.now());
    assert_eq!(room.counted().0, 20, "their first requests may be on their way");
    room.sweep(room.now() + LATER);
    assert_eq!((open(&crowd), open(&client), open(&lone)), (4, 6, 4));
    drop(busy);
}

#[test]
fn without_a_bound_by_network_all_stay() {
    let room = room(100, None);
    let crowd = come(&room, 1, 90);
    room.sweep(room.now() + LATER);
    assert_eq!(open(&crowd), 90);
}

#[test]
fn idle_connections_and_slow_heads_are_closed_in_their_time() {
    let room = Room::new(Bounds {
        head: Duration::from_secs(5),
        idle: Duration::from_secs(10),
        ..Bounds::api(9, None)
    });
    let places = come(&room, 1, 3);
    prove(&places[2..], 7);
    places[0].connection.head_begins();
    room.sweep(4_900);
    assert_eq!(room.counted().0, 3);
    room.sweep(5_100);
    assert_eq!(room.counted(), (2, 1, 1));
    assert!(places[0].connection.begin().is_none());
    room.sweep(10_100);
    assert_eq!(room.counted().0, 0, "a client's too");
}

#[test]
fn an_answer_that_is_not_taken_ends_its_connection_whatever_is_under_way() {
    let room = room(9, None);
    let places = come(&room, 1, 2);
    let under_way: Vec<_> = places.iter().map(|place| place.connection.begin()).collect();
    places[0].connection.refused();
    room.sweep(29_000);
    assert_eq!(room.counted().0, 2);
    room.sweep(30_100);
    assert_eq!(room.counted().0, 1);
    drop(under_way);
    assert!(places[0].connection.begin().is_none(), "closed for good");
}

#[test]
fn an_answer_is_taken_at_the_least_speed_or_not_at_all() {
    let room = room(9, None);
    let look = |refused_ms, refused_before_ms, taken| Look {
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
        let look = look(refused, before, taken);
        assert_eq!(room.is_stalled(&look), stalled, "{look:?}");
    }
}

#[test]
fn strangers_and_members_have_places_of_their_own() {
    let room = Room::new(Bounds::raft(2, 3));
    let members = come(&room, 1, 2);
    prove(&members, 1);
    let more = come(&room, 1, 1);
    prove(&more, 1);
    let strangers = come(&room, 2, 2);
    for place in &strangers {
        place.connection.finds_empty();
    }
    assert_eq!(strangers[0].connection.prove(principal(1)), Err(Crowded));
    let busy: Vec<_> = strangers.iter().map(|place| place.connection.begin()).collect();
    assert!(room.admit(at(3), room.now() + LATER).is_none(), "no member gives way to a stranger");
    drop(busy);
    assert!(room.admit(at(3), room.now() + LATER).is_some());
    assert_eq!((open(&members), open(&more), open(&strangers)), (2, 1, 1));
}

#[test]
fn on_a_port_with_places_for_strangers_none_is_closed_whose_first_message_may_be_on_its_way() {
    let room = Room::new(Bounds::raft(2, 3));
    let before = room.now();
    let strangers = come(&room, 1, 2);
    assert!(room.admit(at(2), before + LATER).is_none(), "nothing was read of either yet");
    strangers[1].connection.finds_empty();
    assert!(room.admit(at(2), before + YOUNG_MS - 1).is_none(), "too young");
    assert!(room.admit(at(2), room.now() + YOUNG_MS).is_some());
    assert!(strangers[1].connection.begin().is_none());
    assert_eq!(open(&strangers[..1]), 1);
}

#[test]
fn who_proves_to_be_a_member_leaves_a_place_that_a_newcomer_is_told_of() {
    let room = Room::new(Bounds::raft(1, 3));
    let member = come(&room, 1, 1);
    room.set_wanted(true);
    assert!(room.admit(at(2), room.now()).is_none());
    assert!(room.freed().now_or_never().is_none());
    prove(&member, 1);
    assert!(room.freed().now_or_never().is_some());
    assert!(room.admit(at(2), room.now()).is_some());
}

#[test]
fn strangers_that_do_not_take_their_answers_count_by_their_network() {
    let room = room(100, Some(4));
    let (crowd, client) = (come(&room, 1, 10), come(&room, 1, 6));
    prove(&client, 7);
    // Of one half the answer is being made, of the other it is made.
    let made: Vec<_> = crowd[..5].iter().map(|place| place.connection.begin()).collect();
    for place in crowd.iter().chain(&client) {
        place.connection.refused();
    }
    room.sweep(room.now());
    assert_eq!(room.counted().0, 16, "their clients may be slow");
    room.sweep(room.now() + LATER);
    assert_eq!(room.counted(), (10, 4, 6));
    drop(made);
    assert_eq!((open(&crowd), open(&client)), (4, 6));
}

#[test]
fn a_port_full_of_answers_that_strangers_do_not_take_has_room_for_a_newcomer() {
    let room = room(4, None);
    let (crowd, client) = (come(&room, 1, 3), come(&room, 2, 1));
    prove(&client, 7);
    let all = || crowd.iter().chain(&client);
    let under_way: Vec<_> = all().map(|place| place.connection.begin()).collect();
    all().for_each(|place| place.connection.refused());
    assert!(room.admit(at(3), room.now()).is_none());
    let newcomer = room.admit(at(3), room.now() + LATER);
    assert!(newcomer.is_some());
    drop(under_way);
    assert_eq!((open(&crowd), open(&client)), (2, 1));
}
