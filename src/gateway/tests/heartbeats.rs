//! Heartbeats, notices, live runs and views.

use super::fakes::{NODES, Net, QUEUE, ask, run};
use crate::clock::Clock;
use crate::command::Change;
use crate::gateway::heartbeats::Heard;
use crate::gateway::replica::Advice;
use crate::model::claim::{
    HandOutQuestion, HandedOut, ReportNotice, RunHeartbeat, WorkerHeartbeat,
};
use crate::model::run::Occurrence;

/// Jobs of shards of the nodes 1, 2 and 3.
const JOBS: [u64; 3] = [0, 64, 128];

fn beat(jobs: &[u64]) -> WorkerHeartbeat {
    let alive = |job: &u64| RunHeartbeat {
        occurrence: run(*job),
        attempt: 2,
        progress: Some(5),
        message: None,
    };
    WorkerHeartbeat { worker: "w".into(), runs: jobs.iter().map(alive).collect() }
}

fn unknown(runs: Vec<Occurrence>) -> Heard {
    Heard { unknown: runs, ..Heard::default() }
}

#[tokio::test]
async fn a_heartbeat_goes_to_the_owners_and_says_what_they_do_not_know() {
    let net = Net::start(100);
    assert_eq!(net.until(net.gateway(2).heartbeat(beat(&JOBS), 0)).await, Heard::default());
    for (node, job) in NODES.into_iter().zip(JOBS) {
        assert_eq!(net.node(node, |it| it.beats.clone()), [[beat(&[job])]]);
    }
    net.node(1, |it| it.unknown.insert(run(0)));
    net.node(3, |it| it.is_silent = true);
    let heard = net.until(net.gateway(2).heartbeat(beat(&JOBS), 0)).await;
    assert_eq!(heard, unknown(vec![run(0), run(128)]));
    // Of what the store says is over, the owner need not know anything.
    net.advice.lock().unwrap().extend([(run(0), Advice::Gone), (run(64), Advice::Cancel)]);
    let heard = net.until(net.gateway(2).heartbeat(beat(&JOBS), 0)).await;
    let told = Heard { cancel: vec![run(64)], gone: vec![run(0)], unknown: vec![run(128)] };
    assert_eq!(heard, told);
}

#[tokio::test]
async fn a_heartbeat_waits_for_an_order_to_stop_and_not_for_anything_else() {
    let net = Net::start(100);
    let gateway = net.gateway(1);
    let waits = tokio::spawn(async move { gateway.heartbeat(beat(&JOBS), 20_000).await });
    net.pass(1_000).await;
    let change = |job| Change { runs: vec![run(job)], ..Change::default() };
    net.change(change(64));
    net.pass(1_000).await;
    assert!(!waits.is_finished(), "something changed, and it may go on");
    net.advice.lock().unwrap().insert(run(64), Advice::Cancel);
    net.change(change(65));
    net.pass(1_000).await;
    assert!(!waits.is_finished(), "the change names another run");
    net.change(change(64));
    let began = net.clock.boot();
    let heard = net.until(waits).await.unwrap();
    assert_eq!(heard, Heard { cancel: vec![run(64)], ..Heard::default() });
    assert!(net.clock.boot() - began < 20);

    net.advice.lock().unwrap().clear();
    let began = net.clock.boot();
    let heard = net.until(net.gateway(1).heartbeat(beat(&JOBS), 20_000)).await;
    assert_eq!(heard, Heard::default());
    assert!((20_000..20_100).contains(&(net.clock.boot() - began)));
}

#[tokio::test]
async fn a_heartbeat_that_waits_reads_what_changed_and_not_what_its_worker_ended() {
    let net = Net::start(100);
    let gateway = net.gateway(1);
    let waits = tokio::spawn(async move { gateway.heartbeat(beat(&JOBS), 20_000).await });
    net.pass(100).await;
    let change = |job| Change { runs: vec![run(job)], ..Change::default() };
    net.change(change(64));
    net.pass(100).await;
    assert_eq!(*net.advised.lock().unwrap(), [3, 1]);
    // Its own report of an end: the store knows it a moment later.
    let notice = |job, worker: &str| ReportNotice {
        occurrence: run(job),
        attempt: 2,
        worker: worker.into(),
        ends: true,
    };
    net.gateway(1).note_reports(vec![notice(64, "w"), notice(128, "other")]).await;
    net.advice.lock().unwrap().extend([(run(64), Advice::Gone), (run(128), Advice::Gone)]);
    net.change(change(64));
    net.pass(100).await;
    assert!(!waits.is_finished());
    net.change(change(128));
    let heard = net.until(waits).await.unwrap();
    assert_eq!(heard, Heard { gone: vec![run(128)], ..Heard::default() });
}

#[tokio::test]
async fn a_heartbeat_that_was_not_heard_is_answered_at_once() {
    let net = Net::start(100);
    net.node(2, |it| it.unknown.insert(run(64)));
    let began = net.clock.boot();
    let heard = net.until(net.gateway(1).heartbeat(beat(&JOBS), 20_000)).await;
    assert_eq!(heard, unknown(vec![run(64)]));
    assert!(net.clock.boot() - began < 100);
}

