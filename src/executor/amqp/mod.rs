//! The executor of AMQP targets: messages for the exchanges of RabbitMQ and of other brokers that
//! speak AMQP 0-9-1 with publisher confirms.
//!
//! A message is an attempt like an HTTP call. Messages of one shard, instant and route travel as a
//! chunk, which holds a channel alone from its first publish to its last confirm. The reply names
//! the outcome of each message. Nothing here knows of shards, schedules or leases, or keeps
//! anything beyond open connections. Nothing is published a second time.
//!
//! ```text
//!   worker -> render (settings, template) -> Chunk -> complete (labels, signatures)
//!          -> send(gate) -> pool -> connection -> channel: gate.check? publish ... confirms
//!                                                   |
//!   worker <- Reply <- outcome <-- acks, nacks, returns, closes
//! ```

mod backoff;
mod broker;
mod connection;
mod connector;
mod exchanges;
mod failure;
mod frames;
mod held;
mod kept;
mod login;
mod message;
mod options;
mod outcome;
mod pool;
mod publish;
mod runtime;
#[cfg(test)]
mod tests;
mod transport;
mod values;
