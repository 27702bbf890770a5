//! Attacks: what strangers, clients and receivers can do to a node, played against real processes
//! beside a victim, a project whose jobs go to a healthy receiver. An attack may cost the attacker
//! something; it must not cost the victim a firing, nor the node more memory than is bounded.
//! The table of attacks stands in docs/reliability.md.

mod access;
mod bad_receiver;
mod connection;
mod documented;
mod door;
mod fair;
mod fixture;
mod held;
mod idle;
mod reads;
mod receivers;
mod render;
mod siege;

pub(crate) use bad_receiver::{BadReceiver, Misbehavior};
pub(crate) use connection::{Port, RawConnection};
pub(crate) use fixture::{Attacker, Peak, Victim, memory_mb, metric};
