//! Buses: the ways by which runs come to workers over something else than the API of a node. The
//! supervision of runs (`worker`) offers and cancels runs, and hears what workers say. [`rabbitmq`]
//! is the one that there is. The queue that is embedded in the nodes needs none: its workers claim.
//!
//! A bus owns connections, topology, wire forms, acknowledgements, waits and its health. It never
//! reads or writes the store or a journal, decides no state of a run, judges no silence, retries
//! nothing but its connections and its topology, and keeps nothing that must survive.
//!
//! ```text
//!   supervision -- offer, cancel, withdraw --> Bus --> broker --> worker
//!   supervision <-- BusEvent: Heard, Up, Down -- Bus <-- broker <----'
//!        `-- Receipt: done, poison, or dropped ---^
//! ```
//!
//! Runs are named by their run ids (`model::run_id`); what else travels are plain values.

mod address;
mod event;
mod hand_out;
pub mod rabbitmq;
mod receipt;

pub use address::{Attachment, BusAddress};
pub use event::{BusEvent, BusEvents, Heard, WorkerSaid};
pub use hand_out::{Bus, HandOut, HandingOut, Removing, Ticket};
pub use receipt::{Receipt, Settlement};
