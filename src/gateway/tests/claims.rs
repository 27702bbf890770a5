//! Claims: which node is asked, how a claim waits, and what becomes of it when something is lost.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::fakes::{NODES, Net, QUEUE, ask, run};
use crate::clock::Clock;
use crate::gateway::state::NoPlace;
use crate::model::claim::{ClaimOrder, ClaimRequest, ClaimedRun};

fn jobs(runs: &[ClaimedRun]) -> Vec<u64> {
    runs.iter().map(|run| run.occurrence.job).collect()
}

#[tokio::test]
async fn the_oldest_offer_of_all_nodes_comes_first() {
    let net = Net::start(100);
    for (node, due, job) in [(1, 9_000, 10), (2, 1_000, 20), (3, 5_000, 30), (2, 9_500, 21)] {
        net.offer(node, QUEUE, due, job);
    }
    let gateway = net.gateway(1);
    // A node that knows nothing of others asks itself first, and lets them tell what they have.
    assert_eq!(jobs(&net.until(gateway.claim(ask("w"), 0)).await.unwrap()), [10]);
    assert_eq!(jobs(&net.until(gateway.claim(ask("w"), 0)).await.unwrap()), [20]);
    net.offer(1, QUEUE, 9_600, 11);
    net.pass(300).await;
    let mut got = Vec::new();
    for _ in 0..3 {
        got.extend(jobs(&net.until(gateway.claim(ask("w"), 1_000)).await.unwrap()));
    }
    assert_eq!(got, [30, 11, 21], "own ones go first within a second");
}

#[tokio::test]
async fn a_worker_at_one_node_starves_no_offers_at_another() {
    let net = Net::start(100);
    let gateway = net.gateway(1);
    net.offer(2, QUEUE, 0, 20);
    let mut claims = 0;
    loop {
        // Its own node always has something newer.
        net.offer(1, QUEUE, 100_000 + claims, 10);
        let runs = net.until(gateway.claim(ask("w"), 0)).await.unwrap();
        if jobs(&runs) == [20] {
            break;
        }
        claims += 1;
        assert!(claims < 10, "never asked");
        net.pass(50).await;
    }
}

#[tokio::test]
async fn a_claim_waits_and_gets_what_comes_at_any_node() {
    let net = Net::start(100);
    for node in NODES {
        let gateway = net.gateway(1);
        let claim = tokio::spawn(async move { gateway.claim(ask("w"), 60_000).await });
        net.pass(50).await;
        let began = net.clock.boot();
        net.offer(node, QUEUE, 5, node);
        assert_eq!(jobs(&net.until(claim).await.unwrap().unwrap()), [node]);
        assert!(net.clock.boot() - began < 50, "the node hints at once");
    }
    let began = net.clock.boot();
    assert_eq!(net.until(net.gateway(2).claim(ask("w"), 700)).await.unwrap(), []);
    assert!((700..900).contains(&(net.clock.boot() - began)), "nothing came");
}

#[tokio::test]
async fn a_hint_that_is_lost_costs_seconds_and_nothing_else() {
    let net = Net::start(100);
    let gateway = net.gateway(1);
    let began = net.clock.boot();
    let claim = tokio::spawn(async move { gateway.claim(ask("w"), 60_000).await });
    net.pass(50).await;
    net.node(2, |it| it.loses_hints = true);
    net.offer(2, QUEUE, 5, 20);
    net.pass(3_000).await;
    net.node(2, |it| it.loses_hints = false);
    assert!(!claim.is_finished());
    assert_eq!(jobs(&net.until(claim).await.unwrap().unwrap()), [20]);
    assert!(net.clock.boot() - began < 6_000);
}

