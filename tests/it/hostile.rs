//! Attacks: what strangers, clients and receivers can do to a node, played against real processes
//! beside a victim, a project whose jobs go to a healthy receiver. An attack may cost the attacker
//! something; it must not cost the victim a firing, nor the node more memory than is bounded.
//! The table of attacks stands in docs/reliability.md.

mod access;
mod fair;
#[allow(dead_code, reason = "the tests of attacks that are being mended come one by one")]
mod fixture;
mod held;
mod idle;
#[allow(dead_code, reason = "the same")]
mod ill;
mod reads;
mod receivers;
mod render;
#[allow(dead_code, reason = "the same")]
mod wire;

pub(crate) use fixture::{Attacker, Peak, Victim, memory_mb, metric};
pub(crate) use ill::{Ill, Manner};
pub(crate) use wire::{Port, Wire};
