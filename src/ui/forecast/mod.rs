//! The page of the forecast: how many occurrences are planned for each minute of the next day, its
//! peaks, and what comes next.

pub(crate) mod coming;
mod heat;
pub(crate) mod show;
mod spread;
