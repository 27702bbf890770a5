//! The seam between the worker and the kinds of target: what an executor is.
//!
//! The worker knows jobs, instants, leases, retries. An executor knows one kind of target: what its
//! settings mean, how a request for it is written and signed, how it is sent, and what an answer
//! means. They meet in the traits here, and nothing else of a kind is seen outside of its folder:
//!
//! ```text
//!   worker: jobs that are due, their CallTarget
//!     │  Executor::address    destination, path, name    (limits, breakers, what people read)
//!     │  Executor::grouping   batches, one by one, or not at all: workers take them
//!     ▼
//!   Executor::renderer ── Renderer::push each job ── finish ──> Request (PreparedRequest inside)
//!     ▼                                                             wait for place and due instant
//!   PreparedRequest::complete   labels, signature, secrets: right before it goes
//!     ▼
//!   CallQueue::call ── admit ── permit (turn, limits, breaker) ── PreparedRequest::send(Gate)
//!     ▼                                                             │ lease check, first byte
//!     │                                                             │ Gate::run: up to its end
//!   worker <── Reply: an Attempt for all jobs, or one for each part of them
//! ```
//!
//! - **One object for a target, one box for a request.** Renderer and request are trait objects. A
//!   renderer is made once for the jobs of one target; a request and its future are boxed once.
//!   A job costs a call through a pointer and no allocation.
//! - **Text for destinations.** Fairness, limits, breakers and eviction count by
//!   [`Destination`](super::destination::Destination), an opaque text: scheme, host and port of a
//!   URL, or the address of a broker.
//! - **Outcomes are classes.** An [`Attempt`](super::attempt::Attempt) says what an answer means
//!   (success, retry, refused ...). Its code is for people; nothing decides by it.
//! - **More than one outcome.** A kind that learns of each job by itself, as a broker confirms each
//!   message, has [`Grouping::Chunk`] and answers with [`Reply::PerJob`](super::reply::Reply). It
//!   names each job that it sent, and says with [`Rest`](super::reply::Rest) why it did not
//!   send the others.
//! - **Calls end in time**, whatever a kind does: its time is up, its jobs are deleted, others need
//!   its place. A kind hears of that in [`Gate::run`](super::gate::Gate::run) and replies with what
//!   it knows; one that does not listen is cut off.
//! - **Faults stay small.** `address` and `grouping` answer for any settings that `validate` has
//!   passed, and for those of a newer program. Where a kind panics, or leaves jobs out, these jobs
//!   fail or are put off, and no others; the log says so.
//! - **Secrets stay sealed** until the code of the kind opens them, with a
//!   [`SecretCache`](super::secret_cache::SecretCache).
//! - **No call at all** fits as well: a kind with [`Grouping::Offer`] is a queue, whose occurrences
//!   workers come for. [`Executor::queue`] says on which terms; nothing is rendered or sent.
//!
//! `executor::registry` lists the kinds. `CONTRIBUTING.md` says what belongs to a new one.

use std::sync::Arc;

use serde_json::Value;

use super::batch::{Batch, BatchJob};
use super::destination::Address;
use super::request::Rendered;
use crate::model::Millis;
use crate::model::call_target::CallTarget;
use crate::model::job::JobDefinition;
use crate::model::run_terms::BusKind;
use crate::model::target_pattern::TargetAddress;

