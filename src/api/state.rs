//! What the handlers work with, made by `node` once and shared by all requests.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::answers::Answers;
use super::backups::Backups;
use super::budget::Budget;
use super::cluster::{ChecksumSource, StatusSource};
use super::error::Error;
use super::members::{ChangeSource, MembersSource};
use super::pressure::Pressure;
use super::readiness::Readiness;
use super::reads::Reads;
use super::turns::Turns;
use crate::auth::Auth;
use crate::clock::SchedulerTime;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::executor::guard::TargetGuard;
use crate::executor::raft_addresses::RaftAddresses;
use crate::metrics::Metrics;
use crate::secret::Keys;

/// Everything that a handler may need.
pub struct AppState {
    pub(super) cluster: Cluster,
    pub(super) keys: Arc<Keys>,
    pub(super) config: Arc<Config>,
    pub(super) time: Arc<SchedulerTime>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) pressure: Arc<Pressure>,
    pub(super) sources: Sources,
    pub(super) auth: Auth,
    pub(super) echo: bool,
    pub(super) turns: Arc<Turns>,
    pub(super) budget: Arc<Budget>,
    pub(super) backups: Backups,
    pub(super) reads: Reads,
    pub(super) answers: Answers,
    /// The node is about to stop.
    pub(super) leaving: Arc<AtomicBool>,
    pub(super) readiness: Arc<Readiness>,
}

/// What the api shows of parts that it may not know.
#[derive(Clone, Default)]
pub struct Sources {
    /// `GET /cluster/status`; without it that route answers 503.
    pub status: Option<StatusSource>,
    /// `POST /cluster/checksum`; without it that route answers 503.
    pub checksum: Option<ChecksumSource>,
    /// `GET /cluster/members`; without it that route answers 503.
    pub members: Option<MembersSource>,
    /// The routes that change the members; without it they answer 503.
    pub change: Option<ChangeSource>,
}

impl AppState {
    /// The state of a node. The caller runs [`Auth::follow`] of the `auth` it passes as a task.
    pub fn new(
        cluster: Cluster,
        keys: Arc<Keys>,
        config: Arc<Config>,
        time: Arc<SchedulerTime>,
        metrics: Arc<Metrics>,
        auth: Auth,
    ) -> Self {
        Self {
            cluster,
            keys,
            config,
            time,
            metrics,
            pressure: Arc::default(),
            sources: Sources::default(),
            auth,
            echo: false,
            turns: Arc::default(),
            budget: Arc::default(),
            backups: Backups::default(),
            reads: Reads::default(),
            answers: Answers::default(),
            leaving: Arc::default(),
            readiness: Arc::default(),
        }
    }

    /// Is not ready any more when this is set.
    #[must_use]
    pub fn leaving(mut self, leaving: Arc<AtomicBool>) -> Self {
        self.leaving = leaving;
        self
    }

    /// What probes are told: the caller runs [`Readiness::follow`] as a task.
    pub fn readiness(&self) -> Arc<Readiness> {
        Arc::clone(&self.readiness)
    }

    /// Listens to this pressure instead of none.
    #[must_use]
    pub fn pressure(mut self, pressure: Arc<Pressure>) -> Self {
        self.pressure = pressure;
        self
    }

    /// Counts what bodies hold of the memory by this budget.
    #[must_use]
    pub fn budget(mut self, budget: Arc<Budget>) -> Self {
        self.budget = budget;
        self
    }

    /// Shows what these say.
    #[must_use]
    pub fn sources(mut self, sources: Sources) -> Self {
        self.sources = sources;
        self
    }

    /// Adds `POST /dev/echo`, a target for first steps.
    #[must_use]
    pub fn echo(mut self, echo: bool) -> Self {
        self.echo = echo;
        self
    }

    /// Which targets this node takes: by its configuration, and none of the cluster's own Raft ports.
    pub(super) fn guard(&self) -> TargetGuard {
        let members = self.cluster.members();
        let addresses = members.iter().map(|(_, member)| member.raft_address.as_str());
        let members = Arc::new(RaftAddresses::new(addresses));
        TargetGuard { members, ..TargetGuard::of(&self.config) }
    }

    /// Refuses a write while the node is short of memory or disk.
    pub(super) fn admit_write(&self) -> Result<(), Error> {
        self.pressure.admit()
    }
}
