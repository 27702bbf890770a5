//! The coordinator on real clusters without a worker: assignments, the collection of journals, and
//! the renewal of leases, which the test drives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use scheduler0::clock::{Clock, SchedulerTime, SystemClock};
use scheduler0::cluster::Cluster;
use scheduler0::command::Command;
use scheduler0::coordinator::collect::ReadJournal;
use scheduler0::coordinator::lead::{Coordinator, Options};
use scheduler0::model::NodeId;
use scheduler0::model::attempt::{JournalBatch, JournalEntry};
use scheduler0::model::lease::{
    Answer, Facts, Grant, Now, Position, Refusal, Renewal, Reply, Timing,
};
use scheduler0::peer::routes::JOURNAL;
use scheduler0::store::shards;
use scheduler0::worker::lease::{Holder, Renewer};
use scheduler0::worker::{Lease, LeaseGuard};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::harness::{LIMIT, RaftCluster, poll_interval};

fn start(
    cluster: &Cluster,
    node: NodeId,
    own_journal: impl Fn(&ReadJournal) -> JournalBatch + Send + Sync + 'static,
) -> Coordinator {
    start_with(cluster, node, 2, own_journal)
}

fn start_with(
    cluster: &Cluster,
    node: NodeId,
    fan_in: usize,
    own_journal: impl Fn(&ReadJournal) -> JournalBatch + Send + Sync + 'static,
) -> Coordinator {
    Coordinator::start(Options {
        cluster: cluster.clone(),
        node,
        time: Arc::new(SchedulerTime::new(Arc::new(SystemClock))),
        timing: Timing::from(200, 1_000),
        own_journal: Arc::new(own_journal),
        fan_in,
        fetch_interval: Duration::from_millis(100),
        history_max_age: Duration::from_hours(1),
        dead_letters_max_age: Duration::from_hours(2),
        history_max_bytes: 1 << 30,
        audit_max_age: Duration::from_hours(3),
        audit_max_bytes: 1 << 30,
        disk_short: Arc::new(|| false),
    })
}

fn empty(ask: &ReadJournal) -> JournalBatch {
    let first = ask.after + 1;
    JournalBatch { node: 1, incarnation: ask.incarnation, first, entries: Vec::new() }
}

