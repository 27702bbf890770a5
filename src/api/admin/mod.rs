//! The API for operators: the cluster and its members, backups, credentials, probes, and who a
//! caller is.

pub(crate) mod auth_config;
pub(crate) mod backups;
pub(crate) mod cluster;
mod credential_terms;
mod credential_view;
pub(crate) mod credentials;
pub(crate) mod health;
pub(crate) mod members;
pub(crate) mod sessions;
pub(crate) mod whoami;
