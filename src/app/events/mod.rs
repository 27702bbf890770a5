//! Events: the stream of what happens, for one reader at a time. A stream moves its own cursor over
//! the ring of `crate::events`, filters what it reads, sums results, and reads from the store what
//! an event shows beside its fact. The API writes the items to a socket, one after the other: an
//! item is made when the one before was taken, so that nothing waits in memory for a slow reader.

mod executions;
mod filter;
mod items;
mod open;
mod reached;
mod stream;
mod sums;

pub use filter::{EventFilter, EventType};
pub use items::{Hello, HelloCluster, Item, JobNews, ResetReason, StreamItem};
pub use stream::EventStream;

pub use crate::events::EventId;
pub use crate::model::event::{
    Fact, JobChange, JobEnd, JobUpdate, LettersChange, Noun, RecordChange, RunChange, TemplateMark,
};
pub use crate::model::event_counts::{Executions, ResultCounts};
pub use crate::model::job_set::JobSet;
