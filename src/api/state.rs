//! The state that all handlers share. `node` makes it once and hands it to `router`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::extract::State;

use crate::api::admin::backup_slot::BackupSlot;
use crate::api::admin::pressure::Pressure;
use crate::api::admin::readiness::Readiness;
use crate::api::http::error::Error;
use crate::api::limits::answers::Answers;
use crate::api::limits::body_permits::BodyPermits;
use crate::api::limits::budget::Budget;
use crate::app;
use crate::auth::Auth;
use crate::clock::SchedulerTime;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::secret::Keys;

/// The shared state as a handler takes it.
pub(crate) type ApiState = State<Arc<AppState>>;
/// The shared state as a handler takes it.
pub(crate) type App = State<Arc<AppState>>;

/// Everything that a handler may need.
pub struct AppState {
    /// The use cases.
    pub(crate) app: Arc<app::App>,
    pub(crate) cluster: Cluster,
    pub(crate) keys: Arc<Keys>,
    pub(crate) config: Arc<Config>,
    pub(crate) time: Arc<SchedulerTime>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) pressure: Arc<Pressure>,
    pub(crate) auth: Auth,
    pub(crate) echo: bool,
    pub(crate) body_permits: BodyPermits,
    /// The budget of bodies in memory.
    pub(crate) budget: Arc<Budget>,
    pub(crate) backup: BackupSlot,
    pub(crate) answers: Answers,
    /// Set when the node is about to stop.
    pub(crate) leaving: Arc<AtomicBool>,
    pub(crate) readiness: Arc<Readiness>,
}

impl AppState {
    /// The state of a node whose use cases these are.
    pub fn new(app: app::App) -> Self {
        Self {
            cluster: app.cluster.clone(),
            keys: app.keys.clone(),
            config: app.config.clone(),
            time: app.time.clone(),
            metrics: app.metrics.clone(),
            auth: app.auth.clone(),
            pressure: Arc::default(),
            echo: false,
            body_permits: BodyPermits::default(),
            budget: Arc::default(),
            backup: BackupSlot::new(app.time.clone()),
            answers: Answers::default(),
            leaving: Arc::default(),
            readiness: Arc::default(),
            app: Arc::new(app),
        }
    }

    /// Probes find the node not ready once this is set.
    #[must_use]
    pub fn leaving(mut self, leaving: Arc<AtomicBool>) -> Self {
        self.leaving = leaving;
        self
    }

    /// The readiness that probes are told. The caller runs [`Readiness::follow`] as a task.
    pub fn readiness(&self) -> Arc<Readiness> {
        Arc::clone(&self.readiness)
    }

    /// Refuses writes by this pressure instead of none.
    #[must_use]
    pub fn pressure(mut self, pressure: Arc<Pressure>) -> Self {
        self.pressure = pressure;
        self
    }

    /// Counts bodies in memory by this budget.
    #[must_use]
    pub fn budget(mut self, budget: Arc<Budget>) -> Self {
        self.budget = budget;
        self
    }

    /// Adds `POST /dev/echo`, a target for first steps.
    #[must_use]
    pub fn echo(mut self, echo: bool) -> Self {
        self.echo = echo;
        self
    }

    /// Refuses a write while the node is short of memory or disk.
    pub(crate) fn admit_write(&self) -> Result<(), Error> {
        self.pressure.admit()
    }
}
