//! The API of targets: executors, the `http` object of jobs and executors, and the secrets that
//! sign calls.

pub(crate) mod executor_patch;
pub(crate) mod executor_view;
pub(crate) mod executors;
pub(crate) mod http_target;
pub(crate) mod signing;
