//! The API of what happened: executions and sums of them, explanations, dead letters, receipts, and
//! the reports of receivers.

pub(crate) mod analytics;
pub(crate) mod async_tasks;
pub(crate) mod cleanup;
pub(crate) mod dead_letters;
pub(crate) mod execution;
pub(crate) mod execution_view;
pub(crate) mod executions;
pub(crate) mod explain;
pub(crate) mod explain_view;
pub(crate) mod rates;
pub(crate) mod reports;
mod worker_run_view;
