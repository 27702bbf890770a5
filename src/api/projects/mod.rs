//! The API of projects: the folders that jobs live in, with the settings that their jobs share, and
//! pauses of all of them at once.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod input;
pub(crate) mod pause;
pub(crate) mod pause_input;
pub(crate) mod read;
pub(crate) mod rotate;
pub(crate) mod routes;
pub(crate) mod settings;
pub(crate) mod update;
pub(crate) mod view;
