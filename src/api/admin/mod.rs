//! The API for operators: the cluster and its members, backups, credentials, probes.

pub(crate) mod backup_path;
pub(crate) mod backup_slot;
pub(crate) mod backups;
pub(crate) mod cluster;
pub(crate) mod credentials;
pub(crate) mod health;
pub(crate) mod members;
pub(crate) mod pressure;
pub(crate) mod readiness;
