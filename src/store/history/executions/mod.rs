//! Executions as people list them: attempt records, member by member. The api reads them; nothing
//! here writes.
//!
//! A page decodes only the records that it shows. The page of one job is found by a walk through
//! the records of its shard, from where the page begins to where it is full (`of_job`). The
//! executions beyond are counted as far as that is cheap, and estimated from there on. Other totals
//! come from the hourly counters (`total`).

mod filter;
mod list;
mod of_job;
mod one;
mod recorded;
mod reported;
mod row;
mod total;

pub use filter::Filter;
pub use list::{list, newest_of_job};
pub use one::{get, of_occurrence};
pub use recorded::{Recorded, RecordedPart, recorded_of_job};
pub use reported::{has_gone_on, reported};
pub use row::{Execution, Total};
