//! The hot paths, each beside its baseline: the cost of the same work when only the unavoidable
//! part is done, measured in the same run.
//!
//! ```text
//!   cargo bench --bench hot                      all of it
//!   cargo bench --bench hot -- payload           one group
//! ```
//!
//! In every group `ours` is this program's way, through its public functions; the others are what
//! it is compared with. `docs/performance.md` explains the figures.

mod attempt;
mod fair;
mod payload;
mod queue;
mod schedule;
mod store;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    hot,
    schedule::next,
    queue::fire,
    attempt::code,
    fair::turn,
    payload::build,
    store::create,
    store::record,
    store::history
);
criterion_main!(hot);
