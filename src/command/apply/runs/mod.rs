//! Rules of runs: occurrences that others may have to wait for. A run begins when its sender asks
//! for leave or when a receiver accepts it (`begin`). It ends with its occurrence: by its record
//! (`record`), by a report (`reports`), or by silence (`end`). One that a worker performs has
//! phases (`phases`), and its end by a worker, a client or a timeout is decided there.
//!
//! A deadline keeps a run from staying for ever, and depends on who has to act next:
//!
//! - The worker, for a run that it was handed: the run is to be cancelled after its start or run
//!   timeout, and a cancel that nobody confirms ends it. Silence is the supervisor's to judge.
//! - The receiver, for another accepted run: it ends with its run timeout, or after too long a
//!   silence.
//! - A pending row, between two attempts or while one is made for the row: there is no deadline.
//!   The row brings the run to its end, also when its sender dies, because the next owner fires the
//!   row.
//! - A sender that asked for a first attempt from the plan, and was silent since. While the
//!   watermark is before the instant, the next owner fires it again (`begin_run` lets the same
//!   occurrence begin again), so the run keeps its place a little longer. Once the watermark has
//!   passed it, the owner of the shard says that it is accounted for. If no end state confirms that
//!   (the occurrence fell into a pause of its project, for example), it becomes a pending row. So
//!   it is neither lost nor doubled, because no one fires from the plan what lies before the
//!   watermark.

mod begin;
mod end;
mod phases;
mod row;

pub(super) use row::{deadline, run_of};
