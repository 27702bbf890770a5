//! The targets of calls, as jobs and executors name them: `http`, and `settings` for the kinds that
//! read theirs themselves.

pub(crate) mod http;
pub(crate) mod settings;
