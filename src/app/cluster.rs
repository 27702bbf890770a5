//! The cluster as operators see it: its status, and the checksums of its nodes. `ClusterAdmin`
//! gathers both.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::cluster_admin::LagByMinute;
use crate::app::cluster_admin::status::{Checksums, Status};
use crate::app::error::Error;
use crate::app::state::App;

impl App {
    /// Gathers the status of all nodes and shards, and the queues without workers.
    ///
    /// # Errors
    ///
    /// `Forbidden` for a client; `Unavailable` while this node starts.
    pub async fn get_status(&self, actor: &Actor) -> Result<Status, Error> {
        authorize(actor, Action::ClusterRead, Resource::Any)?;
        let admin = self.admin()?;
        let (status, unserved) = tokio::join!(admin.status(), self.warn_of_unserved_queues(actor));
        let mut status = status?;
        status.warnings.extend(unserved);
        Ok(status)
    }

    /// Gathers the delays of firings by the minute, of all nodes that answer.
    ///
    /// # Errors
    ///
    /// `Forbidden` for a client; `Unavailable` while this node starts.
    pub async fn get_lag(&self, actor: &Actor) -> Result<LagByMinute, Error> {
        authorize(actor, Action::ClusterRead, Resource::Any)?;
        Ok(self.admin()?.lag().await?)
    }

    /// Commits a checksum entry and gathers every node's hash of its state there.
    ///
    /// # Errors
    ///
    /// `Forbidden` for a client; `Unavailable` while this node starts, or without a leader.
    pub async fn compare_checksums(&self, actor: &Actor) -> Result<Checksums, Error> {
        authorize(actor, Action::ClusterWrite, Resource::Any)?;
        Ok(self.admin()?.checksums().await?)
    }
}
