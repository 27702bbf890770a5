//! What every node does with the shards it owns.

pub mod classes;
pub mod queue;
mod runs;
pub mod tracker;
