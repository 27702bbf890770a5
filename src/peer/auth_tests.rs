//! Tables of senders: those that are let in, that are refused, and that are told to end.

use std::time::Duration;

use super::*;
use crate::peer::Identity;
use crate::store::nodes::Bound;

fn peers(node: NodeId, instance: u128) -> Peers {
    let process = Process { id: 1, place: 1, boot: 1 };
    let identity =
        Identity { node, instance, process, founder: false, level: 1, token: "right".into() };
    let addresses = [1, 2, 3].map(|n| (n, format!("127.0.0.1:{n}")));
    let second = Duration::from_secs(1);
    Peers::new(identity, addresses, 1, second, second).unwrap()
}

fn message(token: &str, cluster: u128, node: NodeId, instance: u128) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut put = |name: &'static str, value: String| {
        headers.insert(name, value.parse().unwrap());
    };
    put("authorization", format!("Bearer {token}"));
    put(CLUSTER, format!("{cluster:032x}"));
    put(NODE, node.to_string());
    put(INSTANCE, format!("{instance:032x}"));
    headers
}

fn bound(node: NodeId, instance: u128, since: u64) -> Bound {
    Bound { node, instance, since, removed: false, draining: false }
}

fn refused(peers: &Peers, headers: &HeaderMap) -> (u16, bool) {
    let refusal = admit(peers, None, headers).unwrap_err();
    assert!(!refusal.message.contains("right"), "no secret in a message");
    (refusal.status.as_u16(), refusal.stop)
}

#[tokio::test]
async fn only_members_of_this_cluster_with_its_token_come_in() {
    let here = peers(1, 10);
    // Nobody is registered yet: a member is believed.
    let caller = admit(&here, None, &message("right", 0, 2, 20)).unwrap();
    let process = Process::default();
    assert_eq!(caller, Caller { node: 2, instance: 20, process, founder: false, alone: false });
    assert_eq!(refused(&here, &message("wrong", 0, 2, 20)), (401, false));
    assert_eq!(refused(&here, &message("", 0, 2, 20)), (401, false));
    assert_eq!(refused(&here, &message("right", 0, 9, 20)), (403, false));
    let mut nameless = message("right", 0, 2, 20);
    nameless.remove(INSTANCE);
    assert_eq!(refused(&here, &nameless), (400, false));
    here.learn(77, [bound(1, 10, 5), bound(2, 20, 6)]);
    assert!(check(&here, &message("right", 77, 2, 20)).is_ok());
    assert!(check(&here, &message("right", 0, 3, 30)).is_ok(), "it has yet to learn the id");
    assert_eq!(refused(&here, &message("right", 78, 2, 20)), (403, true));
}

#[tokio::test]
async fn a_second_instance_under_a_known_node_id_is_told_to_stop() {
    let here = peers(1, 10);
    assert_eq!(refused(&here, &message("right", 0, 1, 11)), (409, true));
    here.learn(77, [bound(1, 10, 5), bound(2, 20, 6)]);
    assert_eq!(refused(&here, &message("right", 77, 2, 21)), (409, true));
    assert_eq!(here.failure(), None, "it is the other that must stop");
    // The other way round: a member expects another instance here.
    let mut expecting = message("right", 77, 2, 20);
    expecting.insert(EXPECTS, format!("{:032x}", 12).parse().unwrap());
    expecting.insert(EXPECTS_SINCE, "9".parse().unwrap());
    assert_eq!(refused(&here, &expecting), (409, false));
    // Nobody is ended by a message, whatever it claims: the others are asked.
    here.doubted().await;
    expecting.insert(EXPECTS_SINCE, u64::MAX.to_string().parse().unwrap());
    assert_eq!(refused(&here, &expecting), (409, false));
    let mut later = message("right", 77, 1, 11);
    later.insert(BOUND, u64::MAX.to_string().parse().unwrap());
    assert_eq!(refused(&here, &later), (409, false));
    assert_eq!(here.failure(), None);
}

