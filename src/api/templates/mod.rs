//! The routes of job templates: records with versions, payloads that are checked, instances, and
//! the import of a file. The reader of their bodies keeps the order and the numbers of payloads.

mod body;
mod import;
pub(crate) mod input;
mod instances;
mod routes;
pub(crate) mod view;

pub(crate) use routes::router;
