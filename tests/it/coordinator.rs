//! The coordinator on a real single-node cluster, without a worker: the test renews in its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use scheduler0::clock::{Clock, SchedulerTime, SystemClock};
use scheduler0::cluster::Cluster;
use scheduler0::command::Command;
use scheduler0::coordinator::collect::ReadJournal;
use scheduler0::coordinator::lead::{Coordinator, Options};
use scheduler0::model::block::Record;
use scheduler0::model::lease::{
    Answer, Facts, Grant, Now, Position, Refusal, Renewal, Reply, Timing,
};
use scheduler0::store::shards;
use scheduler0::worker::Seat;
use scheduler0::worker::lease::Holder;
use scheduler0::worker::renew::Renewer;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::raft_house::{House, LIMIT, look_again};

fn start(cluster: &Cluster, time: &Arc<SchedulerTime>) -> Coordinator {
    let empty = |ask: &ReadJournal| Record {
        node: 1,
        incarnation: ask.incarnation,
        first: ask.after + 1,
        entries: Vec::new(),
    };
    Coordinator::start(Options {
        cluster: cluster.clone(),
        node: 1,
        time: time.clone(),
        timing: Timing::from(150, 500),
        own_journal: Arc::new(empty),
        fan_in: 2,
        fetch_interval: Duration::from_secs(1),
        history_max_age: Duration::from_hours(1),
        history_max_bytes: 1 << 30,
    })
}

/// Renews a node's lease; whether it was granted.
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
async fn a_bell_that_never_rests_keeps_no_shard_homeless() {
    let house = House::build(1).await;
    house.leader().await;
    let cluster = house.node(1).clone();
    // As a busy cluster does: much more often than the coordinator looks.
    let busy = cluster.clone();
    let ringing = tokio::spawn(async move { while busy.propose(Command::Tick).await.is_ok() {} });
    let time = Arc::new(SchedulerTime::new(Arc::new(SystemClock)));
    let coordinator = start(&cluster, &time);
    let mut holder = Holder::new(1, 1, 1, 0, []);
    let housed = async {
        loop {
            renew(&coordinator, &mut holder, &cluster);
            let shards = cluster.read(shards::all).await.unwrap();
            if !shards.is_empty() && shards.iter().all(|shard| shard.owner == 1) {
                return;
            }
            look_again().await;
        }
    };
    timeout(LIMIT, housed).await.expect("all shards have an owner");
    ringing.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_not_ready_is_asked_again_soon() {
    let house = House::build(1).await;
    house.leader().await;
    let cluster = house.node(1).clone();
    let time = Arc::new(SchedulerTime::new(Arc::new(SystemClock)));
    let seat = Seat::new(1, Holder::new(1, 1, 1, 0, []), time.clone());
    let applied = Position::default();
    let facts = Facts { applied, has_room: true, draining: false, memory: 0, journaled: 0 };
    // Does not lead for its own part yet, then has not heard enough, then grants.
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
    let renewer = Renewer {
        cluster,
        node: 1,
        time,
        seat: seat.clone(),
        facts: Arc::new(move || facts),
        coordinator: Arc::new(coordinator),
        timing: Timing { renew_every: 3_600_000, ..Timing::from(150, 500) },
        nudge: Arc::default(),
        state: watch::Sender::default(),
    };
    let renewing = tokio::spawn(renewer.run());
    let mut changed = seat.follow_shards();
    let leased = async {
        while seat.lease_left() == 0 {
            changed.changed().await.unwrap();
        }
    };
    timeout(LIMIT, leased).await.expect("a lease, long before the next regular renewal");
    renewing.abort();
}
