//! The evidence of a run: expected state, arrivals, faults, and the answers of the healed cluster.
//! `gather` asks the cluster until each due occurrence has an end, or for long enough. `main` calls
//! it, `judge` reads the evidence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use tokio::time::Instant;

use scheduler0::model::time::{parse_rfc3339, rfc3339};

use crate::expected::{Expected, Timing};
use crate::hosts::{End, Hosts, now};
use crate::inject::Window;
use crate::receiver::Arrival;
use crate::workers::record::Record;

/// The time that the healed cluster may take until everything is accounted for. A breaker may stay
/// open for a minute, and retries follow.
pub(crate) const PATIENCE: Duration = Duration::from_mins(4);

/// The message of a leader that deletes history because its disk is nearly full.
const CUT: &str = "history is cut to this size";

/// An occurrence as the ledger shows it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The due instant.
    pub(crate) due: i64,
    /// The state.
    pub(crate) state: String,
    /// The reason of a skip.
    pub(crate) reason: String,
    /// The execution id.
    pub(crate) id: String,
}

impl Entry {
    fn is_end(&self) -> bool {
        ["delivered", "dead", "skipped", "missing", "forgotten"].contains(&&*self.state)
    }
}

/// The evidence of a run.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// The acknowledged writes.
    pub(crate) expected: Expected,
    /// Answers to the writer that no rule allows.
    pub(crate) wrong: Vec<String>,
    /// The arrivals at the receivers, in order.
    pub(crate) arrivals: Vec<Arrival>,
    /// What the workers were handed, and what became of it.
    pub(crate) record: Record,
    /// True where jobs could publish messages.
    pub(crate) has_broker: bool,
    /// The faults as they happened.
    pub(crate) windows: Vec<Window>,
    /// Processes that ended by themselves.
    pub(crate) ends: Vec<End>,
    /// The intervals in which this program itself was not scheduled.
    pub(crate) stalls: Vec<(i64, i64)>,
    /// The instant up to which everything due is judged.
    pub(crate) horizon: i64,
    /// The ledgers by job and scheduled instant.
    pub(crate) ledgers: BTreeMap<u64, BTreeMap<i64, Entry>>,
    /// The state of each manual run.
    pub(crate) runs: BTreeMap<String, String>,
    /// All jobs as the API shows them.
    pub(crate) jobs: BTreeMap<u64, Value>,
    /// The state hash of each node; `None` for a node that gave none.
    pub(crate) hashes: BTreeMap<u64, Option<String>>,
    /// Lines of the logs that must not occur.
    pub(crate) panics: Vec<String>,
    /// Nodes that deleted history as leaders because their disk was nearly full.
    pub(crate) cut: BTreeSet<u64>,
    /// The time until everything was accounted for; `None` for longer than [`PATIENCE`].
    pub(crate) settled: Option<Duration>,
}

