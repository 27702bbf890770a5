//! The supervisor of worker runs: what waits for a worker, who has it, and who is silent.
//!
//! ```text
//!   engine ── Dispatch ──┐                     ┌── Append ──> own journal ── Appended ─┐
//!   store ── OfferRead ──┤  Supervisor::step   ├── Answer ──> gateway (a claim)         │
//!            RunRead ────┤   (Moment, Event)   ├── Propose ─> log (Lost)               │
//!   gateways ── Claim ───┤    -> effects       ├── Hint ────> gateways                 │
//!   bus ────── Bus ──────┤         ▲           ├── Publish ───> bus ── Published ─────┤
//!            Heartbeat ──┘         │           └── TellCancel ─> bus                    │
//!                                  └────────────────────────────────────────────────────┘
//! ```
//!
//! A pure step function: events bring what the store, the journal and other nodes say, effects say
//! what is to be done, and both carry plain values. Nothing here reads a clock, the store or a
//! file, and nothing waits. `supervision` is the one task that calls it. The rules, by name, are in
//! `DESIGN.md` of the worker, "The supervisor".
//!
//! | file | what is in it |
//! |---|---|
//! | `event`, `source`, `hand_out` | events, effects, the moment of a step |
//! | `waiting`, `job_counts`, `group_index`, `popped`, `offers` | what waits: plain data |
//! | `in_hand`, `taken`, `state` | what else is known: plain data |
//! | `load`, `rows` | shards that come and go; what the store says |
//! | `offering`, `claims`, `prepared`, `journaled` | from due to offered, claimed, handed out |
//! | `start_limits` | what has waited for too long |
//! | `publishes`, `passing_over`, `published`, `at_bus` | the same for queues at a broker |
//! | `heartbeats`, `cancels`, `hints` | what becomes of runs; who is told |
//! | `missed_time`, `silence` | which runs count as lost |
//! | `view` | what others are told |
//! | `step` | the way of an event to its rules |

mod at_bus;
mod cancels;
mod claims;
mod event;
mod group_index;
mod hand_out;
mod heartbeats;
mod hints;
mod in_hand;
mod job_counts;
mod journaled;
mod load;
mod missed_time;
mod offering;
mod offers;
mod passing_over;
mod popped;
mod prepared;
mod published;
mod publishes;
mod rows;
mod silence;
mod source;
mod start_limits;
mod state;
mod step;
mod taken;
#[cfg(test)]
mod tests;
mod view;
mod waiting;

pub(crate) use event::{
    AppendId, Beat, Claim, ClaimId, Dispatch, DispatchId, Effect, Event, Found, HandOutLease,
    Handed, Heartbeat, Loaded, Moment, OfferRow, Part, Prepared, QueueId, Source,
};
pub(crate) use heartbeats::is_adoption;
pub(crate) use state::Supervisor;
pub(crate) use {event::PublishOutcome, publishes::is_publish};
