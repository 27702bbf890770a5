//! The pages of executors: list, one executor, its form, and the actions on one.

pub(crate) mod actions;
mod describe;
pub(crate) mod edit;
pub(crate) mod list;
pub(crate) mod show;
