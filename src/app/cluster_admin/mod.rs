//! The administration of a cluster beyond the replicated state: a port that `node` implements,
//! since it knows all parts, and that the use cases of `cluster` and `members` call.

pub mod members;
pub mod status;

use std::collections::BTreeMap;
use std::pin::Pin;

use self::members::{Members, Step};
use self::status::{Checksums, Status};
use crate::cluster;
use crate::metrics::MinuteLag;
use crate::model::NodeId;

/// The delays of the firings of all nodes together, by minutes as numbers since 1970. A minute that
/// no node knows is left out.
pub type LagByMinute = BTreeMap<i64, MinuteLag>;

/// An answer under way. An error's message goes to the client.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, cluster::Error>> + Send + 'a>>;

/// Administration of the cluster, as one node can do it.
pub trait ClusterAdmin: Send + Sync {
    /// Gathers the status of all nodes and shards.
    fn status(&self) -> Answer<'_, Status>;

    /// Gathers the delays of firings of all nodes that answer.
    fn lag(&self) -> Answer<'_, LagByMinute>;

    /// Commits a checksum entry and gathers every node's hash of its state there.
    fn checksums(&self) -> Answer<'_, Checksums>;

    /// Gathers the members as this node sees them.
    fn members(&self) -> Answer<'_, Members>;

    /// Carries out one step of a change of the members; gives the node that the step is about.
    fn change(&self, step: Step) -> Answer<'_, NodeId>;
}
