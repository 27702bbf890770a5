//! What every node does with the shards it owns: keep what is due, fire it, write down what came of
//! it.
//!
//! ```text
//!   books ── load ──> queue (classes) ── due ──> request ──> executor ──> reply
//!     ^                  tracker (W)                                        |
//!     |                                                                     v
//!   collector <──────────────────────── journal <──────────────────────── blocks
//! ```
//!
//! It reads the books and never writes them: what it did reaches them by way of the journal.

pub mod classes;
pub mod lease;
pub mod queue;
mod runs;
pub mod tracker;
