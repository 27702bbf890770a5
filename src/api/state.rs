//! The state that all handlers share. `node` makes it once and calls `router` with it.

use std::sync::Arc;

use axum::extract::State;

use crate::api::limits::answers::Answers;
use crate::api::limits::bodies::Bodies;
use crate::app;
use crate::auth::{Sessions, Site};

/// The shared state as a handler takes it.
pub(crate) type ApiState = State<Arc<AppState>>;

/// Everything that a handler may need.
pub struct AppState {
    /// The use cases.
    pub(crate) app: Arc<app::App>,
    pub(crate) echo: bool,
    /// The bounds on bodies in memory.
    pub(crate) bodies: Arc<Bodies>,
    pub(crate) answers: Answers,
    /// Sessions of the web UI, which stand for the credentials of who signed in there.
    pub(crate) sessions: Sessions,
}

impl AppState {
    /// The state of a node whose use cases these are.
    pub fn new(app: impl Into<Arc<app::App>>) -> Self {
        let app = app.into();
        let config = app.config();
        let site = Site::new(config.public_url.as_ref());
        let site = site.allow_insecure(config.allow_insecure_sign_in);
        let sessions = Sessions::new(app.auth.clone(), site);
        Self { sessions, echo: false, bodies: Arc::default(), answers: Answers::default(), app }
    }

    /// Holds bodies within these bounds.
    #[must_use]
    pub fn bodies(mut self, bodies: Arc<Bodies>) -> Self {
        self.bodies = bodies;
        self
    }

    /// Adds `POST /dev/echo`, a target for first steps.
    #[must_use]
    pub fn echo(mut self, echo: bool) -> Self {
        self.echo = echo;
        self
    }
}