#[tokio::test]
async fn one_offer_goes_to_one_of_two_gateways_and_the_other_waits_on() {
    let net = Net::start(100);
    let claims = [1, 2].map(|node| {
        let gateway = net.gateway(node);
        tokio::spawn(async move { gateway.claim(ask("w"), 60_000).await })
    });
    net.pass(50).await;
    net.offer(3, QUEUE, 5, 30);
    net.pass(1_000).await;
    assert_eq!(claims.iter().filter(|claim| claim.is_finished()).count(), 1);
    net.offer(3, QUEUE, 6, 31);
    let mut got = Vec::new();
    for claim in claims {
        got.extend(jobs(&net.until(claim).await.unwrap().unwrap()));
    }
    got.sort_unstable();
    assert_eq!(got, [30, 31]);
}

#[tokio::test]
async fn a_claim_that_hangs_up_leaves_its_place_to_the_next() {
    let net = Net::start(2);
    let [first, second] = ["a", "b"].map(|worker| {
        let gateway = net.gateway(1);
        tokio::spawn(async move { gateway.claim(ask(worker), 60_000).await })
    });
    net.pass(50).await;
    let third = net.until(net.gateway(1).claim(ask("c"), 1_000)).await;
    assert_eq!(third, Err(NoPlace), "as many wait as may");
    first.abort();
    net.pass(10).await;
    let gateway = net.gateway(1);
    let third = tokio::spawn(async move { gateway.claim(ask("c"), 60_000).await });
    net.pass(10).await;
    net.offer(2, QUEUE, 5, 20);
    assert_eq!(jobs(&net.until(second).await.unwrap().unwrap()), [20]);
    net.offer(2, QUEUE, 5, 21);
    assert_eq!(jobs(&net.until(third).await.unwrap().unwrap()), [21]);
    assert_eq!(net.given_back.lock().unwrap().len(), 0);
    assert!(net.gateway(1).own_view(false).await.waiting.is_empty());
}

