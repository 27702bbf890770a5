//! The configuration: every key with its type, unit and default, read from four layers and checked
//! as a whole before anything starts.
//!
//! ```text
//! config.yml.example (embedded)  <  config.yml  <  SCHEDULER0_* environment  <  flags
//!              layers.rs: which value counts, and its origin (files.rs: secrets in files;
//!              simple_scheduler.rs: what its variables mean where none of these says anything)
//!                                   |
//!              build.rs, reader.rs, replicas.rs, oidc.rs, targets.rs: types, ranges, lists
//!                                   v
//!                                Config (values.rs)
//! ```
//!
//! `cli` loads it and `node` hands the parts out. `LoadOptions` carries folders and variables, so
//! that tests need not touch the process. The configuration is never written, and no error shows a
//! secret. `settings` lists the values for people.

mod build;
mod egress;
mod error;
mod files;
mod keys;
mod layers;
mod oidc;
mod oidc_issuer;
mod options;
mod origin;
mod reader;
mod replica;
mod replicas;
mod settings;
mod simple_scheduler;
mod targets;
#[cfg(test)]
mod tests;
mod values;

pub use egress::EgressProxy;
pub use error::Error;
pub use files::{from_environment, read as read_secret_file};
pub use keys::environment_name;
pub use oidc_issuer::OidcIssuer;
pub use options::LoadOptions;
pub use origin::Origin;
pub use replica::{Replica, check_addresses};
pub use settings::{MASK, Setting, settings};
pub use values::{Config, Secrets, TargetPolicy};

pub use crate::telemetry::{LogFormat, LogLevel};

/// The embedded default: every key, with a line on each.
pub const EXAMPLE: &str = include_str!("../../config.yml.example");
/// The name of the configuration file.
pub const FILE: &str = "config.yml";
