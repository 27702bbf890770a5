//! The executor of HTTP targets: callbacks that take batches, and a request for each occurrence.
//!
//! [`HttpExecutor`] is its side of [`delivery::executor`](crate::delivery::executor). The api asks
//! [`template::Sizes`] and [`payload::DefinitionText`] about sizes. Names are looked up, addresses
//! guarded and receivers verified by [`outbound`](crate::executor::outbound). Nothing here knows of
//! shards, schedules or leases, or keeps anything beyond open connections. Nothing is tried again,
//! but once where a kept connection turned out to be closed (`client`).
//!
//! ```text
//!   worker -> renderers (payload, template) -> HttpRequest
//!          -> complete (headers, credentials)
//!          -> send(gate) -> run -> gate.check? -> receiver
//!                            |                       |
//!   worker <- Reply <- status, batch_answer <--- response
//! ```
//!
//! The gate is asked when the connection stands and the first byte is about to be written: the
//! check sits in the body of the request, which HTTP/1 asks for before it flushes the head. So a
//! connection that took ten seconds to open cannot carry a request over the end of a lease.
//! (`deferred_body` says how this holds for requests without a body, too.)
//!
//! | files | what they do |
//! |---|---|
//! | `executor`, `parts`, `options`, `destination` | what the worker learns of a target |
//! | `renderers`, `payload`, `template`, `headers` | how requests are written |
//! | `credentials` | opened secrets: of targets, for signatures, for TLS |
//! | `prepared`, `send`, `run`, `runner` | a call, from the written request to its reply |
//! | `request`, `deferred_body`, `client`, `response` | what is sent and read |
//! | `connector`, `connection`, `pool`, `meter` | connections |
//! | `egress` | where calls may go, also by way of a proxy |
//! | `status`, `batch_answer`, `retry_after`, `http_date` | what an answer means |

pub mod headers;
pub mod payload;
pub mod status;
pub mod template;

pub(crate) mod batch_answer;
mod client;
mod connection;
mod connector;
mod credentials;
mod deferred_body;
mod destination;
mod egress;
mod executor;
mod http_date;
mod meter;
mod options;
mod parts;
mod pool;
mod prepared;
mod renderers;
mod request;
mod response;
mod retry_after;
mod run;
mod runner;
mod send;
mod send_error;
#[cfg(test)]
mod tests;

pub use destination::address;
pub use executor::HttpExecutor;
pub use options::{Error, Options};
pub use prepared::HttpRequest;
pub use response::{MAX_BATCH_BODY, MAX_BODY};
