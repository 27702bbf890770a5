//! The pages of what happened: attempts, one occurrence, why a job ran or did not, dead letters.

pub(crate) mod activity;
pub(crate) mod dead_letters;
pub(crate) mod execution;
pub(crate) mod problems;
pub(crate) mod why;
