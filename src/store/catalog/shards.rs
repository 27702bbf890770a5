//! Shards, for readers: who owns each, and up to when it is accounted for. Apply changes them
//! through `Tx`, whose `cache::shards` writes each changed one once a transaction.

pub use crate::store::cache::shards::{all, get};
