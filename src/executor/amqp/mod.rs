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
//! | `broker`, `message`, `values` | data that both halves of the kind share, and its AMQP types |
//! | `pool`, `kept`, `held`, `exchanges`, `publish`, `outcome`, `failure` | chunks on their way |
//! | `connection`, `connector`, `transport`, `frames`, `login`, `runtime` | connections |
//! | `options`, `backoff` | what bounds them |

mod backoff;
mod broker;
mod broker_fields;
mod chunk;
mod connection;
mod connector;
mod content;
mod declare;
mod exchanges;
mod executor;
mod failure;
mod fields;
#[cfg(test)]
mod fixture;
mod frames;
mod headers;
mod held;
mod inbound;
mod kept;
mod login;
mod message;
mod options;
mod outcome;
mod parts;
mod payload;
mod places;
mod plan;
mod pool;
mod publish;
mod render;
mod returns;
mod runtime;
mod settings;
mod show;
mod tables;
#[cfg(test)]
mod tests;
mod transport;
mod url;
mod validate;
mod values;

pub use broker::Broker;
pub(super) use broker_fields::BrokerFields;
pub(super) use executor::AmqpExecutor;
pub(super) use failure::BY_PROXY;
pub(super) use url::shown as shown_url;
pub(crate) use url::{BrokerUrl, Password};
