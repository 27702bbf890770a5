//! The JSON of jobs, read into `JobInput`: names and types of fields, and nothing of what
//! their values may be.

pub(crate) mod names;
pub(crate) mod parse;
pub(crate) mod values;
