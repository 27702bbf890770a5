//! The state that all pages share. `node` makes it once.

use std::sync::Arc;

use axum::extract::State;

use crate::api::Bodies;
use crate::app::cluster_admin::LagByMinute;
use crate::app::cluster_admin::members::Members;
use crate::app::cluster_admin::status::Status;
use crate::app::history::Problems;
use crate::app::page::Page;
use crate::app::workers::{QueuesRecord, WorkersRecord};
use crate::app::{Action, Actor, App, Error, Resource, authorize};
use crate::auth::{Sessions, Site};
use crate::model::reach::Reach;
use crate::ui::cached::Cached;

/// The shared state as a page takes it.
pub(crate) type Ui = State<Arc<UiState>>;

/// The most queues and workers that are kept for the page of them.
const MOST_LISTED: u64 = 100;

/// Everything that a page may need.
pub struct UiState {
    pub(crate) app: Arc<App>,
    pub(crate) sessions: Sessions,
    /// The bounds on bodies in memory, which forms share with the API.
    pub(crate) bodies: Arc<Bodies>,
    status: Cached<Status>,
    lag: Cached<LagByMinute>,
    members: Cached<Members>,
    queues: Cached<QueuesRecord>,
    workers: Cached<WorkersRecord>,
    /// What fails, which thousands of attempts and letters are looked at for.
    pub(crate) problems: Cached<Problems>,
    /// The number of dead letters.
    pub(crate) letters: Cached<u64>,
}

impl UiState {
    /// The state of a node whose use cases these are.
    pub fn new(app: Arc<App>) -> Self {
        let config = app.config();
        let site = Site::new(config.public_url.as_ref());
        let site = site.allow_insecure(config.allow_insecure_sign_in);
        let sessions = Sessions::new(app.auth.clone(), site);
        Self {
            app,
            sessions,
            bodies: Arc::default(),
            status: Cached::default(),
            lag: Cached::default(),
            members: Cached::default(),
            queues: Cached::default(),
            workers: Cached::default(),
            problems: Cached::default(),
            letters: Cached::default(),
        }
    }

    /// Holds the bodies of forms within these bounds.
    #[must_use]
    pub fn bodies(mut self, bodies: Arc<Bodies>) -> Self {
        self.bodies = bodies;
        self
    }

    /// The status of the cluster, a few seconds old at most: many pages ask, and the nodes are
    /// asked once.
    ///
    /// # Errors
    ///
    /// As [`App::get_status`].
    pub(crate) async fn status(&self, actor: &Actor) -> Result<Arc<Status>, Error> {
        // The use case refuses an actor that may not; nothing known is for it either.
        authorize(actor, Action::ClusterRead, Resource::Any)?;
        let (app, actor) = (Arc::clone(&self.app), actor.clone());
        self.status.get(&Reach::all(), async move { app.get_status(&actor).await }).await
    }

    /// The delays of firings by the minute, as old as [`UiState::status`].
    ///
    /// # Errors
    ///
    /// As [`App::get_lag`].
    pub(crate) async fn lag(&self, actor: &Actor) -> Result<Arc<LagByMinute>, Error> {
        authorize(actor, Action::ClusterRead, Resource::Any)?;
        let (app, actor) = (Arc::clone(&self.app), actor.clone());
        self.lag.get(&Reach::all(), async move { app.get_lag(&actor).await }).await
    }

    /// The members of the cluster, as old as [`UiState::status`].
    ///
    /// # Errors
    ///
    /// As [`App::list_members`].
    pub(crate) async fn members(&self, actor: &Actor) -> Result<Arc<Members>, Error> {
        authorize(actor, Action::ClusterRead, Resource::Any)?;
        let (app, actor) = (Arc::clone(&self.app), actor.clone());
        self.members.get(&Reach::all(), async move { app.list_members(&actor).await }).await
    }

    /// The first queues by name, with what the nodes know of them, as old as [`UiState::status`].
    ///
    /// # Errors
    ///
    /// As [`App::list_queues`].
    pub(crate) async fn queues(&self, actor: &Actor) -> Result<Arc<QueuesRecord>, Error> {
        authorize(actor, Action::WorkersRead, Resource::Any)?;
        let (app, own) = (Arc::clone(&self.app), actor.clone());
        self.queues.get(actor.reach(), async move { app.list_queues(&own, first()).await }).await
    }

    /// The first workers, as old as [`UiState::status`].
    ///
    /// # Errors
    ///
    /// As [`App::list_workers`].
    pub(crate) async fn workers(&self, actor: &Actor) -> Result<Arc<WorkersRecord>, Error> {
        authorize(actor, Action::WorkersRead, Resource::Any)?;
        let (app, own) = (Arc::clone(&self.app), actor.clone());
        self.workers.get(actor.reach(), async move { app.list_workers(&own, first()).await }).await
    }
}

/// The part of a list that the page of workers shows.
fn first() -> Page<()> {
    Page { limit: MOST_LISTED, ..Page::default() }
}
