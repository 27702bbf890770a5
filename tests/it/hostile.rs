//! Attacks of strangers, clients and receivers against real processes. Beside the attacker runs a
//! victim, a project whose jobs go to a healthy receiver. An attack must not cost the victim a
//! firing, nor the node more memory than its bound. The table of attacks is in docs/reliability.md.

mod access;
mod bad_receiver;
mod combined;
mod connection;
mod connections;
mod documented;
mod fair;
mod fixture;
mod idle;
mod reads;
mod receivers;
mod render;
mod tables;

pub(crate) use bad_receiver::{BadReceiver, Misbehavior};
pub(crate) use connection::{Port, RawConnection};
pub(crate) use fixture::{Attacker, Peak, Victim, memory_mb, metric};
