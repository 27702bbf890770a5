//! Projects: the folders that jobs live in, with the settings that their jobs share, and pauses of
//! all of them at once.

mod counts;
mod create;
mod delete;
pub mod input;
pub mod pause;
mod pause_state;
mod read;
mod rotate;
pub mod settings;
mod update;

pub use pause_state::PauseState;
pub use read::ProjectRecord;

pub use crate::store::projects::Order;
