//! A second kind of executor, for tests: queues in memory that take messages in chunks and confirm
//! each by itself, as a broker does. It has no URL and no status.
//!
//! It is the proof that a kind is one folder and one registration: `worker::tests::second_kind`
//! delivers to it, and no file of worker, store or apply knows it. The test registers it and says
//! how each message is confirmed.

mod executor;
mod queues;
mod request;

pub(crate) use executor::MemoryExecutor;
pub(crate) use queues::{Defect, Fate, Message};
