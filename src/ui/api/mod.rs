//! `/ui/api`: the API as its OpenAPI document has it, an operation a page, with a form that sends a
//! request as whoever has signed in.

mod index;
mod operation;
mod request;
mod schema;

pub(crate) use index::show_api;
pub(crate) use operation::{show_operation, try_operation};
pub(crate) use request::InProcess;
