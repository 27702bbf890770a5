//! Delivery of calls, whatever their kind: what an executor is, who may call next, and which
//! destinations are left alone.
//!
//! `executor` says what a kind of target brings, [`registry`] finds it, [`call_queue`] makes the
//! calls of all kinds. A destination is an opaque text; nothing here knows of URLs, headers or
//! connections, and nothing sends.
//!
//! ```text
//!   worker -- registry --> Executor: address, renderer, PreparedRequest
//!   worker -- Call --> call_queue -- acquire --> destination_queues --> fair_queue  (whose turn?)
//!                          |                        |  |  |  `--> eviction  (which one is ended?)
//!                          |                        |  |  `----> destination_limits  (operator's)
//!                          |                        |  `-------> backoffs          (Retry-After)
//!                          v                        `----------> breakers --> breaker
//!   running_call: PreparedRequest::send(gate) -- finish ---------^
//!   worker   <- reply::Reply (attempt::Attempt) -- '
//! ```

pub mod attempt;
pub mod availability;
pub mod batch;
pub mod breaker;
pub mod breakers;
pub mod call;
pub mod call_checks;
pub mod call_outcome;
pub mod call_queue;
pub mod destination;
pub mod destination_queues;
pub mod executor;
pub mod fair_queue;
pub mod gate;
pub mod interruption;
pub mod registry;
pub mod reply;
pub mod request;
pub mod secret_cache;

mod backoffs;
mod destination_limits;
mod eviction;
mod running_call;
mod token_bucket;
