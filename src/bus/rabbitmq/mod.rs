//! The bus over `RabbitMQ`, in the wire forms of the workers that were published for Simple
//! Scheduler. For a job with the name N:
//!
//! - The exchange `scheduler.job.N`: topic, durable.
//! - The queues `scheduler.job.N.action`, `.status` and `.heartbeat`: durable, and bound to it by
//!   the words `action`, `status` and `heartbeat`.
//! - The exchanges `scheduler.job.N.status` and `.heartbeat`, for workers that follow its README:
//!   of whatever type they are, else topic. The queues of the same names are bound to them.
//! - With `actions: exchange` the exchange `scheduler.job.N.action` in place of the queue.
//!
//! An action is `{"jobName", "runId", "action": "run"|"cancel"}`, persistent, mandatory and
//! confirmed. A status is `{"jobName", "runId", "status"}`, a heartbeat `{"jobName", "runId"}`;
//! the keys `progress`, `message`, `result` and `error` are understood beside them.
//!
//! A node has one connection to publish on and one to consume on, to each broker: during an alarm a
//! broker stops reading from connections that publish, and acknowledgements must be read. Each
//! shard has a channel to consume on, which holds a few hundred messages of each queue until they
//! are acknowledged. Whatever the broker closes is opened anew: channel, topology, consumers.
//!
//! | files | what they do |
//! |---|---|
//! | `bus`, `broker_link` | the bus, and what there is for each broker |
//! | `action`, `report`, `names` | wire forms |
//! | `topology`, `declared`, `pacer`, `removal` | exchanges and queues: how, whether, how fast |
//! | `offers`, `waiting_actions`, `publisher`, `chunk` | actions on their way |
//! | `consumer_link`, `shard_consumer`, `heard_shard` | workers are heard, from attach to detach |
//! | `consuming`, `listening`, `subscribe` | the same, on one channel |
//! | `ack_window`, `run_order` | what is acknowledged, and in which order things are told |

mod ack_window;
mod action;
mod broker_link;
mod bus;
mod chunk;
mod consumer_link;
mod consuming;
mod declared;
mod heard_shard;
mod listening;
mod names;
mod offers;
mod pacer;
mod publisher;
mod removal;
mod report;
mod run_order;
mod shard_consumer;
mod subscribe;
#[cfg(test)]
mod tests;
mod topology;
mod waiting_actions;

pub use bus::{RabbitMq, RabbitMqOptions};
