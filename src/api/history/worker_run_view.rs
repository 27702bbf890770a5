//! The part of a run that a worker performs, as executions and explanations show it.

use serde::Serialize;

use crate::model::run::Run;
use crate::model::run_report::RunState;
use crate::model::run_terms::BusKind;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkerRunView {
    /// The state by its name in `GET /runs`.
    state: &'static str,
    bus: BusKind,
    #[serde(skip_serializing_if = "String::is_empty")]
    queue: String,
    /// Empty while nobody is known to have it.
    #[serde(skip_serializing_if = "String::is_empty")]
    worker: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl WorkerRunView {
    /// The view of a run; `None` for one that no worker performs.
    pub(crate) fn of(run: &Run) -> Option<Self> {
        let kept = run.worker.as_deref()?;
        Some(Self {
            state: RunState::of_run(run).name(),
            bus: kept.terms.bus,
            queue: kept.terms.queue.clone(),
            worker: kept.worker.clone(),
            progress: kept.progress,
            message: kept.message.clone(),
        })
    }
}
