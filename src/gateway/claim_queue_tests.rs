//! The rules of waiting claims, step by step.

use super::*;

const NOW: u64 = 1_000_000;

fn queue() -> ClaimQueue {
    ClaimQueue::new(1, vec![1, 2, 3])
}

fn hint(queue: QueueId, count: u64, oldest: Millis) -> QueueHint {
    QueueHint { queue, count, oldest }
}

fn is_woken(woken: &mut oneshot::Receiver<()>) -> bool {
    woken.try_recv().is_ok()
}

#[test]
fn the_oldest_offer_is_asked_for_first_and_own_ones_within_a_second() {
    let mut queue = queue();
    let fair = queue.add(vec![7, 8], ClaimOrder::Fair, 1, NOW);
    assert_eq!(queue.nodes_for(fair, NOW), [0; 0]);
    for (node, of, oldest) in [(1, 7, 10_999), (2, 8, 10_000), (3, 7, 9_998)] {
        queue.take_hint(node, hint(of, 5, oldest), NOW);
    }
    assert_eq!(queue.nodes_for(fair, NOW), [3, 1, 2]);
    queue.take_hint(3, hint(7, 5, 9_999), NOW);
    assert_eq!(queue.nodes_for(fair, NOW), [1, 3, 2]);
    let strict = queue.add(vec![8, 7], ClaimOrder::Strict, 1, NOW);
    assert_eq!(queue.nodes_for(strict, NOW), [2, 1, 3], "8 comes first");
    queue.set_nodes(vec![1, 2]);
    assert_eq!(queue.nodes_for(strict, NOW), [2, 1], "3 is no member any more");
}

#[test]
fn claims_that_ask_leave_a_node_to_others_when_it_has_no_more() {
    let mut queue = queue();
    let [first, second] = [0; 2].map(|_| queue.add(vec![7], ClaimOrder::Fair, 2, NOW));
    queue.take_hint(2, hint(7, 2, 5), NOW);
    queue.take_hint(3, hint(7, 2, 9), NOW);
    assert_eq!(queue.nodes_for(first, NOW), [2, 3]);
    queue.begin_ask(first, 2, NOW);
    assert_eq!(queue.nodes_for(second, NOW), [3, 2]);
}

#[test]
fn as_many_claims_are_woken_as_there_are_offers_and_the_oldest_first() {
    let mut queue = queue();
    let tickets = [0; 4].map(|_| queue.add(vec![7], ClaimOrder::Fair, 2, NOW));
    let mut woken = tickets.map(|ticket| queue.wait(ticket, NOW).unwrap());
    assert_eq!((queue.waiting(), queue.parked()), (vec![(7, 4)], 4));
    queue.take_hint(2, hint(7, 3, 5), NOW);
    assert_eq!(woken.each_mut().map(is_woken), [true, true, false, false]);
    // The second has hung up before it asked.
    queue.remove(tickets[1], NOW);
    assert!(is_woken(&mut woken[2]), "the next one is woken in its place");
    let hint = queue.begin_ask(tickets[0], 2, NOW);
    queue.end_ask((&[7], 2), 2, hint, &[7, 7], NOW);
    queue.remove(tickets[0], NOW);
    assert!(!is_woken(&mut woken[3]), "one is left, and the third is awake");
}

#[test]
fn a_claim_that_waits_for_a_node_keeps_the_offers_of_others_from_nobody() {
    let mut queue = queue();
    let [greedy, other] = [1_000, 1].map(|most| queue.add(vec![7], ClaimOrder::Fair, most, NOW));
    let mut woken = queue.wait(other, NOW).unwrap();
    queue.take_hint(3, hint(7, 5, 5), NOW);
    queue.take_hint(2, hint(7, 5, 9), NOW);
    assert!(!is_woken(&mut woken), "the first may take all");
    queue.begin_ask(greedy, 3, NOW);
    assert!(is_woken(&mut woken), "it asks 3, and 2 has some, too");
    assert_eq!(queue.nodes_for(other, NOW), [2, 3]);
}