/// Renews a node's lease; returns true when it is granted.
fn renew(coordinator: &Coordinator, holder: &mut Holder, cluster: &Cluster) -> bool {
    let applied = *cluster.applied().borrow();
    let applied = Position { index: applied.index, stamp: applied.stamp };
    let facts = Facts { applied, has_room: true, draining: false, memory: 0, journaled: 0 };
    holder.saw_term(cluster.leadership().borrow().term);
    let now = Now { boot: SystemClock.boot(), sched: SystemClock.wall() };
    match coordinator.renew(&holder.renewal(now, facts)) {
        Reply::Answer(answer) => answer.verdict.is_ok(),
        Reply::NotLeader(_) => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_without_a_pause_keep_no_shard_without_an_owner() {
    let raft = RaftCluster::build(1).await;
    raft.leader().await;
    let cluster = raft.node(1).clone();
    // A busy cluster: changes come much more often than the coordinator reads the shards.
    let busy = cluster.clone();
    let writing = tokio::spawn(async move { while busy.propose(Command::Tick).await.is_ok() {} });
    let coordinator = start(&cluster, 1, empty);
    let mut holder = Holder::new(1, 1, 1, 0, []);
    let assigned = async {
        loop {
            renew(&coordinator, &mut holder, &cluster);
            let shards = cluster.read(shards::all).await.unwrap();
            if !shards.is_empty() && shards.iter().all(|shard| shard.owner == 1) {
                return;
            }
            poll_interval().await;
        }
    };
    timeout(LIMIT, assigned).await.expect("all shards have an owner");
    writing.abort();
}

/// The numbers of calls that have begun and ended.
#[derive(Clone, Copy, Default)]
struct Hanging {
    begun: u64,
    ended: u64,
}

struct Ended(Arc<watch::Sender<Hanging>>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.send_modify(|calls| calls.ended += 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_hangs_keeps_no_other_journal_waiting() {
    let calls = Arc::new(watch::Sender::new(Hanging::default()));
    let counting = calls.clone();
    let hang = move || async move {
        counting.send_modify(|calls| calls.begun += 1);
        let _ended = Ended(counting);
        std::future::pending::<()>().await;
    };
    let route = axum::Router::new().route(JOURNAL, axum::routing::post(hang));
    let raft = RaftCluster::build_with(3, &route).await;
    let leader = raft.leader().await;
    let own = Arc::new(AtomicU64::new(0));
    let counted = own.clone();
    let coordinator = start(raft.node(leader), leader, move |ask| {
        counted.fetch_add(1, Ordering::SeqCst);
        empty(ask)
    });
    // The own journal is read three times within one hanging call.
    let mut hanging = calls.subscribe();
    let during = async {
        loop {
            let now = *hanging.wait_for(|calls| calls.begun > calls.ended).await.unwrap();
            let before = own.load(Ordering::SeqCst);
            while hanging.borrow().ended == now.ended {
                coordinator.collect_now();
                if own.load(Ordering::SeqCst) >= before + 3 {
                    return;
                }
                poll_interval().await;
            }
        }
    };
    timeout(LIMIT, during).await.expect("the own journal is read meanwhile");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_grows_all_the_time_keeps_no_other_one_waiting() {
    let others = Arc::new(watch::Sender::new(0));
    let counting = others.clone();
    let answer = move |body: axum::body::Bytes| async move {
        counting.send_modify(|calls| *calls += 1);
        postcard::to_allocvec(&empty(&postcard::from_bytes(&body).unwrap())).unwrap()
    };
    let route = axum::Router::new().route(JOURNAL, axum::routing::post(answer));
    let raft = RaftCluster::build_with(3, &route).await;
    let leader = raft.leader().await;
    let own = Arc::new(watch::Sender::new(0));
    let counted = own.clone();
    // Each page has an entry, and another page follows it.
    let endless = move |ask: &ReadJournal| {
        counted.send_modify(|pages| *pages += 1);
        let entries = vec![JournalEntry::Watermarks(Vec::new())];
        JournalBatch { node: leader, incarnation: 7, first: ask.after + 1, entries }
    };
    // A single permit for all three journals.
    let _coordinator = start_with(raft.node(leader), leader, 1, endless);
    for seen in [own.subscribe(), others.subscribe()] {
        let mut seen = seen;
        timeout(LIMIT, seen.wait_for(|calls| *calls > 8)).await.expect("all are asked").unwrap();
    }
}

fn guard() -> Arc<LeaseGuard> {
    let time = Arc::new(SchedulerTime::new(Arc::new(SystemClock)));
    LeaseGuard::new(1, Holder::new(1, 1, 1, 0, []), time)
}

/// A renewal loop whose regular renewals are an hour apart.
fn renewer(
    cluster: Cluster,
    guard: &Arc<LeaseGuard>,
    able: impl Fn() -> bool + Send + Sync + 'static,
    coordinator: impl Fn(&Renewal) -> Reply + Send + Sync + 'static,
) -> Renewer {
    let applied = Position::default();
    let facts = Facts { applied, has_room: true, draining: false, memory: 0, journaled: 0 };
    Renewer {
        cluster,
        node: 1,
        time: Arc::new(SchedulerTime::new(Arc::new(SystemClock))),
        guard: guard.clone(),
        facts: Arc::new(move || facts),
        able: Arc::new(able),
        coordinator: Arc::new(coordinator),
        timing: Timing { renew_every: 3_600_000, ..Timing::from(200, 1_000) },
        nudge: Arc::default(),
        state: watch::Sender::default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_can_finish_nothing_lets_its_lease_run_out() {
    let raft = RaftCluster::build(1).await;
    raft.leader().await;
    let looked = Arc::new(watch::Sender::new(0));
    let counting = looked.clone();
    let able = move || {
        counting.send_modify(|n| *n += 1);
        false
    };
    let asked = Arc::new(AtomicU64::new(0));
    let counted = asked.clone();
    let coordinator = move |_: &Renewal| {
        counted.fetch_add(1, Ordering::SeqCst);
        Reply::NotLeader(None)
    };
    let renewer = renewer(raft.node(1).clone(), &guard(), able, coordinator);
    let nudge = renewer.nudge.clone();
    let renewing = tokio::spawn(renewer.run());
    let mut looks = looked.subscribe();
    for times in 1..=3 {
        nudge.notify_one();
        timeout(LIMIT, looks.wait_for(|n| *n >= times)).await.expect("a look").unwrap();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    renewing.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_not_ready_is_asked_again_soon() {
    let raft = RaftCluster::build(1).await;
    raft.leader().await;
    let cluster = raft.node(1).clone();
    let guard = guard();
    // First it does not lead yet, then it has not received enough, then it grants.
    let asked = AtomicU64::new(0);
    let coordinator = move |renewal: &Renewal| {
        let grant = Grant { ttl: 4_000, needs_index: 0, commit_index: 0, log_time: 0 };
        let verdict = match asked.fetch_add(1, Ordering::SeqCst) {
            0 => return Reply::NotLeader(None),
            1 => Err(Refusal::NotYet),
            _ => Ok(grant),
        };
        Reply::Answer(Answer {
            term: renewal.term,
            boot: renewal.boot,
            number: renewal.number,
            verdict,
            release: Vec::new(),
            clock_error: 0,
        })
    };
    let renewer = renewer(cluster, &guard, || true, coordinator);
    let renewing = tokio::spawn(renewer.run());
    let mut changed = guard.changed();
    let leased = async {
        while guard.lease_left() == 0 {
            changed.changed().await.unwrap();
        }
    };
    timeout(LIMIT, leased).await.expect("a lease, long before the next regular renewal");
    renewing.abort();
}
