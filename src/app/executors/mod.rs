//! Executors: named targets that many jobs share. Their secrets go in and never come out again.

mod create;
mod delete;
mod edit;
pub mod input;
mod queues;
mod read;
mod rotate;
pub mod settings;
mod tls;
mod update;
mod users;

pub use users::MOST_LOOKED_AT;

pub use crate::store::executors::Order;
