//! The executor of the kind: its settings, where they lead, and chunks of messages.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::queues::{Defect, Queues};
use super::request::Chunk;
use crate::delivery::batch::{Batch, BatchJob};
use crate::delivery::destination::{Address, Destination};
use crate::delivery::executor::{Executor, Grouping, Invalid, Renderer};
use crate::delivery::request::{Rendered, Request};
use crate::model::JobId;
use crate::model::call_target::CallTarget;
use crate::model::target::Sealed;
use crate::secret::{Keys, purpose};

/// The settings of an executor of this kind.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settings {
    queue: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Sealed>,
    /// What clients are shown; they send it back.
    #[serde(default, skip_serializing, rename = "secretSet")]
    _secret_set: bool,
}

/// The executor.
#[derive(Clone)]
pub(crate) struct MemoryExecutor(pub(crate) Arc<Queues>);

impl MemoryExecutor {
    /// An executor whose queues confirm everything.
    pub(crate) fn new(keys: Arc<Keys>) -> Self {
        Self(Arc::new(Queues::new(keys)))
    }
}

fn settings(value: &Value) -> Result<Settings, Invalid> {
    let of_queue = |error: serde_json::Error| Invalid::new("memory", error.to_string());
    Settings::deserialize(value).map_err(of_queue)
}

fn of_target(target: &CallTarget) -> Option<Settings> {
    match target {
        CallTarget::Settings(configured) => settings(&configured.settings).ok(),
        CallTarget::Callback(_) | CallTarget::Http(_) => None,
    }
}

impl Executor for MemoryExecutor {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn validate(&self, given: &Value, old: Option<&Value>) -> Result<Value, Invalid> {
        let mut given = settings(given)?;
        if given.queue.is_empty() {
            return Err(Invalid::new("memory.queue", "memory.queue is required"));
        }
        let clear = given.secret.take();
        given.secret = match clear {
            Some(clear) => Some(self.0.secrets.keys().seal(&clear.0, purpose::TOKEN)),
            None => old.map(settings).transpose()?.and_then(|old| old.secret),
        };
        serde_json::to_value(given).map_err(|error| Invalid::new("memory", error.to_string()))
    }

    fn show(&self, value: &Value) -> Value {
        let Ok(settings) = settings(value) else { return Value::Null };
        json!({"queue": settings.queue, "secretSet": settings.secret.is_some()})
    }

    fn address(&self, target: &CallTarget) -> Address {
        self.0.check(Defect::Address);
        let queue = of_target(target).map(|settings| settings.queue).unwrap_or_default();
        let destination = Destination::new(format!("memory:{queue}"));
        Address { destination, path: 0, name: queue.into() }
    }

    fn grouping(&self, _: &CallTarget) -> Grouping {
        self.0.check(Defect::Grouping);
        Grouping::Chunk
    }

    fn renderer<'r>(&'r self, target: &'r CallTarget, batch: Batch<'r>) -> Box<dyn Renderer + 'r> {
        let settings = of_target(target);
        Box::new(ChunkRenderer { queues: &self.0, settings, batch, messages: Vec::new() })
    }
}

/// Cuts jobs into chunks.
struct ChunkRenderer<'r> {
    queues: &'r Arc<Queues>,
    settings: Option<Settings>,
    batch: Batch<'r>,
    messages: Vec<(JobId, String)>,
}

impl Renderer for ChunkRenderer<'_> {
    fn push(&mut self, job: &BatchJob<'_>) {
        self.queues.check(Defect::At(job.id));
        if *self.queues.defect.lock().unwrap() != Defect::LeavesOut(job.id) {
            self.messages.push((job.id, job.data.to_owned()));
        }
    }

    fn finish(self: Box<Self>) -> Rendered {
        let Some(settings) = self.settings else {
            let jobs = self.messages.into_iter().map(|(job, _)| job).collect();
            let why = "memory.queue is not set".to_owned();
            return Rendered { requests: Vec::new(), failed: vec![(jobs, why)] };
        };
        self.messages.iter().for_each(|(job, _)| self.queues.check(Defect::Finish(*job)));
        let request = |messages: &[(JobId, String)]| Request {
            members: messages.iter().map(|(job, _)| *job).collect(),
            id: self.batch.instant.id(messages[0].0),
            series: None,
            path: 0,
            prepared: Box::new(Chunk {
                queues: Arc::clone(self.queues),
                queue: settings.queue.clone(),
                sealed: settings.secret.clone(),
                secret: String::new(),
                attempt: 0,
                messages: messages.to_vec(),
            }),
        };
        let most = self.queues.most();
        let most = self.batch.max_jobs.map_or(most, |bound| bound.min(most));
        Rendered {
            requests: self.messages.chunks(most).map(request).collect(),
            ..Rendered::default()
        }
    }
}
