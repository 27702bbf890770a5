//! Jobs: a small row each, the rest in its definition. Apply writes; the api reads whole jobs, the
//! worker reads rows to build its queue and payloads to build requests.

mod classes;
mod completion;
mod counts;
mod insert;
mod list;
mod read;
mod row;
mod search;
mod total;
mod users;
mod write;

pub use super::plans::of_shard as closed_plans;
pub use classes::{ClassBounds, ClassifiedJobs, JobClass, classes};
pub use completion::{first_due, has_nothing_left, is_over, parse};
pub use counts::{JobCounts, counts};
pub use insert::{NewRow, insert};
pub use list::{Order, Walked, each, each_of, last_id, list, walk};
pub use read::{
    anchor, by_external_id, each_of_range, external_ids, for_shard, get, id_by_external_id,
    ids_between, lapsed, missing, next_lapse, paused_beyond, payloads, project_of, range,
    without_data,
};
pub use row::{JobRow, Payload};
pub use search::Filter;
pub use total::{MAX_COUNTED, Total, count};
pub use users::of_executor;
pub use write::{complete, delete, delete_of_project, get_in, update};
