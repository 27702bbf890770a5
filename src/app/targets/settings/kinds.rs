//! The kinds of target with settings that this node knows, and what answers show of settings.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::app::state::App;
use crate::app::targets::settings::shown::Shown;
use crate::delivery::executor::{ClientFields, SharedExecutor};
use crate::delivery::registry::Registry;
use crate::model::job::JobDefinition;
use crate::model::target::{Executor, WEBHOOK_URL, takes_messages};

/// The kinds with settings.
pub(crate) fn kinds(executors: &Registry) -> impl Iterator<Item = &SharedExecutor> {
    // The first kind has fields of its own, which the published clients know.
    executors.all().filter(|executor| executor.kind() != WEBHOOK_URL)
}

/// The names of the kinds whose settings a job may hold.
pub(crate) fn kinds_for_jobs(executors: &Registry) -> impl Iterator<Item = &'static str> {
    kinds(executors).filter(|executor| executor.is_for_jobs()).map(|executor| executor.kind())
}

/// The fields of messages in which names are the client's own.
pub(crate) fn message_fields(executors: &Registry) -> ClientFields {
    let executor = executors.all().find(|executor| takes_messages(executor.kind()));
    executor.map(|executor| executor.client_fields()).unwrap_or_default()
}

impl App {
    /// The names of the kinds that have settings.
    pub fn kinds_with_settings(&self) -> impl Iterator<Item = &'static str> {
        kinds(&self.executors).map(|executor| executor.kind())
    }

    /// The names of the kinds whose settings a job may hold.
    pub fn kinds_for_jobs(&self) -> Vec<&'static str> {
        kinds_for_jobs(&self.executors).collect()
    }

    /// The settings of an executor as an answer shows them, under the name of their kind; `None`
    /// without any.
    pub(crate) fn show_executor_settings(
        &self,
        executor: &Executor,
    ) -> Option<BTreeMap<String, Shown>> {
        show(&executor.kind, executor.settings.as_deref()?, &self.executors)
    }

    /// The settings that a job holds itself, as an answer shows them.
    pub(crate) fn show_job_settings(
        &self,
        definition: &JobDefinition,
    ) -> Option<BTreeMap<String, Shown>> {
        let own = definition.target.as_deref()?;
        show(&own.kind, &own.settings, &self.executors)
    }

    /// The `message` of a job, as an answer shows it.
    pub(crate) fn show_message(&self, definition: &JobDefinition) -> Option<Shown> {
        let message = definition.message.as_deref()?;
        Some(Shown::new(message.clone(), message_fields(&self.executors)))
    }
}

/// Settings of a kind, under its name; `None` if this node does not know the kind.
pub(crate) fn show(
    kind: &str,
    settings: &Value,
    executors: &Registry,
) -> Option<BTreeMap<String, Shown>> {
    let executor = executors.get(kind)?;
    let shown = Shown::new(executor.show(settings), executor.client_fields());
    Some(BTreeMap::from([(kind.to_owned(), shown)]))
}