/// An executor: everything that is to be known about one kind of target.
pub trait Executor: Send + Sync + 'static {
    /// The kind, as executors of the API name it in `type`.
    fn kind(&self) -> &'static str;

    /// Validates the settings of an executor of this kind, as a client gives them, and seals the
    /// secrets in them. `old` are the settings so far; a secret that the client leaves out is kept.
    /// What [`Executor::show`] gives is valid too: clients send back what they were shown. A null
    /// is a field that is left out. The caller wipes `given` afterwards.
    fn validate(&self, given: &Value, old: Option<&Value>) -> Result<Value, Invalid>;

    /// The settings as clients see them: without secrets, with names in camelCase.
    fn show(&self, settings: &Value) -> Value;

    /// The fields of settings and of messages in which names are the client's own. All other names
    /// are the API's: clients write them in either casing, and [`Executor::validate`] and
    /// [`Executor::validate_message`] get them in camelCase.
    fn client_fields(&self) -> ClientFields {
        ClientFields::default()
    }

    /// Whether a job may hold settings of this kind itself, without an executor.
    fn is_for_jobs(&self) -> bool {
        false
    }

    /// Whether an executor of this kind must be given settings; without that, none are the same as
    /// an empty object.
    fn needs_settings(&self) -> bool {
        true
    }

    /// Validates the `message` of a job: the fields that replace those of its executor's settings.
    /// It holds no secret, so the result is what clients are shown, and is valid again.
    fn validate_message(&self, _given: &Value) -> Result<Value, Invalid> {
        Err(Invalid::unfit("message", format!("message is not for type {}", self.kind())))
    }

    /// The check of the data of jobs against their target, when they are created or changed. It is
    /// made once for the jobs of a definition.
    fn data_check(&self, _to: &CallTarget, _job: &JobDefinition) -> Result<DataCheck, Invalid> {
        Ok(Box::new(|_| Ok(())))
    }

    /// Where calls to a target go. Asked once for each target and read of the store. It has an
    /// answer to any settings; jobs of a target at which it panics are put off.
    fn address(&self, target: &CallTarget) -> Address;

    /// The address that calls to a target go to, as it is written, for the rules of where jobs of a
    /// project may call; `None` where nothing is called, and for settings that cannot be read.
    fn call_address(&self, _target: &CallTarget) -> Option<TargetAddress> {
        None
    }

    /// Whether jobs of a target share a request. As with [`Executor::address`], there is an answer
    /// to any settings.
    fn grouping(&self, target: &CallTarget) -> Grouping;

    /// The queue that a target is, with [`Grouping::Offer`]; `None` for a target that is none, or
    /// whose settings this program cannot read: its jobs are put off.
    fn queue(&self, _target: &CallTarget) -> Option<QueueSettings> {
        None
    }

    /// The renderer of requests for jobs of one target. A target that cannot be rendered gives a
    /// renderer all of whose jobs fail.
    fn renderer<'r>(&'r self, target: &'r CallTarget, batch: Batch<'r>) -> Box<dyn Renderer + 'r>;

    /// The number of calls that this node could not make, by the name of the reason.
    fn local_errors(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

/// The way in which the occurrences of one instant share requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grouping {
    /// Occurrences share a request.
    Batch,
    /// Each occurrence has a request, and may have a run, of its own.
    Single,
    /// Occurrences share a request in which each is a message of its own. The executor's limits
    /// count messages: see [`Limits::by_job`](super::destination::Limits::by_job). The executor
    /// asks [`Gate::check`](super::gate::Gate::check) once for each job, right before that job goes
    /// out, and sends no more jobs than [`Gate::max_jobs`](super::gate::Gate::max_jobs).
    Chunk,
    /// Occurrences are not sent: they wait in a queue until a worker takes them, and each is a run.
    /// The executor is asked for its [`queue`](Executor::queue) and never for a request. Its limit
    /// of calls counts runs that workers have.
    Offer,
}

/// The settings of a queue, as far as the worker goes by them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// The way in which runs come to workers.
    pub bus: BusKind,
    /// The longest silence of a worker for jobs that name none, in milliseconds; 0 where no
    /// heartbeat is expected, `None` where the settings say nothing.
    pub heartbeat_timeout: Option<Millis>,
    /// True where the message of a run carries the data of its job.
    pub takes_data: bool,
    /// The broker and the virtual host that its runs go over; `None` where they go over none. Two
    /// queues with the same one share the workers of a name.
    pub broker: Option<String>,
}

/// Writes the requests for jobs of one target.
pub trait Renderer {
    /// Adds a job. Ids ascend.
    fn push(&mut self, job: &BatchJob<'_>);

    /// The requests, in the order in which they are to go. Each job is in one of them or among
    /// those that failed.
    fn finish(self: Box<Self>) -> Rendered;
}

/// Checks the data of one job.
pub type DataCheck = Box<dyn Fn(&str) -> Result<(), Invalid> + Send>;

/// The fields, at any depth of settings and of messages, in which names are the client's own. They
/// are named in camelCase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientFields {
    /// Objects whose names are the client's own, such as headers. A patch merges them.
    pub maps: &'static [&'static str],
    /// Values that may be any JSON, such as a body. A patch replaces them.
    pub values: &'static [&'static str],
}

/// The reason why settings are not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// The field that is at fault, as clients name it.
    pub field: &'static str,
    /// The fault, and what to do about it.
    pub message: String,
    /// The kind of the fault.
    pub fault: Fault,
}

/// The kind of a fault in settings, which decides the status of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The value cannot be understood or is out of its bounds (400).
    Value,
    /// The value is understood, and does not fit the rest (422).
    Unfit,
    /// The value, or what is made of it, is too large (413).
    TooLarge,
    /// The value is a target that calls must not go to (400).
    NotAllowed,
}

impl Invalid {
    /// The error of a field whose value is not valid.
    pub fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: message.into(), fault: Fault::Value }
    }

    /// The error of a field whose value does not fit the rest.
    pub fn unfit(field: &'static str, message: impl Into<String>) -> Self {
        Self { fault: Fault::Unfit, ..Self::new(field, message) }
    }

    /// The error of a field whose value is a target that calls must not go to.
    pub fn not_allowed(field: &'static str, message: impl Into<String>) -> Self {
        Self { fault: Fault::NotAllowed, ..Self::new(field, message) }
    }

    /// The error of a field whose value is too large.
    pub fn too_large(field: &'static str, message: impl Into<String>) -> Self {
        Self { fault: Fault::TooLarge, ..Self::new(field, message) }
    }
}

/// A shared executor.
pub type SharedExecutor = Arc<dyn Executor>;