/// A claim that hangs up while a node answers it.
async fn hang_up(net: &Arc<Net>, ask: ClaimRequest) {
    net.node(2, |it| it.calls.clear());
    let gateway = net.gateway(1);
    let claim = tokio::spawn(async move { gateway.claim(ask, 60_000).await });
    net.until(async {
        while net.node(2, |it| it.calls.is_empty()) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    claim.abort();
    net.pass(50).await;
}

#[tokio::test]
async fn runs_that_come_for_a_client_that_has_gone_are_given_back_unless_it_may_repeat() {
    let net = Net::start(100);
    net.until(net.gateway(1).claim(ask("w"), 0)).await.unwrap();
    net.offer(2, QUEUE, 5, 20);
    net.pass(50).await;
    hang_up(&net, ask("w")).await;
    let given_back = std::mem::take(&mut *net.given_back.lock().unwrap());
    assert_eq!(given_back.len(), 1);
    assert_eq!((given_back[0].occurrence, given_back[0].worker.as_str()), (run(20), "w"));
    net.until(net.gateway(1).claim(ask("w"), 0)).await.unwrap();
    net.offer(2, QUEUE, 5, 21);
    net.pass(50).await;
    let keyed = ClaimRequest { key: Some("k".into()), ..ask("w") };
    hang_up(&net, keyed.clone()).await;
    assert!(net.given_back.lock().unwrap().is_empty(), "it may be repeated");
    // The repetition goes to the same node, and says the key.
    net.offer(1, QUEUE, 5, 10);
    net.offer(2, QUEUE, 9_000, 22);
    assert_eq!(jobs(&net.until(net.gateway(1).claim(keyed, 0)).await.unwrap()), [22]);
    let key = net.node(2, |it| it.calls.last().unwrap()[0].key.clone());
    assert_eq!(key.as_deref(), Some("k"));
}

#[tokio::test]
async fn a_node_that_never_answers_delays_only_who_asked_it_and_not_for_long() {
    let net = Net::start(100);
    let gateway = net.gateway(1);
    net.until(gateway.claim(ask("w"), 0)).await.unwrap();
    net.offer(3, QUEUE, 0, 30);
    (20..26).for_each(|job| net.offer(2, QUEUE, 60_000, job));
    net.pass(50).await;
    net.node(3, |it| it.is_silent = true);
    let began = net.clock.boot();
    let claims = ["a", "b", "c"].map(|worker| {
        let gateway = net.gateway(1);
        tokio::spawn(async move { gateway.claim(ask(worker), 30_000).await })
    });
    let mut took = Vec::new();
    for claim in claims {
        assert_eq!(net.until(claim).await.unwrap().unwrap().len(), 1);
        took.push(net.clock.boot() - began);
    }
    assert!(took.iter().all(|took| *took < 6_000), "{took:?}");
    let began = net.clock.boot();
    assert_eq!(net.until(gateway.claim(ask("d"), 30_000)).await.unwrap().len(), 1);
    assert!(net.clock.boot() - began < 50, "it is known by now");
}

#[tokio::test]
async fn the_order_and_the_queues_go_on_as_they_are() {
    let net = Net::start(100);
    let strict =
        ClaimRequest { queues: vec![8, QUEUE], order: ClaimOrder::Strict, max: 5, ..ask("w") };
    net.until(net.gateway(1).claim(strict.clone(), 0)).await.unwrap();
    net.offer(2, QUEUE, 0, 20);
    net.offer(3, 8, 9_000, 30);
    net.pass(50).await;
    let runs = net.until(net.gateway(1).claim(strict.clone(), 0)).await.unwrap();
    assert_eq!(jobs(&runs), [30], "the first queue comes first, however old the other is");
    assert_eq!(net.node(3, |it| it.calls.last().unwrap()[0].clone()), strict);
}

#[tokio::test]
async fn many_claims_that_wait_share_calls_and_each_gets_a_run() {
    let net = Net::start(1_000);
    let claims: Vec<_> = (0..300)
        .map(|n| {
            let gateway = net.gateway(1);
            tokio::spawn(async move { gateway.claim(ask(&format!("w{n}")), 60_000).await })
        })
        .collect();
    net.pass(50).await;
    net.node(2, |it| {
        let all = (0..300).map(|job| (5, job));
        it.offers.entry(QUEUE).or_default().extend(all);
    });
    net.offer(2, QUEUE, 6, 300);
    let runs = net.until(join_all(claims)).await;
    let mut got: Vec<_> = runs.into_iter().flat_map(|runs| jobs(&runs.unwrap().unwrap())).collect();
    got.sort_unstable();
    assert_eq!(got, (0..300).collect::<Vec<_>>());
    let calls = net.node(2, |it| it.calls.len());
    assert!(calls <= 4 + 300_usize.div_ceil(32), "{calls} calls");
}

#[tokio::test]
async fn claims_that_wait_for_nothing_cost_next_to_nothing() {
    let net = Net::start(10_000);
    let claims: Vec<_> = (0..5_000)
        .map(|n| {
            let gateway = net.gateway(1);
            tokio::spawn(async move { gateway.claim(ask(&format!("w{n}")), 600_000).await })
        })
        .collect();
    net.pass(1_000).await;
    assert_eq!(net.gateway(1).own_view(false).await.waiting, [(QUEUE, 5_000)]);
    let before = NODES.map(|node| net.node(node, |it| (it.calls.len(), it.wanted)));
    net.pass_quickly(20_000).await;
    for (node, (calls, wanted)) in NODES.into_iter().zip(before) {
        let now = net.node(node, |it| (it.calls.len() - calls, it.wanted - wanted));
        assert!(now.0 == 0 && now.1 <= 5, "{now:?}");
    }
    net.gateway(1).stop();
    let answers = net.until(join_all(claims)).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap() == Ok(Vec::new())));
    let late = net.until(net.gateway(1).claim(ask("w"), 60_000)).await;
    assert_eq!(late, Ok(Vec::new()), "none waits any more");
}