#[test]
fn a_hint_while_a_claim_asks_is_not_lost() {
    let mut queue = queue();
    let ticket = queue.add(vec![7], ClaimOrder::Fair, 1, NOW);
    queue.take_hint(2, hint(7, 1, 5), NOW);
    let number = queue.begin_ask(ticket, 2, NOW);
    queue.take_hint(2, hint(7, 1, 6), NOW);
    queue.end_ask((&[7], 1), 2, number, &[], NOW);
    queue.stop_asking(ticket);
    assert!(queue.wait(ticket, NOW).is_none(), "it asks again");
    let number = queue.begin_ask(ticket, 2, NOW);
    queue.end_ask((&[7], 1), 2, number, &[], NOW);
    queue.stop_asking(ticket);
    let mut woken = queue.wait(ticket, NOW).unwrap();
    queue.tick(NOW + 249);
    assert!(!is_woken(&mut woken));
    queue.tick(NOW + 250);
    assert!(is_woken(&mut woken), "what could not be had is asked for again");
}

#[test]
fn what_cannot_be_had_is_asked_for_more_and_more_seldom() {
    let mut queue = queue();
    let ticket = queue.add(vec![7], ClaimOrder::Fair, 1, NOW);
    let mut now = NOW;
    let mut pauses = Vec::new();
    for _ in 0..7 {
        queue.take_hint(2, hint(7, 1, 5), now);
        let begun = now;
        while queue.nodes_for(ticket, now).is_empty() {
            now += 10;
        }
        pauses.push(now - begun);
        let number = queue.begin_ask(ticket, 2, now);
        queue.end_ask((&[7], 1), 2, number, &[], now);
        queue.stop_asking(ticket);
        assert_eq!(queue.wants(now).get(&2), None, "a want would bring the same hint");
    }
    assert_eq!(pauses, [0, 250, 500, 1_000, 2_000, 4_000, 5_000]);
    queue.take_hint(2, hint(7, 2, 5), now);
    assert_eq!(queue.nodes_for(ticket, now), [2], "there is something new");
}

#[test]
fn wants_are_told_while_claims_wait_and_again_when_they_were_used_up() {
    let mut queue = queue();
    let ticket = queue.add(vec![7], ClaimOrder::Fair, 1, NOW);
    assert!(queue.wants(NOW).is_empty(), "it asks");
    assert!(!queue.is_told(&[7], NOW));
    let _woken = queue.wait(ticket, NOW);
    let told: Vec<_> = queue.wants(NOW).into_keys().collect();
    assert_eq!(told, [1, 2, 3]);
    assert!(queue.is_told(&[7], NOW) && !queue.is_told(&[7, 8], NOW));
    assert!(queue.wants(NOW + 4_999).is_empty());
    // The node has told one gateway, and knows of no want any more.
    queue.take_hint(2, hint(7, 1, 5), NOW);
    let number = queue.begin_ask(ticket, 2, NOW);
    queue.end_ask((&[7], 1), 2, number, &[7], NOW);
    queue.stop_asking(ticket);
    let _woken = queue.wait(ticket, NOW);
    assert_eq!(queue.wants(NOW).into_keys().collect::<Vec<_>>(), [2]);
    assert_eq!(queue.wants(NOW + 5_000).into_keys().collect::<Vec<_>>(), [1, 2, 3]);
    queue.remove(ticket, NOW);
    assert!(queue.wants(NOW + 20_000).is_empty(), "nobody waits");
    queue.ask_for_hints(&[7]);
    assert_eq!(queue.wants(NOW + 20_000).len(), 3);
    queue.tick(NOW + FORGET);
    assert!(queue.queues.is_empty(), "forgotten");
}

#[test]
fn a_claim_for_two_queues_is_woken_once_and_leaves_both() {
    let mut queue = queue();
    let both = queue.add(vec![7, 8], ClaimOrder::Fair, 1, NOW);
    let other = queue.add(vec![8], ClaimOrder::Fair, 1, NOW);
    let mut first = queue.wait(both, NOW).unwrap();
    let mut second = queue.wait(other, NOW).unwrap();
    assert_eq!(queue.parked(), 2, "each claim once");
    queue.take_hint(2, hint(7, 1, 5), NOW);
    assert!(is_woken(&mut first));
    queue.take_hint(2, hint(8, 1, 5), NOW);
    assert!(!is_woken(&mut second), "the first may take it");
    let number = queue.begin_ask(both, 2, NOW);
    assert!(!is_woken(&mut second), "the first asks for either");
    queue.end_ask((&[7, 8], 1), 2, number, &[7], NOW);
    assert!(is_woken(&mut second), "it got another");
    queue.remove(both, NOW);
    assert_eq!(queue.waiting(), []);
}
