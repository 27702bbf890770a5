//! The executor of HTTP calls: it sends a ready request and reports the result.
//!
//! The worker calls [`Executor::call`]. The api asks [`guard::TargetGuard`] about URLs,
//! [`template::Sizes`] and [`payload::DefinitionText`] about sizes, and [`tls::check`] about
//! certificates. Nothing here knows of shards, schedules or leases, or keeps anything beyond open
//! connections. Nothing is tried again, but once where a kept connection turned out to be closed
//! (`client`).
//!
//! ```text
//!   worker -> payload, template, headers -> Call
//!                                            |
//!                         delivery (permit) -+-> run -> before_send? -> receiver
//!                                            |                             |
//!   worker <- Reply::Refused <---------------+                             |
//!   worker <- Reply::Done(Attempt) <- status <--- response <---------------+
//! ```
//!
//! `before_send` is asked when the connection stands and the first byte is about to be written: the
//! check sits in the body of the request, which HTTP/1 asks for before it flushes the head. So a
//! connection that took ten seconds to open cannot carry a request over the end of a lease.
//! (`deferred_body` says how this holds for requests without a body, too.)
//!
//! | files | what they do |
//! |---|---|
//! | `call`, `options`, `executor`, `run` | a call, from its permit to its reply |
//! | `request`, `deferred_body`, `client`, `response` | what is sent and read |
//! | `connector`, `connection`, `pool`, `meter`, `tls` | connections |
//! | `guard`, `address_kind`, `member_guard`, `egress` | where calls may go |
//! | `lookup`, `resolver`, `guarded_resolver` | look-ups of names |
//! | `status`, `retry_after`, `http_date` | what an answer means |
//! | `payload`, `headers`, `template` | what the worker writes requests with; pure |

pub mod guard;
pub mod headers;
pub mod lookup;
pub mod member_guard;
pub mod payload;
pub mod raft_addresses;
pub mod status;
pub mod template;
pub mod tls;

mod address_kind;
mod call;
mod client;
mod connection;
mod connector;
mod deferred_body;
mod destination;
mod egress;
mod executor;
mod guarded_resolver;
mod http_date;
mod local_error;
mod meter;
mod options;
mod pool;

mod request;
mod resolver;
mod response;
mod retry_after;
mod run;
mod send_error;
#[cfg(test)]
mod tests;

pub use call::Call;
pub use destination::destination;
pub use executor::Executor;
pub use options::{Error, Options};
pub use response::{MAX_BATCH_BODY, MAX_BODY};

pub use crate::delivery::availability::{Availability, OpenBreaker};
