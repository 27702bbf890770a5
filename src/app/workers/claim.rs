//! Claims: a worker asks for runs of some queues, and waits for them.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::fields::check_text;
use crate::app::reads::limits::reaches_all_projects;
use crate::app::state::App;
use crate::app::workers::names::{check_worker, read};
use crate::gateway::WORKERS_LEVEL;
use crate::model::claim::{ClaimOrder, ClaimRequest, ClaimedRun, MAX_CLAIM};
use crate::model::run_terms::BusKind;
use crate::model::{Millis, NodeId};
use crate::schedule::show_duration;

/// The most queues of a claim.
const MAX_QUEUES: usize = 64;
/// The wait of a claim that names none, in milliseconds.
const WAIT: Millis = 20_000;
/// The longest key, in bytes.
const MAX_KEY: usize = 255;
/// The longest name of a queue that is looked up, in bytes.
const MAX_QUEUE_NAME: usize = 255;

/// A claim, as a client says it.
#[derive(Clone, Debug, Default)]
pub struct ClaimInput {
    /// The worker: one process.
    pub worker: String,
    /// The names of the queues.
    pub queues: Vec<String>,
    /// The most runs.
    pub max: Option<u64>,
    /// The longest wait, in milliseconds.
    pub wait: Option<Millis>,
    /// The order between the queues.
    pub order: ClaimOrder,
    /// The key, by which it may be repeated.
    pub key: Option<String>,
}

/// The runs that a worker got.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The id of the cluster, which is part of ids of runs.
    pub cluster: u128,
    /// The runs; none where nothing came.
    pub runs: Vec<ClaimedRun>,
}

impl App {
    /// The longest wait that a request of a worker may ask for, in milliseconds:
    /// `WorkerLongPollSeconds`.
    pub fn longest_wait(&self) -> Millis {
        self.config.worker_long_poll.as_millis() as Millis
    }

    /// Claims runs, and waits for them.
    ///
    /// # Errors
    ///
    /// `Invalid` for a value out of its bounds; `NotFound` for a queue that does not exist;
    /// `Conflict` where its workers do not claim; `UpgradePending` while a node is too old; `Busy`
    /// where too many wait.
    pub async fn claim_runs(&self, actor: &Actor, input: ClaimInput) -> Result<Claimed, Error> {
        authorize(actor, Action::RunsWork, Resource::Any)?;
        reaches_all_projects(actor, "claim runs of queues, which have those of all projects")?;
        let longest = self.longest_wait();
        let max = check(&input, longest)?;
        let gateway = self.workers_gateway()?;
        self.check_level()?;
        let mut queues = Vec::with_capacity(input.queues.len());
        for name in &input.queues {
            let queue = read(gateway.queue(actor.reach().account(), name).await)?
                .ok_or_else(|| no_queue(name))?;
            if queue.bus != BusKind::Embedded {
                let message = format!(
                    "the runs of queue {name} come to workers by their broker: consume them there, \
                     or claim from a queue whose bus is embedded"
                );
                return Err(Error::conflict(message).field("queues"));
            }
            if !queues.contains(&queue.id) {
                queues.push(queue.id);
            }
        }
        // Before runs are handed out: what is in an answer must be told.
        let cluster = self.cluster_of_runs().await?;
        let wait = input.wait.unwrap_or(WAIT.min(longest)).cast_unsigned();
        let ClaimInput { worker, order, key, .. } = input;
        let ask = ClaimRequest { worker: worker.clone(), queues, max, order, key };
        // Before runs are handed out: their records are not missed.
        let claim = self.arrivals.begin_claim(&self.cluster);
        let claimed = gateway.claim(ask, wait).await;
        let runs = claimed.map_err(|full| Error::busy(full.to_string()))?;
        claim.got(&worker, runs.iter().map(|run| (run.occurrence, run.attempt)));
        Ok(Claimed { cluster, runs })
    }

    /// Refuses what needs worker runs while a member does not know them.
    fn check_level(&self) -> Result<(), Error> {
        if self.cluster.level() >= WORKERS_LEVEL {
            return Ok(());
        }
        let peers = self.cluster.peers();
        let members = self.cluster.members().into_iter().map(|(node, _)| node);
        refuse_old(members.filter_map(|node| Some((node, peers.level(node)?))))
    }
}

