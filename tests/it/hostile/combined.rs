//! Twelve attacks at once against three nodes, beside a victim: the victim misses nothing, no
//! leader changes, no node ends, and none takes more than 300 MB above its memory before.
//!
//! The slow tier plays it for half a minute with a quarter of the actions. By hand, on an idle
//! machine, all of it is played for five minutes: `SCHEDULER0_HOSTILE_SECONDS=300 cargo test
//! --release --features slow --test it -- hostile::combined --nocapture`. It prints the victim's
//! lags and the actions of each attack.

mod attacks;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::JoinSet;

use self::attacks::{ATTACKS, Arsenal};
use super::{Attacker, Peak, Victim, memory_mb};
use crate::harness::TestCluster;

/// The duration in seconds, unless the environment sets it.
const SHORT_S: u64 = 30;
/// The memory that a node may take more than before, in units of 10^6 bytes.
const MORE_MB: f64 = 300.0;
/// The number of the victim's jobs.
const JOBS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn twelve_attacks_at_once_cost_the_victim_nothing() {
    let told = std::env::var("SCHEDULER0_HOSTILE_SECONDS").ok();
    let seconds = told.as_ref().map_or(SHORT_S, |text| text.parse().expect("a number of seconds"));
    // Debug builds and other tests share the machine in the short one.
    let force = if told.is_some() { 4 } else { 1 };
    let mut cluster = TestCluster::start(3).await;
    cluster.settled_roles().await;
    let victim = Victim::start(&cluster, JOBS).await;
    let mut attackers = Vec::new();
    for node in 1..=3 {
        attackers.push(Attacker::new(&cluster, node, &format!("attacker {node}")).await);
    }
    let arsenal = Arc::new(Arsenal::prepare(&cluster, &victim, attackers, force).await);
    let quiet = victim.watch(5).await;
    let term = term_of(&cluster).await;
    let before: Vec<f64> = (1..=3).map(|id| memory_mb(&cluster, id)).collect();
    let peaks: Vec<Peak> = (1..=3).map(|id| Peak::of(&cluster, id)).collect();

    let mut tasks = JoinSet::new();
    let mut tallies = Vec::new();
    for (name, attack) in ATTACKS {
        let tally = Arc::new(AtomicU64::new(0));
        tasks.spawn(attack(arsenal.clone(), tally.clone()));
        tallies.push((name, tally));
    }
    let beside = victim.watch(seconds).await;
    tasks.shutdown().await;

    println!("| | victim's lag |\n|---|---|\n| before | {quiet} |\n| beside | {beside} |");
    for (name, tally) in &tallies {
        println!("{name}: {}", tally.load(Ordering::Relaxed));
    }
    for (id, (peak, before)) in (1..=3).zip(peaks.iter().zip(&before)) {
        let (peak, log) = (peak.mb(), cluster.log(id));
        println!("node {id}: {before:.0} MB before, {peak:.0} MB at most");
        assert!(peak < before + MORE_MB, "node {id}: {peak} MB, {before} MB before");
        assert!(cluster.is_running(id), "node {id} has ended:\n{log}");
    }
    for (name, tally) in &tallies {
        assert!(tally.load(Ordering::Relaxed) > 0, "{name}: nothing was done");
    }
    // `watch` has asserted that everything came, once and not early.
    assert!(beside.count() + JOBS >= JOBS * seconds as usize, "{beside}");
    assert_eq!(term_of(&cluster).await, term, "no leader changed");
}

/// Waits for the Raft term of node 1.
async fn term_of(cluster: &TestCluster) -> u64 {
    cluster
        .wait_until("a node answers", async |c: &TestCluster| {
            let answer = c.http().get(c.url(1, "/metrics")).send().await.ok()?;
            let text = answer.text().await.ok()?;
            text.lines().find_map(|line| line.strip_prefix("scheduler0_raft_term ")?.parse().ok())
        })
        .await
}
