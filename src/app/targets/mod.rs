//! The targets of calls, as jobs and executors name them: a folder for each kind.

pub(crate) mod http;
