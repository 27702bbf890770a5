//! The members of the cluster: the list, and one step of a change at a time. The leader decides
//! about a step (`cluster::members`), and `node` waits for what must come first; the command line
//! puts the steps together.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::cluster_admin::members::{Members, Step};
use crate::app::error::Error;
use crate::app::state::App;
use crate::config;
use crate::model::NodeId;
use crate::model::audit::AuditNote;

/// Checks the id of a node that is to be added.
///
/// # Errors
///
/// `Invalid` where no node can have it.
pub fn node_id(id: u64) -> Result<NodeId, Error> {
    if id == 0 || i64::try_from(id).is_err() {
        return Err(Error::invalid("id", "id must be a whole number, 1 or more"));
    }
    Ok(id)
}

/// Checks the addresses of a node that is to be added: the URL of its API, and the `host:port` of
/// its Raft port.
///
/// # Errors
///
/// `Invalid` where one of them is none.
pub fn node_addresses(address: &str, raft_address: &str) -> Result<(String, String), Error> {
    config::check_addresses(address, raft_address)
        .map_err(|(field, message)| Error::invalid(field, message))
}

impl App {
    /// Gathers the members as this node sees them.
    ///
    /// # Errors
    ///
    /// `Forbidden` for a client; `Unavailable` while this node starts.
    pub async fn list_members(&self, actor: &Actor) -> Result<Members, Error> {
        authorize(actor, Action::ClusterRead, Resource::Any)?;
        Ok(self.admin()?.members().await?)
    }

    /// Carries out one step of a change; gives the node that the step is about.
    ///
    /// # Errors
    ///
    /// `Forbidden` for a client; `Conflict` or `NotFound` where the leader refuses the step;
    /// `Unavailable` while this node starts, or without a leader.
    pub async fn change_members(&self, actor: &Actor, step: Step) -> Result<NodeId, Error> {
        authorize(actor, Action::ClusterWrite, Resource::Any)?;
        let action = match &step {
            Step::Add { .. } => "add",
            Step::Promote(_) => "promote",
            Step::Remove { .. } => "remove",
            Step::Drain { draining: true, .. } => "drain",
            Step::Drain { draining: false, .. } => "undrain",
            Step::Transfer(_) => "lead",
        };
        let node = self.admin()?.change(step).await?;
        self.note(actor, AuditNote::about(action, "node", node)).await;
        Ok(node)
    }
}
