//! Sending what is due: from a piece of work to the records of its results.
//!
//! ```text
//!   Work ──> sender ──> builder, render ──> call ──> response ──> SendEvent (to the engine)
//!              │         jobs as they are    │         ├── retry, dead letter: a record
//!              │         now, one request    │         ├── batch refused: split, isolate
//!              │         for each target     │         ├── destination full: defer
//!              │                             │         └── a reply that names each job: parts
//!              │                             └── lease, first byte, answer
//!              ├── a queue of workers: offer (to the supervision)
//!              └── no place yet: wait (admission, adaptive limit), run must not overlap: BeginRun
//! ```
//!
//! The engine starts it with a [`Work`] and hears of it by [`SendEvent`]s. Nothing here touches the
//! due queue, the tracker or the journal.

mod adaptive_limit;
mod admission;
mod backlog;
mod builder;
mod call;
mod classify;
mod defaults;
mod defer;
mod event;
mod given_out;
mod hanging_calls;
mod isolate;
mod known_changes;
mod offer;
mod offer_terms;
mod parts;
mod permits;
mod poison;
mod prepared;
mod render;
mod response;
mod route;
mod sender;
mod skip_cause;
mod split;
mod view;
mod wait;
mod work;

pub(super) use adaptive_limit::AdaptiveLimits;
pub(super) use admission::Admission;
pub(super) use defaults::Defaults;
pub(super) use event::SendEvent;
pub(super) use hanging_calls::{HangingCalls, cancel_deleted};
pub(super) use offer_terms::OfferTerms;
pub(super) use poison::CleanExit;
pub use poison::PoisonRegister;
pub(super) use route::{DeliveryMode, Routes, Terms};
pub(super) use sender::Sender;
pub(super) use skip_cause::{SkipCause, skip_cause_now};
pub(super) use view::SenderView;
pub(super) use wait::BEGUN_TIMEOUT;
pub(super) use work::{Handover, Head, Work};
