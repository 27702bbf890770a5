//! The application: the use cases of the scheduler, a file for each noun. A use case takes an
//! [`Actor`], who must be authorized for an [`Action`], and typed input; it gives a typed result or
//! an [`Error`]. The API translates requests to use cases, and so do callers in this process. Only
//! `app` reads the store and proposes commands for clients; it knows no HTTP. Of JSON it
//! knows the objects within a record: the target and the policies of a job.

pub mod accounts;
mod actor;
pub mod audit;
mod authz;
pub mod backups;
mod cluster;
pub mod cluster_admin;
pub mod conditions;
pub mod credentials;
pub(crate) mod duration;
mod error;
mod error_sources;
pub mod events;
pub mod executors;
pub(crate) mod fields;
pub mod forecast;
mod health;
pub mod history;
pub mod idempotency;
pub mod jobs;
pub mod members;
pub mod page;
pub mod patch;
mod pressure;
pub mod projects;
mod readiness;
pub(crate) mod reads;
pub mod runs;
pub mod signing;
mod state;
pub(crate) mod targets;
pub mod templates;
pub mod warnings;
pub mod whoami;
pub mod workers;
pub(crate) mod write;

pub use actor::{Actor, ActorKind};
pub use authz::{Action, Denied, Resource, authorize};
pub use error::{Error, ErrorKind};
pub use health::LeaderAddress;
pub use pressure::Pressure;
pub use readiness::Readiness;
pub use state::App;