/// Adds the answers of the healed cluster to the evidence.
pub(crate) async fn gather(hosts: &Arc<Hosts>, mut known: Evidence) -> anyhow::Result<Evidence> {
    let begun = Instant::now();
    known.horizon = now();
    known.cut = hosts.ids().filter(|id| hosts.log(*id).contains(CUT)).collect();
    let mut open: BTreeSet<u64> = known.expected.jobs.keys().copied().collect();
    let mut runs: BTreeSet<String> = known.expected.runs.keys().cloned().collect();
    let mut turn = 0;
    while !(open.is_empty() && runs.is_empty()) && begun.elapsed() < PATIENCE {
        for job in open.clone() {
            turn += 1;
            let node = 1 + turn % hosts.ids().end();
            let Some(ledger) = ledger(hosts, node, job, &known).await else {
                // A deleted job disappears with its history.
                let path = format!("/api/v1/jobs/{job}/occurrences?consistency=linearizable");
                let may_go = !known.cut.is_empty() && known.expected.jobs[&job].deleted.is_some();
                if may_go && hosts.lacks(node, &path).await {
                    open.remove(&job);
                    known.ledgers.insert(job, BTreeMap::new());
                }
                continue;
            };
            if ledger.values().all(Entry::is_end) {
                open.remove(&job);
            }
            known.ledgers.insert(job, ledger);
        }
        for run in runs.clone() {
            turn += 1;
            let node = 1 + turn % hosts.ids().end();
            let path = format!("/api/v1/executions/{run}?consistency=linearizable");
            let state = match hosts.get(node, &path).await {
                Some(found) => found["state"].as_str().unwrap_or_default().to_owned(),
                None if !known.cut.is_empty() && hosts.lacks(node, &path).await => {
                    "forgotten".to_owned()
                }
                None => continue,
            };
            if ["delivered", "dead", "skipped", "forgotten"].contains(&&*state) {
                runs.remove(&run);
            }
            known.runs.insert(run, state);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    known.settled = (open.is_empty() && runs.is_empty()).then(|| begun.elapsed());
    known.jobs = jobs(hosts).await?;
    known.hashes = hashes(hosts).await?;
    for id in hosts.ids() {
        let log = hosts.log(id);
        let bad = log.lines().filter(|line| line.contains("panicked at"));
        known.panics.extend(bad.map(|line| format!("node {id}: {line}")));
    }
    known.ends = hosts.ends();
    Ok(known)
}

/// A job's ledger up to the horizon, through one node.
async fn ledger(
    hosts: &Hosts,
    node: u64,
    job: u64,
    known: &Evidence,
) -> Option<BTreeMap<i64, Entry>> {
    let begun = known.expected.jobs[&job].spans[0];
    // A one-off may have been due while its creation waited for a leader.
    let mut from = match begun.timing {
        Timing::Once(at) => at.min(begun.from),
        Timing::Every(..) => begun.from,
    };
    let until = rfc3339(known.horizon);
    let mut found = BTreeMap::new();
    loop {
        let path = format!(
            "/api/v1/jobs/{job}/occurrences?from={}&until={until}&limit=1000",
            rfc3339(from)
        );
        let page = hosts.get(node, &path).await?;
        for one in page["occurrences"].as_array()? {
            let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
            let due = parse_rfc3339(one["dueAt"].as_str()?)?;
            let (state, reason, id) = (text("state"), text("reason"), text("executionId"));
            let entry = Entry { due, state, reason, id };
            found.insert(parse_rfc3339(one["scheduledAt"].as_str()?)?, entry);
        }
        match page["nextFrom"].as_str() {
            Some(next) => from = parse_rfc3339(next)?,
            None => return Some(found),
        }
    }
}

/// All jobs, through node 1.
async fn jobs(hosts: &Hosts) -> anyhow::Result<BTreeMap<u64, Value>> {
    let mut found = BTreeMap::new();
    loop {
        let path = format!("/api/v1/jobs?limit=1000&offset={}", found.len());
        let page = hosts.get(1, &path).await.context("jobs are not shown")?;
        let jobs = page["jobs"].as_array().context("jobs are not shown")?;
        for job in jobs {
            found.insert(job["id"].as_u64().context("a job's id")?, job.clone());
        }
        if jobs.is_empty() || found.len() as u64 >= page["total"].as_u64().unwrap_or(0) {
            return Ok(found);
        }
    }
}

/// The state hash of each node at one index; asked again while a node gives none.
async fn hashes(hosts: &Hosts) -> anyhow::Result<BTreeMap<u64, Option<String>>> {
    let mut found = BTreeMap::new();
    for _ in 0..10 {
        let request = hosts.http().post(hosts.url(1, "/api/v1/cluster/checksum")).json(&json!({}));
        if let Ok(response) = request.send().await {
            let body: Value = response.json().await.unwrap_or_default();
            for node in body["data"]["nodes"].as_array().into_iter().flatten() {
                let id = node["id"].as_u64().context("a node's id")?;
                found.insert(id, node["hash"].as_str().map(str::to_owned));
            }
            if found.len() as u64 == *hosts.ids().end() && found.values().all(Option::is_some) {
                break;
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(found)
}