#[tokio::test]
async fn no_more_runs_wait_than_the_places_are_for() {
    let net = Net::start(2);
    let many: Vec<_> = (1..=100).collect();
    let gateway = net.gateway(1);
    let first = beat(&many);
    let waits = tokio::spawn(async move { gateway.heartbeat(first, 20_000).await });
    net.pass(50).await;
    let began = net.clock.boot();
    net.until(net.gateway(1).heartbeat(beat(&many), 20_000)).await;
    assert!(net.clock.boot() - began < 100, "128 runs may wait at two places");
    let gateway = net.gateway(1);
    let few = tokio::spawn(async move { gateway.heartbeat(beat(&JOBS), 20_000).await });
    net.pass(50).await;
    assert!(!waits.is_finished() && !few.is_finished());
}

#[tokio::test]
async fn a_heartbeat_without_a_place_and_at_a_node_that_stops_is_answered_at_once() {
    let net = Net::start(1);
    let gateway = net.gateway(1);
    let waits = tokio::spawn(async move { gateway.heartbeat(beat(&JOBS), 20_000).await });
    net.pass(50).await;
    let began = net.clock.boot();
    let heard = net.until(net.gateway(1).heartbeat(beat(&JOBS), 20_000)).await;
    assert_eq!(heard, Heard::default());
    net.gateway(1).stop();
    assert_eq!(net.until(waits).await.unwrap(), Heard::default());
    assert!(net.clock.boot() - began < 100);
    assert_eq!(net.node(1, |it| it.beats.len()), 2, "both were heard");
}

#[tokio::test]
async fn reports_are_told_to_the_owners_of_their_runs() {
    let net = Net::start(100);
    let notice =
        |job| ReportNotice { occurrence: run(job), attempt: 2, worker: "w".into(), ends: true };
    net.gateway(1).note_reports(JOBS.map(notice).into()).await;
    net.pass(50).await;
    for (node, job) in NODES.into_iter().zip(JOBS) {
        assert_eq!(net.node(node, |it| it.reports.clone()), [notice(job)]);
    }
}

#[tokio::test]
async fn live_runs_come_from_the_owners_that_answer_in_time() {
    let net = Net::start(100);
    net.node(2, |it| it.is_silent = true);
    let began = net.clock.boot();
    let live = net.until(net.gateway(1).live(JOBS.map(run).into())).await;
    let of: Vec<_> = live.runs.iter().map(|run| run.occurrence.job).collect();
    assert_eq!(of, [0, 128]);
    assert!(live.unanswered.into_iter().eq([run(64)]));
    assert!((150..250).contains(&(net.clock.boot() - began)));
}

#[tokio::test]
async fn owners_say_what_they_have_handed_out_and_a_silent_one_denies_nothing() {
    let net = Net::start(100);
    net.node(3, |it| it.is_silent = true);
    net.node(1, |it| it.unknown.insert(run(0)));
    let asked = |job| HandOutQuestion { occurrence: run(job), attempt: 1, worker: "w".into() };
    // In the order of the questions, of each node more than one.
    let questions = [128, 64, 0, 65, 1].map(asked).into();
    let told = net.until(net.gateway(2).handed_out(questions)).await;
    let (yes, no) = (HandedOut::Yes, HandedOut::No);
    assert_eq!(told, [HandedOut::Unknown, yes, no, yes, yes]);
}

#[tokio::test]
async fn the_view_is_the_sum_of_all_nodes_that_answer() {
    let net = Net::start(100);
    net.offer(1, 8, 70, 1);
    net.offer(2, 8, 50, 2);
    net.offer(2, 8, 60, 3);
    let gateway = net.gateway(1);
    let waits = tokio::spawn(async move { gateway.claim(ask("a"), 60_000).await });
    net.until(net.gateway(2).heartbeat(beat(&JOBS), 0)).await;
    net.pass(500).await;
    net.until(net.gateway(1).heartbeat(beat(&[0]), 0)).await;
    let view = net.until(net.gateway(3).cluster_view(true)).await;
    let eight = view.queues[&8];
    assert_eq!((eight.offers, eight.taken, eight.oldest), (3, 2, Some(50)));
    assert_eq!((eight.since, view.queues[&QUEUE].since), (Some(59), None));
    assert_eq!((view.queues[&QUEUE].waiting, view.queues[&QUEUE].oldest), (1, None));
    let workers: Vec<_> = view
        .workers
        .values()
        .map(|at| (at.worker.worker.as_str(), at.node, at.worker.runs, &at.worker.queues[..]))
        .collect();
    assert_eq!(workers, [("a", 1, None, &[QUEUE][..]), ("w", 1, Some(1), &[])]);
    net.node(2, |it| it.is_silent = true);
    let view = net.until(net.gateway(3).cluster_view(true)).await;
    assert_eq!((view.unanswered, view.queues[&8].offers), (vec![2], 1));
    waits.abort();
}
