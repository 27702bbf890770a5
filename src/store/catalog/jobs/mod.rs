//! Jobs: a small row each, the rest in its definition. Apply writes; the api reads whole jobs, the
//! worker reads rows to build its queue and payloads to build requests.

mod completion;
mod insert;
mod list;
mod read;
mod row;
mod write;

pub use super::plans::of_shard as closed_plans;
pub use completion::{first_due, has_nothing_left, is_over, parse};
pub use insert::{NewRow, insert};
pub use list::{Filter, Order, Walked, count, each, last_id, list, walk};
pub use read::{
    anchor, by_external_id, each_of_range, external_ids, for_shard, get, id_by_external_id,
    ids_between, lapsed, missing, next_lapse, paused_beyond, payloads, range, without_data,
};
pub use row::{JobRow, Payload};
pub use write::{delete, delete_of_project, get_in, update};