#[tokio::test]
async fn of_two_processes_on_copies_of_a_folder_the_one_that_is_heard_goes_on() {
    let here = peers(1, 10);
    here.learn(77, [bound(1, 10, 5), bound(2, 20, 6)]);
    let from = |node, instance, process: &str| {
        let mut headers = message("right", 77, node, instance);
        headers.insert(PROCESS, process.parse().unwrap());
        headers
    };
    let (original, copy) = (from(2, 20, "a1-b1-5"), from(2, 20, "a2-b2-5"));
    let caller = check(&here, &original).unwrap();
    assert_eq!(caller.process, Process { id: 0xa1, place: 0xb1, boot: 5 });
    assert_eq!(refused(&here, &copy), (409, false), "the original may be gone");
    while refused(&here, &copy) == (409, false) {
        assert!(check(&here, &original).is_ok());
        here.speakers().answered(2, caller.process);
    }
    assert_eq!(refused(&here, &copy), (409, true));
    assert!(check(&here, &original).is_ok());
    assert!(check(&here, &from(2, 20, "a3-b1-6")).is_ok(), "the original, started anew");
    assert_eq!(refused(&here, &original), (425, false), "late");
    // A copy of this node's own folder asks who is there.
    assert_eq!(refused(&here, &from(1, 10, "a9-b9-9")), (409, true));
    assert_eq!(here.failure(), None);
}

#[tokio::test]
async fn of_two_bindings_the_later_one_holds() {
    let here = peers(1, 10);
    here.learn(77, [bound(1, 10, 5), bound(2, 20, 6)]);
    let with = |mut headers: HeaderMap, name: &'static str, value: String| {
        headers.insert(name, value.parse().unwrap());
        headers
    };
    // Bound anew, or for the first time, after what this node has applied.
    for (node, instance) in [(2, 21), (9, 90)] {
        let news = with(message("right", 77, node, instance), BOUND, "8".to_owned());
        assert!(check(&here, &news).is_ok(), "node {node}");
    }
    let stale = with(message("right", 77, 2, 21), BOUND, "4".to_owned());
    assert_eq!(refused(&here, &stale), (409, true));
    // A member that is behind takes this node for its predecessor: that is no reason to go.
    let behind = message("right", 77, 2, 20);
    let behind = with(behind, EXPECTS, format!("{:032x}", 12));
    assert_eq!(refused(&here, &with(behind, EXPECTS_SINCE, "3".to_owned())), (409, false));
    assert_eq!(here.failure(), None);
    // A removed node is told, whoever it asks.
    here.learn(77, [bound(1, 10, 5), Bound { removed: true, ..bound(2, 20, 9) }]);
    let removed = with(message("right", 77, 2, 20), BOUND, "6".to_owned());
    let refusal = check(&here, &removed).unwrap_err();
    assert!(refusal.stop && refusal.message.contains("was removed"), "{}", refusal.message);
}

#[tokio::test]
async fn a_node_hears_from_others_that_it_was_bound() {
    let here = peers(4, 40);
    let mut leader = message("right", 77, 2, 20);
    leader.insert(BOUND, "6".parse().unwrap());
    leader.insert(EXPECTS, format!("{:032x}", 40).parse().unwrap());
    leader.insert(EXPECTS_SINCE, "12".parse().unwrap());
    assert!(check(&here, &leader).is_ok());
    assert_eq!((*here.told().borrow(), here.bound_since()), (12, 12));
    // It replays what was before a recovery: another line of descent, which it will leave.
    here.learn(66, [bound(2, 19, 3)]);
    assert!(check(&here, &leader).is_ok());
    leader.insert(EXPECTS_SINCE, "0".parse().unwrap());
    assert_eq!(refused(&here, &leader), (403, false));
}

#[tokio::test]
async fn of_two_lines_of_descent_the_one_that_nobody_counts_in_goes() {
    let here = peers(1, 10);
    here.learn(77, [bound(1, 10, 5)]);
    let counted_in = |mut headers: HeaderMap| {
        headers.insert(BOUND, "6".parse().unwrap());
        headers
    };
    let other = counted_in(message("right", 78, 2, 20));
    assert_eq!(refused(&here, &other), (403, false), "both belong to a cluster");
    assert_eq!(refused(&here, &message("right", 78, 2, 20)), (403, true), "it is the stranger");
    here.learn(77, []);
    assert_eq!(refused(&here, &other), (403, false), "here is the stranger");
    here.doubted().await;
    assert_eq!(here.failure(), None, "the others are asked first");
}
