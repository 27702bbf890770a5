//! The administration of the cluster that the API calls: `status` and `members` do the work.

use super::rpc::PeerRpc;
use super::{members, status};
use crate::app::cluster_admin::members::{Members, Step};
use crate::app::cluster_admin::status::{Checksums, Status};
use crate::app::cluster_admin::{Answer, ClusterAdmin, LagByMinute};
use crate::model::NodeId;
use crate::model::lease::Timing;

/// The cluster as this node administers it.
pub(super) struct Admin {
    pub(super) rpc: PeerRpc,
    pub(super) timing: Timing,
}

impl ClusterAdmin for Admin {
    fn status(&self) -> Answer<'_, Status> {
        Box::pin(status::status(self.rpc.clone(), self.timing))
    }

    fn lag(&self) -> Answer<'_, LagByMinute> {
        Box::pin(status::lag(self.rpc.clone()))
    }

    fn checksums(&self) -> Answer<'_, Checksums> {
        Box::pin(status::checksums(self.rpc.clone()))
    }

    fn members(&self) -> Answer<'_, Members> {
        Box::pin(members::members(self.rpc.clone()))
    }

    fn change(&self, step: Step) -> Answer<'_, NodeId> {
        Box::pin(members::change(self.rpc.clone(), step))
    }
}
