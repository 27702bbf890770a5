//! The executor of queues: workers perform the occurrences of their jobs, as runs. Runs wait on the
//! node that owns the job's shard until a worker claims them, or are published to a broker.
//!
//! An executor of this kind is a queue, and its name is the name of the queue. The kind reads the
//! settings and says on which terms occurrences are offered; it renders nothing and sends nothing.
//! `worker` keeps what waits.
//!
//! Settings come as JSON, with the names of fields in camelCase. No error, log or listing has the
//! password of a broker: settings hold it sealed.

mod executor;
mod settings;
mod show;
mod validate;

pub(super) use executor::WorkerExecutor;
pub use settings::{Actions, RabbitmqSettings, WorkerSettings};
