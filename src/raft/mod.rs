//! openraft made ours.

pub mod types;
