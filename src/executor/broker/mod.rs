//! Connections to brokers that speak AMQP 0-9-1, for everybody who talks to one: the kind of target
//! `amqp`, and the bus of worker runs. A connection is opened past the guards, watched, cut and
//! made anew here, and messages are published with confirms. Nothing here knows of jobs, runs,
//! shards or leases, and nothing is published a second time.
//!
//! | files | what they do |
//! |---|---|
//! | `message`, `labels`, `values` | messages, what they state about themselves, their AMQP types |
//! | `kept`, `connection`, `backoff` | connections that are kept |
//! | `held`, `publish`, `returns` | messages on their way |
//! | `login`, `connector`, `transport`, `frames`, `inbound`, `runtime` | how connections are made |
//! | `role`, `options`, `places` | what they are for, and what bounds them |
//! | `failure` | the reasons of brokers, in words |

mod backoff;
pub(crate) mod connection;
mod connector;
pub(crate) mod failure;
mod frames;
pub(crate) mod held;
mod inbound;
pub(crate) mod kept;
pub(crate) mod labels;
pub(crate) mod login;
pub(crate) mod message;
pub(crate) mod options;
pub(crate) mod places;
pub(crate) mod publish;
mod returns;
pub(crate) mod role;
mod runtime;
mod transport;
pub(crate) mod values;

pub(crate) use inbound::MAX_BODY;
