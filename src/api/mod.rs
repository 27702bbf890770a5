//! The API: JSON over HTTP, one resource a file, each ending in `router()`.
//!
//! ```text
//!   request ─> http::middleware: route prefix, panic guard, metrics, errors rendered
//!                └─> authenticate (closed routes), http::query: the parameters of the route
//!                      └─> projects, jobs, targets, history, runs, admin
//!                            ├─ RequestContext: caller, casing, query      (in)
//!                            ├─ JsonBody, fields, jobs::input: the body    (in)
//!                            ├─ AppState::read: bounded, fair              (reads)
//!                            ├─ Cluster::propose / linearize               (writes)
//!                            └─ respond: the envelope in the casing        (out)
//! ```
//!
//! There is one router. It is served under three prefixes, and the prefix of a request decides the
//! casing of the answer and nothing else. `server` serves what [`router()`] makes; `node` builds
//! the [`AppState`]. The API changes state only through `Cluster::propose`, and knows nothing of
//! Raft, leases or queues: what it shows of them comes through `app`.

mod admin;
mod echo;
mod history;
mod http;
mod jobs;
mod limits;
mod projects;
mod root;
mod router;
mod runs;
mod state;
mod targets;
mod workers;

pub use http::error::{Error, refusal};
pub use http::route_prefix::RoutePrefix;
pub use limits::budget::Budget;
pub use router::router;
pub use state::AppState;
