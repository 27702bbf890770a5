//! The pages of projects: list, one project, its form, and the actions on one.

pub(crate) mod actions;
pub(crate) mod edit;
pub(crate) mod list;
pub(crate) mod show;