#[tokio::test]
async fn what_a_node_cannot_hand_out_is_asked_for_seldom_and_had_when_it_can() {
    let net = Net::start(100);
    let gateway = net.gateway(1);
    net.node(2, |it| it.is_closed = true);
    let claim = tokio::spawn(async move { gateway.claim(ask("w"), 60_000).await });
    net.pass(50).await;
    net.offer(2, QUEUE, 5, 20);
    net.pass(20_000).await;
    let calls = net.node(2, |it| it.calls.len());
    assert!((3..15).contains(&calls), "{calls} calls");
    net.node(2, |it| it.is_closed = false);
    let began = net.clock.boot();
    assert_eq!(jobs(&net.until(claim).await.unwrap().unwrap()), [20]);
    assert!(net.clock.boot() - began < 6_000);
}

#[tokio::test]
async fn a_claim_with_a_key_asks_no_other_node_while_one_may_have_handed_out() {
    let net = Net::start(100);
    let gateway = net.gateway(1);
    net.until(gateway.claim(ask("w"), 0)).await.unwrap();
    net.offer(2, QUEUE, 0, 20);
    net.offer(3, QUEUE, 60_000, 30);
    net.pass(50).await;
    net.node(2, |it| it.is_silent = true);
    net.node(3, |it| it.calls.clear());
    let keyed = ClaimRequest { key: Some("k".into()), ..ask("w") };
    let got = net.until(net.gateway(1).claim(keyed.clone(), 30_000)).await;
    assert_eq!(got, Ok(Vec::new()), "the runs of node 2 may be on their way");
    assert!(net.node(3, |it| it.calls.is_empty()));
    // Its repetition hears from that node first.
    net.node(2, |it| it.is_silent = false);
    assert_eq!(jobs(&net.until(net.gateway(1).claim(keyed, 0)).await.unwrap()), [20]);
}

#[tokio::test]
async fn a_claim_that_repeats_another_ends_it() {
    let net = Net::start(100);
    let keyed = ClaimRequest { key: Some("k".into()), ..ask("w") };
    let claim = |ask: ClaimRequest| {
        let gateway = net.gateway(1);
        tokio::spawn(async move { gateway.claim(ask, 60_000).await })
    };
    let other = claim(ClaimRequest { key: Some("l".into()), ..ask("w") });
    let older = claim(keyed.clone());
    net.pass(50).await;
    let newer = claim(keyed);
    net.pass(50).await;
    assert!(!other.is_finished() && !newer.is_finished());
    assert_eq!(net.until(older).await.unwrap(), Ok(Vec::new()));
    net.offer(2, QUEUE, 5, 20);
    net.offer(2, QUEUE, 5, 21);
    for claim in [other, newer] {
        assert_eq!(net.until(claim).await.unwrap().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_claim_that_does_not_wait_asks_all_nodes_that_seem_to_have_something() {
    let net = Net::start(100);
    let gateway = net.gateway(1);
    net.until(gateway.claim(ask("w"), 0)).await.unwrap();
    net.pass(200).await;
    net.offer(2, QUEUE, 0, 20);
    net.offer(3, QUEUE, 60_000, 30);
    net.pass(50).await;
    // Others were faster, and its answer takes some time.
    net.node(2, |it| {
        it.offers.clear();
        it.is_slow = true;
    });
    let runs = net.until(gateway.claim(ask("w"), 0)).await.unwrap();
    assert_eq!(jobs(&runs), [30]);
}

#[tokio::test]
async fn a_claim_at_the_own_node_needs_a_task_only_when_it_is_given_up() {
    let net = Net::start(100);
    let gateway = net.gateway(1);
    // The tasks of the nodes have begun.
    net.pass(50).await;
    net.node(1, |it| it.is_silent = true);
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let mut claim = Box::pin(gateway.claim(ask("w"), 0));
    for _ in 0..3 {
        assert!((&mut claim).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    assert_eq!(net.node(1, |it| it.calls.len()), 1, "it is asked");
    assert_eq!(tasks(), before);
    drop(claim);
    assert_eq!(tasks(), before + 1, "what it gets is given back");
}
