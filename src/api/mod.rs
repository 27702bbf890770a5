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

mod accounts;
mod admin;
mod audit;
mod closed_routes;
mod echo;
mod events;
mod forecast;
mod history;
mod http;
mod jobs;
mod limits;
pub(crate) mod openapi;
mod projects;
mod root;
mod router;
mod runs;
mod state;
mod targets;
mod templates;
mod workers;

pub(crate) use http::body::{Hold, read as read_body};
pub use http::error::{Error, refusal};
pub(crate) use http::fields::Fields;
pub use http::route_prefix::RoutePrefix;
pub(crate) use jobs::input::parse as job_json;
pub use limits::bodies::Bodies;
pub(crate) use projects::input as project_json;
pub use router::router;
pub use state::AppState;
pub(crate) use targets::executor_input as executor_json;
pub(crate) use targets::executor_view;
pub(crate) use templates::{input as template_json, view as template_view};
