//! Poison occurrences: those whose request cannot be written without the process dying.
//!
//! A crash leaves a mark of what was being written. The next process of the node reads the marks.
//! What one process died with is written alone. What two processes died with is poison: it becomes
//! a dead letter (reason `poison`) instead of ending a third process.
//!
//! Three files in `DataDir/rendering`:
//!
//! - `marks`: 64 slots with what is being written at this moment. They are written before and
//!   after, and never synced, as the system's cache outlives a process.
//! - `deaths`: the occurrences that earlier processes died with, and how many died. It is written
//!   at a start that finds something new.
//! - `ended`: the last start of the node that ended in good order, whose marks count for no crash.
//!   It is written at the end of a process.
//!
//! Bounds of the promise:
//!
//! - An occurrence (job, scheduled instant, run, attempt) ends at most two processes of a node. The
//!   register is the node's own, so a shard that moves takes the occurrence to a node that does not
//!   know of it. A replay by hand is another attempt.
//! - A machine that loses its power keeps what the system had written back. Marks may be missing
//!   then, or old ones return, which matters only if the same attempt is written once more.
//! - Where the disk takes no marks the register does nothing, and says so once.

mod crashes;
mod marks;
mod register;

pub(in crate::worker) use register::CleanExit;
pub use register::PoisonRegister;
pub(super) use register::{Suspicion, reason};
