//! Delivery of calls, whatever their kind: who may call next, and which destinations are left
//! alone.
//!
//! An executor (`executor::http`) asks [`destination_queues::DestinationQueues`] for a permit
//! before each call and reports its outcome. A destination is an opaque text; nothing here knows of
//! URLs, headers or connections, and nothing sends.
//!
//! ```text
//!   executor -- acquire --> destination_queues --> fair_queue          (whose turn is it?)
//!                              |  |  |  `--------> eviction            (which one is ended?)
//!                              |  |  `-----------> destination_limits  (the operator's)
//!                              |  `--------------> backoffs            (Retry-After)
//!   executor -- finish ------> `-----------------> breakers --> breaker
//!   worker   <- reply::Reply (attempt::Attempt) -- executor
//! ```

pub mod attempt;
pub mod availability;
pub mod batch_answer;
pub mod breaker;
pub mod breakers;
pub mod call_checks;
pub mod call_outcome;
pub mod destination;
pub mod destination_queues;
pub mod fair_queue;
pub mod reply;

mod backoffs;
mod destination_limits;
mod eviction;
mod token_bucket;
