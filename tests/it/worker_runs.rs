//! Runs of an embedded queue as users meet them: worker processes claim them at real nodes, keep
//! them by heartbeats and end them by reports, while clients cancel, edit and delete, and nodes die
//! or are restarted.

mod cancelling;
mod crowds;
mod edited;
mod faulty_workers;
pub(crate) mod fixture;
mod killed;
mod killed_in_each_step;
mod overlap;
mod patience;
mod reporting;
mod restarted;
mod silence;
mod timeouts;
mod verdict;
