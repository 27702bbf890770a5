//! The executor of AMQP targets: messages for the exchanges of RabbitMQ and of other brokers that
//! speak AMQP 0-9-1 with publisher confirms.
//!
//! A message is an attempt like an HTTP call. Messages of one shard, instant and route travel as a
//! chunk, which holds a channel alone from its first publish to its last confirm. The reply names
//! the outcome of each message. Nothing here knows of shards, schedules or leases, or keeps
//! anything beyond open connections. Nothing is published a second time.
//!
//! Settings and messages come as JSON, with the names of fields in camelCase (the callers have made
//! them so) and the names in `headers`, `arguments` and `body` as the client wrote them. No error,
//! log or listing has the password: settings hold it sealed, and it is opened when a chunk goes.
//!
//! ```text
//!   worker -> render (plan: settings + message) -> Chunk -> complete (labels, signatures)
//!          -> send(gate) -> pool -> connection -> channel: gate.check? publish ... confirms
//!                                                   |
//!   worker <- Reply <- outcome <-- acks, nacks, returns, closes
//! ```
//!
//! | files | what they do |
//! |---|---|
//! | `executor`, `parts` | what the worker and the API learn of the kind |
//! | `validate`, `content`, `declare`, `fields`, `tables` | what clients give, checked |
//! | `broker_fields`, `url` | the same, for each kind that connects to a broker |
//! | `settings`, `show` | the stored form, and what clients see of it |
//! | `plan`, `payload`, `headers`, `render` | how messages are written and cut into chunks |
//! | `chunk` | a chunk when it goes: labels, signatures, the password |
//! | `broker`, `message` | data that both halves of the kind share |
//! | `pool`, `exchanges`, `outcome` | chunks on their way |
//!
//! Connections, and the publishing on them, are in `executor::broker`.

mod broker;
mod broker_fields;
mod chunk;
mod content;
mod declare;
mod exchanges;
mod executor;
mod fields;
#[cfg(test)]
mod fixture;
mod headers;
mod message;
mod outcome;
mod parts;
mod payload;
mod plan;
mod pool;
mod render;
mod settings;
mod show;
mod tables;
#[cfg(test)]
mod tests;
mod url;
mod validate;

pub use broker::Broker;
pub(super) use broker_fields::BrokerFields;
pub(super) use executor::AmqpExecutor;
pub(crate) use url::{BrokerUrl, Password};
pub(super) use url::{call_address, shown as shown_url};
