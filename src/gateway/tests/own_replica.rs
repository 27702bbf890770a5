//! The replicated state of a node in memory, as its gateway reads it.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::broadcast;

use super::fakes::{NODES, Ports, QUEUE};
use crate::command::Change;
use crate::gateway::replica::{Advice, KnownQueue, Reading, Replica};
use crate::model::run::Occurrence;
use crate::model::run_id::RunName;
use crate::model::run_report::RunReport;
use crate::model::run_terms::BusKind;
use crate::model::shard::SHARDS;
use crate::model::{AccountId, NodeId};

impl Replica for Ports {
    fn changes(&self) -> broadcast::Receiver<Arc<Change>> {
        self.1.changes.subscribe()
    }

    fn cluster_id(&self) -> Reading<u128> {
        async { Ok(7) }.boxed()
    }

    /// Shards go in turns to the nodes: shard 0 to node 1.
    fn owners(&self) -> Reading<Vec<NodeId>> {
        let owner = |shard| NODES[usize::from(shard) % NODES.len()];
        async move { Ok((0..SHARDS).map(owner).collect()) }.boxed()
    }

    fn advise(&self, _: &str, runs: Vec<(Occurrence, u32)>) -> Reading<Vec<Advice>> {
        let net = Arc::clone(&self.1);
        net.advised.lock().unwrap().push(runs.len());
        async move {
            let known = net.advice.lock().unwrap();
            let of = |(of, _)| known.get(&of).copied().unwrap_or(Advice::GoOn);
            Ok(runs.into_iter().map(of).collect())
        }
        .boxed()
    }

    fn queue(&self, _: Option<AccountId>, name: &str) -> Reading<Option<KnownQueue>> {
        let found = (name == "emails").then_some(KnownQueue { id: QUEUE, bus: BusKind::Embedded });
        async move { Ok(found) }.boxed()
    }

    fn occurrences(&self, names: Vec<RunName>) -> Reading<Vec<Option<Occurrence>>> {
        async move { Ok(vec![None; names.len()]) }.boxed()
    }

    fn give_back(&self, reports: Vec<RunReport>) -> BoxFuture<'static, ()> {
        let net = Arc::clone(&self.1);
        async move { net.given_back.lock().unwrap().extend(reports) }.boxed()
    }
}
