//! The use cases of worker processes, and the views on them: claims, heartbeats, workers, queues.
//! The `gateway` of the node does the work; here requests are checked, and names of queues and runs
//! become numbers and back.

mod claim;
mod heartbeat;
mod names;
mod unserved;
mod views;

pub use claim::{ClaimInput, Claimed};
pub use heartbeat::{HeartbeatInput, HeartbeatRecord, RunAlive};
pub use views::{QueueRecord, QueuesRecord, WorkerRecord, WorkersRecord};
