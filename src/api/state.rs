//! The state that all handlers share. `node` makes it once and hands it to `router`.

use std::sync::Arc;

use axum::extract::State;

use crate::api::limits::answers::Answers;
use crate::api::limits::body_permits::BodyPermits;
use crate::api::limits::budget::Budget;
use crate::app;

/// The shared state as a handler takes it.
pub(crate) type ApiState = State<Arc<AppState>>;

/// Everything that a handler may need.
pub struct AppState {
    /// The use cases.
    pub(crate) app: Arc<app::App>,
    pub(crate) echo: bool,
    pub(crate) body_permits: BodyPermits,
    /// The budget of bodies in memory.
    pub(crate) budget: Arc<Budget>,
    pub(crate) answers: Answers,
}

impl AppState {
    /// The state of a node whose use cases these are.
    pub fn new(app: impl Into<Arc<app::App>>) -> Self {
        let app = app.into();
        Self {
            echo: false,
            body_permits: BodyPermits::default(),
            budget: Arc::default(),
            answers: Answers::default(),
            app,
        }
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
}