/// Refuses claims while one of these members does not know worker runs, and names it. Where all do,
/// or nothing is known of them, no queue exists yet: what is asked for is told to be missing.
fn refuse_old(members: impl Iterator<Item = (NodeId, u32)>) -> Result<(), Error> {
    match members.filter(|(_, level)| *level < WORKERS_LEVEL).min() {
        Some((node, level)) => {
            let needs = WORKERS_LEVEL;
            Err(crate::cluster::Error::UpgradePending { node, level, needs }.into())
        }
        None => Ok(()),
    }
}

/// Checks the values of a claim; the most runs that it asks for.
fn check(input: &ClaimInput, longest: Millis) -> Result<u32, Error> {
    check_worker(&input.worker)?;
    if input.queues.is_empty() || input.queues.len() > MAX_QUEUES {
        let message = format!("queues must be a list of 1 to {MAX_QUEUES} names of queues");
        return Err(Error::invalid("queues", message));
    }
    for name in &input.queues {
        check_text("queues", name, MAX_QUEUE_NAME)?;
    }
    let max = input.max.unwrap_or(1);
    let within = u32::try_from(max).ok().filter(|max| (1..=MAX_CLAIM).contains(max));
    let max = within.ok_or_else(|| {
        let message = format!("max must be from 1 to {MAX_CLAIM}: claim what can begin now");
        Error::invalid("max", message)
    })?;
    if input.wait.is_some_and(|wait| !(0..=longest).contains(&wait)) {
        let message = format!("wait must be from 0s to {}", show_duration(longest));
        return Err(Error::invalid("wait", message));
    }
    if let Some(key) = &input.key {
        if key.is_empty() {
            let message = "key must be 1 to 255 bytes: another one for each claim, or none";
            return Err(Error::invalid("key", message));
        }
        check_text("key", key, MAX_KEY)?;
    }
    Ok(max)
}

/// The error of a queue that does not exist.
fn no_queue(name: &str) -> Error {
    let message =
        format!("there is no queue {name}: create an executor of type worker with this name");
    Error::not_found(message).field("queues")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::error::ErrorKind;

    #[test]
    fn a_member_that_is_too_old_is_named() {
        let refused = refuse_old([(1, 4), (3, 2), (2, 3)].into_iter()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::UpgradePending);
        assert!(refused.detail().contains("node 2"), "{refused}");
        assert!(refuse_old([(1, 4), (2, 5)].into_iter()).is_ok());
        assert!(refuse_old(std::iter::empty()).is_ok());
    }

    #[test]
    fn a_claim_says_what_is_wrong_with_it() {
        let good = || ClaimInput {
            worker: "w".into(),
            queues: vec!["emails".into()],
            ..ClaimInput::default()
        };
        assert_eq!(check(&good(), 60_000).unwrap(), 1);
        let most = ClaimInput { max: Some(1_000), wait: Some(60_000), ..good() };
        assert_eq!(check(&most, 60_000).unwrap(), 1_000);
        let long = "x".repeat(256);
        for (bad, field, says) in [
            (ClaimInput { worker: String::new(), ..good() }, "workerId", "1 to 255 bytes"),
            (ClaimInput { worker: long.clone(), ..good() }, "workerId", "255 bytes"),
            (ClaimInput { worker: "a\u{0}".into(), ..good() }, "workerId", "control"),
            (ClaimInput { queues: vec![], ..good() }, "queues", "1 to 64"),
            (ClaimInput { queues: vec!["q".into(); 65], ..good() }, "queues", "1 to 64"),
            (ClaimInput { queues: vec![long.clone()], ..good() }, "queues", "255 bytes"),
            (ClaimInput { max: Some(0), ..good() }, "max", "from 1 to 1000"),
            (ClaimInput { max: Some(1_001), ..good() }, "max", "from 1 to 1000"),
            (ClaimInput { max: Some(1 << 32), ..good() }, "max", "from 1 to 1000"),
            (ClaimInput { wait: Some(60_001), ..good() }, "wait", "from 0s to 1m"),
            (ClaimInput { key: Some(String::new()), ..good() }, "key", "1 to 255"),
            (ClaimInput { key: Some(long), ..good() }, "key", "255 bytes"),
        ] {
            let error = check(&bad, 60_000).unwrap_err();
            assert_eq!((error.kind(), error.field_name()), (ErrorKind::Invalid, Some(field)));
            assert!(error.detail().contains(says), "{error}");
        }
    }
}
