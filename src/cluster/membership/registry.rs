//! The node registry: which data folder holds which node id. This node passes on what its state
//! says of it, and sees to it that the cluster is initialized and that it is registered itself.
//! `start` and `tasks` call it. The registry itself is replicated state: commands alone change it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::cluster::error::Error;
use crate::cluster::handle::Cluster;
use crate::cluster::inner::Inner;
use crate::cluster::membership::levels::check_level;
use crate::cluster::options::Options;
use crate::command::{Command, Outcome};
use crate::model::actor::ActorRef;
use crate::store::nodes::Bound;

/// Time between two proposals of the same registration.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Refuses a data folder that is another node's by the registry, or that was removed: it must not
/// take part. (A folder under an id that is bound to another one is refused by the other nodes,
/// which know more than a state that is being replayed.)
pub(in crate::cluster) fn check_registry(options: &Options, nodes: &[Bound]) -> Result<(), Error> {
    let Some(mine) = nodes.iter().find(|bound| bound.instance == options.instance) else {
        return Ok(());
    };
    let node = mine.node;
    if node != options.node {
        return Err(Error::Open(format!(
            "this data folder is node {node}'s: NodeId must be {node}, or DataDir another one"
        )));
    }
    if mine.removed {
        return Err(Error::Open(format!(
            "node {node} was removed from this cluster, and its data folder with it: to come back it \
             needs an empty DataDir, a new NodeId and `scheduler0 cluster add`"
        )));
    }
    Ok(())
}

/// Passes the registry on to `peer`, and proposes this node's registration until it is applied.
pub(in crate::cluster) async fn watch_registry(inner: Arc<Inner>) {
    let mut registry = inner.watches.registry.subscribe();
    let mut leadership = inner.leadership.subscribe();
    let cluster = Cluster { inner: inner.clone() };
    let mut look = interval(RETRY_INTERVAL);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = registry.borrow_and_update().clone();
        inner.peers.learn(now.generation, now.nodes.iter().copied());
        let mine = now.get(inner.options.node);
        let level = check_level(&inner.options, now.level);
        if let Err(error) = level.and(check_registry(&inner.options, &now.nodes)) {
            inner.peers.fail(error.to_string());
            return;
        }
        let lead = *leadership.borrow_and_update();
        let command = if now.generation == 0 && lead.first_applied {
            Some(Command::Init { cluster: rand::random::<u128>().max(1) })
        } else if now.generation != 0
            && mine.is_none()
            && lead.leader.is_some()
            && *inner.peers.told().borrow() == 0
        {
            let (node, instance) = (inner.options.node, inner.options.instance);
            Some(Command::Register { node, instance, replace: false })
        } else {
            None
        };
        if let Some(command) = command {
            let actor = ActorRef::Node { node: inner.options.node };
            match cluster.propose(command.asked_by(actor)).await {
                Ok(Outcome::Rejected(why)) => tracing::debug!(%why, "not the first"),
                Ok(_) if registry.has_changed().unwrap_or(false) => continue,
                Ok(outcome) => tracing::debug!(%outcome, "not in the replicated state yet"),
                Err(error) => tracing::debug!(%error, "will be proposed again"),
            }
            look.tick().await;
        }
        let done = now.generation != 0 && mine.is_some();
        tokio::select! {
            changed = registry.changed() => if changed.is_err() { return },
            changed = leadership.changed(), if !done => if changed.is_err() { return },
        }
    }
}
