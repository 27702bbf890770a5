//! The supervisor of worker runs: what waits for a worker, who has it, and who is silent.
//!
//! ```text
//!   engine ── Dispatch ──┐                     ┌── Append ──> own journal ── Appended ─┐
//!   store ── OfferRead ──┤  Supervisor::step   ├── Answer ──> gateway (a claim)         │
//!            RunRead ────┤   (Moment, Event)   ├── Propose ─> log (Lost)               │
//!   gateways ── Claim ───┤    -> effects       ├── Hint ────> gateways                 │
//!            Heartbeat ──┘         ▲           └── TellCancel ─> bus                    │
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
//! | `waiting`, `job_counts`, `offers`, `in_hand`, `taken`, `state` | what is known: plain data |
//! | `load` | shards that come and go; what the store says |
//! | `offering`, `claims`, `journaled` | from due to offered, claimed, handed out |
//! | `heartbeats`, `silence`, `cancels`, `hints` | what becomes of runs; who is told |
//! | `view` | what others are told |
//! | `step` | the way of an event to its rules |

mod cancels;
mod claims;
mod event;
mod hand_out;
mod heartbeats;
mod hints;
mod in_hand;
mod job_counts;
mod journaled;
mod load;
mod offering;
mod offers;
mod silence;
mod source;
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
