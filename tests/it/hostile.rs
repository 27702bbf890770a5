//! Attacks: what strangers, clients and receivers can do to a node, played against real processes
//! beside a victim, a project whose jobs go to a healthy receiver. An attack may cost the attacker
//! something; it must not cost the victim a firing, nor the node more memory than is bounded.
//! The table of attacks stands in docs/reliability.md.

mod access;
mod door;
mod fair;
mod fixture;
mod held;
mod idle;
mod ill;
mod reads;
mod receivers;
mod render;
mod siege;
mod told;
mod wire;

pub(crate) use fixture::{Attacker, Peak, Victim, memory_mb, metric};
pub(crate) use ill::{Ill, Manner};
pub(crate) use wire::{Port, Wire};
