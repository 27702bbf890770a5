//! Jobs, and the runs that follow from their schedules.

pub(crate) mod next_runs;
mod read;

pub(crate) use read::missing_job;
